"""``COVERAGE``: for every rule, everything that its program can be compared with here.

A program is proved like this::

    for check in COVERAGE[rule]:
        params, grads = problem(check.shapes)
        trajectory = ...  # run the program on them with check.hyper
        assert check.difference(trajectory) <= check.tolerance

Importing this module loads JAX (for Optax) and reads the golden files; it needs no torch.
``python -m references.coverage``, run from ``tests/``, prints how far the references are apart.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import optax

from .by_name import NUMPY, RULES, SECOND
from .compare import max_difference
from .golden import Golden, load_golden
from .optax_references import LAYERWISE_BY_DIMENSION, OPTAX
from .optax_runner import OptaxReference
from .problems import problem
from .settings import NOT_OFFICIAL
from .trajectories import Params, Reference, Trajectory

EXACT = 1e-12


@dataclass(frozen=True)
class Check:
    """One comparison of one rule.

    Attributes:
        rule: the rule's name.
        source: what the rule is compared with.
        version: its version; a commit for official code.
        tolerance: the largest absolute difference that counts as agreement, in float64.
        provenance: the catalogue's mark (N, C, S or U), with "derived from the equations, not
            official" where that is so.
        shapes: the tensors compared, names in ``problems.SHAPES``.
        hyper: the hyperparameters on both sides, under the NumPy reference's names.
        note: what had to be minded.
        measure: backs ``difference``.
    """

    rule: str
    source: str
    version: str
    tolerance: float
    provenance: str
    shapes: tuple[str, ...]
    hyper: dict[str, Any]
    note: str
    measure: Callable[[Trajectory], float]

    def difference(self, trajectory: Trajectory) -> float:
        """The largest absolute difference of a trajectory on ``problem(shapes)`` from this source.

        Evaluation points count where both sides have them.
        """
        return self.measure(trajectory)


def trajectory_difference(a: Trajectory, b: Trajectory) -> float:
    """``max_difference`` of the weights, and of the evaluation points where both have them."""
    worst = max_difference(a, b)
    if a.eval_w is not None and b.eval_w is not None:
        worst = max(worst, max_difference(a.eval_w, b.eval_w))
    return worst


def _provenance(rule: str) -> str:
    mark = RULES[rule].provenance
    return mark if mark in "NC" else f"{mark}: {NOT_OFFICIAL}"


def _numpy(rule: str, source: str, reference: Reference) -> Check:
    setting = RULES[rule]

    @cache
    def theirs() -> Trajectory:
        return reference(*problem(setting.tensors), **setting.hyper)

    return Check(
        rule=rule,
        source=source,
        version=np.__version__,
        tolerance=EXACT,
        provenance=_provenance(rule),
        shapes=setting.tensors,
        hyper=setting.hyper,
        note=setting.note,
        measure=lambda trajectory: trajectory_difference(trajectory, theirs()),
    )


def _optax(rule: str, reference: OptaxReference) -> Check:
    @cache
    def theirs() -> Trajectory:
        return reference.trajectory(*problem(reference.tensors))

    return Check(
        rule=rule,
        source="optax",
        version=optax.__version__,
        tolerance=reference.tolerance,
        provenance=_provenance(rule),
        shapes=reference.tensors,
        hyper=reference.hyper,
        note=reference.note,
        measure=lambda trajectory: trajectory_difference(trajectory, theirs()),
    )


def _golden(entry: Golden) -> Check:
    return Check(
        rule=entry.rule,
        source=f"golden {entry.source}",
        version=entry.commit or entry.version,
        tolerance=entry.tolerance,
        provenance=_provenance(entry.rule),
        shapes=entry.tensors,
        hyper=entry.hyper,
        note=entry.note,
        measure=entry.difference,
    )


def _coverage() -> dict[str, list[Check]]:
    table = {rule: [_numpy(rule, "numpy", NUMPY[rule])] for rule in RULES}
    for rule, second in SECOND.items():
        table[rule].append(_numpy(rule, "numpy, second derivation", second))
    for rule, reference in OPTAX.items():
        table[rule].append(_optax(rule, reference))
    table["layerwise_clipping"].append(_optax("layerwise_clipping", LAYERWISE_BY_DIMENSION))
    for entry in load_golden():
        table[entry.rule].append(_golden(entry))
    return table


COVERAGE: dict[str, list[Check]] = _coverage()


def numpy_trajectory(check: Check) -> tuple[Params, Trajectory]:
    """The initial weights of a check and the NumPy reference's trajectory in its setting."""
    params, grads = problem(check.shapes)
    return params, NUMPY[check.rule](params, grads, **check.hyper)


def main() -> None:
    """Print every reference's distance from the NumPy reference."""
    for rule, checks in COVERAGE.items():
        for check in checks[1:]:
            worst = check.difference(numpy_trajectory(check)[1])
            shapes = " ".join(check.shapes)
            print(f"{rule:21} {check.source:42} {worst:.1e} <= {check.tolerance:.0e}  {shapes}")


if __name__ == "__main__":
    main()
