"""The first seed of each purpose, so that no stage trains on the problems of another.

The rounds of a search use consecutive seeds from 0; the other ranges begin above all of them.
"""

from __future__ import annotations

# Seeds of rounds lie below this.
ROUNDS_END = 50_000
# Judging whether a shorter program trains as well.
PRUNING = ROUNDS_END
# Tuning constants, and judging whether the tuned ones are better.
TUNING, TUNED = 60_000, 70_000
# Choosing learning rates before a comparison by `evaluate`, which reports seeds from 0.
RATES = 80_000
# Champions of all rounds are validated on the same problems, so that they are comparable.
CHAMPIONS = 1_000_000
# Ranking the finalists.
FINALISTS = 2_000_000
# Confirmation and the final comparison: problems that no choice used.
FRESH = 3_000_000
