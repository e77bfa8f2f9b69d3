"""An exported rule holds no more numbers than the reference that keeps the least."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import pytest
from evoptax.dsl.export.formats.optax.running import load
from evoptax.dsl.export.formats.optax.write import to_optax
from evoptax.known_algorithms.catalogue import get_known
from parity_runs import called
from references.by_name import RULES

SHAPES = {"tall": (7, 3), "wide": (3, 7), "vector": (5,), "kernel": (3, 3, 2, 4)}
# The others keep less than a copy of some tensors.
WHOLE_COPIES = [name for name, setting in RULES.items() if setting.copies is not None]


def _held(name: str) -> dict[str, int]:
    """Numbers in the exported state for each tensor alone, the count of steps left out."""
    program = get_known(name).program
    rule = getattr(load(to_optax(program)), name)
    given = {"A": {"A": {"t": jnp.eye(1)}}, "T": {"total_steps": 100}}
    arguments = {k: x for name in program.inputs for k, x in given.get(name, {}).items()}
    arguments |= {"mixing": jnp.eye(1)} if "mix_members" in called(program) else {}
    found = {}
    for tensor, shape in SHAPES.items():
        state = rule(**arguments).init({"t": jnp.ones(shape)})
        found[tensor] = sum(leaf.size for leaf in jax.tree.leaves(state)) - 1
    return found


@pytest.mark.parametrize("name", WHOLE_COPIES)
def test_no_more_than_the_reference(name: str) -> None:
    copies, numbers = RULES[name].copies, RULES[name].numbers
    most = {t: copies * math.prod(shape) + numbers for t, shape in SHAPES.items()}
    found = _held(name)
    assert all(found[t] <= most[t] for t in SHAPES), (found, most)


def test_adafactor_is_factored() -> None:
    """As torch; a vector has one number more than torch's, two fewer than Optax's."""
    assert _held("adafactor") == {"tall": 10, "wide": 10, "vector": 6, "kernel": 18 + 36}


@pytest.mark.parametrize("name", ["muon", "muon_optax", "muon_moonlight"])
def test_muon_keeps_momentum_and_adamw_for_vectors(name: str) -> None:
    """Of a matrix one number more than the official code, four fewer than Optax."""
    assert _held(name) == {"tall": 21 + 1, "wide": 21 + 1, "vector": 10, "kernel": 72 + 1}
