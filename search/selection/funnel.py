"""The funnel: many cheap trials, few thorough ones, and an independent path for the winner.

screen → proxy (every candidate, each round on fresh problems) → validation (the best of each round,
then the finalists) → confirmation (fused path, fresh seeds) → target (the final comparison, by
which nothing is chosen).
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

# A candidate that fails the screen or is stopped early ranks behind one that passed and did this
# much worse.
UNPROMOTED_PENALTY = 0.5
# How many times during a candidate's training run it is compared with the baseline; what that
# saves, and whom it stops in error, is printed by benchmarks/early_stopping.py.
CHECKPOINTS = 5


def round_fidelity(stage: Stage, task: str, number: int) -> Fidelity:
    """How thoroughly rules are tried on a task in a round, whose seeds no other round has."""
    return fidelity(stage, task, number * stage.seeds, CHECKPOINTS)


def proxy_jobs(program: Program, config: SearchConfig, number: int) -> list[Job]:
    """A rule on all that candidates are trained on in a round."""
    stages = (config.funnel.screen, config.funnel.proxy)
    return [
        Job(program, task, round_fidelity(stage, task, number), config.backend)
        for stage in stages
        for task in stage.tasks
    ]


class CandidateTrainer:
    """Screen, then proxies for those that pass; a worker does both in one go."""

    def __init__(
        self, trials: Trials, config: SearchConfig, number: int, curves: Mapping[str, BaselineCurve]
    ) -> None:
        """For one round.

        Args:
          trials: who train, and where results are kept.
          config: of the search.
          number: the round's, from 0; each has seeds of its own.
          curves: the baseline's on the round's problems, by task.
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
        # What is the same for every candidate.
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
          is_new: whether no earlier session can have trained it on any task.

        Returns:
          What `train_candidate` returns; where workers hang at it, that it diverged, and HUNG with
          the task.
        """
        known = {}
        for task, key in self._keys.items() if not is_new else ():
            if (score := self._trials.results.result(candidate.digest, *key)) is not None:
                known[task] = score
        request = {**self._request, "program": format_program(candidate.program), "known": known}
        what = f"candidate {candidate.ordinal}"
        return self._trials.workers.submit(request, what, ahead=True, on_hang=self._hung)

    def _hung(self, error: WorkerHung) -> dict[str, Any]:
        """What a candidate gets at which workers hang. Resumed, a run finds it in the ledger."""
        task = error.task
        scores = {task: hung_score(task, self._tried[task])} if task in self._tried else {}
        return {"fitness": math.inf, "scores": scores, HUNG: task}

    def keep(self, trained: Iterable[tuple[Proposal, Mapping[str, Any]]]) -> None:
        """Stores the new scores of candidates, given with what `train_candidate` returned."""
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
    """Trains a candidate. This is what a worker runs, so all but `score` is plain data.

    Args:
      program: the candidate's text.
      stages: screen and proxy: tasks, each with its fidelity.
      path: name of the backend.
      promote_within, early_stopping, most_gain: see `Funnel`.
      curves: by task, the baseline's `BaselineCurve`. known: the candidate's scores that are known.
      score: trains one job, unless early stopping ends it.

    Returns:
      "fitness", and by task the "scores" that were not known.
    """
    parsed = parse(program)
    ratios: list[float] = []
    new: dict[str, str] = {}

    def train_on(stage: Sequence[tuple[str, dict[str, Any]]]) -> float | None:
        """Its log-ratio on the task of a stage where it was stopped early; None if it was not."""
        for task, tried in stage:
            curve = curve_from_plain(curves[task])
            if task in known:
                found = score_from_json(known[task])
            else:
                job = Job(parsed, task, fidelity_from_plain(tried), path)
                # Nobody looks at a candidate's curve again.
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
