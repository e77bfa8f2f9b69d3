"""Has many jobs trained, a seed at a time, in an order that ends soon."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from typing import NamedTuple

from ...evaluators.backends.base import AS_DATA
from ...evaluators.scores.evaluate import score_from_json
from ...evaluators.scores.scoring import TaskScore, joined
from ...evaluators.tasks.baselines import baselines
from .base import Executor
from .jobs import Job, Stopped, submit

# Seconds that compiling a training loop takes, about. A worker helps another, and then compiles the
# same loop, only where more than this is left to train.
_COMPILING = 5.0
# Seconds that one seed of a task of unknown cost takes; such tasks are begun first.
_UNKNOWN = 15.0


class Run(NamedTuple):
    """What one job trains, with all learning rates."""

    rule: str
    task: str
    seed: int


@dataclass(frozen=True)
class Training:
    """How far the training of many jobs is.

    Attributes:
      running: what is being trained.
      left: how many pairs of a rule and a task have seeds left.
      seconds_left: about; None where nothing is known yet.
      finished: what was trained last, if it was the last seed of its rule on its task.
    """

    running: tuple[Run, ...]
    left: int
    seconds_left: float | None = None
    finished: Run | None = None


Report = Callable[[Training], None]


def train(
    jobs: Mapping[Run, Job],
    workers: Executor,
    report: Report = lambda training: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> dict[tuple[str, str], TaskScore]:
    """Scores by rule and task, over all seeds.

    A seed at a time trains no slower than all at once, needs the memory of one, and gives the same
    numbers however many seeds are asked for.

    Args:
      jobs: each with one seed. workers: who train; they have loaded the tasks.
      report: told whenever something was finished. should_stop: asked while waiting.

    Raises:
      UserError, WorkerError: see `Executor.submit`.
      Stopped: when asked to stop; what was finished is kept in the user's cache.
    """
    found: dict[Run, TaskScore] = {}
    running: dict[Future[str], Run] = {}
    queue = _Queue(jobs)
    left = Counter((run.rule, run.task) for run in jobs)

    def start(last: Run | None) -> None:
        if (run := queue.take(last)) is not None:
            running[submit(workers, jobs[run], essential=True)] = run

    for _ in range(workers.count):
        start(None)
    started = time.monotonic()
    report(Training(tuple(running.values()), len(left)))
    while running:
        if should_stop():
            raise Stopped
        for future in wait(running, timeout=0.5, return_when=FIRST_COMPLETED).done:
            run = running.pop(future)
            found[run] = score_from_json(future.result())
            start(run)
            queue.finish(run)
            left[run.rule, run.task] -= 1
            seconds = (time.monotonic() - started) * (1 / queue.fraction - 1)
            to_go = sum(count > 0 for count in left.values())
            done = None if left[run.rule, run.task] else run
            report(Training(tuple(running.values()), to_go, seconds, done))
    seeds: dict[tuple[str, str], list[TaskScore]] = defaultdict(list)
    for run in jobs:
        seeds[run.rule, run.task].append(found[run])
    return {pair: joined(scores) for pair, scores in seeds.items()}


class _Queue:
    """Jobs, the longest tasks first, so that nobody waits for one of them at the end.

    Jobs that run the same compiled loop are a group: all rules by the machine on one task, or all
    seeds of a rule compiled for it. One worker does a group, so that a loop is compiled once.
    """

    def __init__(self, jobs: Mapping[Run, Job]) -> None:
        self._cost = {run: _seconds(job) for run, job in jobs.items()}
        self._group = {
            run: (run.task, None if job.path == AS_DATA else run.rule) for run, job in jobs.items()
        }
        groups: dict[tuple[str, str | None], list[Run]] = defaultdict(list)
        for run in jobs:
            groups[self._group[run]].append(run)
        longest = sorted(groups, key=lambda group: -self._seconds_of(groups[group]))
        self._waiting = {group: groups[group] for group in longest}
        self._begun: set[tuple[str, str | None]] = set()
        self._finished = 0.0
        # The first of a group compiles.
        for runs in groups.values():
            self._cost[runs[0]] += _COMPILING

    @property
    def fraction(self) -> float:
        """How much of the work is finished."""
        return self._finished / sum(self._cost.values())

    def finish(self, run: Run) -> None:
        """Counts a run as finished."""
        self._finished += self._cost[run]

    def take(self, last: Run | None) -> Run | None:
        """The next run for a worker, given what it did last; None if it has nothing more to do."""
        group = None if last is None else self._group[last]
        if group not in self._waiting:
            fresh = [each for each in self._waiting if each not in self._begun]
            left = {each: self._seconds_of(runs) for each, runs in self._waiting.items()}
            group = fresh[0] if fresh else max(left, key=left.__getitem__, default=None)
            if group is None or (not fresh and left[group] < _COMPILING):
                return None
        self._begun.add(group)
        runs = self._waiting[group]
        run = runs.pop(0)
        if not runs:
            del self._waiting[group]
        return run

    def _seconds_of(self, runs: list[Run]) -> float:
        return sum(self._cost[run] for run in runs)


def _seconds(job: Job) -> float:
    """How long a job trains, about."""
    measured = baselines().get(job.task)
    if measured is None:
        return _UNKNOWN
    return measured.milliseconds / 1000 * len(job.fidelity.learning_rates)
