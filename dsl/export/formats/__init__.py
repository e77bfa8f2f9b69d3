"""The formats that rules are exported in, a module or a folder each; see `base`."""
