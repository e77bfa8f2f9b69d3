"""Makes a small copy of a finished run: its outcome, report, counts and the important ancestries.

A ledger has a row for every candidate and every training run: tens of megabytes for an hour. The
copy keeps validated candidates with their ancestors, and the counts of all others. It drops the
results of single training runs.
"""

from __future__ import annotations

import shutil
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

from ...dsl.errors import UserError
from ..store import ledger
from ..store.ledger import Ledger
from ..store.outcome import read_outcome, read_rounds
from ..store.runs import Run, stored_config
from .counts import COUNTS, read_counts
from .lineage.ancestry import ancestry


def trimmed(run: Run, folder: Path) -> Run:
    """Copies a finished run, its ledger trimmed to validated candidates and their ancestors.

    `show`, `export` and `report` work on the copy as on the original. The copy cannot be resumed; a
    new run with its configuration repeats the original.

    Args:
      run: a finished run.
      folder: the folder of the copy, which must not exist.

    Raises:
      UserError: the run is not finished, or the folder exists or cannot be written.
    """
    copy = Run(folder)
    with closing(run.read()) as opened:
        if read_outcome(opened) is None:
            raise UserError(f"run '{run.name}' is not finished; finish it before you trim it")
        if folder.exists():
            raise UserError(f"'{folder}' exists already")
        counts = read_counts(opened, stored_config(opened), read_rounds(opened))
        kept = _kept(opened)
        try:
            shutil.copytree(run.folder, folder, ignore=shutil.ignore_patterns(f"{ledger.FILE}*"))
            opened.copy_to(copy.ledger_path)
        except OSError as error:
            raise UserError(f"cannot write to '{folder}': {error.strerror}") from None
    with closing(copy.write()) as opened:
        opened.set_fact(COUNTS, asdict(counts))
        opened.keep_only(kept)
    return copy


def _kept(opened: Ledger) -> set[int]:
    """Validated candidates, their ancestors, and the originals of duplicates among them."""
    outcome = read_outcome(opened)
    assert outcome is not None
    far = {outcome.ordinal, *(f.ordinal for f in outcome.finalists)}
    far |= {c.ordinal for r in read_rounds(opened) for c in r.champions}
    kept: set[int] = set()
    while far:
        line = [step.candidate for ordinal in far for step in ancestry(opened, ordinal)]
        kept |= {candidate.ordinal for candidate in line}
        far = {c.duplicate_of for c in line if c.duplicate_of is not None} - kept
    return kept
