"""Makes ``golden/*.json`` from whatever is installed here and from checkouts of official code.

Run it from ``tests/`` in an environment with torch and the packages of ``torch_cases``::

    python -m references.make_golden --official CHECKOUTS

CHECKOUTS holds the repositories of ``official_cases.COMMITS`` at those commits, each as
``owner+name``; absent ones are skipped, and so are packages that are not installed. What was
skipped is printed, and its trajectories stay as they are in ``golden/``.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from importlib import metadata, util
from pathlib import Path
from typing import TYPE_CHECKING

from .golden import Golden, at_kept_steps, load_golden, save_golden
from .problems import problem

if TYPE_CHECKING:
    from .torch_runner import Case


def _installed(distribution: str) -> bool:
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True


def live_references() -> Iterator[Case]:
    """The cases on PyPI whose distribution is installed here; none without torch.

    ``torch_runner.run_case(case, params, grads)`` runs one.
    """
    if util.find_spec("torch") is None:
        return
    from .torch_cases import PYPI_CASES

    yield from (case for case in PYPI_CASES if _installed(case.source))


def make(case: Case) -> Golden:
    """Run one case on the fixed problem and keep what a golden file keeps."""
    from .torch_runner import run_case

    trajectory = run_case(case, *problem(case.names))
    evals = trajectory.eval_w
    return Golden(
        rule=case.rule,
        source=case.source,
        version=case.version,
        commit=case.commit,
        hyper=case.full_hyper,
        tensors=case.names,
        tolerance=case.tolerance,
        note=case.note,
        w=at_kept_steps(trajectory),
        eval_w=None if evals is None else at_kept_steps(evals),
    )


def main() -> None:
    """Remake every trajectory that can be made here."""
    parser = argparse.ArgumentParser(description="Remake golden/*.json.")
    parser.add_argument("--official", type=Path, help="folder with checkouts named owner+name")
    folder = parser.parse_args().official
    cases = list(live_references())
    if folder is not None:
        from .official_cases import official_cases

        cases += official_cases(folder)
    kept = {(entry.rule, entry.source): entry for entry in load_golden()}
    made = {(case.rule, case.source): make(case) for case in cases}
    for rule, source in sorted(kept.keys() - made.keys()):
        print(f"kept as it is: {rule} from {source}")
    entries = kept | made
    save_golden([entries[key] for key in sorted(entries)])
    print(f"made {len(made)} trajectories")


if __name__ == "__main__":
    main()
