"""What is tried next: pure, by ask and tell."""
