"""A run is created whole or not at all, whenever its creator dies, and by one process alone."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from contextlib import closing
from pathlib import Path

import pytest
from creation_deaths import deaths_in_creation
from damage import assert_one_sentence, run_command
from evoptax.dsl.errors import UserError
from evoptax.search.config.files import load_config
from evoptax.search.config.settings import SearchConfig
from evoptax.search.store.runs import Run, create_run, list_runs, stored_config

CONFIG = SearchConfig()


def test_death_at_any_statement_leaves_a_whole_run_or_none(tmp_path: Path) -> None:
    left = deaths_in_creation(tmp_path, CONFIG)
    assert len(left) > 20
    made = [bool([*list_runs(runs_dir)]) for runs_dir in left]
    assert True in made and False in made
    for runs_dir, is_made in zip(left, made, strict=True):
        create_run(runs_dir, "next" if is_made else "made", CONFIG)
        names = ["made", "next"] if is_made else ["made"]
        assert sorted(os.listdir(runs_dir)) == names, "what the dead left is gone"
        assert sorted(os.listdir(runs_dir / "made")) == ["config.toml", "ledger.sqlite"]
        with closing(Run(runs_dir / "made").read()) as opened:
            assert stored_config(opened) == CONFIG
        assert load_config(runs_dir / "made" / "config.toml", CONFIG) == CONFIG


def test_of_several_that_create_a_run_one_wins(tmp_path: Path) -> None:
    assert _create_at_once(tmp_path, "mine") == {"": 1, "run 'mine' exists already": 5}
    assert _create_at_once(tmp_path, None) == {"": 6}
    assert len([*list_runs(tmp_path)]) == 7
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".")]


def _create_at_once(runs_dir: Path, name: str | None) -> dict[str, int]:
    """How often six processes said what."""
    code = """
        import os, sys
        from pathlib import Path
        from evoptax.dsl.errors import UserError
        from evoptax.known_algorithms import catalogue
        from evoptax.search.config.settings import SearchConfig
        from evoptax.search.store.runs import create_run
        start, go = os.pipe()
        said = [os.pipe() for _ in range(6)]
        for _, answer in said:
            if not os.fork():
                os.close(go)
                os.read(start, 1)
                try:
                    create_run(Path(sys.argv[1]), sys.argv[2] or None, SearchConfig())
                except UserError as error:
                    os.write(answer, str(error).encode())
                os._exit(0)
            os.close(answer)
        os.close(go)
        for answer, _ in said:
            print(os.read(answer, 1000).decode())
    """
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code), str(runs_dir), name or ""],
        check=True,
        capture_output=True,
        text=True,
    )
    said = [line.partition(";")[0] for line in done.stdout.splitlines()]
    return {words: said.count(words) for words in said}


def _file(folder: Path) -> Path:
    (folder / "file").write_text("in the way")
    return folder / "file"


def _notes(folder: Path) -> Path:
    (folder / "made").mkdir()
    (folder / "made" / "notes.txt").write_text("mine")
    return folder


PLACES = {
    "a file": (_file, "'{}' is not a folder"),
    "below a file": (lambda folder: _file(folder) / "runs", "'{}/file' is not a folder"),
    "a folder that is no run": (_notes, "'{}/made' exists already and is no run"),
    "/dev": (lambda folder: Path("/dev/null"), "'/dev/null' is not a folder"),
    "/proc": (lambda folder: Path("/proc/1"), "cannot write to '/proc/1"),
}


@pytest.mark.parametrize("place", PLACES)
def test_where_no_run_can_be_nothing_is_written(place: str, tmp_path: Path) -> None:
    make, words = PLACES[place]
    runs_dir = make(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    said = words.format(tmp_path if make is not _file else runs_dir)
    with pytest.raises(UserError) as refused:
        create_run(runs_dir, "made", CONFIG)
    assert said in str(refused.value)
    answer = run_command(
        ["search", "--preset", "quick", "--name", "made", "--runs-dir", str(runs_dir)]
    )
    assert_one_sentence(*answer)
    assert said in answer[2]
    assert sorted(tmp_path.rglob("*")) == before


def test_an_empty_folder_becomes_the_run(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    assert create_run(tmp_path, "made", CONFIG).ledger_path.is_file()
