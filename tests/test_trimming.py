"""A trimmed run answers as the whole one, from a file that holds little of it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from evoptax.cli.main import main
from evoptax.dsl.errors import UserError
from evoptax.search.report.report import report_html
from evoptax.search.report.trimming import trimmed
from evoptax.search.store.runs import Run, extend, rule_of_run
from small_ledger import finish, make_run

SHOWN = (
    ("show", "trial"),
    ("show", "trial", "--format", "json"),
    ("show", "trial:best", "--format", "latex"),
    ("runs",),
    ("lineage", "trial", "best"),
    ("export", "trial:best", "--to", "json"),
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = make_run(tmp_path_factory.mktemp("whole"), count=300, rounds=3)
    finish(run)
    return run


@pytest.fixture(scope="module")
def small(whole: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return trimmed(whole, tmp_path_factory.mktemp("small") / whole.name)


def test_the_report_is_the_same(whole: Run, small: Run) -> None:
    assert report_html(small) == report_html(whole)
    assert rule_of_run(small, "best") == rule_of_run(whole, "best")


@pytest.mark.parametrize("words", SHOWN, ids=lambda words: " ".join(words))
def test_commands_answer_as_before(
    words: tuple[str, ...], whole: Run, small: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    said = []
    for run in (whole, small):
        assert main([*words, "--runs-dir", str(run.folder.parent)]) == 0
        said.append(capsys.readouterr().out.replace(str(run.folder.parent), "RUNS"))
    assert said[0] == said[1] != ""


def test_what_came_to_nothing_is_gone(whole: Run, small: Run) -> None:
    with closing(whole.read()) as before, closing(small.read()) as after:
        kept = {c.ordinal: c for c in after.candidates()}
        assert 5 < len(kept) < 150
        assert all(before.candidate(ordinal) == c for ordinal, c in kept.items())
        assert all(c.parent in kept for c in kept.values() if c.parent is not None)
        assert [*before.results()] and not [*after.results()]
    assert small.ledger_path.stat().st_size < whole.ledger_path.stat().st_size / 2
    assert [path.name for path in small.folder.iterdir() if "ledger" in path.name] == [
        "ledger.sqlite"
    ]


def test_only_a_finished_run_is_trimmed_and_nothing_is_overwritten(
    whole: Run, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="run 'begun' is not finished"):
        trimmed(make_run(tmp_path, name="begun", count=20), tmp_path / "copy")
    with pytest.raises(UserError, match="exists already"):
        trimmed(whole, tmp_path)


def test_a_trimmed_run_cannot_go_on(small: Run) -> None:
    with pytest.raises(UserError, match="trimmed to its ancestry, and cannot go on"):
        extend(small, {"candidates": 1_000_000})
