"""Programs as integer tables, and the one compiled function that reads them."""
