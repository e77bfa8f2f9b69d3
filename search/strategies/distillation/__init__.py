"""Programs for black boxes, from traces of what they do."""
