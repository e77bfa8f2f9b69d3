"""The loops that run a strategy, and the worker's side of them. Start with `loop`."""
