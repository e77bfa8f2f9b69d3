"""What trains rules, a module each; see `backends.base`."""
