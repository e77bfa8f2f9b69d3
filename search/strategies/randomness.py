"""Every random draw derives from (run seed, ordinal, purpose).

So a draw does not depend on how many draws others made before it, and a run repeats exactly
however its work is spread.
"""

from __future__ import annotations

import random
from hashlib import blake2b


def derive(seed: int, ordinal: int, purpose: str) -> random.Random:
    """An independent generator for one purpose of one proposal."""
    digest = blake2b(f"{seed}:{ordinal}:{purpose}".encode(), digest_size=16).digest()
    return random.Random(int.from_bytes(digest, "little"))
