"""What report and terminal say of a search: its rounds, its funnel, its hall of fame."""

from __future__ import annotations

import json
import math
import re
import sqlite3
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from evoptax.cli.main import main
from evoptax.cli.progress import describe
from evoptax.search.config.settings import Budget, Evolution, Funnel, SearchConfig, Stage
from evoptax.search.engine.progress import Progress
from evoptax.search.report.conclusions import judge
from evoptax.search.report.counts import SearchCounts, cache_words, funnel_words, read_counts
from evoptax.search.report.hall_of_fame import hall_of_fame, standing
from evoptax.search.report.report import report_html
from evoptax.search.store import ledger
from evoptax.search.store.outcome import Champion, Finalist, Round, read_rounds
from evoptax.search.store.runs import Run
from pages import words
from small_ledger import FINALISTS, finish, make_run, tell_rounds

CONFIG = SearchConfig(
    budget=Budget(candidates=200),
    funnel=Funnel(
        screen=Stage(("quadratic", "rosenbrock")),
        proxy=Stage(("digits_mlp", "digits_conv"), seeds=2),
        validation=Stage(("cancer_mlp",)),
        finalists=FINALISTS,
    ),
)


def counts_of(run: Run, config: SearchConfig = CONFIG) -> SearchCounts:
    with closing(run.read()) as opened:
        return read_counts(opened, config, read_rounds(opened))


def retell(run: Run, rounds: list[Round]) -> None:
    with closing(ledger.open_to_write(run.ledger_path)) as opened:
        tell_rounds(opened, rounds)


# --- the funnel ---


@pytest.mark.parametrize("rounds", [0, 1, 7])
def test_the_funnel_counts_what_the_ledger_holds(tmp_path: Path, rounds: int) -> None:
    run = make_run(tmp_path, count=200, rounds=rounds, config=CONFIG)
    counts = counts_of(run)
    with closing(run.read()) as opened:
        candidates = list(opened.candidates())
    assert counts.proposed == len(candidates)
    for status, count in (("new", counts.new), ("again", counts.again)):
        assert count == sum(c.status == status for c in candidates)
    assert (counts.again > 0) == (rounds > 1)
    alike = sum(c.status == "duplicate" and c.reason == "behaves the same" for c in candidates)
    assert counts.same_behaviour == alike > 0
    assert counts.duplicates == sum(c.status == "duplicate" for c in candidates)
    assert counts.rejected == {"does not descend": sum(c.status == "rejected" for c in candidates)}
    trained = [c for c in candidates if c.status in ("new", "again")]
    assert [ordinal for ordinal, _ in counts.trials] == [c.ordinal for c in trained]
    # What `small_ledger.record` made up.
    diverged = sum(c.ordinal % 5 == 4 for c in trained)
    stopped = sum(c.ordinal % 4 == 3 and c.ordinal % 5 != 4 for c in trained)
    first, *others = counts.reached
    assert (first.task, first.stage, first.trials) == ("quadratic", "screen", len(trained))
    assert (first.stopped, first.diverged) == (stopped, diverged)
    assert {r.trials for r in others} == {len(trained) - stopped - diverged} == {counts.whole}
    assert counts.unpromoted == 0


def test_each_task_of_a_round_hands_on_to_the_next(tmp_path: Path) -> None:
    """Later seeds of the same tasks, and results of later stages, are of no round."""
    run = make_run(tmp_path, count=100, rounds=3, config=CONFIG)
    before = counts_of(run)
    with sqlite3.connect(run.ledger_path) as db:
        rows = db.execute("select * from results where task = 'quadratic'").fetchall()
        for digest, task, version, fidelity, path, scores in rows:
            final = json.dumps(json.loads(fidelity) | {"seeds": [2_000_000]})
            db.execute(
                "insert or ignore into results values (?,?,?,?,?,?)",
                (digest, task, version, final, path, scores),
            )
            db.execute(
                "insert into results values (?,?,?,?,?,?)",
                (digest, task, version, fidelity, "fused", scores),
            )
    assert counts_of(run) == before
    with sqlite3.connect(run.ledger_path) as db:
        db.execute("delete from results where task in ('digits_mlp', 'digits_conv')")
    after = counts_of(run)
    assert after.unpromoted == before.whole > 0
    assert after.whole == 0
    page = words(report_html(run))
    assert f"{after.unpromoted} too far behind to go on" in page


def test_the_cache_is_rated_by_level(tmp_path: Path) -> None:
    run = make_run(tmp_path, count=200, rounds=3)
    counts = counts_of(run)
    page = words(report_html(run))
    passed = counts.proposed - counts.all_rejected
    assert cache_words(counts) in page
    assert f"{100 * counts.duplicates / passed:.0f} % of the {passed} candidates" in page
    assert f"({100 * counts.same_program / passed:.0f} % the same program" in page
    assert "The Lion paper reports 89 %" in page
    none = replace(counts, same_program=0, same_behaviour=0, new=0, again=0, trials=())
    assert cache_words(none).startswith("Every candidate was rejected")
    assert "0 trained" in funnel_words(none)


def test_a_run_that_was_stopped_says_what_waits(tmp_path: Path) -> None:
    run = make_run(tmp_path, count=40)
    with sqlite3.connect(run.ledger_path) as db:
        db.execute("update candidates set fitness = null where ordinal >= 30")
    counts = counts_of(run)
    assert counts.waiting > 0 and counts.proposed == 40
    assert f"{counts.waiting} not trained yet" in funnel_words(counts)
    words(report_html(run))


# --- the rounds ---


@pytest.mark.parametrize("rounds", [1, 2, 12, 100])
def test_the_curve_has_a_picture_and_its_numbers(tmp_path: Path, rounds: int) -> None:
    run = make_run(tmp_path, count=2 * rounds + 60, rounds=rounds)
    html = report_html(run)
    page = words(html)
    assert "Does it carry over to held-out tasks?" in page
    assert 'class="points held"' in html and 'class="points proxies"' in html
    assert re.search(r'aria-label="\d+ rounds?; the best on the held-out tasks came in round', html)
    assert html.count("the numbers, round by round") == 1
    assert ('class="line held"' in html) == (rounds > 1)
    assert "meta-overfit" in page
    assert html.count("<td") < 20_000
    assert len(html) < 400_000


def test_restarts_are_marked_and_part_the_lines(tmp_path: Path) -> None:
    run = make_run(tmp_path, count=80, rounds=1)
    rounds = [
        Round(i, 8 * i + 8, 4 * i + 4, (Champion(i, -0.01 * i, 0.01 * i),), 7 if i == 4 else None)
        for i in range(10)
    ]
    retell(run, rounds)
    html = report_html(run)
    assert html.count('class="fresh"') == 1
    assert "after round 5 the search restarts from 7" in html
    assert "then restart from 7" in words(html)
    line = re.search(r'class="line held" d="([^"]+)"', html)
    assert line is not None and line[1].count("M") == 2 and line[1].count("L") == 8


def test_scores_that_cannot_be_drawn_are_told(tmp_path: Path) -> None:
    run = make_run(tmp_path, count=20, rounds=1)
    champions = (Champion(1, -0.1, math.inf), Champion(2, 3.0, -0.02), Champion(3, -0.2, 4.0))
    retell(run, [Round(0, 20, 10, champions), Round(1, 20, 10, ())])
    page = words(report_html(run))
    assert "1 diverged on a held-out task" in page
    assert "are drawn at the edge" in page
    assert "no new one" in page
    retell(run, [Round(0, 20, 10, (Champion(1, -0.1, math.inf),))])
    assert "No candidate has been tried on held-out tasks yet" in words(report_html(run))
    retell(run, [Round(0, 20, 10, (Champion(1, 0.0, 0.0),))])
    assert "One round is too few" in words(report_html(run))


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (replace(CONFIG, funnel=Funnel(validation=Stage())), "has no validation tasks"),
        (replace(CONFIG, evolution=Evolution(round=0)), "There is no curve"),
        (CONFIG, "No candidate has been validated"),
    ],
)
def test_a_run_without_a_curve_says_why(
    tmp_path: Path, config: SearchConfig, expected: str
) -> None:
    run = make_run(tmp_path, count=30, config=config)
    assert expected in words(report_html(run))
    finish(run)
    assert expected in words(report_html(run))


def test_an_unfinished_run_shows_the_best_on_held_out_tasks(tmp_path: Path) -> None:
    run = make_run(tmp_path, count=60, rounds=4)
    retell(run, [Round(0, 20, 10, (Champion(1, -0.9, 0.5), Champion(0, 0.0, -0.3)))])
    page = words(report_html(run))
    assert (
        "the best on held-out tasks has −25.9 % loss relative to AdamW with default constants there"
        in page
    )
    assert "Candidate 0, the best on held-out tasks, simplified" in page
    assert "No rule has been confirmed yet" in page
    assert "That score is optimistic" in page


# --- the finalists ---


def finalist(ordinal: int, validation: float, size: int, confirmation: float | None) -> Finalist:
    return Finalist(ordinal, -0.1, validation, f"def f{ordinal}", size, 2, (), confirmation)


def test_only_the_confirmed_are_in_the_hall_of_fame() -> None:
    finalists = [
        finalist(1, -0.3, 9, 0.02),  # the best, did not hold
        finalist(2, -0.2, 9, -0.01),
        finalist(3, -0.15, 9, -0.1),  # as large as a better one
        finalist(4, -0.1, 5, -0.1),  # shorter
        finalist(5, -0.05, 4, None),
        finalist(6, -0.01, 12, None),
        finalist(7, 0.0, 1, math.nan),
    ]
    assert [f.ordinal for f in hall_of_fame(finalists)] == [2, 4]
    reasons = {f.ordinal: standing(f, finalists) for f in finalists}
    assert reasons[1] == reasons[7] == "did not hold on fresh seeds"
    assert reasons[3] == "a simpler confirmed one is as good"
    assert reasons[5] == "not tried on fresh seeds"
    assert reasons[6] == "a simpler one is as good"
    assert hall_of_fame([]) == hall_of_fame(finalists[:1]) == ()


def test_the_hall_of_fame_has_programs_to_unfold(tmp_path: Path) -> None:
    run = make_run(tmp_path, count=60, rounds=3)
    changes = ("b1: 0.9 → 0.85", "wd: 0.01 → 0.02")
    kinship = "nearest known rule: adamw, at distance 0.25"
    steps = ("drop bias correction (-0.1 %)",)
    outcome = finish(run, tuned=changes, kinship=kinship, pruned=steps)
    html = report_html(run)
    page = words(html)
    assert html.count("<summary>its program</summary>") == 1
    assert "its program, with tuned constants" in page
    assert f"candidate {outcome.ordinal} −2.0 % −1.00 %" in page and " taken " in page
    assert "not tried" in page
    # Beside the best rule, and where the program is.
    assert page.count("b1: 0.9 → 0.85") == 2
    assert f"Kinship: {kinship}." in page
    assert "drop bias correction (-0.1 %)" in page


def test_a_run_in_which_nothing_was_confirmed_has_an_empty_hall(tmp_path: Path) -> None:
    run = make_run(tmp_path, count=40, rounds=2)
    with closing(run.read()) as opened:
        start = opened.candidate(0)
    assert start is not None
    found = (Finalist(0, 0.0, 0.1, start.program, 15, 2, (), 0.2),)
    finish(run, confirmed=False, ordinal=0, finalists=found)
    page = words(report_html(run))
    assert "It is empty: no finalist was confirmed." in page
    assert "did not hold on fresh seeds" in page
    assert "none was better" in page


# --- all unseen tasks together ---


def overall(against: str, mean: float, low: float, high: float, p: float) -> dict[str, Any]:
    return {
        **{"against": against, "mean": mean, "low": low, "high": high, "p": p},
        **{"tasks": 2, "seeds": 5},
    }


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            (-0.03, -0.05, -0.01, 0.002),
            r"beats AdamW \(−3.0 % loss\) and Lion \(−9.5 % loss\), each with default constants",
        ),
        (
            (-0.03, -0.05, -0.01, 0.2),
            r"beats Lion \(.*\), but cannot be told from AdamW \(−3.0 % loss\), each",
        ),
        ((-0.03, -0.05, 0.01, 0.01), "cannot be told from"),
        ((0.03, 0.01, 0.05, 0.002), r"beats Lion \(.*\), but is worse than AdamW \(\+3.0 % loss\)"),
        ((-0.03, -math.inf, math.inf, math.nan), "cannot be told from"),
        ((math.inf, -math.inf, math.inf, math.nan), r"is worse than AdamW \(diverged on a task\)"),
        ((math.nan, math.nan, math.nan, math.nan), r"cannot be told from AdamW \(– loss\)"),
    ],
)
def test_the_verdict_is_on_all_unseen_tasks(
    tmp_path: Path, line: tuple[float, float, float, float], expected: str
) -> None:
    run = make_run(tmp_path, count=40)
    outcome = finish(run)
    both = (overall("adamw", *line), overall("lion", -0.1, -0.2, -0.05, 1e-5))
    finish(run, overall=both)
    conclusion = judge(asdict(outcome) | {"overall": both}, "adamw", evolved=True)
    assert re.search(expected, conclusion.sentence), conclusion.sentence
    page = words(report_html(run))
    assert conclusion.sentence in page
    assert "Over all unseen tasks" in page
    lion = "Against Lion with default constants, geometric mean over 2 unseen tasks and 5 seeds"
    assert f"{lion} each: −9.5 % loss (95 % interval −18.1 % to −4.9 %, p < 0.0001)." in page


def test_tasks_on_which_a_rival_diverged_are_left_out(tmp_path: Path) -> None:
    run = make_run(tmp_path, count=40)
    nan = math.nan
    lines = (
        overall("adamw", -0.03, -0.05, -0.01, 0.06) | {"tasks": 1},
        overall("lion", nan, -math.inf, math.inf, nan) | {"tasks": 0, "seeds": 0},
    )
    finish(run, overall=(lines[0] | {"left_out": 1}, lines[1]))
    page = words(report_html(run))
    assert "over 1 unseen task on which AdamW with default constants did not diverge and 5" in page
    assert "Lion with default constants diverged on each unseen task." in page
    finish(run, overall=(lines[0] | {"tasks": 0},))
    assert "beats AdamW with default constants on 1 of the 2 tasks" in words(report_html(run))


def test_each_tier_of_unseen_tasks_has_a_line_and_all_of_them_the_verdict(tmp_path: Path) -> None:
    run = make_run(tmp_path, count=40)
    outcome = finish(run)
    lines = (
        overall("adamw", -0.03, -0.05, -0.01, 0.002),
        overall("adamw", -0.08, -0.09, -0.07, 0.001) | {"tasks": 1, "tier": "validation"},
        overall("adamw", 0.02, 0.01, 0.03, 0.03) | {"tasks": 1, "tier": "target"},
    )
    finish(run, overall=lines)
    conclusion = judge(asdict(outcome) | {"overall": lines}, "adamw", evolved=True)
    assert (
        "beats AdamW (−3.0 % loss) with default constants, over the 2 tasks that the search"
        in conclusion.sentence
    )
    page = words(report_html(run))
    assert "geometric mean over 2 unseen tasks and 5 seeds each: −3.0 % loss" in page
    assert "geometric mean over 1 unseen validation task and 5 seeds each: −7.7 % loss" in page
    assert "geometric mean over 1 unseen target task and 5 seeds each: +2.0 % loss" in page
    assert "2 in all" in page and "1 validation" in page and "1 target" in page


def test_no_rule_is_compared_with_itself(tmp_path: Path) -> None:
    run = make_run(tmp_path, count=40)
    outcome = finish(run)
    rows = tuple(r for r in outcome.comparison if not r.rule.startswith("evolved"))
    lines = (overall("adamw", 0.0, 0.0, 0.0, 1.0), overall("lion", -0.1, -0.2, -0.05, 0.01))
    finish(run, confirmed=False, ordinal=0, comparison=rows, overall=lines)
    html = report_html(run)
    table = html[html.index("Over all unseen tasks") :].split("</table>")[0]
    assert "Lion" in table and "AdamW" not in table


# --- the terminal ---


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    finish(
        make_run(folder, name="whole", count=60, rounds=4),
        tuned=("b1: 0.9 → 0.85\x1b[31m",),
        pruned=tuple(f"step {i}" for i in range(20)),
        kinship="lion with b1 = 0.9",
    )
    make_run(folder, name="part", count=60, rounds=4)
    make_run(folder, name="none", count=0)
    return folder


def said(capsys: pytest.CaptureFixture[str], runs: Path, *args: str) -> str:
    assert main([*args, "--runs-dir", str(runs)]) == 0
    return capsys.readouterr().out


def test_show_says_how_a_run_went(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = said(capsys, runs, "show", "whole")
    for expected in (
        "run whole: done",
        "beats AdamW with default constants on 1 of the 2 tasks",
        "Kinship: lion with b1 = 0.9.",
        r"b1: 0.9 → 0.85\x1b[31m",
        "and 8 more",
        "Hall of fame: confirmed",
        "(taken)",
        "60 proposed: ",
        "Cache hit rate: ",
        "meta-overfit",
    ):
        assert expected in whole
    part = said(capsys, runs, "show", "part")
    for expected in (
        "run part: unfinished",
        "Continue it with evoptax resume part.",
        "The best on held-out tasks so far (not confirmed yet):",
        "60 proposed: ",
        "meta-overfit",
    ):
        assert expected in part
    assert "has not trained a candidate yet" in said(capsys, runs, "show", "none")


def test_show_has_the_search_as_data(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = json.loads(said(capsys, runs, "show", "whole", "--format", "json"))
    funnel = shown["funnel"]
    assert sum(funnel["trained"].values()) == funnel["tasks"][0]["trials"]
    assert len(shown["rounds"]) == 4
    assert shown["hall_of_fame"] == [shown["outcome"]["ordinal"]]
    assert json.loads(said(capsys, runs, "show", "none", "--format", "json"))["rounds"] == []


def test_runs_lists_state_and_scores(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = {r["run"]: r for r in json.loads(said(capsys, runs, "runs", "--format", "json"))}
    assert [rows[name]["state"] for name in ("whole", "part", "none")] == [
        "done",
        "unfinished",
        "unfinished",
    ]
    counts = counts_of(Run(runs / "part"))
    assert rows["part"]["trained"] == counts.new + counts.again
    assert (rows["part"]["rounds"], rows["none"]["rounds"]) == (4, 0)
    assert rows["part"]["held_out"] is not None and rows["none"]["held_out"] is None
    assert "unfinished" in said(capsys, runs, "runs")


def test_progress_is_one_compact_line() -> None:
    progress = Progress("searching", trained=5, proposed=10, best=-0.05, baseline="gda", round=3)
    assert "round 4" in describe(progress) and "held-out" not in describe(progress)
    line = describe(replace(progress, validation=math.log(1 - 0.031)))
    assert "round 4" in line and "best −4.9 % vs gda  held-out −3.1 %" in line
    assert len(line) < 130
