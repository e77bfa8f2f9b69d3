"""A program in the notations of others: an Optax file, LaTeX, JSON."""
