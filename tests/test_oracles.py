"""Oracles: what a rule asks about the minibatch loss, on every path, and what that costs."""

from __future__ import annotations

from fractions import Fraction
from random import Random

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from evoptax.dsl.algebra.canonical import program_digest
from evoptax.dsl.algebra.gradient_cost import gradient_evaluations
from evoptax.dsl.algebra.simplifier import simplify
from evoptax.dsl.errors import ProgramError, UserError
from evoptax.dsl.export.check import check_export
from evoptax.dsl.export.formats.optax.running import load
from evoptax.dsl.export.formats.optax.write import to_optax
from evoptax.dsl.inputs import Source, refusal
from evoptax.dsl.machine.bytecode import assemble
from evoptax.dsl.machine.operations import FETCHED, WITH_ORACLES
from evoptax.dsl.members import is_of_members
from evoptax.dsl.numpy.stepping import run_numpy
from evoptax.dsl.oracles import oracles_of
from evoptax.dsl.program import Call, Name, Program, subexpressions
from evoptax.dsl.syntax import format_program, parse
from evoptax.evaluators.backends.base import open_backend
from evoptax.evaluators.backends.problems import Problems
from evoptax.evaluators.fidelity import Fidelity
from evoptax.evaluators.tasks import get_task
from evoptax.known_algorithms.catalogue import KNOWN
from evoptax.search.config.settings import Evolution
from evoptax.search.filters.fingerprints import behaviour
from evoptax.search.filters.gates import rejection
from evoptax.search.mutation.mutate import mutate

SAM = parse("""\
def sharp(w, g, *, lr=0.1, rho=0.05):
    return lr * grad(w + rho * g / (global_norm(g) + 1e-12))
""")
CURVED = parse("""\
def curved(w, g, h=0, *, lr=0.1):
    h = lerp(hvp(g), h, 0.9)
    return lr * (g - 0.1 * h) * minimum(1, loss_at(w - 0.1 * g))
""")
# What is asked depends on what was answered, and a variable is a list of leaves, then another.
NESTED = parse("""\
def nested(w, g, s=0, v=0, *, lr=0.01):
    g = grad(hvp(grad(w + g)))
    s = lerp(loss_at(w + g), s, 0.9)
    v = hvp(g)
    g = norm(g) * g
    eval_w = grad(w + s * g)
    return lr * g + hvp(g) * lr
""")


def rule(body: str, inputs: str = "w, g") -> Program:
    return parse(f"def rule({inputs}, *, lr=0.1):\n    return {body}\n")


@pytest.mark.parametrize(
    ("asked", "same"),
    [
        ("lr * grad(w)", "lr * g"),
        ("lr * grad(w + 0)", "lr * g"),
        ("lr * loss_at(w) * g", "lr * loss * g"),
        ("lr * maximum(grad(w + g), grad(g + w))", "lr * grad(w + g)"),
    ],
)
def test_equal_questions_are_one(asked: str, same: str) -> None:
    one, other = rule(asked), rule(same, "w, g, loss" if "loss *" in same else "w, g")
    assert program_digest(simplify(one)) == program_digest(simplify(other))
    assert behaviour(one) == behaviour(other)


def test_nothing_else_is_known_of_an_oracle() -> None:
    difference = "(loss_at(w + g) - loss_at(w - g)) * g"
    bodies = (
        difference,
        "2 * global_dot(g, g) * g",
        "grad(w + g)",
        "g + hvp(g)",
        "hvp(g) * g",
        "hvp(g * g)",
        "g",
        "grad(w - g)",
    )
    found = {(behaviour(rule(f"lr * ({b})")) or pytest.fail(b)).digest for b in bodies}
    assert len(found) == len(bodies)
    kept = rule("lr * (grad(w + g) - g)")
    assert format_program(simplify(kept)) == format_program(kept)
    assert "hvp(3 * g - w)" in format_program(simplify(rule("lr * (hvp(3 * g) + hvp(-w))")))


@pytest.mark.parametrize(
    ("body", "cost"),
    [
        ("lr * g", 1),
        ("lr * grad(w)", 1),
        ("lr * grad(w + g)", 2),
        ("lr * grad(w + 1)", 1),
        ("lr * (grad(w + g) + grad(w + g))", 2),
        ("lr * hvp(g)", 3),
        ("lr * g * loss_at(w - g)", Fraction(4, 3)),
        ("lr * w * loss_at(w)", Fraction(1, 3)),
    ],
)
def test_cost_in_gradient_evaluations(body: str, cost: Fraction) -> None:
    assert gradient_evaluations(rule(body)) == cost


def test_documented_rules_cost_one_gradient() -> None:
    assert gradient_evaluations(KNOWN["adamw"].program) == 1


@pytest.mark.parametrize("name", ["grad", "loss_at", "hvp"])
def test_only_weights_and_directions_are_asked_about(name: str) -> None:
    with pytest.raises(ProgramError, match=f"{name} takes weights or a direction, but its argum"):
        rule(f"lr * g * {name}(norm(g))")
    with pytest.raises(ProgramError, match=f"{name} takes 1 argument"):
        rule(f"lr * {name}(w, g)")


def test_who_cannot_answer_refuses() -> None:
    refused = refusal(SAM, Source.TRACES)
    assert refused == (
        "calls grad, the gradient of the minibatch loss at other weights, which traces do not have"
    )
    assert not refusal(SAM, Source.TRAINING) and not refusal(SAM, Source.EXPORT)
    with pytest.raises(UserError, match=r"curved calls loss_at, the minibatch loss .* nobody gave"):
        run_numpy(CURVED, [np.ones(2)], [[np.ones(2)]])
    optimizer = load(to_optax(SAM)).sharp()  # type: ignore[attr-defined]
    w = jnp.ones(2)
    with pytest.raises(ValueError, match=r"sharp calls grad, .*pass the loss, as in .*obj_fn="):
        optimizer.update(w, optimizer.init(w), w)


def test_gates_answer() -> None:
    assert rejection(SAM, max_size=60) is None
    assert rejection(CURVED, max_size=60) is None
    assert rejection(rule("lr * (loss_at(w + 1) - loss_at(w - 1)) * w"), max_size=60)
    grows = "def r(w, g, m=0, *, lr=0.1):\n    m = 3 * m + grad(w + m)\n    return lr * m\n"
    assert rejection(parse(grows), max_size=60)


@pytest.mark.parametrize("program", [SAM, CURVED, NESTED], ids=lambda program: program.name)
def test_exported_file_asks_the_same(program: Program) -> None:
    assert check_export(program, to_optax(program), "optax") < 1e-11


def test_exported_file_takes_the_gradient_instead_of_the_loss() -> None:
    optimizer = load(to_optax(SAM)).sharp()  # type: ignore[attr-defined]
    w = {"a": jnp.arange(3.0), "empty": jnp.zeros((0, 2)), "half": jnp.ones(2, jnp.bfloat16)}
    calls = []

    def loss(x: dict[str, jax.Array]) -> jax.Array:
        return jnp.sum(x["a"] ** 4) + jnp.sum(x["half"].astype(jnp.float32) ** 2)

    def gradient(x: dict[str, jax.Array], call: int) -> dict[str, jax.Array]:
        calls.append(call)
        return jax.grad(loss)(x)

    g, state = jax.grad(loss)(w), optimizer.init(w)
    by_loss, _ = optimizer.update(g, state, w, obj_fn=loss)
    by_gradient, _ = optimizer.update(g, state, w, grad_fn=gradient)
    assert calls == [0]
    assert jax.tree.map(jnp.result_type, by_loss) == jax.tree.map(jnp.result_type, w)
    for one, other in zip(jax.tree.leaves(by_loss), jax.tree.leaves(by_gradient), strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.allclose(by_loss["a"], -0.1 * g["a"])


@pytest.mark.parametrize("name", KNOWN)
def test_only_rules_that_ask_run_on_the_machine_with_oracles(name: str) -> None:
    program = KNOWN[name].program
    if "A" not in program.inputs and not is_of_members(program):
        plain = assemble(program).form not in WITH_ORACLES.values()
        assert plain == (not oracles_of(program) and {*FETCHED}.isdisjoint(program.inputs))


def test_training_asks_about_the_minibatch_of_the_step() -> None:
    """SAM and a rule with curvature, by both backends, against a loop written out."""
    task, rates, seed = get_task("quadratic"), (0.3, 0.02), 1
    # Both spend as much: SAM asks for two gradients a step, the other rule for 1 + 2 + 1/3.
    steps, taken = 40, {SAM: 20, CURVED: 12}
    problems = Problems(task)
    drawn = problems.draw((seed,))
    backends = {name: open_backend(name, problems) for name in ("machine", "fused")}
    for program in (SAM, CURVED):
        fidelity = Fidelity(rates, (seed,), steps=steps)
        expected = _loop(program, problems, drawn, rates, taken[program])
        for name, backend in backends.items():
            (found,) = backend.train([program], fidelity)
            np.testing.assert_allclose(found.score[0], expected, rtol=2e-5, err_msg=name)
            assert (found.steps, found.curve_steps[-1]) == (taken[program], steps)


def test_checkpoints_stand_where_as_much_is_spent() -> None:
    """A candidate is stopped early, and compared, at equal gradient evaluations."""
    backend = open_backend("machine", Problems(get_task("quadratic")))
    asked: list[int] = []

    def stop(seed: int, spent: int, scores: object) -> bool:
        asked.append(spent)
        return spent == 21

    for program in (SAM, KNOWN["sgd"].program):
        (found,) = backend.train([program], Fidelity((0.1,), (0,), 30, checkpoints=10), stop=stop)
        assert [*found.curve_steps] == asked == [3, 6, 9, 12, 15, 18, 21]
        assert found.steps == (10 if program is SAM else 21)
        asked.clear()


def _loop(program, problems, drawn, rates, steps):  # type: ignore[no-untyped-def]
    """Validation losses of rules written by hand, one learning rate after the other."""
    problem = jax.tree.map(lambda x: x[0], drawn.problems)
    batches = drawn.minibatches["batches"]
    scores = []
    for rate in rates:
        w, h = drawn.w[0], 0.0
        for t in range(steps):
            batch = jax.tree.map(lambda x, t=t: x[0, t], batches)

            def loss(x, batch=batch):  # type: ignore[no-untyped-def]
                params = problems._parameters.tensors(x, drawn.starts)
                return problems.task.loss(params, batch)

            gradient, lr = jax.grad(loss), rate
            g = gradient(w)
            if program is SAM:
                w = w - lr * gradient(w + 0.05 * g / (jnp.sqrt(jnp.sum(g * g)) + 1e-12))
            else:
                h = 0.1 * jax.jvp(gradient, (w,), (g,))[1] + 0.9 * h
                w = w - lr * (g - 0.1 * h) * jnp.minimum(1, loss(w - 0.1 * g))
        params = problems._parameters.tensors(w, drawn.starts)
        scores.append(float(problems.task.score(params, problem)))
    return scores


def test_mutations_ask_near_the_weights_and_along_noise() -> None:
    """So that one mutation of SGD gives a step like SAM's, or a curvature like AdaHessian's."""
    space = Evolution(grammar="oracle").space
    calls = [
        e
        for seed in range(4000)
        for root in mutate(KNOWN["sgd"].program, Random(seed), space).program.expressions()
        for e in subexpressions(root)
        if isinstance(e, Call)
    ]
    asked = [call.args[0] for call in calls if call.primitive in ("grad", "loss_at")]
    assert len(asked) > 20
    near = [x for x in asked if isinstance(x, Call) and x.args[0] == Name("w")]
    assert len(near) > 0.8 * len(asked)  # a later edit of the same mutation may change the point
    along = [call.args[0] for call in calls if call.primitive == "hvp"]
    assert any(x == Name("rademacher") for x in along) and any(x == Name("g") for x in along)
