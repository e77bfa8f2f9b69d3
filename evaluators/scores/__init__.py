"""From training results to conclusions: scores, tuned learning rates, comparisons, statistics."""
