"""Fingerprints: a hash of a rule's updates on fixed probes. Equal fingerprints mean duplicates.

The second test of equivalence, after `program_digest`: it finds what no rewriting rule covers, such
as sqrt(square(g)) for abs(g), or a threshold that is never reached.

The updates of each probe are divided by their norm, and the logarithm of the norm is a further
number. If a rule is linear in its learning rate, its overall scale is left out: lr * g and
2 * lr * g are the same rule at different rates. Otherwise the scale counts: no learning rate turns
tanh(lr * g) into 2 * tanh(lr * g), and lr**2 * g differs from lr * g, because the rates tuned for
one do not suit the other.

The hash is over rounded numbers. Two forms of one rule differ by about 1e-15 and get different
hashes only if a rounding boundary lies between them: once in a million pairs. Random projections
are rounded instead of the updates, because updates are often round numbers, which may lie on a
boundary.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np

from ...dsl.program import Program
from .descent import WEIGHTS
from .probes import FAST, LARGE, MIRRORED, PLAIN, PROBES, SLOW, STEPS, TINY, VARIED, ZEROS
from .trial import Trial, try_out

Array = np.ndarray[Any, Any]

# Rounding step, relative to the norm of a probe's updates. It separates an epsilon of 1e-8 from one
# of 2e-8 (1e-3 of the update of the tiny probe), but not 1e-14 from 1e-30.
RESOLUTION = 1e-7
# Projections of the updates of each probe, and of its evaluation points.
_PROJECTIONS = np.random.RandomState(1).standard_normal((2, STEPS * WEIGHTS, 3))
# Stands for the logarithm of zero.
_SILENT = -1e6
# On these probes a rule may be non-finite and still be usable: huge, tiny, and exactly zero
# gradients (many rules divide by them).
_EXTREME = {TINY, LARGE, ZEROS, *VARIED}
_RATES = (PLAIN, SLOW, FAST)
_LOG_RATES = np.log2([[PROBES[index].rate] for index in _RATES])


@dataclass(frozen=True, slots=True)
class Behaviour:
    """The fingerprint of a rule, up to a factor of its learning rate.

    Attributes:
      digest: hexadecimal, as long as that of `program_digest`.
      log_scale: log2 of the size of its updates. For two rules a, b of equal digest, a at learning
        rate x trains as b does at x * 2**(a.log_scale - b.log_scale).
    """

    digest: str
    log_scale: float


def behaviour(program: Program) -> Behaviour | None:
    """The fingerprint of a program that needs no inputs beyond those of the gates; or None."""
    return fingerprint(try_out(program))


def fingerprint(trial: Trial) -> Behaviour | None:
    """The fingerprint of a trial.

    None if all updates of the plain probe are zero, or some are non-finite on a probe that is not
    in `_EXTREME`.
    """
    raw = _by_probe(trial.updates)
    are_finite = np.isfinite(raw)
    all_finite = np.logical_and.reduce(are_finite, 1)
    # The finite part of a probe counts, too: what is NaN at one step may tell at the others.
    updates = raw if all_finite.all() else np.where(are_finite, raw, 0.0)
    with np.errstate(all="ignore"):
        largest = np.abs(updates).max(1, keepdims=True)
        silent: Array = np.equal(largest, 0.0)
        relative = updates / np.where(silent, 1.0, largest)
        norms = np.sqrt(np.add.reduce(relative * relative, 1, keepdims=True))
        sizes = np.where(silent, 1.0, largest * norms)
        logs = np.where(silent, _SILENT, np.log2(sizes))
        numbers = np.empty((len(PROBES), 7))
        np.matmul(updates / sizes, _PROJECTIONS[0], out=numbers[:, :3])
        numbers[:, 3:6] = 0.0
        if trial.offsets is not None:
            np.matmul(_by_probe(trial.offsets) / sizes, _PROJECTIONS[1], out=numbers[:, 3:6])
        numbers[:, 6:] = logs
        finite: Array = all_finite & np.logical_and.reduce(np.isfinite(numbers), 1)
        of_rates = numbers[_RATES, :]
        of_rates[:, 6:] -= _LOG_RATES
        if np.abs(of_rates - of_rates[0]).max() < RESOLUTION:
            numbers[:, 6] -= logs[PLAIN]
    if silent[PLAIN] or not all(finite[i] or i in _EXTREME for i in range(len(PROBES))):
        return None
    code = blake2b(digest_size=12)
    for index in np.flatnonzero(~finite):
        code.update(are_finite[index].tobytes())
        numbers[index] = np.where(np.isfinite(numbers[index]), numbers[index], 0.0)
    # Minus zero is zero.
    code.update((np.rint(numbers / RESOLUTION) + 0.0).tobytes())
    return Behaviour(code.hexdigest(), float(logs[PLAIN, 0]))


def ignores_sign(trial: Trial) -> bool:
    """Whether the updates stay the same when all gradients are negated, or have all one sign."""
    plain, mirrored = trial.updates[:, PLAIN], trial.updates[:, MIRRORED]
    both = trial.updates[:, (PLAIN, MIRRORED)]
    if not np.isfinite(both).all():
        return False
    same = np.abs(plain - mirrored).max() <= 1e-9 * np.abs(plain).max()
    return bool(same or both.min() >= 0.0 or both.max() <= 0.0)


def _by_probe(x: Array) -> Array:
    """From (STEPS, probes, WEIGHTS) to (probes, STEPS * WEIGHTS)."""
    return x.transpose(1, 0, 2).reshape(len(PROBES), -1)
