"""Scoring rules on tasks: the one place where programs, tasks and training meet."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Protocol

from ...dsl.algebra.canonical import program_digest
from ...dsl.oracles import oracles_of
from ...dsl.program import Program
from ..backends.base import AS_DATA, Backend, Hyperparameters, open_backend
from ..fidelity import Fidelity
from ..task_names import short_task
from .early_stopping import EarlyStopping
from .learning_rates import rate_search
from .scoring import TaskScore, task_score

if TYPE_CHECKING:
    from ..task import Task


class ScoreCache(Protocol):
    """Where scores are kept between runs, by key."""

    def get(self, key: str) -> str | None:
        """The stored text, or None."""
        ...

    def put(self, key: str, value: str) -> None:
        """Stores a text; storing the same key again changes nothing."""
        ...


class Evaluator:
    """Scores rules on tasks; keeps the backends of each task, so each compiles its loops once."""

    def __init__(
        self,
        tasks: Mapping[str, Task],
        cache: ScoreCache | None = None,
        progress: Callable[[], None] = lambda: None,
    ) -> None:
        """Compiles nothing yet.

        Args:
          tasks: by name. cache: of scores. progress: see `backends.base.Opener`.
        """
        # Here, because comparing scores that other processes have computed needs no JAX.
        from ..backends.problems import Problems

        self._problems = {name: Problems(task) for name, task in tasks.items()}
        self._backends: dict[tuple[str, str], Backend] = {}
        self._progress = progress
        self.cache = cache

    def backend(self, task: str, name: str) -> Backend:
        """What trains on a task. Raises UserError where there is no backend of that name."""
        if (task, name) not in self._backends:
            opened = open_backend(name, self._problems[task], self._progress)
            self._backends[task, name] = opened
        return self._backends[task, name]

    def shapes(self, task: str) -> tuple[tuple[int, ...], ...]:
        """The shapes of a task's parameter tensors."""
        return self._problems[task].layout.shapes

    def score(
        self,
        program: Program,
        task: str,
        fidelity: Fidelity,
        path: str = AS_DATA,
        early_stopping: EarlyStopping | None = None,
    ) -> TaskScore:
        """Trains and scores, always afresh, with the learning rate tuned.

        Args:
          program: the rule.
          task: name of one of this evaluator's tasks.
          fidelity: learning rates, seeds and steps.
          path: name of the backend.
          early_stopping: stops a run that is far behind, at one of its checkpoints.

        Raises:
          UserError: the backend refuses the rule, or losses on the task cannot be compared; see
            `TaskScore`.
        """
        search = rate_search(program, fidelity.learning_rates, fidelity.moves)
        while search.grid is not None:
            on = replace(fidelity, learning_rates=search.grid)
            search = search.tell(self.score_on(program, task, on, path, early_stopping))
        return search.found

    def score_on(
        self,
        program: Program,
        task: str,
        fidelity: Fidelity,
        path: str = AS_DATA,
        early_stopping: EarlyStopping | None = None,
        hyperparameters: Hyperparameters | None = None,
    ) -> TaskScore:
        """As `score`, on a grid that stays where it is.

        Args:
          program, task, fidelity, path, early_stopping: as in `score`.
          hyperparameters: values of others than the learning rate, one for each of those.
        """
        (result,) = self.backend(task, path).train(
            [program],
            fidelity,
            stop=early_stopping.stops if early_stopping else None,
            hyperparameters=hyperparameters,
        )
        last = int(result.curve_steps[-1])
        return task_score(
            task,
            result,
            fidelity.learning_rates,
            fidelity.seeds,
            stopped_at=last if last < self._steps(task, fidelity) else None,
            lowest=self._problems[task].task.lowest,
            with_curve=fidelity.checkpoints > 1,
        )

    def cached_score(
        self, program: Program, task: str, fidelity: Fidelity, path: str = AS_DATA
    ) -> TaskScore:
        """As `score`, but looked up first; for baselines, which are the same in every run."""
        if self.cache is None:
            return self.score(program, task, fidelity, path)
        key = self.key(program, task, fidelity, path)
        if (known := self.cache.get(key)) is not None:
            # Under the name it has here: the file of a user's task may have moved.
            return replace(score_from_json(known), task=task)
        score = self.score(program, task, fidelity, path)
        self.cache.put(key, score_to_json(score))
        return score

    def _steps(self, task: str, fidelity: Fidelity) -> int:
        """How many steps a run of the task takes."""
        return self._problems[task].task.steps if fidelity.steps is None else fidelity.steps

    def key(self, program: Program, task: str, fidelity: Fidelity, path: str) -> str:
        """What a score depends on: program, task version, fidelity, path, JAX and platform."""
        import jax

        # Scores of rules that ask oracles are stored since steps are counted by their cost.
        by_cost = ["per gradient evaluation"] if oracles_of(program) else []
        # As many as are taken, so that no score is found that was stored with another number.
        taken = min(fidelity.checkpoints, self._steps(task, fidelity))
        return json.dumps(
            [
                program_digest(program),
                short_task(task),
                self._problems[task].task.version,
                replace(fidelity, checkpoints=taken).plain(),
                path,
                jax.__version__,
                jax.default_backend(),
                *by_cost,
            ]
        )


def score_to_json(score: TaskScore) -> str:
    """Exact: numbers are written so that they read back as themselves."""
    data = asdict(score)
    if not score.failure:
        del data["failure"]
    return json.dumps(data)


def score_from_json(text: str) -> TaskScore:
    """The inverse of `score_to_json`."""
    data = json.loads(text)
    return TaskScore(
        data["task"],
        tuple(data["learning_rates"]),
        tuple(data["seeds"]),
        tuple(tuple(row) for row in data["scores"]),
        tuple(tuple(map(tuple, row)) for row in data.get("curve", ())),
        tuple(data.get("curve_steps", ())),
        data.get("stopped_at"),
        data.get("exploits", 0),
        data.get("floor", 0.0),
        data.get("failure", ""),
    )
