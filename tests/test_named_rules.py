"""Start, baseline and rivals of a search are rules by name, of a file, or of another run."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import evoptax
import pytest
from evoptax.cli.main import main
from evoptax.dsl.errors import UserError
from evoptax.dsl.syntax import parse
from evoptax.known_algorithms.catalogue import get_known
from evoptax.naming import with_programs
from evoptax.search.config.files import (
    config_from_dict,
    config_to_dict,
    config_to_toml,
    load_config,
)
from evoptax.search.config.rules import rule_name
from evoptax.search.config.settings import RIVALS, SearchConfig
from evoptax.search.report.facts import read_facts
from evoptax.search.report.report import report_html
from evoptax.search.store.outcome import read_outcome
from evoptax.search.store.runs import Run, stored_config
from small_ledger import finish, make_run
from small_search import SMALL

MINE = '''def mine(w, g, m=0, *, lr=0.1, b=0.9):
    """Mine."""
    m = lerp(g, m, b)
    return lr * sign(m)
'''
# The same name as a known rule, other constants.
FAST = get_known("adamw").text.replace("b1=0.9, b2=0.999", "b1=0.5, b2=0.5")
HERE: dict[str, Any] = {"workers": "in_process", "budget": {"candidates": 4}}


def _names(rules: Sequence[str]) -> list[str]:
    return [rule_name(rule) for rule in rules]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: two files with a rule, and two finished runs."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "fast.py").write_text(FAST)
    for name in ("first", "second"):
        finish(make_run(tmp_path / "runs", name=name, seed=len(name)))
    return tmp_path


def test_a_run_keeps_its_rules(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Files and runs that they are from may change or go; resume, show and report need none."""
    target = {"tasks": ["deep_linear"], "learning_rates": [0.01, 0.1], "seeds": 2}
    config = config_from_dict({**SMALL, "funnel": {**SMALL["funnel"], "target": target}, **HERE})
    config = config_from_dict({"rivals": ["lion"]}, config)
    (folder / "conf").mkdir()
    (folder / "conf" / "c.toml").write_text(config_to_toml(config))
    command = ["search", "conf/c.toml", "--name", "new", "--start", "mine.py", "first:best"]
    command += ["--baseline", "fast.py", "--against", "second:best,first:best"]
    assert main(command) == 0
    assert "adamw_of_fast with default constants" in capsys.readouterr().out
    (folder / "mine.py").write_text("def other(w, g):\n    return g\n")
    (folder / "fast.py").unlink()
    shutil.rmtree(folder / "runs" / "first")
    assert main(["resume", "new", "--budget.candidates", "6"]) == 0
    run = Run(folder / "runs" / "new")
    with closing(run.read()) as opened:
        outcome, kept = read_outcome(opened), stored_config(opened)
        starters = [opened.candidate(i) for i in range(2)]
    best = rule_name(kept.start[1])
    assert _names(kept.start) == ["mine", best] and best.endswith("_of_first")
    assert [c.change for c in starters if c] == ["start: mine", f"start: {best}"]
    assert rule_name(kept.baseline) == "adamw_of_fast"
    assert parse(kept.baseline).defaults["b1"] == 0.5
    assert outcome is not None
    compared = {row.rule for row in outcome.comparison}
    assert len(compared) == 5 and compared > {"adamw_of_fast", "lion", best}
    assert read_facts(run).baseline == "adamw_of_fast"
    assert "adamw_of_fast" in report_html(run)
    # Its configuration starts the same search anywhere.
    again = load_config(run.folder / "config.toml", SearchConfig())
    assert again == kept == with_programs(again, folder)


def test_names_are_distinct_and_equal_rules_are_one(folder: Path) -> None:
    (folder / "lion.py").write_text(get_known("lion").text)
    (folder / "other").mkdir()
    for place in ("other/mine.py", "other/ mine 2.py"):
        (folder / place).write_text(MINE.replace("0.9", "0.8"))
    given = ["lion", "lion.py", "mine.py", "other/mine.py", "other/ mine 2.py", "lion_program4"]
    config = with_programs(config_from_dict({"rivals": given}), folder / "runs")
    assert config.rivals[0] == "lion"
    assert _names(config.rivals) == ["lion", "mine", "mine_of_mine", "lion_program4"]
    assert (config.start, config.baseline) == (("adamw",), "adamw")
    found = with_programs(
        config_from_dict({"rivals": ["first:best", "second:best"]}), folder / "runs"
    )
    assert [name.split("_of_")[1] for name in _names(found.rivals)] == ["first", "second"]
    assert config_from_dict(config_to_dict(config)) == config
    assert with_programs(config, folder / "runs") == config


def test_a_path_starts_from_the_configuration(folder: Path, monkeypatch: Any) -> None:
    """And a name or RUN:best is none."""
    (folder / "c.toml").write_text(
        'start = ["mine.py"]\nrivals = ["lion", "first:best", "no.py"]\n'
    )
    monkeypatch.chdir(folder / "runs")
    config = load_config(folder / "c.toml", SearchConfig())
    assert config.start == (str(folder / "mine.py"),)
    assert config.rivals == ("lion", "first:best", str(folder / "no.py"))
    with pytest.raises(UserError, match=f"rivals: no file '{folder / 'no.py'}'"):
        with_programs(config, folder / "runs")


def test_python_takes_rules_as_objects(folder: Path) -> None:
    mine = evoptax.rule(MINE)
    found = evoptax.discover(
        SMALL,
        name="new",
        start=[mine, folder / "fast.py"],
        baseline=mine.program,
        against="first:best",
        **HERE,
    )
    with closing(Run(found.folder).read()) as opened:
        config = stored_config(opened)
    assert (config.start[0], config.baseline) == (MINE, MINE)
    assert config.rivals[:3] == RIVALS and len(config.rivals) == 4
    assert found.rule(0).name == "mine" and found.rule(1).name == "adamw_of_fast"


TWO = MINE + "\n" + MINE.replace("mine", "yours")
LARGE = (
    "def large(w, g, a=0, b=0, c=0, d=0, e=0, f=0, h=0):\n"
    + "".join(f"    {x} = lerp(g, {x}, 0.9)\n" for x in "abcdefh")
    + "    return a + b + c + d + e + f + h\n"
)
MISTAKES = {
    "unknown": (["--start", "lionn"], "start: no rule 'lionn'; did you mean 'lion'?"),
    "no file": (["--against", "nowhere.py"], "rivals: no file 'nowhere.py'"),
    "no run": (["--baseline", "nothing:best"], "baseline: no run 'nothing'"),
    "a run": (["--against", "first"], "rivals: 'first' is a run; its best rule is first:best"),
    "two programs": (["--start", "two.py"], "start: two.py: line 6, column 1:"),
    "no program": (["--start", "notes.py"], "start: notes.py: "),
    "cannot train": (["--against", "sor"], "rivals: sor solves linear systems A w = b"),
    "too large": (["--start", "large.py"], "start: the backend 'machine' cannot train large: "),
    "empty": (["--baseline", ""], "baseline is empty; accepted: a known name"),
    "configuration": (["--start", "adamw", "c.toml"], "'c.toml' is no rule; a configuration"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_a_sentence(
    name: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options, expected = MISTAKES[name]
    for file, text in (("two.py", TWO), ("notes.py", "not a rule\n"), ("large.py", LARGE)):
        (folder / file).write_text(text)
    assert main(["search", "--preset", "quick", "--name", "new", *options]) == 2
    error = capsys.readouterr().err
    assert expected in error and error.count("\n") == 1 and "Traceback" not in error
    assert not (folder / "runs" / "new").exists()


def test_a_large_rival_is_compiled(folder: Path) -> None:
    """The final comparison trains rivals by the fused path, which has room for any."""
    (folder / "large.py").write_text(LARGE)
    config = with_programs(config_from_dict({"rivals": ["large.py"]}), folder / "runs")
    assert _names(config.rivals) == ["large"]


def test_a_damaged_rule_of_a_run_is_a_sentence(folder: Path) -> None:
    config = config_to_dict(SearchConfig()) | {"rivals": ["def broken(\n"]}
    run = make_run(folder / "runs", name="broken")
    with closing(run.write()) as opened:
        opened.set_fact("config", config)
    with (
        closing(run.read()) as opened,
        pytest.raises(UserError, match="damaged: the program of a rule of the configuration"),
    ):
        stored_config(opened)
