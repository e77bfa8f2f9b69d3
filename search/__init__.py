"""Evolutionary search over programs: mutation, gates, evolution, engine, ledger, lineage."""
