"""Points: one program with several values for its constants, trained side by side.

Points are replicates of one program in the machine, so that they need no compilation. A point is as
good as it is at its best learning rate on each task, as every rule is judged; only the rates next
to the best one so far are tried.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ....dsl.machine.constants import Tunable
from ....dsl.program import Program
from ....dsl.syntax import format_program, parse
from ....evaluators.evaluate import Fidelity, score_from_json
from ....evaluators.scoring import TaskScore, bounded, log_losses, task_score
from ...config.stages import MOVES
from ...execution.base import Executor
from ...execution.jobs import Job, submit

if TYPE_CHECKING:
    from ....evaluators.training import Trainer

# Points take turns on so many problems of each task, so that no constant is fitted to one alone.
PROBLEMS = 4
# Seeds that no search uses: of the problems to tune on, and of those to judge by.
TUNING_SEED, JUDGING_SEED = 60_000, 70_000
# Learning rates that a point is tried at: the best one so far and its neighbours.
_RATES = 3

Point = Mapping[str, float]
Tasks = Mapping[str, int | None]  # with the number of steps; None for the task's own


@dataclass(frozen=True)
class Losses:
    """What P points gave on T tasks.

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
    """Has workers train points and programs.

    Attributes:
      runs: how many training runs have been asked for.
    """

    def __init__(
        self,
        rule: Tunable,
        tasks: Tasks,
        workers: Executor,
        baseline: Program,
        tried: Fidelity,
        most_gain: float,
        result: Callable[[Future[Any]], Any],
    ) -> None:
        """Nothing is trained yet.

        Args:
          rule: what points are of. tasks: that they are trained on.
          workers, baseline, most_gain, result: see `tune`.
          tried: learning rates, their schedule, and how far the grid may move; the rest is unused.
        """
        self.runs = 0
        self._rule, self._tasks, self._workers, self._baseline = rule, tasks, workers, baseline
        self._tried, self._most_gain, self._result = tried, most_gain, result
        self._rates = tried.learning_rates
        self._width = min(_RATES, len(self._rates))
        # By task, the rung of the best learning rate so far; see `_rate`.
        self._best: dict[str, int] = {}
        # By task, what losses are measured from.
        self._floor: dict[str, float] = {}

    def look_around(self) -> None:
        """Finds the best learning rates of the rule as it is."""
        scores = self._scored(self._rule.original, self._tasks, (TUNING_SEED,))
        for task, score in scores.items():
            self._floor[task] = score.floor
            rungs = range(-MOVES * len(self._rates), (MOVES + 1) * len(self._rates))
            away = {i: abs(math.log(self._rate(i) / score.learning_rate)) for i in rungs}
            self._best[task] = min(away, key=lambda i: (away[i], abs(i)))

    def _rate(self, rung: int) -> float:
        """A rung of the grid, which goes on at both ends: 0 is its lowest rate."""
        rates = self._rates
        if len(rates) == 1:
            return rates[0]
        times, place = divmod(rung, len(rates) - 1)
        return float(f"{rates[place] * (rates[-1] / rates[0]) ** times:.3g}")

    def follow(self, losses: Losses) -> None:
        """Moves to the learning rates that the better half of some points do best at."""
        for task, best, ratios in zip(self._tasks, losses.best, losses.ratios, strict=True):
            better = np.argsort(ratios, kind="stable")[: (len(best) + 1) // 2]
            self._best[task] = int(np.median(best[better]))

    def losses(self, points: Sequence[Point], problem: int) -> Losses:
        """Trains P points on one problem of every task."""
        seeds = (TUNING_SEED + problem,)
        answers = {task: self._submitted(points, task, seeds[0]) for task in self._tasks}
        bases = self._bases(self._tasks, seeds)
        best, ratios = [], []
        for task, parts in answers.items():
            found = np.concatenate([self._result(part) for part in parts])
            found = found[: len(points) * self._width].reshape(len(points), self._width)
            place = np.argmin(found, axis=1)
            best.append(place + self._best[task] - self._width // 2)
            logs = log_losses(found[range(len(points)), place], self._floor[task])
            ratios.append(bounded(logs - bases[task], self._most_gain))
        return Losses(np.stack(best), np.stack(ratios))

    def costs(self, points: Sequence[Point], found: Point) -> tuple[np.ndarray, np.ndarray]:
        """How much worse each of P points is than another, over all problems.

        Returns:
          Mean difference, (P,), and its standard error over problems, (P,); NaN where a point
          diverged.
        """
        values = np.stack([self.losses([found, *points], k).values for k in range(PROBLEMS)])
        with np.errstate(invalid="ignore"):
            worse = values[:, 1:] - values[:, :1]
            return worse.mean(axis=0), worse.std(axis=0, ddof=1) / math.sqrt(PROBLEMS)

    def _submitted(self, points: Sequence[Point], task: str, seed: int) -> list[Future[Any]]:
        """Every point at every rate that is tried: runs of as many replicates as a grid has."""
        lowest = self._best[task] - self._width // 2
        rates = [self._rate(rung) for rung in range(lowest, lowest + self._width)]
        replicates = [(rate, point) for point in points for rate in rates]
        size = len(self._rates)
        diverged = [math.inf] * size
        found = []
        for start in range(0, len(replicates), size):
            part = replicates[start : start + size]
            part += part[-1:] * (size - len(part))  # another number would compile anew
            request = {
                "do": "points",
                "task": task,
                "program": format_program(self._rule.program),
                "learning_rates": [rate for rate, _ in part],
                "hyperparameters": {n: [point[n] for _, point in part] for n in self._rule.names},
                "seed": seed,
                "steps": self._tasks[task],
                "schedule": self._tried.schedule,
            }
            what = f"{self._rule.original.name} on {task}"
            found.append(self._workers.submit(request, what, on_hang=lambda hung: diverged))
        self.runs += len(found)
        return found

    def differences(self, after: Program, before: Program, tasks: Tasks, seeds: int) -> np.ndarray:
        """How much worse a program is than another on unseen seeds: log-ratios, (T, S)."""
        if after == before:
            return np.zeros((0, 0))
        judging = tuple(range(JUDGING_SEED, JUDGING_SEED + seeds))
        bases = self._bases(tasks, judging)

        def ratios(program: Program) -> np.ndarray:
            scores = self._scored(program, tasks, judging)
            logs = [log_losses(scores[t].by_seed, scores[t].floor) - bases[t] for t in tasks]
            return bounded(np.stack(logs), self._most_gain)

        with np.errstate(invalid="ignore"):
            return ratios(after) - ratios(before)

    def _bases(self, tasks: Tasks, seeds: tuple[int, ...]) -> dict[str, np.ndarray]:
        """Logarithms of the baseline's losses by task, one per seed."""
        if math.isinf(self._most_gain):  # then they make no difference
            return {task: np.zeros(len(seeds)) for task in tasks}
        scores = self._scored(self._baseline, tasks, seeds, shared=True)
        return {t: log_losses(s.by_seed, s.floor) for t, s in scores.items()}

    def _scored(
        self, program: Program, tasks: Tasks, seeds: tuple[int, ...], *, shared: bool = False
    ) -> dict[str, TaskScore]:
        """A program's scores by task, as every rule is scored."""
        jobs = [
            Job(program, task, replace(self._tried, seeds=seeds, steps=steps), "machine", shared)
            for task, steps in tasks.items()
        ]
        answers = [submit(self._workers, job, essential=shared) for job in jobs]
        self.runs += len(seeds) * len(jobs)
        scores = (score_from_json(self._result(answer)) for answer in answers)
        return dict(zip(tasks, scores, strict=True))


def train_points(
    trainer: Trainer,
    program: str,
    learning_rates: Sequence[float],
    hyperparameters: Mapping[str, Sequence[float]],
    seed: int,
    steps: int | None,
    schedule: str,
) -> list[float]:
    """Trains replicates that differ in constants too. This is what a worker runs.

    Returns:
      Validation losses, one for each learning rate; inf where the replicate diverged.

    Raises:
      UserError: losses on the task cannot be compared; see `TaskScore`.
    """
    result = trainer.with_machine(
        parse(program),
        learning_rates,
        (seed,),
        steps=steps,
        schedule=schedule,
        hyperparameters=hyperparameters,
    )
    task = trainer.task
    score = task_score(task.name, result, learning_rates, (seed,), lowest=task.lowest)
    return list(score.scores[0])
