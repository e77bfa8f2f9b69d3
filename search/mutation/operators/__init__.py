"""The mutations, by theme; see `mutation.base`."""
