"""An exported rule holds no more numbers than the reference that keeps the least."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import pytest
from evoptax.dsl.export.formats.optax.running import load
from evoptax.dsl.export.formats.optax.write import to_optax
from evoptax.known_algorithms.catalogue import KNOWN, get_known

SHAPES = {"tall": (7, 3), "wide": (3, 7), "vector": (5,), "kernel": (3, 3, 2, 4)}
# How many copies of the weights the leanest reference holds (torch.optim, Optax or official code).
COPIES = {
    **dict.fromkeys(("sgd", "gda", "adagrad_norm", "sor"), 0),
    **dict.fromkeys(("global_norm_clipping", "layerwise_clipping"), 0),
    **dict.fromkeys(("momentum", "nesterov", "adagrad", "rmsprop", "lion", "optimistic_gd"), 1),
    **dict.fromkeys(("lars", "lars_optax", "sgd_sai", "coordinate_clipping"), 1),
    **dict.fromkeys(("lookahead_sgd", "lookahead_gda", "rapp"), 1),
    **dict.fromkeys(("primal_averaging", "schedule_free_sgd"), 1),
    **dict.fromkeys(("adadelta", "adam", "adamw", "adabelief", "lamb", "optimistic_omd"), 2),
    "schedule_free_adamw": 2,
    **dict.fromkeys(("amsgrad", "amsgrad_optax", "diffgrad", "lookahead_adamw", "gpa_adamw"), 3),
    **dict.fromkeys(("adan", "diloco_adamw"), 4),
}
# Numbers of the whole model besides the count of steps: weights of averages, squared norms, and
# the hyperparameter that says where to evaluate, which Optax's Schedule-Free holds as b1.
SCALARS = {
    **dict.fromkeys(("adagrad_norm", "optimistic_omd", "primal_averaging", "gpa_adamw"), 1),
    **dict.fromkeys(("schedule_free_sgd", "schedule_free_adamw"), 3),
}
# One number per tensor.
PER_TENSOR = {"sgd_sai": 1}


def _held(name: str) -> dict[str, int]:
    """Numbers in the exported state for each tensor alone, the count of steps left out."""
    program = get_known(name).program
    rule = getattr(load(to_optax(program)), name)
    given = {"A": {"t": jnp.eye(1)}} if "A" in program.inputs else {}
    found = {}
    for tensor, shape in SHAPES.items():
        state = rule(**given).init({"t": jnp.ones(shape)})
        found[tensor] = sum(leaf.size for leaf in jax.tree.leaves(state)) - 1
    return found


@pytest.mark.parametrize("name", COPIES)
def test_no_more_than_the_reference(name: str) -> None:
    extra = SCALARS.get(name, 0) + PER_TENSOR.get(name, 0)
    most = {t: COPIES[name] * math.prod(shape) + extra for t, shape in SHAPES.items()}
    found = _held(name)
    assert all(found[t] <= most[t] for t in SHAPES), (found, most)


def test_adafactor_is_factored() -> None:
    """As torch; a vector has one number more than torch's, two fewer than Optax's."""
    assert _held("adafactor") == {"tall": 10, "wide": 10, "vector": 6, "kernel": 18 + 36}


@pytest.mark.parametrize("name", ["muon", "muon_optax"])
def test_muon_keeps_momentum_and_adamw_for_vectors(name: str) -> None:
    """Of a matrix one number more than the official code, four fewer than Optax."""
    assert _held(name) == {"tall": 21 + 1, "wide": 21 + 1, "vector": 10, "kernel": 72 + 1}


def test_every_rule_is_counted() -> None:
    assert set(COPIES) | {"adafactor", "muon", "muon_optax"} == set(KNOWN)
