"""The funnel: many cheap trials, few thorough ones, and an independent path for the winner.

screen → proxy (all candidates, fresh problems each round) → validation (the best of each round,
then the finalists) → confirmation (fused path, fresh seeds) → target (the final comparison, which
no choice uses).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from ...dsl.program import Program
from ...dsl.syntax import format_program, parse
from ...evaluators.fidelity import Fidelity
from ...evaluators.scores.early_stopping import BaselineCurve, EarlyStopping, curve_from_plain
from ...evaluators.scores.evaluate import score_from_json, score_to_json
from ...evaluators.scores.scoring import TaskScore, mean_over_tasks
from ..config.settings import SearchConfig, Stage
from ..config.stages import fidelity
from ..execution.base import WorkerHung
from ..execution.jobs import HUNG, Job, Trials, fidelity_from_plain, hung_score
from ..store.records import Proposal

# Added to the fitness (a log-ratio) of candidates that fail the screen or are stopped early.
UNPROMOTED_PENALTY = 0.5
# The number of early-stopping checks in a training run. benchmarks/early_stopping.py prints the
# compute saved, and how many good candidates are stopped in error.
CHECKPOINTS = 5


def round_fidelity(stage: Stage, task: str, number: int) -> Fidelity:
    """The fidelity for a task in a round. Each round has its own seeds."""
    return fidelity(stage, task, number * stage.seeds, CHECKPOINTS)


def proxy_jobs(program: Program, config: SearchConfig, number: int) -> list[Job]:
    """The jobs of one rule on the screen and proxy tasks of a round."""
    stages = (config.funnel.screen, config.funnel.proxy)
    return [
        Job(program, task, round_fidelity(stage, task, number), config.backend)
        for stage in stages
        for task in stage.tasks
    ]


class CandidateTrainer:
    """Sends the candidates of one round to workers, each for screen and proxies in one request."""

    def __init__(
        self, trials: Trials, config: SearchConfig, number: int, curves: Mapping[str, BaselineCurve]
    ) -> None:
        """Prepares a round.

        Args:
          trials: the workers and the store of results.
          config: the search's.
          number: the round's number, from 0.
          curves: the baseline's curves on the round's problems, by task.
        """
        self._trials = trials
        stages = [
            [(task, round_fidelity(stage, task, number)) for task in stage.tasks]
            for stage in (config.funnel.screen, config.funnel.proxy)
        ]
        self._tried = {task: f for stage in stages for task, f in stage}
        self._keys = {
            task: trials.trial(task, f, config.backend) for task, f in self._tried.items()
        }
        funnel = config.funnel
        # The part of the request that all candidates share.
        self._request = {
            "do": "candidate",
            "stages": [[(task, vars(f)) for task, f in stage] for stage in stages],
            "path": config.backend,
            "promote_within": funnel.promote_within,
            "early_stopping": funnel.early_stopping,
            "most_gain": funnel.most_gain,
            "curves": {task: vars(curve) for task, curve in curves.items()},
        }

    def start(self, candidate: Proposal, *, is_new: bool) -> Future[dict[str, Any]]:
        """Has a worker train a candidate.

        Args:
          candidate: to be trained.
          is_new: whether it has no stored scores from an earlier session.

        Returns:
          A future of what `train_candidate` returns. If workers hang on it, the fitness is
          infinite, and HUNG holds the task.
        """
        known = {}
        for task, key in self._keys.items() if not is_new else ():
            if (score := self._trials.results.result(candidate.digest, *key)) is not None:
                known[task] = score
        request = {**self._request, "program": format_program(candidate.program), "known": known}
        what = f"candidate {candidate.ordinal}"
        return self._trials.workers.submit(request, what, ahead=True, on_hang=self._hung)

    def _hung(self, error: WorkerHung) -> dict[str, Any]:
        """The answer for a candidate on which workers hang; it is stored like any other."""
        task = error.task
        scores = {task: hung_score(task, self._tried[task])} if task in self._tried else {}
        return {"fitness": math.inf, "scores": scores, HUNG: task}

    def keep(self, trained: Iterable[tuple[Proposal, Mapping[str, Any]]]) -> None:
        """Stores the new scores in the answers of `train_candidate`."""
        self._trials.results.record(
            (candidate.digest, *self._keys[task], score)
            for candidate, answer in trained
            for task, score in answer["scores"].items()
        )


def train_candidate(
    program: str,
    stages: Sequence[Sequence[tuple[str, dict[str, Any]]]],
    path: str,
    promote_within: float,
    early_stopping: float,
    most_gain: float,
    curves: Mapping[str, dict[str, Any]],
    known: Mapping[str, str],
    score: Callable[[Job, EarlyStopping], TaskScore],
) -> dict[str, Any]:
    """Trains a candidate, in a worker; so all arguments but `score` are plain data.

    Args:
      program: the candidate's text.
      stages: screen and proxy: tasks, each with its fidelity.
      path: name of the backend.
      promote_within, early_stopping, most_gain: see `Funnel`.
      curves: the baseline's `BaselineCurve` by task. known: stored scores of the candidate by task.
      score: trains one job, unless early stopping ends it.

    Returns:
      "fitness", and the new "scores" by task.
    """
    parsed = parse(program)
    ratios: list[float] = []
    new: dict[str, str] = {}

    def train_on(stage: Sequence[tuple[str, dict[str, Any]]]) -> float | None:
        """The log-ratio on the task where it diverged or was stopped early; None if it passed."""
        for task, tried in stage:
            curve = curve_from_plain(curves[task])
            if task in known:
                found = score_from_json(known[task])
            else:
                job = Job(parsed, task, fidelity_from_plain(tried), path)
                # Curves of candidates are not needed later.
                found = replace(
                    score(job, EarlyStopping(curve, early_stopping)), curve=(), curve_steps=()
                )
                new[task] = score_to_json(found)
            ratios.append(curve.log_ratio(found, most_gain))
            if found.diverged or found.stopped_at is not None:
                return ratios[-1]
        return None

    screen, proxy = stages
    behind = train_on(screen)
    if behind is None and mean_over_tasks(ratios) > promote_within:
        behind = mean_over_tasks(ratios)
    if behind is None:
        behind = train_on(proxy)
    fitness = mean_over_tasks(ratios) if behind is None else behind + UNPROMOTED_PENALTY
    return {"fitness": fitness, "scores": new}
