"""Parts of the simplifier: identities, equality saturation, state, and writing programs."""
