"""Selection among candidates: the funnel, rounds, finalists and the final comparison."""
