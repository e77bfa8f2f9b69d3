"""Who descends from whom."""
