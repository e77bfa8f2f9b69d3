"""Terms, their canonical form, and simplification of programs by an e-graph."""
