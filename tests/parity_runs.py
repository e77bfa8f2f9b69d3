"""Runs the documented rules as `references.coverage` compares them, on every path.

`compared(rule)` gives how far each path is from each reference. What runs once serves every
comparison that it can: a rule that looks at one tensor at a time runs on all tensors together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from evoptax.dsl.arrays import Leaves, bind
from evoptax.dsl.export.formats.optax.names import rule_name
from evoptax.dsl.export.formats.optax.running import load
from evoptax.dsl.export.formats.optax.write import to_optax
from evoptax.dsl.expressions import parse_expression
from evoptax.dsl.fused import bind_jax
from evoptax.dsl.inputs import INPUTS, LABELS, noise_of
from evoptax.dsl.machine.bytecode import assemble
from evoptax.dsl.machine.operations import NOISE
from evoptax.dsl.members import AXIS, is_of_members
from evoptax.dsl.primitive import Scope
from evoptax.dsl.primitives import PRIMITIVES
from evoptax.dsl.program import Call, Program, subexpressions
from evoptax.dsl.synthetic_loss import LossAround, flat, oracles_around
from evoptax.known_algorithms.catalogue import KNOWN
from paths import Machine, Problem, flat_jax, of_leaves, oracles_of_value
from references.coverage import COVERAGE, Check
from references.losses import noise
from references.problems import ALL, SHAPES, STEPS, losses, problem
from references.team import MIXING, SHARES, arrived, feedback, fisher, own_losses
from references.trajectories import Params, Trajectory

LOSSES = losses()
# Hyperparameters whose name is a primitive, or whose symbol is the paper's.
RENAMED = {"clip": "C", "diameter": "D", "lipschitz": "G"}


@dataclass(frozen=True)
class Run:
    """One program on one sequence of gradients.

    Attributes:
      program: with the hyperparameters of a comparison.
      tensors: names in `SHAPES`.
      labels: by input, the label of each tensor; none has its default.
      system: A and b of the linear system whose residual takes the gradients' place, or None.
    """

    program: Program
    tensors: tuple[str, ...]
    labels: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    system: tuple[np.ndarray, np.ndarray] | None = None

    def given(self, name: str) -> Any:
        """What the program's input of this name gets, by tensor, or None."""
        if name in LABELS:
            return name in self.labels and {n: self.labels[name][n] for n in self.tensors}
        return self.system and {n: self.system[0] for n in self.tensors}

    @property
    def together(self) -> bool:
        """Whether several members run the program."""
        return is_of_members(self.program)

    def loss(self, t: int) -> Any:
        """Of step t, or of each member."""
        return own_losses(STEPS)[t - 1] if self.together else LOSSES[t - 1]

    def told(self, t: int) -> dict[str, Any]:
        """What members are given in step t, by input; tensors by name."""
        found = {"share": SHARES, "arrived": arrived(t - 1), "feedback": feedback(t - 1)}
        found["fisher"] = fisher(t - 1, problem(self.tensors)[0])
        return {name: x for name, x in found.items() if name in self.program.inputs}

    def gradient(self, t: int, w: Params) -> Params:
        """The gradients of step t."""
        if self.system is not None:
            return {n: self.system[0] @ np.asarray(x) - self.system[1] for n, x in w.items()}
        return problem(self.tensors)[1][t - 1]

    def key(self) -> str:
        """Equal for equal runs."""
        return repr((self.program, self.tensors, self.labels, self.system))


def run_of(check: Check, tensors: tuple[str, ...] | None = None) -> Run:
    """The run that a comparison asks for; every hyperparameter of it must exist."""
    hyper = dict(check.hyper)
    tensors = tensors or check.shapes
    labels = {name: hyper.pop(f"{name}s") for name in LABELS if f"{name}s" in hyper}
    system = None
    if isinstance(hyper.get("a"), np.ndarray):
        system = hyper.pop("a"), hyper.pop("b")
    # With one tensor, its norm is the model's.
    assert hyper.pop("scope", "model") == "model" or len(tensors) == 1
    if "split" in hyper:
        hyper["by_size"] = float(hyper.pop("split") == "dimension")
    if "diameter" in hyper:
        assert hyper.pop("radius") == hyper["diameter"] / 2
    named = {RENAMED.get(name, name): value for name, value in hyper.items()}
    return Run(KNOWN[check.rule].program.with_defaults(**named), tensors, labels, system)


def called(program: Program) -> set[str]:
    """The names of the primitives that a program calls, derived ones expanded."""
    found: set[str] = set()
    roots = [*program.expressions()]
    while roots:
        calls = {e.primitive for e in subexpressions(roots.pop()) if isinstance(e, Call)}
        derived = [PRIMITIVES[name].expansion for name in calls - found]
        roots += [parse_expression(text) for text in derived if text]
        found |= calls
    return found


def looks_at_the_model(program: Program) -> bool:
    """Whether what happens to one tensor depends on the others."""
    scopes = {PRIMITIVES[name].scope for name in called(program)}
    return not scopes.isdisjoint({Scope.MODEL, Scope.LOSS, Scope.MEMBERS})


def _collect(
    run: Run, start: Params, step: Callable[[int, Params, Params], tuple[Any, Any]]
) -> Trajectory:
    """Steps through the sequence: `step(t, w, g) -> (w, eval_w)`."""
    w, ws, evals = start, [], []
    for t in range(1, STEPS + 1):
        w, eval_w = step(t, w, run.gradient(t, w))
        ws.append(w)
        evals.append(eval_w)
    return Trajectory(ws, evals if run.program.evaluates_elsewhere else None)


def _by_rule(run: Run, rule: Any, step: Any) -> Trajectory:
    def named(leaves: Any) -> Params:
        return dict(zip(run.tensors, leaves, strict=True))

    start = problem(run.tensors)[0]
    state = rule.init(Leaves(start.values()))

    def one(t: int, w: Params, g: Params) -> tuple[Params, Params]:
        nonlocal state
        new, state, eval_w = step(Leaves(w.values()), Leaves(g.values()), state, t)
        return named(new), named(eval_w)

    return _collect(run, start, one)


def _fixed(run: Run) -> dict[str, Any]:
    given = {name: run.given(name) for name in (*LABELS, "A")}
    fixed = {"T": STEPS} | {name: [*x.values()] for name, x in given.items() if x}
    return fixed | ({"mixing": MIXING} if run.together else {})


def _noise(run: Run, t: int) -> dict[str, list[np.ndarray]]:
    """The noise that a step reads, for each tensor; and what members are told."""
    like = problem(run.tensors)[0]
    found = {}
    for name in noise_of(run.program):
        own = INPUTS[name].own or not run.together
        found[name] = [*noise(name, t - 1, like if own else _of_one(like)).values()]
    told = {n: [*x.values()] if isinstance(x, dict) else x for n, x in run.told(t).items()}
    return found | told


def _of_one(model: Params) -> Params:
    return {name: x[0] for name, x in model.items()}


def by_numpy(run: Run) -> Trajectory:
    """The interpreter over NumPy."""
    rule = bind(run.program, np, np.float64)
    with np.errstate(all="ignore"):
        return _by_rule(
            run,
            rule,
            lambda w, g, state, t: rule.step(
                w,
                g,
                state,
                t=t,
                loss=run.loss(t),
                oracles=oracles_around(w, g, run.loss(t)),
                **_fixed(run),
                **_noise(run, t),
            ),
        )


def by_fused(run: Run) -> Trajectory:
    """The interpreter traced by JAX."""
    with jax.enable_x64(True):
        rule = bind_jax(run.program, jnp.float64)
        fixed = _fixed(run)

        @jax.jit
        def step(w: Any, g: Any, state: Any, t: Any, loss: Any, noise: Any) -> Any:
            runs = loss.shape or (1,)
            rows = (flat(jnp, x, runs) for x in (w, g))
            found = oracles_of_value(*rows, loss.reshape(runs))
            oracles = {name: of_leaves(ask, w, bool(loss.shape)) for name, ask in found.items()}
            return rule.step(w, g, state, t=t, loss=loss, oracles=oracles, **fixed, **noise)

        def one(w: Any, g: Any, state: Any, t: int) -> Any:
            return step(w, g, state, t, jnp.asarray(run.loss(t)), _noise(run, t))

        return _by_rule(run, rule, one)


def by_export(run: Run) -> Trajectory:
    """The exported file, driven as any Optax optimizer."""
    program = run.program
    with jax.enable_x64(True):
        module, name = load(to_optax(program)), rule_name(program)
        given = {"T": ("total_steps", STEPS), "A": ("A", run.given("A"))}
        given |= {name: (f"{name}s", run.given(name) or None) for name in LABELS}
        arguments = dict(given[i] for i in program.inputs if i in given)
        if "mix_members" in called(program):
            arguments["mixing"] = MIXING
        optimizer = getattr(module, name)(**arguments)
        start = jax.tree.map(jnp.asarray, problem(run.tensors)[0])
        current: dict[Any, Any] = {}  # the draws in the place of the file's own
        module._noise = lambda sampler, *_: current[sampler]  # type: ignore[attr-defined]
        module._own_noise = lambda *_: current["own_normal"]  # type: ignore[attr-defined]
        state = jax.vmap(optimizer.init)(start) if run.together else optimizer.init(start)

        def update_one(g: Any, state: Any, w: Any, loss: Any, noise: Any, told: Any) -> Any:
            for kind, x in noise.items():
                current[getattr(jax.random, kind, kind)] = x
            given = (flat_jax([tree[n] for n in run.tensors]) for tree in (w, g))
            around = LossAround(jnp, *given, loss)

            def loss_of(x: Any) -> Any:
                return around.value(flat_jax([x[n] for n in run.tensors]))

            return optimizer.update(g, state, w, value=loss, obj_fn=loss_of, **told)

        @jax.jit
        def update(*args: Any) -> Any:
            if not run.together:
                return update_one(*args)
            own = {name: 0 if INPUTS[name].own else None for name in noise_of(program)}
            return jax.vmap(update_one, (0, 0, 0, 0, own, 0), axis_name=AXIS)(*args)

        def step(t: int, w: Params, g: Params) -> tuple[Params, Params]:
            nonlocal state
            # Leaves in the order of JAX, which sorts names.
            places = sorted(range(len(run.tensors)), key=lambda i: run.tensors[i])
            drawn = {n: x for n, x in _noise(run, t).items() if n in noise_of(program)}
            drawn = {name: [x[i] for i in places] for name, x in drawn.items()}
            given = jax.tree.map(jnp.asarray, g), state, w, run.loss(t), drawn, run.told(t)
            updates, state = update(*given)
            w = optax.apply_updates(w, updates)
            if program.evaluates_elsewhere:
                return w, getattr(module, f"{name}_eval_params")(state, w)
            return w, w

        return _collect(run, start, step)


@cache
def compiled_machine(form: str) -> Machine:
    """The machine on all tensors, compiled for every rule at once."""
    params, grads = problem(ALL)
    gradients = tuple(tuple(g.values()) for g in grads)
    drawn = {
        name: [[*noise(name, step, params).values()] for step in range(STEPS)] for name in NOISE
    }
    model = Problem(tuple(params.values()), gradients, tuple(LOSSES), drawn)
    return Machine(model, jnp.float64, form=form)


def by_machine(run: Run) -> Trajectory:
    """The machine, which trains models: there is no A."""
    assert run.tensors == ALL
    labels = {name: tuple(of[n] for n in ALL) for name, of in run.labels.items()}
    with jax.enable_x64(True):
        found = compiled_machine(assemble(run.program).form).run(run.program, labels)
    ends = np.cumsum([np.prod(SHAPES[n], dtype=int) for n in ALL])

    def models(rows: np.ndarray) -> list[Params]:
        pieces = (np.split(row, ends[:-1]) for row in rows)
        return [{n: x.reshape(SHAPES[n]) for n, x in zip(ALL, p, strict=True)} for p in pieces]

    evals = models(found[:, 1]) if run.program.evaluates_elsewhere else None
    return Trajectory(models(found[:, 0]), evals)


PATHS: dict[str, Callable[[Run], Trajectory]] = {
    "NumPy": by_numpy,
    "fused": by_fused,
    "Optax file": by_export,
    "machine": by_machine,
}


def restricted(trajectory: Trajectory, tensors: tuple[str, ...]) -> Trajectory:
    """The same trajectory of some of the tensors."""

    def some(models: list[Params]) -> list[Params]:
        return [{name: model[name] for name in tensors} for model in models]

    evals = trajectory.eval_w
    return Trajectory(some(trajectory), None if evals is None else some(evals))


def setting_run(rule: str) -> Run:
    """The rule in its own setting, on all tensors, without labels and with no system."""
    return replace(run_of(COVERAGE[rule][0], ALL), labels={}, system=None)


def compared(rule: str) -> list[tuple[Check, dict[str, float]]]:
    """For each reference, the largest difference of each path that can be compared with it."""
    checks = COVERAGE[rule]
    separate = looks_at_the_model(KNOWN[rule].program)
    union = tuple(n for n in SHAPES if any(n in check.shapes for check in checks))
    runs = [run_of(check, None if separate else union) for check in checks]
    wanted = {(path, run.key()): run for run in runs for path in ("NumPy", "fused", "Optax file")}
    for run, check in zip(runs, checks, strict=True):
        if _the_machine_runs(run, check, separate):
            wanted["machine", run.key()] = replace(run, tensors=ALL)
    with ThreadPoolExecutor(2) as pool:  # XLA compiles outside Python's lock
        found = dict(zip(wanted, pool.map(lambda k: PATHS[k[0]](wanted[k]), wanted), strict=True))
    return [
        (
            check,
            {
                path: check.difference(restricted(found[path, run.key()], check.shapes))
                for path in PATHS
                if (path, run.key()) in found
            },
        )
        for check, run in zip(checks, runs, strict=True)
    ]


def _the_machine_runs(run: Run, check: Check, separate: bool) -> bool:
    if run.system or run.together or not {*check.shapes} <= {*ALL}:
        return False
    return not separate or check.shapes == ALL
