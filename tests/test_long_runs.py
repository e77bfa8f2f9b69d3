"""Every documented rule beside its NumPy reference over hundreds of steps, at its default rate."""

from __future__ import annotations

import numpy as np
import pytest
from evoptax.dsl.inputs import INPUTS, LABELS, noise_of
from evoptax.dsl.members import is_of_members
from evoptax.dsl.numpy.stepping import Stepper
from evoptax.dsl.synthetic_loss import oracles_around
from evoptax.known_algorithms.catalogue import KNOWN
from parity_runs import run_of
from references import team
from references.by_name import NUMPY
from references.coverage import COVERAGE, trajectory_difference
from references.losses import noise
from references.problems import losses, problem
from references.trajectories import Params, Trajectory

STEPS = 300


@pytest.mark.parametrize("name", KNOWN)
def test_hundreds_of_steps(name: str) -> None:
    """On a noisy quadratic: the reference gets the gradients that the program met."""
    check = COVERAGE[name][0]
    run, hyper = run_of(check), dict(check.hyper)
    program = run.program
    if "lr" in program.defaults:
        hyper["lr"] = KNOWN[name].program.defaults["lr"]
        program = program.with_defaults(lr=hyper["lr"])
    w = start = problem(check.shapes)[0]
    rng = np.random.default_rng(0)
    curvature = {tensor: 10.0 ** rng.uniform(-2, 0, x.shape) for tensor, x in w.items()}
    given = {name: [*x.values()] for name in (*LABELS, "A") if (x := run.given(name))}
    together = is_of_members(program)
    given |= {"mixing": team.MIXING} if together else {}
    all_losses = team.own_losses(STEPS) if together else losses(STEPS)
    rule = Stepper(program, w.values(), T=STEPS, **given)
    grads, ws, evals = [], [], []
    for t, loss in enumerate(all_losses):
        if run.system is not None:
            g = run.gradient(0, w)
        else:
            g = {
                tensor: curvature[tensor] * (x - 1) + 0.1 * rng.standard_normal(x.shape)
                for tensor, x in w.items()
            }
        asked = {
            "oracles": oracles_around([*w.values()], [*g.values()], loss),
            **{each: _drawn(each, t, w, together) for each in noise_of(program)},
            **{"share": team.SHARES, "arrived": team.arrived(t), "feedback": team.feedback(t)},
            "fisher": [*team.fisher(t, start).values()] if together else None,
        }
        new, eval_w = rule.step(w.values(), g.values(), loss=loss, **asked)
        w = dict(zip(w, new, strict=True))
        grads.append(g)
        ws.append(w)
        evals.append(dict(zip(w, eval_w, strict=True)))
    ours = Trajectory(ws, evals if program.evaluates_elsewhere else None)
    theirs = NUMPY[name](start, grads, **hyper)
    largest = max(float(np.abs(x).max()) for model in theirs for x in model.values())
    assert trajectory_difference(ours, theirs) <= 1e-10 * max(1.0, largest)
    assert largest < 100 and any(np.any(w[tensor] != x) for tensor, x in start.items())


def _drawn(kind: str, t: int, w: Params, together: bool) -> list[np.ndarray]:
    """Noise of a step, which members may share."""
    shared = together and not INPUTS[kind].own
    like = {name: x[0] for name, x in w.items()} if shared else w
    return [*noise(kind, t, like).values()]
