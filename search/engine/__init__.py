"""The loop that has a strategy's candidates trained, and the workers' side of it."""
