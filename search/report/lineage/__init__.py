"""The lineage of a run: `ancestry` of one candidate, `graph` of all, and file formats."""
