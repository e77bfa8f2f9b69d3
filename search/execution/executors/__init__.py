"""The executors, one per file or folder; see `execution.base`."""
