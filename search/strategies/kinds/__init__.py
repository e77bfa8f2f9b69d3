"""What proposes candidates, a module each; see `strategies.base`."""
