"""The first seed of each purpose: no stage trains on the problems of another.

A round of a search takes its seeds from 0 on, each round further ones; the other ranges begin where
no search gets.
"""

from __future__ import annotations

# A round's seeds lie below this.
ROUNDS_END = 50_000
# Judging whether a shorter program trains as well.
PRUNING = ROUNDS_END
# Tuning constants, and judging whether the tuned ones are better.
TUNING, TUNED = 60_000, 70_000
# The champions of every round meet the same problems, or whoever met the easiest ones would win.
CHAMPIONS = 1_000_000
# Telling finalists apart.
FINALISTS = 2_000_000
# Confirmation and the final comparison: problems by which nothing was chosen.
FRESH = 3_000_000
