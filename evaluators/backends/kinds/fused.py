"""The fused path: each rule is compiled into its own training loop.

It is faster if a run takes longer than its compilation. It also confirms the machine's results: the
two implementations of a rule share only the table of primitives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ....dsl.algebra.gradient_cost import cost_of_step
from ....dsl.arrays import Leaves
from ....dsl.errors import UserError
from ....dsl.fused import bind_jax
from ....dsl.inputs import INPUTS, Source, noise_of, refusal
from ....dsl.kinds import Kind
from ....dsl.members import is_of_members
from ....dsl.program import LEARNING_RATE, Program
from ...fidelity import Fidelity
from ...protocol import by_replicate
from ..base import Hyperparameters, Stop, TrainingResult
from ..loop import Given, TrainingLoop
from ..member_problems import MemberProblems
from ..problems import Problems
from ..stepper import StepContext, Stepper

Array = jax.Array

_REPLICATES = "replicates"


class _Fused:
    def __init__(self, problems: Problems, progress: Callable[[], None]) -> None:
        self._problems, self._progress = problems, progress
        self._of_members: MemberProblems | None = None  # made when a rule needs it
        # The last rule, cached because its grid may move.
        self._last: tuple[Program, TrainingLoop] | None = None

    def refusal(self, program: Program) -> str:
        lack = refusal(program, Source.TRAINING)
        return f"the rule {lack}" if lack else ""

    def train(
        self,
        programs: Sequence[Program],
        fidelity: Fidelity,
        *,
        stop: Stop | None = None,
        hyperparameters: Hyperparameters | None = None,
    ) -> list[TrainingResult]:
        count = len(fidelity.learning_rates)
        protocol, own = by_replicate(fidelity.protocol, hyperparameters, count)

        def give(rates: np.ndarray, total: np.int32) -> Any:
            by_step = protocol.multipliers(fidelity.schedule, int(total), int(total)) * rates
            return by_step, {n: np.asarray(x, np.float32) for n, x in (own or {}).items()}

        return [
            self._loop(p).run(give, fidelity, stop, protocol.clip, cost_of_step(p))
            for p in programs
        ]

    def _loop(self, program: Program) -> TrainingLoop:
        if refusal := self.refusal(program):
            raise UserError(refusal)
        if self._last is None or self._last[0] != program:
            problems = self._problems
            if is_of_members(program):
                self._of_members = self._of_members or MemberProblems(problems.task)
                problems = self._of_members
            stepper = partial(_stepper, problems, program)
            self._last = program, TrainingLoop(problems, stepper, self._progress)
        return self._last[1]


def _stepper(problems: Problems, program: Program, given: Given) -> Stepper:
    parts = problems.layout.pieces(Kind.TENSOR)
    rule = bind_jax(program)
    rates, values = given.rule  # (K, R), and (R,) by name
    tunes = LEARNING_RATE in program.defaults
    # What a replicate holds: numbers, or those of each of its members.
    axes = (problems.members,) if isinstance(problems, MemberProblems) else ()
    fixed = {"mixing": problems.of.mixing} if isinstance(problems, MemberProblems) else {}

    def split(w: Array) -> Leaves:
        return Leaves(w[..., part].reshape(*axes, *shape) for part, shape in parts)

    def join(leaves: Leaves) -> Array:
        return jnp.concatenate([x.reshape(*axes, -1) for x in leaves], axis=-1)

    def by_replicate(rows: Array) -> Array:
        return rows.reshape(-1, *axes, *rows.shape[1:])

    def by_row(replicates: Array) -> Array:
        return replicates.reshape(-1, replicates.shape[-1])

    def of_one(ask: Callable[[Array], Array]) -> Callable[[Leaves], Any]:
        """An oracle of all replicates as one of a single replicate among them."""

        def answer(x: Leaves) -> Any:
            every = by_replicate(ask(by_row(lax.all_gather(join(x), _REPLICATES))))
            own = every[lax.axis_index(_REPLICATES)]
            return split(own) if own.ndim > len(axes) else own

        return answer

    def init(w: Array) -> Any:
        return {"rule": rule.init(split(w)), "w": w, "eval_w": w}

    def step(carry: Any, own: Any, hyper: Any, at: StepContext) -> Any:
        inputs: dict[str, Any] = {
            "t": at.t,
            "T": at.T,
            "loss": own["loss"],
            **problems.labels,
            **own["given"],
            **fixed,
        }
        inputs |= {name: split_noise(name, x) for name, x in own["noise"].items()}
        oracles = {name: of_one(ask) for name, ask in at.oracles.items()}
        new_w, state, eval_w = rule.step(
            split(carry["w"]),
            split(own["g"]),
            carry["rule"],
            hyper=hyper,
            oracles=oracles,
            **inputs,
        )
        return {"rule": state, "w": join(new_w), "eval_w": join(eval_w)}

    def split_noise(name: str, x: Array) -> Leaves:
        """Noise is the same in all rows of a replicate, unless members have their own."""
        if not axes or INPUTS[name].own:
            return split(x)
        return Leaves(x[0, part].reshape(shape) for part, shape in parts)

    def all_replicates(carry: Any, at: StepContext) -> Any:
        hyper = {**values, **({LEARNING_RATE: rates[at.t - 1]} if tunes else {})}
        noise = {name: at.noise[name]() for name in noise_of(program)}
        rows = {"g": at.g, "loss": at.loss, "noise": noise, "given": dict(at.given)}
        one = jax.vmap(lambda carry, own, hyper: step(carry, own, hyper, at), axis_name=_REPLICATES)
        return one(carry, jax.tree.map(by_replicate, rows), hyper)

    return Stepper(
        init=lambda w: jax.vmap(init)(by_replicate(w)),
        step=all_replicates,
        weights=lambda carry: by_row(carry["w"]),
        eval_w=lambda carry: by_row(carry["eval_w"]),
    )


BACKEND = _Fused
