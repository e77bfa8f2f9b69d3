"""An exported Optax file as a rule that can be run. Nothing here imports JAX at import time."""

from __future__ import annotations

import types
from typing import Any

import numpy as np

from .... import inputs as table
from ....members import AXIS
from ....oracles import combined_by, oracles_of
from ....program import Program
from ....synthetic_loss import LossAround, flat
from ...base import Inputs, Points, Tree
from .names import rule_name
from .schedule import run_schedule, subtracted


def load(source: str) -> types.ModuleType:
    """Executes the source of an exported file and returns it as a module.

    This is the one place where evoptax executes text. The text is what `to_optax` wrote from a
    program that was parsed, never executed: each name in it is an identifier, each operation comes
    from the table of primitives, and docstrings are escaped. Never hand over anything else.
    """
    module = types.ModuleType("exported")
    # Not with this file's own __future__ imports, which would hide a wrong annotation.
    code = compile(source, "<exported optax file>", "exec", dont_inherit=True)
    exec(code, module.__dict__)
    return module


def arguments(program: Program, inputs: Inputs) -> dict[str, Any]:
    """What the exported function needs besides the hyperparameters."""
    rows = table.arguments(program)
    given = {a.name: inputs.fixed[row.name] for row, a in rows if row.name in inputs.fixed}
    mixes = any(row.name == "mix_members" for row in combined_by(program))
    return given | ({"mixing": inputs.fixed["mixing"]} if mixes else {})


def run(
    program: Program, source: str, inputs: Inputs, rates: np.ndarray | None, starts: list[Tree]
) -> list[Points]:
    """Where the rule in an exported file is after each step, in float64; see `Runnable`."""
    import jax

    from ....devices import devices

    devices()  # so that their lack is a sentence
    with jax.enable_x64(True):
        return _run(program, source, inputs, rates, starts)


def _run(
    program: Program, source: str, inputs: Inputs, rates: np.ndarray | None, starts: list[Tree]
) -> list[Points]:
    import jax
    import optax

    module, name = load(source), rule_name(program)
    if program.is_schedule:
        return subtracted(run_schedule(program, getattr(module, name), inputs), starts)
    given = arguments(program, inputs)
    if rates is not None:
        given["learning_rate"] = jax.numpy.asarray(rates).__getitem__
    optimizer = getattr(module, name)(**given)
    start = jax.tree.map(jax.numpy.asarray, inputs.w)
    state = jax.vmap(optimizer.init)(start) if inputs.members else optimizer.init(start)
    asks, noise_of = bool(oracles_of(program)), table.noise_of(program)

    # The interpreter's draws take the place of the file's own.
    current: dict[str, Any] = {}
    drawn = {
        (getattr(jax.random, noise.sampler), table.INPUTS[name].own): name
        for name, noise in noise_of.items()
    }

    def draw(sampler: Any, own: bool) -> list[Any]:
        return jax.tree.leaves(current[drawn[sampler, own]])

    if drawn:
        module._noise = lambda sampler, *_: draw(sampler, False)  # type: ignore[attr-defined]
        module._own_noise = lambda sampler, *_: draw(sampler, True)  # type: ignore[attr-defined]

    def update(gradient: Any, state: Any, params: Any, loss: Any, more: Any) -> Any:
        current.update(more.pop("noise"))
        if asks:
            w, g = (flat(jax.numpy, jax.tree.leaves(tree)) for tree in (params, gradient))
            around = LossAround(jax.numpy, w, g, loss)
            more["obj_fn"] = lambda x: around.value(flat(jax.numpy, jax.tree.leaves(x)))
        return optimizer.update(gradient, state, params, **more)

    @jax.jit
    def step(gradient: Any, state: Any, params: Any, loss: Any, more: Any) -> Any:
        if not inputs.members:
            return update(gradient, state, params, loss, more)
        axes: dict[str, Any] = {name: 0 if _is_own(program, name) else None for name in more}
        axes["noise"] = {name: 0 if table.INPUTS[name].own else None for name in noise_of}
        of_all = jax.vmap(update, (0, 0, 0, 0, axes), axis_name=AXIS)
        return of_all(gradient, state, params, loss, more)

    trajectory = []
    varying = table.arguments(program, of_update=True)
    for i, (params, gradient) in enumerate(zip(starts, inputs.gradients, strict=True)):
        more = {argument.name: inputs.varying[row.name][i] for row, argument in varying}
        more["noise"] = {name: inputs.varying[name][i] for name in noise_of}
        updates, state = step(gradient, state, params, inputs.varying["loss"][i], more)
        points = {"weights": optax.apply_updates(params, updates)}
        if program.evaluates_elsewhere:
            evaluation_params = getattr(module, f"{name}_eval_params")
            points["evaluation point"] = evaluation_params(state, points["weights"])
        trajectory.append(points)
    return trajectory


def _is_own(program: Program, argument: str) -> bool:
    """Whether each member has its own of what an update takes by this name."""
    rows = table.arguments(program, of_update=True)
    return any(row.own for row, a in rows if a.name == argument)
