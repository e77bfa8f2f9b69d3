"""Who trains: an executor each; see `execution.base`."""
