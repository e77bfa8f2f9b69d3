"""Workers that train nothing: what a ledger holds is what they answer."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from typing import Any

from evoptax.dsl.algebra.canonical import program_digest
from evoptax.evaluators.scores.early_stopping import EarlyStopping
from evoptax.evaluators.scores.evaluate import score_from_json
from evoptax.evaluators.scores.scoring import TaskScore
from evoptax.search.execution.jobs import Job, job_from_plain
from evoptax.search.selection.funnel import train_candidate
from evoptax.search.store.ledger import open_to_read


class Recorded:
    """Answers as `Workers` do, with the scores that a finished run's ledger holds.

    All but training is what a search does; what the run never trained is an error.
    """

    count = 1

    def __init__(self, ledger: Path) -> None:
        with closing(open_to_read(ledger)) as opened:
            self._versions = {task: version for _, task, version, *_ in opened.content()["results"]}
            self._scores = {
                (digest, task, fidelity, path): scores
                for digest, task, fidelity, path, scores in opened.results()
            }

    def versions(self) -> Mapping[str, int]:
        return self._versions

    def submit(self, request: Mapping[str, Any], what: str, **how: Any) -> Future[Any]:
        request = dict(request)
        answer: Future[Any] = Future()
        match request.pop("do"):
            case "backend":
                answer.set_result("cpu")
            case "score":
                answer.set_result(self._text(job_from_plain(request["job"])))
            case "candidate":
                answer.set_result(train_candidate(score=self._score, **request))
            case other:
                raise AssertionError(f"nobody recorded what answers {other}")
        return answer

    def cancel(self) -> None:
        pass

    def _score(self, job: Job, early_stopping: EarlyStopping) -> TaskScore:
        return score_from_json(self._text(job))

    def _text(self, job: Job) -> str:
        return self._scores[program_digest(job.program), job.task, job.trial, job.path]
