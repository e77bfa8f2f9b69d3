"""What every executor keeps, and that a further one is one file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from evoptax.cli.main import main
from evoptax.dsl.errors import UserError
from evoptax.evaluators.fidelity import Fidelity
from evoptax.known_algorithms.catalogue import get_known
from evoptax.search.config.files import config_from_dict, config_to_toml
from evoptax.search.engine.loop import run_search
from evoptax.search.execution import executors as folder
from evoptax.search.execution.base import Executor, executors, open_executor
from evoptax.search.execution.jobs import Job
from evoptax.search.store.ledger import read_content
from evoptax.search.store.runs import create_run
from small_search import settings, write_task

FIDELITY = Fidelity((1e-2, 1e-1), (0, 1))
BROKEN = """
class Broken:
    steps = 5

    def init(self, key):
        return [1.0]

    def batch(self, key):
        return None

    def loss(self, params, batch):
        raise RuntimeError("no data today")

    def score(self, params):
        return params[0] ** 2
"""


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_task(tmp_path_factory.mktemp("task"))


@pytest.fixture(scope="module", params=executors())
def name(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture(scope="module")
def executor(name: str, task: str) -> Iterator[Executor]:
    # Two processes, so that what differs between them would show.
    with open_executor([task, "quadratic"], 2 if name == "processes" else name) as found:
        yield found


@pytest.fixture(scope="module")
def one(task: str) -> Iterator[Executor]:
    """What others are compared with: one worker process."""
    with open_executor([task, "quadratic"], 1) as found:
        yield found


def _request(rule: str, task: str) -> dict[str, Any]:
    return {"do": "score", "job": Job(get_known(rule).program, task, FIDELITY, "machine").plain()}


def test_tasks_are_loaded(executor: Executor, task: str) -> None:
    assert executor.versions().keys() == executor.tiers().keys() == {task, "quadratic"}
    assert executor.tiers()["quadratic"] == "proxy"
    assert executor.count >= 1


def test_answers_are_those_of_one_process(executor: Executor, one: Executor, task: str) -> None:
    requests = [_request(rule, on) for rule in ("adamw", "lion") for on in (task, "quadratic")]
    found = [executor.submit(request, "a trial") for request in requests]
    expected = [one.submit(request, "a trial").result() for request in requests]
    assert [future.result() for future in found] == expected
    assert len(set(expected)) == len(expected)


def test_requests_and_answers_are_plain_data(executor: Executor) -> None:
    request = _request("adamw", "quadratic")
    answer = executor.submit(json.loads(json.dumps(request)), "a trial", ahead=True).result()
    assert answer == executor.submit(request, "a trial").result()
    assert json.loads(json.dumps(answer)) == answer


def test_a_mistake_of_the_task_is_a_sentence(executor: Executor, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(BROKEN)
    task = f"{tmp_path / 'broken.py'}:Broken"
    with pytest.raises(UserError, match=r"broken\.py.*no data today") as caught:
        executor.submit(_request("adamw", task), "a trial").result()
    assert "\n" not in str(caught.value)
    # It goes on.
    assert executor.submit(_request("adamw", "quadratic"), "a trial").result()


def test_an_unknown_request_is_an_error(executor: Executor) -> None:
    with pytest.raises(RuntimeError, match=r"the trial failed.*dance"):
        executor.submit({"do": "dance"}, "the trial").result()


def test_a_search_does_not_depend_on_it(
    executor: Executor, one: Executor, task: str, tmp_path: Path
) -> None:
    config = config_from_dict(settings(task, candidates=20))
    contents = []
    for who, where in ((executor, "this"), (one, "one")):
        run = create_run(tmp_path / where, "small", config)
        assert run_search(run, config, who) is not None
        contents.append(read_content(run.ledger_path))
    assert contents[0] == contents[1]


def test_after_the_end_everything_is_cancelled(name: str) -> None:
    closed = open_executor(["quadratic"], name)
    closed.versions()
    closed.cancel()
    closed.close()
    assert closed.submit(_request("adamw", "quadratic"), "a trial").cancelled()


def test_a_task_that_is_not_there(name: str) -> None:
    with (
        open_executor(["nowhere.py:Task"], name) as found,
        pytest.raises(UserError, match="nowhere"),
    ):
        found.versions()


def test_command_line_takes_it(
    name: str, task: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "small.toml"
    config.write_text(config_to_toml(config_from_dict(settings(task, candidates=6))))
    options = ["--runs-dir", str(tmp_path), "--workers", name]
    assert main(["search", str(config), "--name", "small", *options]) == 0, capfd.readouterr().err
    assert "workers = " in (tmp_path / "small" / "config.toml").read_text()


@pytest.mark.parametrize("where", ["elsewhere", "processes:many", "in_process:here", ""])
def test_what_there_is_not_is_refused(where: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "adamw", "--tasks", "quadratic", "--workers", where]) == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error and len(error.splitlines()) == 1


TOY = """
from evoptax.search.execution.executors.in_process import InProcess


class Counting(InProcess):
    asked = 0

    def submit(self, request, what, **how):
        Counting.asked += 1
        return super().submit(request, what, **how)


def EXECUTOR(tasks, count, where):
    return Counting(tasks)
"""


def test_a_further_executor_is_one_file(
    one: Executor,
    task: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "toys").mkdir()
    (tmp_path / "toys" / "counting.py").write_text(TOY)
    monkeypatch.setattr(folder, "__path__", [*folder.__path__, str(tmp_path / "toys")])
    assert "counting" in executors()
    with open_executor([task, "quadratic"], "counting") as toy:
        test_tasks_are_loaded(toy, task)
        test_answers_are_those_of_one_process(toy, one, task)
        test_requests_and_answers_are_plain_data(toy)
        test_a_mistake_of_the_task_is_a_sentence(toy, tmp_path)
        test_an_unknown_request_is_an_error(toy)
    test_after_the_end_everything_is_cancelled("counting")
    test_a_task_that_is_not_there("counting")
    test_command_line_takes_it("counting", task, tmp_path, capfd)
