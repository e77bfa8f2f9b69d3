"""Every documented optimizer as a program, with its paper, defaults and reference."""
