"""Gates: what is rejected before any training, and why."""

from __future__ import annotations

import numpy as np
import pytest
from evoptax.dsl.members import is_of_members
from evoptax.dsl.program import LEARNING_RATE
from evoptax.dsl.syntax import parse
from evoptax.known_algorithms.catalogue import KNOWN, get_known
from evoptax.search.filters import descent
from evoptax.search.filters.gates import STATIC, examine, rejection

GATED = {
    "ignores the gradient": "def f(w, g, *, lr=1e-3):\n    return lr * w\n",
    "ignores the learning rate": "def f(w, g, *, lr=1e-3):\n    return 0.01 * g\n",
    "ignores the sign of the gradient": "def f(w, g, *, lr=1e-3):\n    return lr * abs(g) * w\n",
    "does not descend": "def f(w, g, *, lr=1e-3):\n    return -lr * g\n",
    "does not descend the valley": (
        # Down where the gradient points away from zero, up where it points to it.
        "def f(w, g, *, lr=1e-3):\n    return lr * (g - 3 * norm(w) * where(w > 1, g, 0))\n"
    ),
    "non-finite": "def f(w, g, *, lr=1e-3):\n    return lr * sqrt(-1 - square(g))\n",
    "unbounded state": (
        "def f(w, g, m=1, *, lr=1e-3):\n    m = 2 * m + square(g)\n    return lr * g * sign(m)\n"
    ),
    "too large": "def f(w, g, *, lr=1e-3):\n    return lr * square(g)\n".replace(
        "    return", "    g = g + sin(g)\n" * 40 + "    return"
    ),
}


@pytest.mark.parametrize("reason", GATED)
def test_gates(reason: str) -> None:
    assert rejection(parse(GATED[reason]), max_size=60) == reason


@pytest.mark.parametrize("reason", GATED)
def test_only_what_runs_has_a_behaviour(reason: str) -> None:
    """A rule rejected for what it does has one, so that searches without gates know it again."""
    found = examine(parse(GATED[reason]), max_size=60).behaviour
    assert (found is None) == (reason in STATIC or reason == "non-finite")


@pytest.mark.parametrize(
    "name", [name for name, rule in KNOWN.items() if not is_of_members(rule.program)]
)
def test_known_rules_pass(name: str) -> None:
    """But for those that have no learning rate: a linear solver, and one whose step follows from
    the size of the problem."""
    program = get_known(name).program
    expected = None if LEARNING_RATE in program.defaults else "ignores the learning rate"
    assert rejection(program, max_size=1000) == expected


# Rules that a gate could take for bad ones.
GOOD = {
    "a sum that grows for ever": ("s=0", "s = s + square(g)", "g / (sqrt(s) + 1e-8)"),
    "a weighted average, whose weights grow as t**4": (
        "s=0, n=0",
        "s = s + t**4 * g\n    n = n + t**4",
        "s / n",
    ),
    "a counter": ("n=0", "n = n + 1", "g / sqrt(n)"),
    "factors that divide each other": ("m=0, n=0", "m = 1.2*m + g\n    n = 1.2*n + 1", "m / n"),
    "a large gain": ("", "w = w", "100 * g"),
    "a small gain": ("", "w = w", "g / 100"),
    "strong weight decay": ("", "w = w", "sign(g) + 0.5 * w"),
    "a slow start": ("m=0", "m = lerp(g, m, 0.999)", "m"),
    "the loss as a step": ("", "w = w", "loss * g / (square(norm(g)) + 1e-8)"),
}


@pytest.mark.parametrize("name", GOOD)
def test_good_rules_pass(name: str) -> None:
    state, body, update = GOOD[name]
    signature = ", ".join(filter(None, ("w, g, t, loss", state, "*, lr=1e-3")))
    program = parse(f"def f({signature}):\n    {body}\n    return lr * ({update})\n")
    assert rejection(program, max_size=60) is None


def test_gradients_are_those_of_the_losses() -> None:
    w = np.random.default_rng(0).normal(size=descent.START.shape)
    g, expected, h = np.empty_like(w), np.empty_like(w), 1e-6
    descent.gradient(w, g)
    for index in range(descent.WEIGHTS):
        step = np.zeros(descent.WEIGHTS)
        step[index] = h
        expected[:, index] = (descent.loss(w + step) - descent.loss(w - step)) / (2 * h)
    np.testing.assert_allclose(g, expected, rtol=1e-6, atol=1e-8)
