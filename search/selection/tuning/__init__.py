"""Tunes the constants of a rule with an evolution strategy. Start with `tune`."""
