"""Building blocks of the report's pages: `page` for text and tables, `plot` for charts."""
