"""Distillation: a program is found that does what traces show, starting from an empty one.

    problem = pose(traces)
    state = init(seed, problem)
    while not state.solved and ...:
        state = advance(state, problem, candidates=100)
    answer = finish(state, problem)

Regularized evolution as in `regularized`, but of many cheap candidates: one costs a few
milliseconds, has its literals fitted where it promises something (`fitting`), and may get a
missing part from a library of values (`library`). Restarts when nothing improves any more.

Pure: the outcome depends on the seed, the traces and the number of candidates. Nothing here knows
of files, clocks or processes.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Sequence

import numpy as np

from ....dsl.algebra.simplifier import simplify
from ....dsl.errors import ProgramError
from ....dsl.numpy.whole_runs import Bound
from ....dsl.program import LEARNING_RATE, Call, Constant, Name, Program, names_in
from ..randomness import derive
from .fitting import Fitted, assess, fit, score
from .library import library
from .neighbours import neighbours
from .rounding import cost, refined, rounded
from .semantic_backpropagation import backpropagated
from .shortening import cleaned
from .state import EMPTY, DistillState, Problem, Settings
from .table import MOST_STEPS, MOST_WEIGHTS, Table, table
from .traces import FEWEST_STEPS, Trace, relative_error
from .variation import vary

# Weights that literals are first fitted on, and that parts are looked for with.
_FEW_WEIGHTS = 40
# What is tried of fits: a candidate may cost so much more than its parent before its first.
_PROMISING = 1.15
# Most literals that are fitted.
_MOST_LITERALS = 8
# How many times the rounding of a score the relative error of the right answer may be.
_ROUNDED = 20.0
# From this score on, a best candidate is rounded and tried on the traces that were held out.
_NEARLY = 3e-3


def pose(traces: Sequence[Trace]) -> Problem:
    """The problem that traces pose.

    The last third of them is held out, if there are three. Of the others, candidates see two thirds
    of the steps, so that one that holds for as many steps as it was fitted to, and then goes wrong,
    is found out.
    """
    shown = traces[: len(traces) - len(traces) // 3]
    held = tuple(traces[len(shown) :]) or tuple(traces)
    total = min(trace.steps for trace in traces)
    steps = min(MOST_STEPS, max(FEWEST_STEPS, total - total // 3))
    more = 3 * MOST_STEPS // 2
    with np.errstate(all="ignore"):
        return Problem(
            table=table(shown, steps),
            few=table(shown, steps, _FEW_WEIGHTS),
            full=table(shown, more, 2 * MOST_WEIGHTS),
            full_few=table(shown, more, _FEW_WEIGHTS),
            held_out=held,
        )


def init(seed: int, problem: Problem, settings: Settings | None = None) -> DistillState:
    """The state that knows the empty program only."""
    start = _start(problem.table)
    return DistillState(
        seed=seed,
        settings=settings or Settings(),
        candidates=0,
        population=(start,),
        seen={},
        best=start,
        best_ever=start,
        solved=False,
        improved_at=0,
        restarts=0,
        swept=None,
        queue=(),
        shelf=None,
        front={},
        grown=False,
    )


def _start(shown: Table) -> Fitted:
    nothing = np.zeros((1, 1, 1))
    return Fitted(EMPTY, float(score(nothing, shown)[0]))


def advance(
    state: DistillState,
    problem: Problem,
    candidates: int = 100,
    progress: Callable[[], None] = lambda: None,
) -> DistillState:
    """The state some candidates later, or when the rule is found; `progress` follows each."""
    with np.errstate(all="ignore"):
        search = _Search(state, problem)
        for _ in range(candidates):
            if search.solved:
                break
            search.step()
            progress()
        return search.state()


class _Search:
    """A state while it changes."""

    def __init__(self, state: DistillState, problem: Problem) -> None:
        self.before = state
        self.settings = state.settings
        self.problem = problem
        self.candidates = state.candidates
        self.population = list(state.population)
        self.seen = dict(state.seen)
        self.best, self.best_ever = state.best, state.best_ever
        self.solved = state.solved
        self.improved_at, self.restarts = state.improved_at, state.restarts
        self.swept, self.queue = state.swept, list(state.queue)
        self.shelf = state.shelf
        self.front = dict(state.front)
        self.grown = state.grown
        self.tolerance = max(state.settings.tolerance, _ROUNDED * problem.table.rounding)

    @property
    def whole(self) -> Table:
        """What candidates are scored on."""
        return self.problem.full if self.grown else self.problem.table

    @property
    def few(self) -> Table:
        """Part of it."""
        return self.problem.full_few if self.grown else self.problem.few

    def state(self) -> DistillState:
        return dataclasses.replace(
            self.before,
            candidates=self.candidates,
            population=tuple(self.population),
            seen=self.seen,
            best=self.best,
            best_ever=self.best_ever,
            solved=self.solved,
            improved_at=self.improved_at,
            restarts=self.restarts,
            swept=self.swept,
            queue=tuple(self.queue),
            shelf=self.shelf,
            front=self.front,
            grown=self.grown,
        )

    def step(self) -> None:
        """One candidate."""
        ordinal, settings = self.candidates, self.settings
        self.candidates += 1
        if ordinal - self.improved_at > settings.patience * (1 + 0.5 * self.restarts):
            self._restart(ordinal)
        if self.shelf is None or ordinal % settings.refill == 0:
            roots = [EMPTY, *[f.program for f in self.front.values()], *[self.best.program] * 3]
            self.shelf = library(self.few, roots, derive(self.before.seed, ordinal, "shelf"))
        rng = derive(self.before.seed, ordinal, "vary")
        if ordinal - self.improved_at >= settings.sweep and self.swept is not self.best:
            self._sweep(ordinal)
        if self.queue:
            parent, child = self.best, self.queue.pop()
        else:
            parent = self._parent(rng)
            drawn = self._child(parent, rng)
            if drawn is None:
                return
            child = drawn
        found = self._tried(child, parent)
        if found is None:
            return
        if cost(found) < 0.98 * cost(self.best):
            found = self._improved(found, ordinal)
        self.population.append(found)
        if len(self.population) > settings.population:
            self.population.pop(0)
        size = found.program.size
        # A larger program that is no better has no place here.
        if all(found.score < f.score for s, f in self.front.items() if s <= size):
            kept = {s: f for s, f in self.front.items() if s < size or f.score < found.score}
            self.front = dict(sorted({**kept, size: found}.items()))

    def _parent(self, rng: random.Random) -> Fitted:
        drawn = rng.random()
        if drawn < 0.15:
            return self.best
        if drawn < 0.3 and self.front:
            return rng.choice(list(self.front.values()))
        return min(rng.choices(self.population, k=self.settings.tournament), key=cost)

    def _child(self, parent: Fitted, rng: random.Random) -> Program | None:
        settings = self.settings
        limits = {"max_size": settings.max_size, "max_state": settings.max_state}
        if rng.random() < settings.supplied:
            assert self.shelf is not None
            program = parent.program
            if rng.random() < settings.repaired:
                program = vary(program, [program], rng, **limits) or program
            return backpropagated(program, self.few, self.shelf, rng, **limits)
        donors = [min(rng.choices(self.population, k=2), key=cost).program]
        return vary(parent.program, donors, rng, **limits)

    def _tried(self, child: Program, parent: Fitted) -> Fitted | None:
        """The child with its score, its literals fitted if it promises something; None if old."""
        whole, few = self.whole, self.few
        found, bound = assess(child, whole)
        if bound is None or self._is_old(found):
            return None
        count = len(bound.parameters)
        if not 0 < count <= _MOST_LITERALS or found.score <= whole.rounding:
            return found
        if cost(found) > _PROMISING * cost(parent):
            return found
        small = Bound(found.program, few)
        before = Fitted(found.program, float(score(small.predict(), few)[0]))
        after = fit(before, small, few, 1, soften=False)
        if after.score > 0.99 * before.score:
            return found
        bound = Bound(after.program, whole)
        fitted = Fitted(after.program, float(score(bound.predict(), whole)[0]))
        if cost(fitted) < cost(parent):
            fitted = fit(fitted, bound, whole, 8)
        if fitted.score >= found.score:
            return found
        return None if self._is_old(fitted) else fitted

    def _is_old(self, found: Fitted) -> bool:
        """Whether a program that is no larger had the same score; notes it if not."""
        key = float(f"{found.score:.9g}")
        size = found.program.size
        if found.score >= 1.0 or self.seen.get(key, size + 1) <= size:
            return True
        self.seen[key] = size
        return False

    def _improved(self, found: Fitted, ordinal: int) -> Fitted:
        """The new best of this start, refined."""
        found = refined(found, self.whole)
        if found.score < _NEARLY:
            answer = self._scored(_answer(found, self.problem.full).program)
            if self._is_found(answer):
                found, self.solved = answer, True
            elif cost(answer) <= cost(found):
                found = answer
        self.best, self.improved_at, self.queue = found, ordinal, []
        if self.solved or cost(found) < cost(self.best_ever):
            self.best_ever = found
        if found.score <= self.tolerance and not (self.solved or self.grown):
            found = self._grow()
        return found

    def _is_found(self, found: Fitted) -> bool:
        return relative_error(found.program, self.problem.held_out) <= self.tolerance

    def _scored(self, program: Program) -> Fitted:
        return assess(program, self.whole)[0]

    def _grow(self) -> Fitted:
        """Scores on more: what was seen so far does not tell the best from the right answer."""
        self.grown = True
        self.best, self.best_ever = (self._scored(f.program) for f in (self.best, self.best_ever))
        self.population, self.seen, self.front = [self.best], {}, {}
        self.shelf = None
        return self.best

    def _sweep(self, ordinal: int) -> None:
        limits = {"max_size": self.settings.max_size, "max_state": self.settings.max_state}
        self.swept, self.queue = self.best, neighbours(self.best.program, **limits)
        derive(self.before.seed, ordinal, "sweep").shuffle(self.queue)
        # The wait begins anew.
        self.improved_at = ordinal + len(self.queue)

    def _restart(self, ordinal: int) -> None:
        # In turn from nothing and from the best so far, unless nothing could seem better.
        again = self.restarts % 2 and self.best_ever.score > self.tolerance
        start = self.best_ever if again else _start(self.whole)
        self.population, self.seen, self.front = [start], {}, {}
        self.best, self.improved_at, self.restarts = start, ordinal, self.restarts + 1
        self.shelf, self.queue = None, []


def finish(state: DistillState, problem: Problem) -> Program:
    """The answer: rounded, simplified, and with the learning rate as a factor if it had none."""
    with np.errstate(all="ignore"):
        found = _answer(state.best_ever, problem.full)
        answer = _with_learning_rate(found.program, problem)
        best = relative_error(answer, problem.held_out)
        try:
            simple = simplify(answer)
        except ProgramError:
            return answer
        accepted = max(1.001 * best, 1e-9)
        return simple if relative_error(simple, problem.held_out) <= accepted else answer


def _answer(found: Fitted, full: Table) -> Fitted:
    """The program with literals that are as round as all that may be looked at allows."""
    scored, _ = assess(found.program, full)
    return rounded(refined(scored, full), full)


def _with_learning_rate(program: Program, problem: Problem) -> Program:
    """Where all traces have one learning rate, updates are taken to be in proportion to it."""
    rates = problem.table.lr
    reads = any(LEARNING_RATE in names_in(root) for root in program.expressions())
    if reads or not (rates == rates.flat[0]).all():
        return program
    factor = Constant(1.0 / float(rates.flat[0]))
    scaled = Call("multiply", (factor, Call("multiply", (Name(LEARNING_RATE), program.result))))
    return cleaned(dataclasses.replace(program, result=scaled))
