"""How a program becomes another."""
