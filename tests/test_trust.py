"""A task file is executed only by who has named it, and a run finds its files wherever they are."""

from __future__ import annotations

import importlib.util
import json
import os
import py_compile
import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from damage import assert_one_sentence, run_command
from evoptax.dsl.errors import UserError
from evoptax.evaluators.fidelity import Fidelity
from evoptax.evaluators.scores.evaluate import Evaluator
from evoptax.evaluators.task import load_task_file
from evoptax.known_algorithms.catalogue import get_known
from evoptax.search.config.files import (
    config_from_dict,
    config_to_dict,
    config_to_toml,
    load_config,
)
from evoptax.search.config.settings import SearchConfig
from evoptax.search.store import ledger
from evoptax.search.store.moving import point_elsewhere
from evoptax.search.store.runs import CONFIG, Run, create_run, stored_config
from evoptax.search.store.task_files import FACT, check_files, checksum, stored_checksums
from evoptax.search.store.trust import is_trusted, trust
from small_search import TASK, run_small, settings, write_task

# Leaves a trace where it is executed.
EVIL = "from pathlib import Path\nPath(__file__).with_name('executed').touch()\n" + TASK


@pytest.fixture(autouse=True)
def another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose own folder is empty."""
    monkeypatch.setenv("EVOPTAX_DATA_DIR", str(tmp_path / "data"))


def shared_run(runs_dir: Path, task: str) -> Run:
    """A run of somebody else: its ledger names a task that this user has never named."""
    run = create_run(runs_dir, "shared", SearchConfig())
    config = config_from_dict(settings(task))
    with closing(ledger.open_to_write(run.ledger_path)) as opened:
        opened.set_fact("config", config_to_dict(config))
    return run


def resume(runs_dir: Path, *options: str) -> tuple[int, str, str]:
    return run_command(["resume", "shared", *options, "--runs-dir", str(runs_dir)])


@pytest.mark.parametrize("how", ["relative", "whole"])
def test_resume_executes_no_file_that_only_a_ledger_names(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    runs_dir = Path("runs")
    evil = runs_dir / "shared" / "evil.py"
    shared_run(runs_dir, f"{evil if how == 'relative' else evil.resolve()}:Quadratic")
    evil.write_text(EVIL)
    status, out, err = resume(runs_dir)
    assert_one_sentence(status, out, err)
    assert f"{evil.resolve()}:Quadratic" in err and "--trust-tasks" in err
    assert not evil.with_name("executed").exists()


def check(run: Run, **options: Any) -> None:
    with closing(run.read()) as opened:
        check_files(run.name, stored_config(opened), stored_checksums(opened), **options)


def test_a_task_is_confirmed_once(tmp_path: Path) -> None:
    task = write_task(tmp_path)
    run = shared_run(tmp_path / "runs", task)
    with pytest.raises(UserError, match="--trust-tasks"):
        check(run)
    check(run, trusting=True)
    check(run)


def test_another_name_in_a_trusted_file_is_not_trusted(tmp_path: Path) -> None:
    task = write_task(tmp_path)
    check(shared_run(tmp_path / "runs", task), trusting=True)
    other = shared_run(tmp_path / "others", task.replace(":Quadratic", ":exit"))
    with pytest.raises(UserError, match=r":exit'.*--trust-tasks"):
        check(other)


def test_a_run_of_ones_own_goes_on_unasked(tmp_path: Path) -> None:
    task = write_task(tmp_path)
    check(create_run(tmp_path / "runs", "own", config_from_dict(settings(task))))


def test_a_file_that_has_changed_is_refused_whoever_trusts_it(tmp_path: Path) -> None:
    task = write_task(tmp_path)
    run = create_run(tmp_path / "runs", "own", config_from_dict(settings(task)))
    (tmp_path / "small_task.py").write_text(TASK + "\n")
    for trusting in (False, True):
        with pytest.raises(UserError, match=r"has changed since.*--task FILE\.py:Quadratic"):
            check(run, trusting=trusting)
    (said,) = point_elsewhere(run, [task])
    assert "does not hold what" in said
    check(run, named=[task])


def test_where_nothing_can_be_remembered_it_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("EVOPTAX_DATA_DIR", str(tmp_path / "file" / "below"))
    run = shared_run(tmp_path / "runs", write_task(tmp_path))
    check(run, trusting=True)
    with pytest.raises(UserError, match="--trust-tasks"):
        check(run)


def test_the_list_holds_tasks_with_their_content() -> None:
    assert not is_trusted("/a.py:T", "1")
    trust("/a.py:T", "1")
    trust("/a\n.py:T", "2")
    assert is_trusted("/a.py:T", "1") and is_trusted("/a\n.py:T", "2")
    assert not is_trusted("/a.py:T", "2") and not is_trusted("/b.py:T", "1")


def test_a_compiled_file_beside_it_is_not_what_is_run(tmp_path: Path) -> None:
    task = write_task(tmp_path)
    path = tmp_path / "small_task.py"
    # Of the same size and time as the file, by which Python takes it for the file's.
    evil = tmp_path / "evil.py"
    source = (EVIL[: EVIL.index('"""')] + "#" * len(TASK))[: len(TASK)]
    evil.write_text(source)
    stamp = path.stat()
    os.utime(evil, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    cached = importlib.util.cache_from_source(str(path))
    Path(cached).parent.mkdir()
    py_compile.compile(str(evil), cfile=cached, dfile=str(path))
    load_task_file(task)
    assert not (tmp_path / "executed").exists()


# --- where files are ---


def test_files_of_a_configuration_are_found_from_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    folder = tmp_path / "project"
    folder.mkdir()
    text = """
    traces = "box.npz"
    [funnel.screen]
    tasks = ["quadratic", "mine.py:T", "../other.py:T", "~/third.py:T", "/fourth.py:T"]
    """
    (folder / "search.toml").write_text(text)
    config = load_config(folder / "search.toml", SearchConfig())
    assert config.traces == str(folder / "box.npz")
    assert config.funnel.screen.tasks == (
        "quadratic",
        f"{folder}/mine.py:T",
        f"{tmp_path}/other.py:T",
        f"{tmp_path}/home/third.py:T",
        "/fourth.py:T",
    )
    # What a run writes is read back the same, from anywhere.
    (tmp_path / "copy.toml").write_text(config_to_toml(config))
    assert load_config(tmp_path / "copy.toml", SearchConfig()) == config


@pytest.mark.parametrize("task", ["mine.py:", ":T", "mine.py:a b", "mi\\u0000ne.py:T"])
def test_what_names_no_file_is_refused(task: str, tmp_path: Path) -> None:
    path = tmp_path / "search.toml"
    path.write_text(f'[funnel.screen]\ntasks = ["{task}"]\n')
    with pytest.raises(UserError, match=r"search\.toml: "):
        load_config(path, SearchConfig())


def test_resume_says_where_it_looked(tmp_path: Path) -> None:
    task = write_task(tmp_path)
    shared_run(tmp_path / "runs", task)
    (tmp_path / "small_task.py").unlink()
    status, out, err = resume(tmp_path / "runs", "--trust-tasks")
    assert_one_sentence(status, out, err)
    assert str(tmp_path / "small_task.py") in err
    assert "evoptax resume shared --task FILE.py:Quadratic" in err


WRONG_PLACES = {
    "another name": ("small_task.py:Cubic", "no task named 'Cubic'"),
    "no such file": ("nowhere.py:Quadratic", "no file"),
    "no form": ("small_task.py", "FILE.py:NAME"),
}


@pytest.mark.parametrize("case", WRONG_PLACES)
def test_a_wrong_place_is_refused(case: str, tmp_path: Path) -> None:
    task = write_task(tmp_path)
    run = create_run(tmp_path / "runs", "shared", config_from_dict(settings(task)))
    before = ledger.read_content(run.ledger_path)
    place, words = WRONG_PLACES[case]
    status, out, err = resume(tmp_path / "runs", "--task", str(tmp_path / place))
    assert_one_sentence(status, out, err)
    assert words in err
    assert ledger.read_content(run.ledger_path) == before


def test_a_run_whose_task_has_moved_goes_on_exactly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped after 12 candidates, then continued from another folder with the file elsewhere."""
    monkeypatch.setenv("EVOPTAX_CACHE_DIR", str(tmp_path / "cache"))
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    new.mkdir()
    whole, _ = run_small(tmp_path / "runs", "whole", write_task(old))
    part, _ = run_small(tmp_path / "runs", "shared", write_task(old), budget={"candidates": 12})
    shutil.move(old / "small_task.py", new / "small_task.py")
    status, _, err = resume(
        *(tmp_path / "runs", "--task", f"{new}/small_task.py:Quadratic", "--workers", "1"),
        *("--budget.candidates", "40"),
    )
    assert status == 0, err
    assert f"{new}/small_task.py:Quadratic" in (part.folder / CONFIG).read_text()
    text = json.dumps(ledger.read_content(part.ledger_path))
    assert str(old) not in text
    moved = json.loads(text.replace(str(new), str(old)))
    unmoved = json.loads(json.dumps(ledger.read_content(whole.ledger_path)))
    assert moved["facts"] == unmoved["facts"] and moved["candidates"] == unmoved["candidates"]
    # It was finished before, with finalists of its own.
    assert all(row in moved["results"] for row in unmoved["results"])


def test_a_cached_score_is_that_of_the_file_wherever_it_is(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "new").mkdir()
    store: dict[str, str] = {}

    class Store:
        get = staticmethod(store.get)
        put = staticmethod(store.__setitem__)

    program = get_known("sgd").program
    scores = []
    for task in (write_task(tmp_path / "old"), write_task(tmp_path / "new")):
        evaluator = Evaluator({task: load_task_file(task)}, Store())
        scores.append(evaluator.cached_score(program, task, Fidelity((0.1,)), "fused"))
        assert scores[-1].task == task
    assert len(store) == 1 and scores[0].scores == scores[1].scores


def test_traces_that_have_moved(tmp_path: Path) -> None:
    (tmp_path / "box.npz").write_bytes(b"recorded")
    config = SearchConfig(traces=str(tmp_path / "box.npz"))
    run = create_run(tmp_path / "runs", "shared", config)
    shutil.move(tmp_path / "box.npz", tmp_path / "moved.npz")
    with pytest.raises(UserError, match=r"box\.npz.*--traces FILE"):
        check(run)
    assert point_elsewhere(run, [], str(tmp_path / "moved.npz")) == ()
    check(run)
    with closing(run.read()) as opened:
        assert stored_config(opened).traces == str(tmp_path / "moved.npz")
        assert opened.fact(FACT) == {str(tmp_path / "moved.npz"): checksum(tmp_path / "moved.npz")}
