"""Checks of a candidate before any training: `gates` reject, `fingerprints` find duplicates."""
