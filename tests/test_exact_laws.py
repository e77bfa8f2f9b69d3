"""What rewriting does to terms changes no number, whatever the numbers are."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from evoptax.dsl.algebra.identities import CONSTANTS, Identity, exact_laws, variables
from evoptax.dsl.arrays import ArrayDomain, Leaves
from evoptax.dsl.interpreter import evaluate
from evoptax.dsl.synthetic_loss import oracles_around

LAWS = tuple(exact_laws())
ODD = np.array([0.0, 1.0, -1.0, 2.5, -3e38, 1e-310, np.inf, -np.inf, np.nan])
NUMBERS = (-2.0, -1.0, 0.0, 0.5, 1.0, 3.0)
# What the names of inputs stand for, and oracles are asked about.
INPUTS = {
    "w": Leaves([np.linspace(-2.0, 3.0, len(ODD))]),
    "g": Leaves([np.linspace(1e-9, 2.0, len(ODD))]),
    "loss": np.float64(0.7),
}
DOMAIN = ArrayDomain(np, np.float64, [ODD.shape], oracles_around(*INPUTS.values()))


def _values(law: Identity) -> list[dict[str, object]]:
    """Odd numbers for letters; for constants, numbers that the conditions allow."""
    letters = sorted(variables(law.left))
    constants = [letter for letter in letters if letter in CONSTANTS]
    others = {
        letter: Leaves([np.roll(ODD, 2 * place)])
        for place, letter in enumerate(x for x in letters if x not in CONSTANTS)
    }
    found = []
    for chosen in itertools.product(NUMBERS, repeat=len(constants)):
        env = {c: np.float64(x) for c, x in zip(constants, chosen, strict=True)}
        if all(evaluate(condition, DOMAIN, env) for condition in law.conditions):
            found.append(env | others | INPUTS)
    return found


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
def test_both_sides_are_the_same_in_floating_point(law: Identity) -> None:
    found = _values(law)
    assert found
    with np.errstate(all="ignore"):
        for env in found:
            left, right = (evaluate(side, DOMAIN, env) for side in (law.left, law.right))
            one, other = (np.broadcast_to(np.asarray(x), (1, *ODD.shape)) for x in (left, right))
            np.testing.assert_array_equal(one, other)


def test_every_law_is_stated_once() -> None:
    names = [law.name for law in LAWS]
    assert len(set(names)) == len(names) >= 30
