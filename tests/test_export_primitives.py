"""Every primitive, with arguments of every kind that it takes, in exported files."""

from __future__ import annotations

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from evoptax.dsl.arrays import Leaves, bind
from evoptax.dsl.errors import ProgramError
from evoptax.dsl.export.example import SHAPES, example_inputs
from evoptax.dsl.export.formats.json import from_json, to_json
from evoptax.dsl.export.formats.latex import to_latex
from evoptax.dsl.export.formats.optax.running import load
from evoptax.dsl.export.formats.optax.write import to_optax
from evoptax.dsl.expressions import parse_expression
from evoptax.dsl.inference import KIND_DOMAIN
from evoptax.dsl.interpreter import evaluate
from evoptax.dsl.kinds import Kind
from evoptax.dsl.primitive import Scope
from evoptax.dsl.primitives import PRIMITIVES
from evoptax.dsl.program import Call, Hyperparameter, Name, Program, State, Statement
from evoptax.dsl.synthetic_loss import LossAround, flat, oracles_around
from test_export_text import balanced
from test_primitives import OF_KIND

# What combines members has tests of its own, in `test_members`.
OF_ONE = [name for name, row in PRIMITIVES.items() if row.scope is not Scope.MEMBERS]


@functools.cache
def _calls() -> dict[str, dict[str, Call]]:
    """For each primitive the calls that its kind function accepts, by a name for a state.

    Elementwise rows broadcast all in the same way, so that `add` stands for the others.
    """
    found: dict[str, dict[str, Call]] = {}
    for name, row in PRIMITIVES.items():
        found[name] = {}
        every = row.reduces or name == "add"
        for kinds in itertools.product(Kind if every else [Kind.TENSOR], repeat=row.arity):
            call = Call(name, tuple(Name(kind.name) for kind in kinds))
            try:
                evaluate(call, KIND_DOMAIN, {kind.name: kind for kind in Kind})
            except ProgramError:
                continue
            found[name]["_".join(["s", name, *(k.name for k in kinds)])] = call
    found["clip_by_global_norm"] = {
        "clipped": Call("clip_by_global_norm", (Name("TENSOR"), Name("SCALAR")))
    }
    return found


def _every_call(primitives: list[str]) -> Program:
    """A program with a state for each call of these primitives."""
    calls = {state: call for name in primitives for state, call in _calls()[name].items()}
    body = [Statement(kind.name, parse_expression(text)) for kind, text in OF_KIND.items()]
    body += [Statement(name, call) for name, call in calls.items()]
    state = tuple(State(name, 0.0) for name in calls)
    return Program("every", ("w", "g"), state, (Hyperparameter("lr", 0.1),), tuple(body), Name("g"))


@functools.cache
def _states_after_a_step(reduces: bool) -> tuple[dict, dict]:
    """By state, the tensors of the exported file and those of the interpreter.

    To save compilation, functions that act number by number see two tensors and not all five.
    """
    program = _every_call([n for n in OF_ONE if PRIMITIVES[n].reduces == reduces])
    source = to_optax(program)
    kept = SHAPES if reduces else ("bias", "tall")
    w, (g, *_), *_ = example_inputs()
    w, g = {k: w[k] for k in kept}, {k: g[k] for k in kept}
    rule = bind(program, np, np.float64)
    with np.errstate(all="ignore"):
        leaves = Leaves(w.values())
        oracles = oracles_around(leaves, [*g.values()], 1.0)
        state = rule.init(leaves)
        _, expected, _ = rule.step(leaves, Leaves(g.values()), state, t=1, oracles=oracles)
    with jax.enable_x64(True):
        optimizer = load(source).every()
        around = LossAround(jnp, flat(jnp, leaves), flat(jnp, [*g.values()]), 1.0)

        def loss(x: dict[str, jax.Array]) -> jax.Array:
            return around.value(flat(jnp, jax.tree.leaves(x)))

        asked = {"obj_fn": loss} if reduces else {}
        update = jax.jit(functools.partial(optimizer.update, **asked))
        _, found = update(g, optimizer.init(w), w)
    return found._asdict(), expected


@pytest.mark.parametrize("name", OF_ONE)
def test_every_primitive(name: str) -> None:
    found, expected = _states_after_a_step(PRIMITIVES[name].reduces)
    assert _calls()[name]
    for state in _calls()[name]:
        tensors = expected[state] if isinstance(expected[state], Leaves) else [expected[state]]
        for x, y in zip(jax.tree.leaves(found[state]), tensors, strict=True):
            assert x.shape == y.shape, state
            np.testing.assert_allclose(x, y, rtol=1e-11, atol=1e-13, err_msg=state)


def test_latex_and_json() -> None:
    program = _every_call(list(PRIMITIVES))
    assert from_json(to_json(program)) == program
    assert balanced(to_latex(program))
