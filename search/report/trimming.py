"""A small copy of a finished run: what explains its rules, without all that came to nothing.

A ledger has a row for every candidate and every training run, tens of megabytes for an hour. What
a reader asks of a finished run is the outcome, the report, and the ancestry of those that came far:
that is kept, as it was, and so are the numbers of all the others. Single training runs are not.
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
    """Copies a finished run, its ledger trimmed to the ancestry of what was validated.

    The copy shows, exports and reports as the whole run does. It cannot be repeated from: its
    configuration can.

    Args:
      run: finished.
      folder: of the copy, which does not exist yet.

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
    """Candidates that were validated, their ancestors, and what those are duplicates of."""
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
