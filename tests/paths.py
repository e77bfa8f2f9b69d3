"""The three ways to run a program on a given sequence of gradients and losses.

Each gives one array (steps, 2, N): for every step the flat weights after it and the point where
the model is to be evaluated. `Machine` compiles once for all programs and counts its traces. What
programs ask about the loss is answered from one around the weights of the step, in JAX by its value
alone.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from evoptax.dsl.arrays import Leaves, Rule, bind
from evoptax.dsl.fused import bind_jax
from evoptax.dsl.inputs import INPUTS, LABELS, noise_of
from evoptax.dsl.machine import machine
from evoptax.dsl.machine import operations as ops
from evoptax.dsl.machine.bytecode import assemble
from evoptax.dsl.machine.layout import Layout
from evoptax.dsl.program import LEARNING_RATE, Program
from evoptax.dsl.synthetic_loss import LossAround, oracles_around
from jax import lax


@dataclass(frozen=True)
class Problem:
    """Initial weights, gradients and losses.

    Attributes:
      w: one array per tensor.
      g: for each step, one array per tensor.
      loss: one number per step.
      noise: by input, for each step one array per tensor; drawn unless given.
      labels: by input, a number for each tensor; what is not given has its default.
    """

    w: tuple[np.ndarray, ...]
    g: tuple[tuple[np.ndarray, ...], ...]
    loss: tuple[float, ...]
    noise: Mapping[str, Sequence[Sequence[np.ndarray]]] = field(default_factory=dict)
    labels: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def drawn(self, name: str) -> Sequence[Sequence[np.ndarray]]:
        """The noise of an input."""
        if name in self.noise:
            return self.noise[name]
        draw, rng = INPUTS[name].noise, np.random.default_rng(zlib.crc32(name.encode()))
        assert draw is not None
        return [[np.asarray(draw.numpy(rng, x.shape)) for x in self.w] for _ in self.g]

    def labels_of_each(self) -> dict[str, np.ndarray]:
        """By input, the label of every weight, (N,)."""
        sizes = [x.size for x in self.w]
        usual = {name: (INPUTS[name].default,) * len(sizes) for name in LABELS}
        return {n: np.repeat(np.float64(x), sizes) for n, x in {**usual, **self.labels}.items()}

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        return tuple(x.shape for x in self.w)

    def flat_gradients(self) -> np.ndarray:
        """Shape (steps, N)."""
        return np.stack([flat(g) for g in self.g])


def flat(leaves: Sequence[Any]) -> np.ndarray:
    """All numbers of a model as one vector."""
    return np.concatenate([np.ravel(np.asarray(leaf)) for leaf in leaves])


def fixed_problem(
    shapes: Sequence[tuple[int, ...]] = ((4, 3), (3,), (2, 5)), steps: int = 20, seed: int = 0
) -> Problem:
    """Numbers that float32 holds exactly, of sizes 0.01 to 10, so that nothing is denormal."""
    rng = np.random.default_rng(seed)

    def draw(shape: tuple[int, ...], scale: float) -> np.ndarray:
        sizes = scale * 10.0 ** rng.uniform(-1.0, 0.5, shape)
        signs = rng.choice([-1.0, 1.0], shape)
        return np.asarray(sizes * signs, np.float32).astype(np.float64)

    return Problem(
        tuple(draw(shape, 1.0) for shape in shapes),
        tuple(tuple(draw(shape, 0.3) for shape in shapes) for _ in range(steps)),
        tuple(float(np.float32(2.5 * 0.9**i + 0.1)) for i in range(steps)),
    )


def run_rule(rule: Rule, problem: Problem, hyper: Mapping[str, float] | None = None) -> np.ndarray:
    """Steps a rule that is bound to NumPy."""
    found = []
    with np.errstate(all="ignore"):
        w = Leaves(problem.w)
        state = rule.init(w)
        for t, (g, loss) in enumerate(zip(problem.g, problem.loss, strict=True), start=1):
            given = {"t": t, "T": len(problem.g), "loss": loss, "hyper": hyper}
            given |= {name: problem.drawn(name)[t - 1] for name in noise_of(rule.program)}
            given |= problem.labels
            oracles = oracles_around(w, g, loss)
            w, state, eval_w = rule.step(w, Leaves(g), state, oracles=oracles, **given)
            found.append(np.stack([flat(w), flat(eval_w)]))
    return np.stack(found).astype(np.float64)


def run_reference(
    program: Program, problem: Problem, hyper: Mapping[str, float] | None = None
) -> np.ndarray:
    """NumPy in float64."""
    return run_rule(bind(program, np, np.float64), problem, hyper)


def run_fused(program: Program, problem: Problem, dtype: Any) -> np.ndarray:
    """Compiles the program into a scan over the steps. Float64 needs `jax.enable_x64`."""
    return run_all_fused([program], problem, dtype)[0]


def run_all_fused(
    programs: Sequence[Program],
    problem: Problem,
    dtype: Any,
    compiler_options: Mapping[str, Any] | None = None,
) -> list[np.ndarray]:
    """The same for several programs, in one compilation."""

    def over_time(steps: Sequence[Sequence[np.ndarray]]) -> Leaves:
        return Leaves(jnp.asarray(np.stack(x), dtype) for x in zip(*steps, strict=True))

    arrays = Leaves(jnp.asarray(x, dtype) for x in problem.w)
    losses = jnp.asarray(problem.loss, dtype)
    read = dict.fromkeys(name for program in programs for name in noise_of(program))
    noise = {name: over_time(problem.drawn(name)) for name in read}
    scans = [_scan(program, problem, dtype) for program in programs]
    run = jax.jit(lambda *args: [s(*args) for s in scans], compiler_options=compiler_options)
    results = []
    for ws, evals in run(arrays, over_time(problem.g), losses, noise):
        found = [np.concatenate([_rows(leaf) for leaf in leaves], axis=1) for leaves in (ws, evals)]
        results.append(np.stack(found, axis=1).astype(np.float64))
    return results


def _scan(program: Program, problem: Problem, dtype: Any) -> Callable[..., Any]:
    rule = bind_jax(program, dtype)

    def over_steps(w: Leaves, gradients: Leaves, losses: Any, noise: dict[str, Leaves]) -> Any:
        def step(carry: Any, xs: Any) -> Any:
            w, state = carry
            t, g, loss, noise = xs
            found = oracles_of_value(flat_jax(w)[None], flat_jax(g)[None], loss[None])
            oracles = {name: of_leaves(ask, w) for name, ask in found.items()}
            given = {"t": t, "T": len(problem.g), "loss": loss, "oracles": oracles, **noise}
            given |= problem.labels
            w, state, eval_w = rule.step(w, g, state, **given)
            return (w, state), (w, eval_w)

        times = jnp.arange(1, len(problem.g) + 1)
        own = {name: noise[name] for name in noise_of(program)}
        return lax.scan(step, (w, rule.init(w)), (times, gradients, losses, own))[1]

    return over_steps


def flat_jax(leaves: Sequence[Any]) -> Any:
    """The same, traced."""
    return jnp.concatenate([jnp.ravel(leaf) for leaf in leaves])


def oracles_of_value(w: Any, g: Any, loss: Any) -> dict[str, Any]:
    """The oracles of rows of weights (R, N), by automatic differentiation."""
    around = LossAround(jnp, w, g, loss)

    def gradient(x: Any) -> Any:
        return jax.grad(lambda x: jnp.sum(around.value(x)))(x)

    return {
        "grad": gradient,
        "loss_at": around.value,
        "hvp": lambda v: jax.jvp(gradient, (w,), (v,))[1],
    }


def of_leaves(ask: Any, like: Leaves, together: bool = False) -> Any:
    """An oracle of rows as one of a model's tensors, or of those of all members, who are rows."""

    def answer(x: Leaves) -> Any:
        rows = len(x[0]) if together else 1
        found = ask(jnp.concatenate([leaf.reshape(rows, -1) for leaf in x], axis=1))
        if found.ndim == 1:
            return found if together else found[0]
        parts = jnp.split(found, np.cumsum([leaf.size // rows for leaf in like])[:-1], axis=1)
        return Leaves(p.reshape(leaf.shape) for p, leaf in zip(parts, like, strict=True))

    return answer


def _rows(leaf: Any) -> np.ndarray:
    return np.asarray(leaf).reshape(len(leaf), -1)


class Machine:
    """The machine compiled for one problem and dtype. Float64 needs `jax.enable_x64`."""

    def __init__(self, problem: Problem, dtype: Any, *, form: str = "lean") -> None:
        self.traces = 0
        self.layout = Layout(problem.shapes, form=form)
        self.problem = problem
        self.dtype = dtype
        self._run = jax.jit(self._over_steps)

    def _over_steps(
        self, tables: Any, w: Any, gradients: Any, losses: Any, lr: Any, labels: Any
    ) -> Any:
        self.traces += 1
        steps = len(gradients)
        layout = self.layout

        def step(state: Any, xs: Any) -> Any:
            s, g, loss, noise = xs
            oracles = oracles_of_value(state.w, g[None], loss)
            oracles |= {name: lambda x=x: x[None] for name, x in noise.items()}
            oracles |= {name: lambda x=x: x[None] for name, x in labels.items()}
            state = machine.step(tables, layout, state, s, g[None], loss, oracles)
            return state, (state.w[0], machine.evaluation_point(tables, layout, state)[0])

        schedule = machine.schedule(tables, lr, steps, steps=steps)
        noise = {
            name: jnp.asarray(np.stack([flat(x) for x in self.problem.drawn(name)]), self.dtype)
            for name in ops.NOISE
        }
        xs = (schedule, gradients, losses[:, None], noise)
        return lax.scan(step, machine.init(tables, layout, w), xs)[1]

    def run(
        self, program: Program, labels: Mapping[str, tuple[float, ...]] | None = None
    ) -> np.ndarray:
        """Runs a program, with the problem's labels or others.

        Raises:
          TooLarge: as `assemble` does.
        """
        tables = assemble(program).arrays()
        problem = self.problem if labels is None else replace(self.problem, labels=labels)
        learning_rate = program.defaults.get(LEARNING_RATE, 0.0)
        ws, evals = self._run(
            tables,
            jnp.asarray(flat(problem.w)[None], self.dtype),
            jnp.asarray(problem.flat_gradients(), self.dtype),
            jnp.asarray(problem.loss, self.dtype),
            jnp.asarray([learning_rate], self.dtype),
            {name: jnp.asarray(x, self.dtype) for name, x in problem.labels_of_each().items()},
        )
        return np.stack([np.asarray(ws), np.asarray(evals)], axis=1).astype(np.float64)


@dataclass(frozen=True)
class Comparison:
    """Two runs: the step at which each first leaves the finite numbers (the number of steps where
    it never does), and how far apart they are before, relative to each weight's size so far."""

    ends: tuple[int, int]
    gap: float

    def within(self, tolerance: float) -> bool:
        """Whether both end the same way and are this close until then."""
        return self.ends[0] == self.ends[1] and self.gap <= tolerance


def end_of(run: np.ndarray) -> int:
    """The first step with a number that is not finite, or the number of steps."""
    finite = np.isfinite(run).all(axis=(1, 2))
    return len(finite) if finite.all() else int(finite.argmin())


def compare(a: np.ndarray, b: np.ndarray, problem: Problem) -> Comparison:
    """Compares two runs on one problem."""
    ends = end_of(a), end_of(b)
    a, b = a[: min(ends)], b[: min(ends)]
    if not len(a):
        return Comparison(ends, 0.0)
    with np.errstate(over="ignore"):
        size = np.maximum(np.maximum.accumulate(np.abs(a), axis=0), np.abs(flat(problem.w)))
        return Comparison(ends, float(np.max(np.abs(a - b) / size)))
