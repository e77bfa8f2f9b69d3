"""Backends train rules: `base` is the protocol, each module of `kinds` an implementation."""
