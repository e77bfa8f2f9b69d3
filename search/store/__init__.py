"""What a run keeps: its folder, the ledger, and records that are read out of it."""
