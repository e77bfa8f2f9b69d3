"""Mutations of programs. Start with `base`, then `mutate`."""
