"""The command line: what it prints, how it fails, how fast it answers."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

import pytest
from evoptax.cli.main import main
from evoptax.dsl.syntax import parse
from evoptax.search.config.files import config_from_dict, config_to_toml
from evoptax.search.store.ledger import read_content
from small_search import run_small, settings


@pytest.fixture(scope="module")
def runs_dir(tmp_path_factory: pytest.TempPathFactory, small_task: str) -> Path:
    """A folder with one finished run, made through the command line."""
    folder = tmp_path_factory.mktemp("cli")
    config = folder / "config.toml"
    config.write_text(config_to_toml(config_from_dict(settings(small_task))))
    runs = folder / "runs"
    assert main(["search", str(config), "--name", "one", "--runs-dir", str(runs)]) == 0
    return runs


def test_search_writes_all_its_files(runs_dir: Path) -> None:
    names = {path.name for path in (runs_dir / "one").iterdir()}
    assert names >= {
        "ledger.sqlite",
        "config.toml",
        "report.html",
        "best_rule.py",
        "best_rule_optax.py",
    }
    parse((runs_dir / "one" / "best_rule.py").read_text())


def test_search_in_process_gives_the_same_content(
    runs_dir: Path, tmp_path: Path, small_task: str
) -> None:
    run, _ = run_small(tmp_path, "same", small_task)
    assert read_content(run.ledger_path) == read_content(runs_dir / "one" / "ledger.sqlite")


COMMANDS = {
    "runs": (["runs"], "one"),
    "runs json": (["runs", "--format", "json"], '"run": "one"'),
    "show run": (["show", "one"], "Simplified:"),
    "show best": (["show", "one:best"], "def "),
    "show number": (["show", "one:0"], "def adamw("),
    "show known": (["show", "lion"], "def lion("),
    "show latex": (["show", "lion", "--format", "latex"], r"\begin{align*}"),
    "show json": (["show", "lion", "--format", "json"], '"lion"'),
    "lineage": (["lineage", "one"], "adamw"),
    "lineage best": (["lineage", "one", "best"], "adamw"),
    "lineage dot": (["lineage", "one", "--format", "dot"], "digraph"),
    "lineage graphml": (["lineage", "one", "--format", "graphml"], "<graphml"),
    "lineage gexf": (["lineage", "one", "--format", "gexf"], "<gexf"),
    "lineage json": (["lineage", "one", "--format", "json"], '"nodes"'),
    "lineage html": (["lineage", "one", "best", "--format", "html"], "<html"),
    "export optax": (["export", "one:best", "--to", "optax"], "GradientTransformationExtraArgs"),
    "export latex": (["export", "lion", "--to", "latex"], "align"),
    "export json": (["export", "lion", "--to", "json"], '"lion"'),
    "simplify": (["simplify", "one:best", "--exact"], "def "),
    "raw program": (["show", "lion_program4"], "cosh"),
    "known": (["known"], "adamw"),
    "known json": (["known", "lion", "--format", "json"], '"year": 2023'),
    "tasks": (["tasks"], "digits_mlp"),
    "tasks json": (["tasks", "--format", "json"], '"tier": "proxy"'),
    "doctor": (["doctor"], "All is well."),
}


def _with_runs(args: list[str], runs_dir: Path) -> list[str]:
    takes = args[0] not in ("known", "tasks")
    return [*args, "--runs-dir", str(runs_dir)] if takes else args


@pytest.mark.parametrize("name", COMMANDS)
def test_command(name: str, runs_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    args, expected = COMMANDS[name]
    assert main(_with_runs(args, runs_dir)) == 0
    out = capsys.readouterr().out
    assert expected in out
    if "json" in args:
        json.loads(out, parse_constant=pytest.fail)


def test_output_goes_to_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "lion.tex"
    assert main(["export", "lion", "--to", "latex", "-o", str(path)]) == 0
    assert capsys.readouterr().out == ""
    assert "align" in path.read_text()


def test_rule_that_hangs_on_rounding_errors_is_not_exported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "chaotic.py"
    path.write_text("def chaotic(w, g, *, lr=0.1):\n    return lr * sign(g - g * 1.1 / 1.1)\n")
    assert main(["export", str(path), "--to", "optax"]) == 2
    assert "rounding" in capsys.readouterr().err


MISTAKES = {
    "no command": ([], "required"),
    "unknown command": (["serch"], "serch"),
    "unknown option": (["known", "--colour"], "--colour"),
    "unknown rule": (["show", "adm"], "adm"),
    "unknown run": (["lineage", "two"], "'two'"),
    "unknown candidate": (["show", "one:99999"], "99999"),
    "no candidate": (["show", "one:first"], "first"),
    "unknown known": (["known", "lionn"], "did you mean 'lion'"),
    "unknown tier": (["known", "--tier", "9"], "9"),
    "unknown preset": (["search", "--preset", "qick"], "did you mean 'quick'"),
    "no preset": (["search"], "--preset quick"),
    "unknown task": (["search", "--preset", "quick", "--task", "x.py:y"], "x.py"),
    "used up": (["resume", "one", "--budget.candidates", "3"], "accepted: more"),
    "run exists": (["search", "--preset", "quick", "--name", "one"], "resume one"),
    "run name": (["search", "--preset", "quick", "--name", "a/b"], "'a/b'"),
    "rule as run name": (["search", "--preset", "quick", "--name", "lion"], "a known rule"),
    "negative budget": (["search", "--preset", "quick", "--budget.seconds", "-1"], "seconds"),
    "no number": (["search", "--preset", "quick", "--seed", "x"], "x"),
    "no config": (["search", "nowhere.toml"], "nowhere.toml"),
    "seeds": (["evaluate", "adamw", "--seeds", "0"], "--seeds"),
    "unknown tasks": (["evaluate", "adamw", "--tasks", "digit_mlp"], "digits_mlp"),
    "unknown export": (["export", "lion", "--to", "pytorsh"], "pytorsh"),
    "unwritable output": (["export", "lion", "--to", "latex", "-o", "no/such/x"], "no/such/x"),
    "missing file": (["simplify", "no_such_file.py"], "no_such_file.py"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_is_one_sentence_and_exits_2(
    name: str, runs_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args, expected = MISTAKES[name]
    assert main(_with_runs(args, runs_dir) if args and args[0] != "serch" else args) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert expected in captured.err
    assert captured.err.startswith("evoptax: ")
    assert captured.err.count("\n") == 1
    assert "Traceback" not in captured.err


BAD_CONFIGS = {
    "misspelt key": ("[evolution]\npopulaton = 3", "did you mean 'population'"),
    "misspelt table": ("[evolutoin]\npopulation = 3", "did you mean 'evolution'"),
    "wrong type": ('seed = "one"', "seed"),
    "float for int": ("[evolution]\npopulation = 3.5", "population"),
    "not a table": ("budget = 3", "'budget'"),
    "out of range": ("[evolution]\npopulation = 0", "population"),
    "no toml": ("seed 3", "not TOML"),
    "unknown rule": ('start = ["lionn"]', "did you mean 'lion'"),
    "unknown task": ('[funnel.screen]\ntasks = ["digit_mlp"]', "digits_mlp"),
    "no screen": ("[funnel.screen]\ntasks = []", "screen"),
}


@pytest.mark.parametrize("name", BAD_CONFIGS)
def test_bad_configuration(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, expected = BAD_CONFIGS[name]
    path = tmp_path / "c.toml"
    path.write_text(text)
    assert main(["search", str(path), "--runs-dir", str(tmp_path / "runs")]) == 2
    error = capsys.readouterr().err
    assert expected in error
    assert error.count("\n") == 1
    assert not (tmp_path / "runs").exists(), "a refused search leaves nothing behind"


FOREIGN_LEDGERS = {
    "not a database": b"these are not the bytes you are looking for" * 100,
    "empty file": b"",
}


@pytest.mark.parametrize("name", FOREIGN_LEDGERS)
def test_foreign_ledger(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "bad"
    folder.mkdir()
    (folder / "ledger.sqlite").write_bytes(FOREIGN_LEDGERS[name])
    for command in (["resume", "bad"], ["show", "bad"], ["lineage", "bad"]):
        assert main([*command, "--runs-dir", str(tmp_path)]) == 2
        error = capsys.readouterr().err
        assert "ledger" in error
        assert error.count("\n") == 1
    assert main(["runs", "--runs-dir", str(tmp_path)]) == 0  # one bad run does not hide the rest


def test_foreign_database(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import sqlite3

    (tmp_path / "other").mkdir()
    with sqlite3.connect(tmp_path / "other" / "ledger.sqlite") as connection:
        connection.execute("create table songs (title)")
    assert main(["show", "other", "--runs-dir", str(tmp_path)]) == 2
    assert "not a ledger of evoptax" in capsys.readouterr().err


def test_unwritable_runs_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    assert main(["search", "--preset", "quick", "--runs-dir", str(blocked / "runs")]) == 2
    assert str(blocked) in capsys.readouterr().err


LIGHT = ["--help", "known", "known lion", "tasks", "runs", "show lion", "show one", "show one:best",
         "lineage one", "lineage one best", "simplify lion --exact"]  # fmt: skip


@pytest.mark.parametrize("command", LIGHT)
def test_read_only_commands_never_import_jax(command: str, runs_dir: Path) -> None:
    code = (
        "import sys; from evoptax.cli.main import main\n"
        "try: status = main(sys.argv[1:])\n"
        "except SystemExit as e: status = e.code\n"
        "assert not status, status\n"
        "heavy = {'jax', 'sklearn', 'scipy', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    env = {**os.environ, "EVOPTAX_RUNS_DIR": str(runs_dir)}
    subprocess.run([sys.executable, "-c", code, *command.split()], env=env, check=True,
                   stdout=subprocess.DEVNULL)  # fmt: skip


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_import_no_library(option: str) -> None:
    """Which keeps both below 0.1 s; NumPy alone takes longer."""
    code = (
        "import sys; from evoptax.cli.main import main\n"
        "assert main(sys.argv[1:]) == 0\n"
        "slow = {'numpy', 'cattrs', 'networkx', 'rich', 'sqlite3', 'tomllib'} & set(sys.modules)\n"
        "assert not slow, slow"
    )
    subprocess.run([sys.executable, "-c", code, option], check=True, stdout=subprocess.DEVNULL)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"evoptax {version('evoptax')}\n"


def test_ctrl_c_saves_and_exits_130_and_resume_goes_on(tmp_path: Path, small_task: str) -> None:
    options = settings(small_task, 150) | {"workers": 1}  # fewer processes to start
    whole, _ = run_small(tmp_path / "whole", "run", small_task, **options)
    config = tmp_path / "config.toml"
    config.write_text(config_to_toml(config_from_dict(options)))
    command = [sys.executable, "-m", "evoptax.cli.main"]
    process = subprocess.Popen(
        [*command, "search", str(config), "--name", "run"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    lines = []
    for line in process.stderr:  # plain lines, because this is no terminal
        lines.append(line)
        if line.startswith("searching"):
            break
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    rest = process.stderr.read()
    assert process.wait() == 130, lines
    assert "saved" in rest
    assert "Traceback" not in rest
    subprocess.run([*command, "resume", "run"], cwd=tmp_path, check=True, capture_output=True)
    ledger = tmp_path / "runs" / "run" / "ledger.sqlite"
    assert read_content(ledger) == read_content(whole.ledger_path)


def test_tune_prints_constants_before_and_after(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "slow.py").write_text(
        "def slow(w, g, b=0, *, lr=1e-2, mu=0.1):\n    b = mu * b + g\n    return lr * b\n"
    )
    command = ["tune", str(tmp_path / "slow.py"), "--tasks", "quadratic", "--trials", "27"]
    assert main([*command, "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in found["constants"]] == ["lr", "mu"]
    assert found["trials"] == 27 and found["changed"] and found["log_ratio"] < 0
    after = found["constants"][1]["after"]
    assert after > 0.3 and f"mu={after:g}" in found["program"]
    assert main(command) == 0
    told = capsys.readouterr()
    assert f"mu        0.1     {after:g}" in told.out and "95 % interval" in told.out
    assert "tuning slow on 1 task" in told.err
    assert main(["tune", "adamw", "--trials", "-1"]) == 2
    assert "--trials is -1; accepted: 0 to" in capsys.readouterr().err
    assert main(["tune", "sor", "--tasks", "quadratic"]) == 2


def test_evaluate_tunes_every_rule_alike(
    small_task: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["evaluate", "momentum", "--tasks", small_task, "--seeds", "2"]
    tuned = [*command, "--tune", "18", "--tune-on", small_task]
    assert main([*tuned, "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["tuning"] == {"trials": 18, "tasks": [small_task], "protocol": False}
    for row in found["rules"]:
        defaults = parse(row["tuned"]["program"]).defaults
        for change in row["tuned"]["changes"]:
            assert defaults[change["name"]] == change["after"] != change["before"]
    assert main(tuned) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "every rule with tuned constants" in out and "in at most 18 trials on" in out
    assert main(command) == 0
    assert "--tune TRIALS tunes them" in " ".join(capsys.readouterr().out.split())
    assert main([*command, "--protocol"]) == 2


def test_evaluate_ranks_rules_and_keeps_scores(
    small_task: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("EVOPTAX_CACHE_DIR", str(tmp_path))
    command = ["evaluate", "sgd,lion", "momentum", "--tasks", small_task, "--seeds", "2"]
    assert main([*command, "--format", "json"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert [row["rule"] for row in first["rules"]].count("adamw") == 1
    assert len(first["rules"]) == 4
    ratios = [row["log_ratio"] for row in first["rules"]]
    assert ratios == sorted(ratios)
    assert 0 in ratios  # AdamW against itself
    # Doubled in the cache, all losses are doubled: nothing is trained a second time.
    with closing(sqlite3.connect(tmp_path / "scores.sqlite")) as store, store:
        for key, text in store.execute("select key, score from scores").fetchall():
            score = json.loads(text)
            score["scores"] = [[2 * loss for loss in losses] for losses in score["scores"]]
            store.execute("update scores set score = ? where key = ?", [json.dumps(score), key])
    assert main([*command, "--format", "json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert [row["log_ratio"] for row in again["rules"]] == pytest.approx(ratios)
    for before, after in zip(first["rules"], again["rules"], strict=True):
        assert after["tasks"][small_task]["loss"] == 2 * before["tasks"][small_task]["loss"]
    assert main(command) == 0
    assert "adamw" in capsys.readouterr().out
