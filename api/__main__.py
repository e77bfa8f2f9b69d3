"""`python -m evoptax` is the command `evoptax`."""

import sys

from .cli.entry import run

if __name__ == "__main__":
    sys.exit(run())
