"""A model of many small tensors: code that is compiled for the machine grows little with leaves."""

from __future__ import annotations

from itertools import pairwise

import jax
import jax.numpy as jnp
import pytest
from evoptax.dsl.machine import machine
from evoptax.dsl.machine.bytecode import assemble
from evoptax.dsl.machine.layout import Layout
from evoptax.dsl.machine.operations import FETCHED, FORMS
from evoptax.dsl.machine.stacks import MOST_STACKS, stacks_of
from evoptax.known_algorithms.catalogue import get_known

Shapes = tuple[tuple[int, ...], ...]


def of_layers(layers: int, widths: int) -> Shapes:
    """Weights, biases and scales of layers, the layers of so many different widths."""
    sizes = [8 + i % widths for i in range(layers + 1)]
    return tuple(shape for m, n in pairwise(sizes) for shape in ((m, n), (n,), (n,)))


def lines(shapes: Shapes, *, form: str) -> int:
    """The size of what XLA is given to compile for a step of the machine."""
    layout = Layout(shapes, replicates=3, form=form)
    tables = jax.tree.map(jnp.asarray, assemble(get_known("adamw").program).arrays())

    def both(w: jax.Array, s: jax.Array) -> jax.Array:
        state = machine.init(tables, layout, w)
        asked = {"grad": jnp.sin, "hvp": jnp.sin, "loss_at": lambda x: x[:, 0]}
        drawn = dict.fromkeys(FETCHED, lambda: w)
        return machine.step(tables, layout, state, s, w, w[:, 0], {**asked, **drawn}).w

    s = machine.schedule(tables, jnp.ones(3), jnp.float32(1), steps=1)[0]
    lowered = jax.jit(both).lower(jnp.zeros((3, layout.weights)), s)
    return lowered.as_text().count("\n")


@pytest.mark.parametrize("form", FORMS)
def test_tensors_of_known_shapes_cost_no_code(form: str) -> None:
    few, many = of_layers(6, widths=3), of_layers(66, widths=3)
    assert (len(few), len(many)) == (18, 198)
    assert set(few) == set(many)
    assert lines(many, form=form) <= lines(few, form=form)


@pytest.mark.parametrize("form", FORMS)
def test_five_times_as_many_shapes_cost_little_code(form: str) -> None:
    few, many = of_layers(12, widths=12), of_layers(66, widths=66)
    assert (len(set(few)), len(set(many))) == (24, 132)
    assert len(stacks_of(many)) <= MOST_STACKS  # few has 8
    assert lines(many, form=form) <= 1.5 * lines(few, form=form)


def test_every_tensor_is_in_one_stack() -> None:
    shapes = (*of_layers(30, widths=20), (), (2, 3, 4), (1, 1), (1, 500), (700, 1))
    stacks = stacks_of(shapes)
    assert sorted(i for stack in stacks for i in stack.members) == list(range(len(shapes)))
    for stack in stacks:
        assert stack.shapes == tuple(shapes[i] for i in stack.members)
