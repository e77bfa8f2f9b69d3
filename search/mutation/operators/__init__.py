"""Mutations; see `mutation.base`."""
