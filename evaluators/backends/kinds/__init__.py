"""The backends, one per module; see `backends.base`."""
