"""The report: honest in words, self-contained, and safe with any text a run may hold."""

from __future__ import annotations

import math
import re
import shutil
import sqlite3
import subprocess
import time
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from evoptax.evaluators.formatting import percent, printable
from evoptax.search.config.settings import Budget, Funnel, SearchConfig, Stage
from evoptax.search.report.conclusions import judge
from evoptax.search.report.lineage.graph import lineage_graph, write
from evoptax.search.report.report import report_html, write_report
from evoptax.search.store.outcome import Outcome, Row
from evoptax.search.store.runs import create_run
from pages import words
from small_ledger import HOSTILE, finish, make_run


def test_a_finished_run_says_what_was_found(tmp_path: Path) -> None:
    run = make_run(tmp_path, count=60)
    outcome = finish(run)
    page = report_html(run)
    text = words(page)
    rule = f"evolved_{outcome.ordinal}"
    assert (
        f"{rule} beats AdamW with default constants on 1 of the 2 tasks that the search never saw"
        in text
    )
    assert "photo_denoiser −3.1 % (95 % interval −4.4 % to −1.9 %)" in text
    assert f"def {rule}(" in text
    assert f"from best_rule_optax import {rule}" in text
    assert "evoptax export trial:best --to optax" in text
    assert percent(outcome.fitness) in text
    assert "time searching 42 s" in text
    assert "seed = 0" in text and "jax 0." in text
    assert page.count('class="kin"') > 1
    assert f"candidate {outcome.ordinal}" in text and re.search("start: (adamw|lion)", text)
    with closing(run.read()) as opened:
        assert f"rejected: does not descend {opened.counts()['rejected']} " in text


@pytest.mark.parametrize("count", [0, 1, 40])
def test_an_unfinished_run_has_a_page(tmp_path: Path, count: int) -> None:
    text = words(report_html(make_run(tmp_path, count=count)))
    expected = "This run is not finished" if count else "This run has not trained a candidate yet."
    assert expected in text
    assert "Continue it with evoptax resume trial." in text
    assert ("proves nothing yet" in text) == bool(count)


def test_a_run_in_which_all_diverged_has_a_page(tmp_path: Path) -> None:
    run = make_run(tmp_path, count=5)
    with sqlite3.connect(run.ledger_path) as db:
        db.execute("update candidates set fitness = ?", [math.inf])
    assert "trained so far, all diverged" in words(report_html(run))


def result(*bounds: tuple[float, float] | None, seeds: int = 5, **changes: object) -> Outcome:
    """An outcome whose rule has these intervals, one for each task."""
    rows = [
        Row("evolved_9", f"task{i}", 1e-3, 1.0, seeds, sum(b) / 2, *b)
        if b
        else Row("evolved_9", f"task{i}", 1e-3, 1.0, seeds, -0.1)
        for i, b in enumerate(bounds)
    ]
    rows += [Row("adamw", f"task{i}", 1e-3, 1.0, seeds) for i in range(len(bounds))]
    return replace(Outcome(9, "", "", -0.1, True, (), tuple(rows)), **changes)  # type: ignore[arg-type]


BETTER, WORSE, OPEN = (-0.2, -0.1), (0.1, 0.2), (-0.1, 0.1)


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (result(BETTER, BETTER), "evolved_9 beats AdamW with default constants on the 2 tasks"),
        (result(BETTER, OPEN), "on 1 of the 2 tasks .*; on the rest the difference is open"),
        (result(BETTER, WORSE), "on 1 of the 2 tasks .*; it is worse on 1"),
        (result(OPEN, OPEN), "cannot be told from AdamW with default constants"),
        (result(OPEN, WORSE), "Nothing better .* is worse on 1 of the 2 tasks"),
        (result(WORSE), "Nothing better .* is worse on the 1 task"),
        (result(None, seeds=1), "cannot be told from"),
        (
            result(BETTER, confirmed=False),
            "Nothing better than AdamW with default constants was found",
        ),
        (result(), "on the tasks it was evolved on"),
    ],
)
def test_the_verdict_claims_no_more_than_was_measured(outcome: Outcome, expected: str) -> None:
    assert re.match(f".*{expected}", judge(asdict(outcome), "adamw", evolved=True).sentence)


def test_the_verdict_says_how_sure_it_is() -> None:
    def caveats(outcome: Outcome) -> str:
        return " ".join(judge(asdict(outcome), "adamw", evolved=True).caveats)

    assert "With 2 seeds for each task the intervals are rough" in caveats(result(BETTER, seeds=2))
    assert "nothing can be claimed" in caveats(result(None, seeds=1))
    assert "rough" not in caveats(result(BETTER, seeds=5))
    diverged = result(BETTER)
    diverged = replace(diverged, comparison=(replace(diverged.comparison[0], loss=math.inf),))
    assert "task0 diverged" in caveats(diverged)


def test_a_starter_that_wins_is_no_discovery() -> None:
    outcome = asdict(result(BETTER))
    for row in outcome["comparison"][:1]:
        row["rule"] = "lion"
    sentence = judge(outcome, "adamw", evolved=False).sentence
    assert sentence == "Nothing better was found than lion, which the search started from."


def test_whatever_a_run_holds_is_text_on_the_page(tmp_path: Path) -> None:
    config = SearchConfig(
        budget=Budget(candidates=30), funnel=Funnel(validation=Stage((f"{HOSTILE}.py:TASK",)))
    )
    run = make_run(
        tmp_path, name="<b>&'", count=30, rounds=4, config=config, doc=HOSTILE, change=HOSTILE
    )
    unfinished = report_html(run)
    finish(
        run, task=f"{HOSTILE}\x07", pruned=(f"{HOSTILE}\x07",), kinship=HOSTILE, tuned=(HOSTILE,)
    )
    lineage = write(lineage_graph(run.read()), "html")
    for page in (report_html(run), unfinished, lineage):
        text = words(page)
        assert "alert(" in text and "<script>" in text  # as text, not as a tag
        assert "\x07" not in page
    assert "run <b>&'" in words(report_html(run))


def test_writing_replaces_the_report_as_a_whole(tmp_path: Path) -> None:
    run = make_run(tmp_path, count=10)
    path = write_report(run)
    assert path == run.folder / "report.html"
    first = path.read_text(encoding="utf-8")
    finish(run)
    assert write_report(run) == path
    assert path.read_text(encoding="utf-8") == report_html(run) != first
    assert not list(run.folder.glob("*.tmp"))


def test_a_long_run_has_a_short_page_soon(tmp_path: Path) -> None:
    count = 20_000
    run = create_run(tmp_path, "long", SearchConfig())
    small = make_run(tmp_path, name="small", count=2)
    with closing(small.read()) as opened:
        starter = opened.candidate(0)
    assert starter is not None
    program, change = starter.program, starter.change
    with sqlite3.connect(run.ledger_path) as db:
        rows = (
            (i, i - 1 if i else None, change, program, str(i), "new", "", None, -1e-5 * i)
            for i in range(count)
        )
        db.executemany("insert into candidates values (?,?,?,?,?,?,?,?,?)", rows)
    started = time.perf_counter()
    page = report_html(run)
    assert time.perf_counter() - started < 10  # under a second on an idle machine
    assert len(page) < 500_000
    assert "2,000 of the others are drawn" in words(page)


@pytest.mark.parametrize(
    ("log_ratio", "expected"),
    [
        (math.log(0.9), "−10.0 %"),
        (math.log(1.004), "+0.40 %"),
        (1e-9, "0 %"),
        (-1e-9, "0 %"),
        (math.inf, "diverged"),
        (math.nan, "–"),
        (None, "–"),
        (700.0, "+5.18e23 %"),
    ],
)
def test_log_ratios_are_shown_as_percent(log_ratio: float | None, expected: str) -> None:
    assert percent(log_ratio) == expected


def test_control_characters_are_written_out() -> None:
    assert printable("a\n\tb\x1b[31m\x00\udc80é→") == "a\n\tb\\x1b[31m\\x00\\udc80é→"


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Debian's chromium")
def test_a_browser_lays_the_page_out_on_a_phone(tmp_path: Path) -> None:
    run = make_run(tmp_path, count=60, rounds=12)
    finish(run, task="a_task_of_mine_with_a_long_name.py:TASK")
    # The page reports on itself: does anything but a scrolling box stick out?
    probe = (
        "<script>document.title = document.documentElement.scrollWidth <= innerWidth"
        " ? 'fits' : 'sticks out'</script></body>"
    )
    inner = tmp_path / "page.html"
    inner.write_text(
        report_html(run).replace("<details>", "<details open>").replace("</body>", probe),
        encoding="utf-8",
    )
    outer = tmp_path / "phone.html"
    outer.write_text(
        '<body><iframe width="375" height="800" src="page.html"></iframe><script>'
        "onload = () => document.title = frames[0].document.title</script></body>"
    )
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
    command += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    command += ["--allow-file-access-from-files", f"--user-data-dir={tmp_path / 'profile'}"]
    done = subprocess.run(
        [*command, "--dump-dom", outer.as_uri()], capture_output=True, text=True, timeout=120
    )
    assert "<title>fits</title>" in done.stdout
