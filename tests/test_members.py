"""Members: one program that several optimizers run together, on every path."""

from __future__ import annotations

import functools
import itertools
import math
import zlib
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from evoptax.dsl.algebra.canonical import program_digest
from evoptax.dsl.algebra.gradient_cost import cost_of_step
from evoptax.dsl.algebra.simplifier import simplify
from evoptax.dsl.arrays import Leaves, bind
from evoptax.dsl.errors import ProgramError, UserError
from evoptax.dsl.export.check import check_export
from evoptax.dsl.export.example import inputs_of
from evoptax.dsl.export.formats.json import from_json, to_json
from evoptax.dsl.export.formats.latex import to_latex
from evoptax.dsl.export.formats.optax.running import load
from evoptax.dsl.export.formats.optax.write import to_optax
from evoptax.dsl.expressions import parse_expression
from evoptax.dsl.fused import bind_jax
from evoptax.dsl.inference import KIND_DOMAIN
from evoptax.dsl.inputs import Source, refusal
from evoptax.dsl.interpreter import evaluate
from evoptax.dsl.kinds import Kind
from evoptax.dsl.machine.bytecode import TooLarge, assemble
from evoptax.dsl.members import is_of_members
from evoptax.dsl.numpy.in_place import bind_in_place
from evoptax.dsl.numpy.stepping import run_numpy
from evoptax.dsl.oracles import COMBINATIONS
from evoptax.dsl.program import Call, Hyperparameter, Name, Program, State, Statement
from evoptax.dsl.syntax import format_program, parse
from evoptax.dsl.synthetic_loss import oracles_around
from evoptax.evaluators.backends.base import open_backend
from evoptax.evaluators.backends.problems import Problems
from evoptax.evaluators.fidelity import Fidelity
from evoptax.evaluators.members import members
from evoptax.evaluators.task import load_task_file
from evoptax.evaluators.tasks import get_task
from evoptax.known_algorithms.catalogue import KNOWN
from evoptax.search.filters.fingerprints import behaviour
from evoptax.search.filters.gates import rejection
from test_export_text import balanced
from test_primitives import OF_KIND

EVERYTHING = parse("""\
def every(
    w, g, t, T, share, arrived, member, members, own_normal, normal, loss, fisher, feedback, role,
    m=0, s=0, q=w, *, lr=0.1
):
    m = lerp(mean_members(g), m, 0.9)
    s = s + sum_members(share * arrived * loss) + max_members(member) / members + feedback
    q = nearest_mean(w - lr * m, members - 1)
    z = mix_members(norm(g)) * own_normal + mix_members(q) + normal + role * t / T
    q = nearest_mean(q, 2)
    eval_w = mean_members(w)
    return lr * m + s * 0.01 * z * (1 + fisher) + grad(w + m) * loss_at(w - m) + hvp(m)
""")
LOCAL_SGD = parse("""\
def local_sgd(w, g, t, *, lr=0.1, k=3):
    y = w - lr * g
    return w - where(t % k == 0, mean_members(y), y)
""")


def rule(body: str, inputs: str = "w, g") -> Program:
    return parse(f"def rule({inputs}, *, lr=0.1):\n    return {body}\n")


def by_numpy_and_fused(program: Program, steps: int = 3) -> list[list[np.ndarray]]:
    """The points after each step of both paths, each array with a first axis of members."""
    inputs, found = inputs_of(program, steps), []
    fixed = {n: [*x.values()] if isinstance(x, dict) else x for n, x in inputs.fixed.items()}
    for path in ("NumPy", "fused"):
        xp = np if path == "NumPy" else jnp
        of = bind(program, np, np.float64) if path == "NumPy" else bind_jax(program, jnp.float64)
        w = Leaves(map(xp.asarray, inputs.w.values()))
        state, points = of.init(w), []
        for t, g in enumerate(inputs.gradients, 1):
            given = {n: x[t - 1] for n, x in inputs.varying.items()}
            given = {n: [*x.values()] if isinstance(x, dict) else x for n, x in given.items()}
            given["oracles"] = _oracles(xp, w, [*g.values()], given["loss"])
            gradient = Leaves(map(xp.asarray, g.values()))
            w, state, at = of.step(w, gradient, state, t=t, **fixed, **given)
            points.append(np.concatenate([np.ravel(x) for x in (*w, *at)]))
        found.append(points)
    return found


def _oracles(xp, w, g, loss):  # type: ignore[no-untyped-def]
    if xp is np:
        return oracles_around(w, g, loss)
    # The same functions, whose NumPy is JAX's here: they are asked while JAX traces.
    shapes = jax.eval_shape(lambda x: x, w)
    around = oracles_around([np.asarray(x) for x in w], g, loss)
    return {
        name: lambda x, ask=ask, name=name: jax.pure_callback(
            lambda *leaves: ask([np.asarray(leaf) for leaf in leaves]),
            jax.ShapeDtypeStruct((len(loss),), float) if name == "loss_at" else shapes,
            *x,
            vmap_method="expand_dims",
        )
        for name, ask in around.items()
    }


def every_combination() -> dict[str, Program]:
    """A primitive of scope MEMBERS for each combination of kinds that it accepts."""
    found = {}
    for row in COMBINATIONS:
        body = [Statement(kind.name, parse_expression(text)) for kind, text in OF_KIND.items()]
        states = []
        for kinds in itertools.product(Kind, repeat=row.arity):
            call = Call(row.name, tuple(Name(kind.name) for kind in kinds))
            if "nearest" in row.name:
                call = Call(row.name, (call.args[0], parse_expression("1 + 10 * lr")))
            try:
                kind = evaluate(call, KIND_DOMAIN, {k.name: k for k in Kind} | {"lr": Kind.SCALAR})
            except ProgramError:
                continue
            states.append(State(f"s_{len(states)}", 0.0))
            body.append(Statement(states[-1].name, call))
            if kind in (Kind.SCALAR, Kind.LAYER, Kind.TENSOR, Kind.ROW, Kind.COLUMN):
                result = Call("multiply", (Name(states[-1].name), Name("g")))
                body.append(Statement("u", Call("add", (Name("u"), result))))
        body.insert(0, Statement("u", parse_expression("lr * g")))
        found[row.name] = Program(
            "rule",
            ("w", "g"),
            tuple(states),
            (Hyperparameter("lr", 0.1),),
            tuple(body),
            Name("u"),
        )
    return found


CASES = every_combination()


@pytest.mark.parametrize("name", [*CASES, "everything"])
def test_every_path_agrees(name: str) -> None:
    program = CASES.get(name, EVERYTHING)
    assert check_export(program, to_optax(program), "optax") < 1e-12
    with jax.enable_x64(True):
        expected, found = by_numpy_and_fused(program)
    for x, y in zip(expected, found, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-11, atol=1e-12)
    assert from_json(to_json(program)) == program
    assert parse(format_program(program)) == program
    assert balanced(to_latex(program))


@pytest.mark.parametrize("name", CASES)
def test_in_place_agrees(name: str) -> None:
    """Two runs side by side, each of three members."""
    program, shapes, rng = CASES[name], ((3, 2), (4,), (), (2, 3, 2)), np.random.default_rng(1)
    mixing = rng.dirichlet(np.ones(3), 3)
    w, *grads = rng.normal(size=(4, 3, 2, 23))
    rule = bind_in_place(program, shapes, w, 0.1, mixing)
    found = []
    with np.errstate(all="ignore"):
        for g in grads:
            rule.inputs["g"][...] = g
            rule.compute()
            rule.inputs["w"] -= rule.update
            rule.advance()
            found.append(rule.inputs["w"].copy())
    ends = np.cumsum([np.prod(shape, dtype=int) for shape in shapes])[:-1]

    def tensors(x: np.ndarray) -> list[np.ndarray]:
        pairs = zip(np.split(x, ends, axis=-1), shapes, strict=True)
        return [part.reshape(3, *shape) for part, shape in pairs]

    for run in range(2):
        own = run_numpy(
            program, tensors(w[:, run]), [tensors(g[:, run]) for g in grads], mixing=mixing
        )
        for (expected, _), step in zip(own, found, strict=True):
            for x, y in zip(expected, tensors(step[:, run]), strict=True):
                np.testing.assert_allclose(x, y, rtol=1e-11, atol=1e-12)


def test_members_run_one_program_together() -> None:
    rng = np.random.default_rng(0)
    start = np.repeat(rng.normal(size=(1, 2, 3)), 4, axis=0)
    grads = rng.normal(size=(6, 4, 2, 3))
    trajectory = run_numpy(LOCAL_SGD, [start], [[g] for g in grads])
    w = start
    for t, g in enumerate(grads, 1):
        w = w - 0.1 * g
        w = np.repeat(w.mean(0, keepdims=True), 4, axis=0) if t % 3 == 0 else w
        np.testing.assert_allclose(trajectory[t - 1][0][0], w, rtol=1e-14)
        assert (np.ptp(trajectory[t - 1][0][0], axis=0).max() < 1e-15) == (t % 3 == 0)


def test_nearest_mean_leaves_out_what_is_far_or_not_finite() -> None:
    program = rule("w - nearest_mean(w, members - 1)", "w, g, members")
    for bad in (1e6, np.nan, np.inf):
        w = np.array([[1.0, 0.0], [2.0, 0.0], [bad, bad], [3.0, 1.0]])
        ((found, _),) = run_numpy(program, [w], [[np.zeros_like(w)]])
        good = [0, 1, 3]
        np.testing.assert_allclose(found[0][good], np.tile(w[good].mean(0), (3, 1)))


def test_mixing_is_by_rows_and_only_neighbours_count() -> None:
    program = rule("w - mix_members(w)")
    w = np.array([1.0, 2.0, np.inf])
    mixing = np.array([[0.5, 0.5, 0.0], [0.25, 0.75, 0.0], [0.0, 0.0, 1.0]])
    ((found, _),) = run_numpy(program, [w], [[np.zeros(3)]], mixing=mixing)
    np.testing.assert_allclose(found[0][:2], [1.5, 1.75])


@pytest.mark.parametrize(
    ("one", "same"),
    [
        ("lr * maximum(mean_members(g + w), mean_members(w + g))", "lr * mean_members(w + g)"),
        ("lr * sum_members(g * 1)", "lr * sum_members(g)"),
        ("lr * nearest_mean(g + 0, 1 + 1)", "lr * nearest_mean(g, 2)"),
    ],
)
def test_equal_calls_are_one(one: str, same: str) -> None:
    assert program_digest(simplify(rule(one))) == program_digest(simplify(rule(same)))


def test_nothing_else_is_known_of_them() -> None:
    bodies = (
        "g",
        "mean_members(g)",
        "max_members(g)",
        "mix_members(g)",
        "mean_members(square(g)) * g",
        "square(mean_members(g)) * g",
        "nearest_mean(g, 2)",
        "nearest_mean(g, 1) * sum_members(1)",
    )
    found = {(behaviour(rule(f"lr * ({b}) * (1 + abs(w))")) or pytest.fail(b)) for b in bodies}
    assert len({b.digest for b in found}) == len(bodies)
    for kept in ("lr * sum_members(1) * g", "lr * mean_members(mean_members(g) * w)"):
        assert program_digest(simplify(rule(kept))) == program_digest(rule(kept))


def test_who_has_no_members_refuses() -> None:
    program = rule("lr * mean_members(g)")
    assert is_of_members(program) and not is_of_members(rule("lr * g"))
    assert refusal(program, Source.TRACES) == (
        "calls mean_members, the mean over all members, which traces do not have"
    )
    assert not refusal(program, Source.TRAINING) and not refusal(program, Source.EXPORT)
    sentence = "calls mean_members, the mean over all members, which the machine does not have; the"
    with pytest.raises(TooLarge, match=sentence):
        assemble(program)
    assert rejection(program, max_size=60) == "too large for the machine"
    told = rule("lr * share * g", "w, g, share")
    with pytest.raises(
        UserError, match="rule reads 'share', the member's part of all data, which nobo"
    ):
        run_numpy(told, [np.ones((2, 1))], [[np.ones((2, 1))]])
    with pytest.raises(TooLarge, match=r"reads 'feedback', what .* which no training task has"):
        assemble(rule("lr * feedback * g", "w, g, feedback"))
    with pytest.raises(ProgramError, match="nearest_mean takes a scalar as its second argument"):
        rule("lr * nearest_mean(g, norm(g))")


def test_exported_file_says_what_members_must_pass() -> None:
    program = rule("lr * arrived * mix_members(g) + 0 * own_normal", "w, g, arrived, own_normal")
    source = to_optax(program)
    assert "mixing: jax.typing.ArrayLike," in source and 'axis_name: str = "members"' in source
    optimizer = load(source).rule(mixing=jnp.eye(2))  # type: ignore[attr-defined]
    w = jnp.ones(2)
    with pytest.raises(ValueError, match=r"rule reads 1 if what the member .* pass it, as in"):
        optimizer.update(w, optimizer.init(w), w)


def test_noise_of_its_own_and_noise_of_all() -> None:
    program = rule("own_normal + 10 * normal + 0 * lr * g", "w, g, own_normal, normal")
    optimizer = load(to_optax(program)).rule(key=7, axis_name="i")  # type: ignore[attr-defined]
    w = jnp.zeros((4, 2000))
    state = jax.vmap(optimizer.init)(w)
    step = functools.partial(jax.vmap, axis_name="i")(optimizer.update)
    u = -np.asarray(step(w, state, w)[0])
    own = u - u.mean(0)
    assert abs(np.corrcoef(own)[0, 1] + 1 / 3) < 0.1 and abs(own.var() - 0.75) < 0.1
    assert abs(u.mean(0).var() - 100.25) < 10


MIXED = parse("""\
def mixed(w, g, t, share, arrived, members, own_normal, normal, loss, m=0, x=w, *, lr=0.1):
    m = lerp(g, m, 0.5)
    y = w - lr * m * (1 + 0.01 * own_normal + 0.01 * normal) + 0.001 * grad(w - 0.1 * g)
    x = where(t % 2 == 0, x + sum_members(share * arrived * (y - x)), x)
    eval_w = x + 0 * loss_at(w)
    return w - where(t % 2 == 0, mix_members(x), y) + 0 * members * loss
""")


def test_training_gives_each_member_its_own_minibatch() -> None:
    """Against a loop written out, on a task whose members are as unequal as they may be."""
    base = get_task("quadratic")
    of = members(
        lambda key, problem, i: base.batch(jax.random.fold_in(key, 10 + i), problem),
        3,
        shares=lambda problem: jnp.array([0.5, 0.3, 0.2]),
        arrived=lambda key, problem, t: ((t + jnp.arange(3)) % 3 != 1).astype(float),
        mixing=[[0.5, 0.5, 0], [0.25, 0.5, 0.25], [0, 0.5, 0.5]],
    )
    task, rates, steps, seed = replace(base, members=of), (0.3, 0.02), 8, 1
    problems = Problems(task)
    fidelity = Fidelity(rates, (seed,), steps=math.ceil(steps * cost_of_step(MIXED)))
    (found,) = open_backend("fused", problems).train([MIXED], fidelity)
    assert found.steps == steps
    expected = [_trained_by_hand(problems, of, rate, steps, seed) for rate in rates]
    np.testing.assert_allclose(found.score[0], expected, rtol=1e-4)
    with pytest.raises(UserError, match="the machine does not have"):
        open_backend("machine", problems).train([MIXED], Fidelity(rates, (seed,), steps=steps))


def _trained_by_hand(problems, of, rate, steps, seed):  # type: ignore[no-untyped-def]
    """The validation loss of `MIXED`."""
    task, drawn = problems.task, problems.draw((seed,))
    problem = jax.tree.map(lambda x: x[0], drawn.problems)
    key = drawn.keys[0]
    first = jax.random.split(key, 3)[2]
    mixing = np.asarray(of.mixing)
    w = np.repeat(np.asarray(drawn.w), 3, axis=0)
    m, x = 0 * w, w.copy()

    def noise(name: str, t: int, shape: tuple[int, ...]) -> np.ndarray:
        own = jax.random.fold_in(key, zlib.crc32(name.encode()))
        return np.asarray(jax.random.normal(jax.random.fold_in(own, t), shape))

    def loss(w, batch):  # type: ignore[no-untyped-def]
        return task.loss(problems._parameters.tensors(w, drawn.starts), batch)

    gradient = jax.jit(jax.grad(loss))
    for t in range(1, steps + 1):
        own, every = noise("own_normal", t, w.shape), noise("normal", t, w.shape[1:])
        y = np.empty_like(w)
        for i in range(3):
            batch = of.batch(jax.random.fold_in(first, t), problem, i)
            g = np.asarray(gradient(w[i], batch))
            m[i] = 0.5 * g + 0.5 * m[i]
            y[i] = w[i] - rate * m[i] * (1 + 0.01 * own[i] + 0.01 * every)
            y[i] += 0.001 * np.asarray(gradient(w[i] - 0.1 * g, batch))
        weights = np.array([0.5, 0.3, 0.2]) * ((t + np.arange(3)) % 3 != 1)
        if t % 2 == 0:
            x = x + weights @ (y - x)
            w = mixing @ x
        else:
            w = y
    params = problems._parameters.tensors(jnp.asarray(x.mean(0)), drawn.starts)
    return float(task.score(params, problem))


TASK = """
import jax, jax.numpy as jnp

class Clients:
    steps, workers = 5, 2
    shares = [3, 1]

    def init(self, key):
        return jnp.ones(3)

    def batch(self, key):
        return jax.random.normal(key, (64, 3))

    def worker_batch(self, key, i):
        return self.batch(jax.random.fold_in(key, i)) + i

    def loss(self, w, x):
        return jnp.mean((x - w) ** 2)

    def score(self, w):
        return jnp.sum((w - 0.25) ** 2)

class Odd(Clients):
    mixing = [1, 2]

class None_(Clients):
    workers = 0
"""


def test_a_task_of_ones_own_has_workers(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(TASK)
    task = load_task_file(f"{path}:Clients")
    fedsgd = rule("lr * sum_members(share * g)", "w, g, share")
    backend = open_backend("fused", Problems(task))
    (found,) = backend.train([fedsgd], Fidelity((1.0,), (0, 1, 2)))
    (plain,) = backend.train([rule("lr * g")], Fidelity((1.0,), (0, 1, 2)))
    # 3/4 of the data have mean 0 and 1/4 mean 1; minibatches of `batch` have mean 0.
    assert found.score.mean() < 0.1 < plain.score.mean()
    with pytest.raises(UserError, match=r"'mixing' has the shape \(2,\); with 2 workers it must"):
        load_task_file(f"{path}:Odd")
    with pytest.raises(UserError, match="'workers' is 0; it must be a positive integer"):
        load_task_file(f"{path}:None_")


def test_arrays_without_an_axis_of_members_are_refused() -> None:
    with pytest.raises(UserError, match=r"local_sgd is run by members, .* \[\(2,\), \(3,\)\]"):
        run_numpy(LOCAL_SGD, [np.ones(2), np.ones(3)], [[np.ones(2), np.ones(3)]])


TOGETHER = [name for name, entry in KNOWN.items() if is_of_members(entry.program)]


def test_dp_sgd_is_that_of_optax_on_gradients_of_examples() -> None:
    """As `differentially_private_aggregate` is given them: along a first axis, on one device."""
    w = {"a": jnp.linspace(-1.0, 1.0, 6).reshape(2, 3), "b": jnp.ones(3)}
    rng = np.random.default_rng(0)
    grads = {n: jnp.asarray(rng.normal(size=(8, *x.shape)), jnp.float32) for n, x in w.items()}
    optimizer = load(to_optax(KNOWN["dp_sgd"].program)).dp_sgd(1.0, noise=0.0, C=1.5)  # type: ignore[attr-defined]
    of_all = jax.vmap(optimizer.update, (0, None, None), (None, None), axis_name="members")
    updates, state = of_all(grads, optimizer.init(w), w)
    assert jax.tree.map(jnp.shape, state) == jax.tree.map(jnp.shape, optimizer.init(w))
    theirs = optax.contrib.differentially_private_aggregate(1.5, 0.0, jax.random.key(0))
    expected, _ = theirs.update(grads, theirs.init(w))
    for x, y in zip(jax.tree.leaves(updates), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(x, -y, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", TOGETHER)
def test_exported_files_keep_their_form(name: str, dtype: str) -> None:
    """Updates are like the parameters, and so is the state like the last; empty leaves stay."""
    shapes = {"a": (4, 3), "b": (), "empty": (0, 2)}
    params = {n: jnp.full((3, *shape), 0.5, dtype) for n, shape in shapes.items()}
    program = KNOWN[name].program
    given = {"mixing": jnp.eye(3)} if name == "d_sgd" else {}
    optimizer = getattr(load(to_optax(program)), name)(**given)
    told = {"share": jnp.ones(3), "arrived": jnp.ones(3), "feedback": jnp.ones(3), "fisher": params}
    told = {argument: x for argument, x in told.items() if argument in program.inputs}

    def update(g, state, w, told):  # type: ignore[no-untyped-def]
        def loss(x):  # type: ignore[no-untyped-def]
            return sum(jnp.sum(jnp.cos(leaf.astype(float))) for leaf in x.values())

        return optimizer.update(g, state, w, obj_fn=loss, **told)

    def twice():  # type: ignore[no-untyped-def]
        of_all = jax.vmap(update, axis_name="members")
        first = jax.vmap(optimizer.init)(params)
        updates, second = of_all(params, first, params, told)
        return updates, first, second, of_all(updates, second, params, told)[1]

    updates, first, second, third = jax.eval_shape(twice)
    assert updates == jax.eval_shape(lambda: params)
    assert first == second == third


def test_documented_rules_of_members_are_gated_for_want_of_a_machine() -> None:
    reasons = {name: rejection(KNOWN[name].program, max_size=1000) for name in TOGETHER}
    assert reasons["fedavg"] == reasons["monna"] == "too large for the machine"
    assert reasons["simple_merging"] == "ignores the gradient"
    assert None not in reasons.values()
