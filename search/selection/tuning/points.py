"""Points: values for the constants of one program, trained side by side.

Points are replicates of one program and need no compilation. As for every rule, the loss of a point
on a task is that at its best learning rate; only the best rate so far and its neighbours are tried.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ....dsl.machine.bytecode import fits_a_smaller_machine
from ....dsl.machine.constants import Tunable
from ....dsl.program import Program
from ....evaluators.backends.base import AS_DATA, COMPILED
from ....evaluators.fidelity import Fidelity
from ....evaluators.protocol import USUAL, Protocol
from ....evaluators.scores.scoring import TaskScore, bounded, log_losses
from ...config.seeds import TUNED, TUNING
from ...config.stages import MOVES
from ...execution.jobs import Job, Trials

# Generations alternate between this many problems of each task, so that no constant overfits one.
PROBLEMS = 4
# Learning rates that a point is tried at: the best one so far and its neighbours.
_RATES = 3

Point = Mapping[str, float]
Tasks = Mapping[str, int | None]  # with the number of steps; None for the task's own


@dataclass(frozen=True)
class Losses:
    """The losses of P points on T tasks.

    Attributes:
      best: index of the best learning rate, (T, P).
      ratios: log-ratio to the baseline there, (T, P); inf where the point diverged.
    """

    best: np.ndarray
    ratios: np.ndarray

    @property
    def values(self) -> np.ndarray:
        """Mean over tasks, (P,)."""
        return self.ratios.mean(axis=0)


class Points:
    """Trains points and programs.

    Attributes:
      runs: the number of training runs so far.
    """

    def __init__(
        self,
        rule: Tunable,
        tasks: Tasks,
        trials: Trials,
        tried: Fidelity,
        most_gain: float,
        settings: Sequence[str] = (),
    ) -> None:
        """Trains nothing yet.

        Args:
          rule: the rule whose constants are tuned. tasks: to train on.
          trials, most_gain: see `tune`.
          tried: the learning rates, their schedule, and `moves`; its other fields are ignored.
          settings: of the protocol, which points have values of too.
        """
        self.runs = 0
        self._rule, self._tasks, self._trials = rule, tasks, trials
        self._names = (*rule.names, *settings)
        self._tried, self._most_gain = tried, most_gain
        self._rates = tried.learning_rates
        # The full machine takes longer for each run than compiling the rule takes once.
        # Named constants take more room in it than literals.
        fits = fits_a_smaller_machine(rule.program, bound_hyperparameters=False)
        self._path = AS_DATA if fits else COMPILED
        self._width = min(_RATES, len(self._rates))
        # The index of the best learning rate so far, by task; see `_rate`.
        self._best: dict[str, int] = {}
        # The lowest possible loss, by task; losses are compared by their distance from it.
        self._floor: dict[str, float] = {}

    def look_around(self) -> None:
        """Finds the best learning rates of the rule with its initial constants."""
        scores = self._scored(self._rule.original, self._tasks, (TUNING,))
        for task, score in scores.items():
            self._floor[task] = score.floor
            rungs = range(-MOVES * len(self._rates), (MOVES + 1) * len(self._rates))
            away = {i: abs(math.log(self._rate(i) / score.learning_rate)) for i in rungs}
            self._best[task] = min(away, key=lambda i: (away[i], abs(i)))

    def _rate(self, rung: int) -> float:
        """The learning rate at an index of the grid, extended at both ends; 0 is the lowest."""
        rates = self._rates
        if len(rates) == 1:
            return rates[0]
        times, place = divmod(rung, len(rates) - 1)
        return float(f"{rates[place] * (rates[-1] / rates[0]) ** times:.3g}")

    @property
    def rates(self) -> dict[str, float]:
        """The best learning rate so far, by task."""
        return {task: self._rate(rung) for task, rung in self._best.items()}

    def follow(self, losses: Losses) -> None:
        """Moves to the median of the best learning rates of the better half of the points."""
        for task, best, ratios in zip(self._tasks, losses.best, losses.ratios, strict=True):
            better = np.argsort(ratios, kind="stable")[: (len(best) + 1) // 2]
            self._best[task] = int(np.median(best[better]))

    def losses(self, points: Sequence[Point], problem: int) -> Losses:
        """Trains P points on one problem of every task."""
        seed = TUNING + problem
        jobs = {task: self._jobs(points, task, seed) for task in self._tasks}
        scores = iter(self._trials.run([job for of_task in jobs.values() for job in of_task]))
        bases = self._bases(self._tasks, (seed,))
        best, ratios = [], []
        for task, parts in jobs.items():
            found = np.concatenate([next(scores).scores[0] for _ in parts])
            found = found[: len(points) * self._width].reshape(len(points), self._width)
            place = np.argmin(found, axis=1)
            best.append(place + self._best[task] - self._width // 2)
            logs = log_losses(found[range(len(points)), place], self._floor[task])
            ratios.append(bounded(logs - bases[task], self._most_gain))
        self.runs += sum(map(len, jobs.values()))
        return Losses(np.stack(best), np.stack(ratios))

    def costs(self, points: Sequence[Point], found: Point) -> tuple[np.ndarray, np.ndarray]:
        """How much worse each of P points is than the point `found`, over all problems.

        Returns:
          Mean difference, (P,), and its standard error over problems, (P,); NaN where a point
          diverged.
        """
        values = np.stack([self.losses([found, *points], k).values for k in range(PROBLEMS)])
        with np.errstate(invalid="ignore"):
            worse = values[:, 1:] - values[:, :1]
            return worse.mean(axis=0), worse.std(axis=0, ddof=1) / math.sqrt(PROBLEMS)

    def _jobs(self, points: Sequence[Point], task: str, seed: int) -> list[Job]:
        """Jobs for every point at every tried rate, each with as many replicates as the grid."""
        lowest = self._best[task] - self._width // 2
        rates = [self._rate(rung) for rung in range(lowest, lowest + self._width)]
        replicates = [(rate, point) for point in points for rate in rates]
        size = len(self._rates)
        tried = replace(self._tried, seeds=(seed,), steps=self._tasks[task], moves=0)
        found = []
        for start in range(0, len(replicates), size):
            part = replicates[start : start + size]
            part += part[-1:] * (size - len(part))  # padding: another size would recompile
            on = replace(tried, learning_rates=tuple(rate for rate, _ in part))
            values = {name: tuple(point[name] for _, point in part) for name in self._names}
            found.append(Job(self._rule.program, task, on, self._path, hyperparameters=values))
        return found

    def differences(
        self, after: Program, protocol: Protocol, tasks: Tasks, seeds: int
    ) -> np.ndarray:
        """Log-ratios of losses on unseen seeds, a program over the initial one, (T, S).

        Args:
          after: the program. protocol: with which it is trained; the initial one has the usual.
          tasks: to compare on. seeds: the number of seeds, S.
        """
        before = self._rule.original
        if after == before and protocol == USUAL:
            return np.zeros((0, 0))
        judging = tuple(range(TUNED, TUNED + seeds))
        bases = self._bases(tasks, judging)

        def ratios(program: Program, protocol: Protocol = USUAL) -> np.ndarray:
            scores = self._scored(program, tasks, judging, protocol=protocol)
            logs = [log_losses(scores[t].by_seed, scores[t].floor) - bases[t] for t in tasks]
            return bounded(np.stack(logs), self._most_gain)

        with np.errstate(invalid="ignore"):
            return ratios(after, protocol) - ratios(before)

    def _bases(self, tasks: Tasks, seeds: tuple[int, ...]) -> dict[str, np.ndarray]:
        """Logarithms of the baseline's losses by task, one per seed."""
        if math.isinf(self._most_gain):  # unbounded gains: the baseline cancels out
            return {task: np.zeros(len(seeds)) for task in tasks}
        assert self._trials.baseline is not None, "gains are measured from the baseline"
        scores = self._scored(self._trials.baseline, tasks, seeds, shared=True)
        return {t: log_losses(s.by_seed, s.floor) for t, s in scores.items()}

    def _scored(
        self,
        program: Program,
        tasks: Tasks,
        seeds: tuple[int, ...],
        *,
        protocol: Protocol = USUAL,
        shared: bool = False,
    ) -> dict[str, TaskScore]:
        """A program's scores by task, with its learning rate tuned as for every rule."""
        tried = replace(self._tried, seeds=seeds).under(protocol)
        jobs = [
            Job(program, task, replace(tried, steps=steps), self._path, shared)
            for task, steps in tasks.items()
        ]
        self.runs += len(seeds) * len(jobs)
        return dict(zip(tasks, self._trials.run(jobs), strict=True))
