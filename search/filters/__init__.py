"""What is known of a candidate before any training."""
