"""Trains many jobs, one seed at a time, in an order that keeps all workers busy until the end."""

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
from ...evaluators.tasks.baselines import baseline_of
from .base import Executor
from .jobs import Job, Stopped, submit

# Approximate seconds to compile a training loop. A worker joins another's group, and compiles the
# same loop again, only if more training than this is left in the group.
_COMPILING = 5.0
# Assumed seconds per seed of a task of unknown cost; such tasks start first.
_UNKNOWN = 15.0


class Run(NamedTuple):
    """What one job trains, with all learning rates."""

    rule: str
    task: str
    seed: int


@dataclass(frozen=True)
class Training:
    """Progress of `train`.

    Attributes:
      running: the runs in progress.
      left: the number of pairs (rule, task) with seeds left.
      seconds_left: an estimate; None before the first run is finished.
      finished: the run that just finished, if it was the last seed of its rule on its task.
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

    Training one seed at a time is no slower than all at once, needs the memory of one, and makes
    the numbers independent of how many seeds are requested.

    Args:
      jobs: each with one seed. workers: an executor that has loaded the tasks.
      report: called when a run finishes. should_stop: polled while waiting.

    Raises:
      UserError, WorkerError: see `Executor.submit`.
      Stopped: when asked to stop; finished scores stay in the user's cache.
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
    """Jobs, the longest tasks first, so that no worker is left with a long one at the end.

    Jobs that share a compiled loop are a group: all rules on one task (machine), or all seeds of
    one rule on one task (fused). A group stays with one worker, so that its loop is compiled once.
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
        """The finished part of the work, from 0 to 1."""
        return self._finished / sum(self._cost.values())

    def finish(self, run: Run) -> None:
        """Counts a run as finished."""
        self._finished += self._cost[run]

    def take(self, last: Run | None) -> Run | None:
        """The next run for a worker whose last run was `last`; None if there is none for it."""
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
    """Estimated training time of a job."""
    measured = baseline_of(job.task)
    if measured is None:
        return _UNKNOWN
    return measured.milliseconds / 1000 * len(job.fidelity.learning_rates)
