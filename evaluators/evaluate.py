"""Scoring rules on tasks: the one place where programs, tasks and training meet."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Literal, Protocol

from ..dsl.algebra.canonical import program_digest
from ..dsl.program import LEARNING_RATE, Program
from .hurdles import Hurdle
from .scoring import LEARNING_RATES, TaskScore, task_score
from .task_names import short_task

if TYPE_CHECKING:
    from .task import Task
    from .training import TrainingResult

Path = Literal["machine", "fused"]


@dataclass(frozen=True)
class Fidelity:
    """How thoroughly a rule is tried.

    Attributes:
      learning_rates: the grid that every rule gets.
      seeds: of initial weights and minibatches; every rule gets the same.
      steps: of training; None for the task's own number.
      checkpoints: how many times the validation loss is taken, evenly spaced; at most once for
        each step.
      schedule: what the learning rate is multiplied by at each step; see `schedules`.
      moves: how many times the grid may move by half its width, until the best rate lies inside.
    """

    learning_rates: tuple[float, ...] = LEARNING_RATES
    seeds: tuple[int, ...] = (0,)
    steps: int | None = None
    checkpoints: int = 1
    moves: int = 0
    schedule: str = "constant"


class ScoreCache(Protocol):
    """Where scores are kept between runs, by key."""

    def get(self, key: str) -> str | None:
        """The stored text, or None."""
        ...

    def put(self, key: str, value: str) -> None:
        """Stores a text; storing the same key again changes nothing."""
        ...


class Evaluator:
    """Scores rules on tasks; keeps one `Trainer` per task, so each compiles its machine once.

    Attributes:
      trainers: by the names under which the tasks were given.
    """

    def __init__(
        self,
        tasks: Mapping[str, Task],
        cache: ScoreCache | None = None,
        progress: Callable[[], None] = lambda: None,
    ) -> None:
        """Compiles nothing yet.

        Args:
          tasks: by name. cache: of scores. progress: see `Trainer`.
        """
        # Here, because comparing scores that other processes have computed needs no JAX.
        from .training import Trainer

        self.trainers = {name: Trainer(task, progress) for name, task in tasks.items()}
        self.cache = cache

    def score(
        self,
        program: Program,
        task: str,
        fidelity: Fidelity,
        path: Path = "machine",
        hurdle: Hurdle | None = None,
    ) -> TaskScore:
        """Trains and scores, always afresh.

        Args:
          program: the rule.
          task: name of one of this evaluator's tasks.
          fidelity: learning rates, seeds and steps.
          path: "machine" (no compilation per program) or "fused" (one compilation per program).
          hurdle: stops a run by the machine that is far behind, at one of its checkpoints.

        Raises:
          TooLarge: the program does not fit the machine (never on the fused path).
          UserError: losses on the task cannot be compared; see `TaskScore`.
        """
        trainer = self.trainers[task]
        steps = self._steps(task, fidelity)
        run: Callable[..., TrainingResult]
        if path == "fused":
            run = trainer.compiled(program)  # once, wherever the grid moves
        elif hurdle is None:
            run = partial(trainer.with_machine, program)
        else:
            run = partial(trainer.with_machine, program, go_on=hurdle.cleared)

        def on(grid: tuple[float, ...]) -> TaskScore:
            result = run(
                grid,
                fidelity.seeds,
                steps=fidelity.steps,
                schedule=fidelity.schedule,
                checkpoints=fidelity.checkpoints,
            )
            last = int(result.curve_steps[-1])
            return task_score(
                task,
                result,
                grid,
                fidelity.seeds,
                stopped_at=last if last < steps else None,
                lowest=trainer.task.lowest,
                with_curve=fidelity.checkpoints > 1,
            )

        found = on(fidelity.learning_rates)
        for _ in range(fidelity.moves if LEARNING_RATE in program.defaults else 0):
            if not found.at_edge:
                break
            further = on(found.moved_rates)
            # Where all rates diverged, lower ones are tried as far as the grid may move.
            if not (further.is_ahead_of(found) or found.diverged):
                break
            found = further
        return found

    def cached_score(
        self, program: Program, task: str, fidelity: Fidelity, path: Path = "machine"
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
        return self.trainers[task].task.steps if fidelity.steps is None else fidelity.steps

    def key(self, program: Program, task: str, fidelity: Fidelity, path: Path) -> str:
        """What a score depends on: program, task version, fidelity, path, JAX and platform."""
        import jax

        # As many as are taken, so that no score is found that was stored with another number.
        taken = min(fidelity.checkpoints, self._steps(task, fidelity))
        return json.dumps(
            [
                program_digest(program),
                short_task(task),
                self.trainers[task].task.version,
                asdict(replace(fidelity, checkpoints=taken)),
                path,
                jax.__version__,
                jax.default_backend(),
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
