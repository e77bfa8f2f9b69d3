"""Names, paths and text of any kind: one sentence, nothing that a terminal would act on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import unicodedata
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from evoptax.cli.main import main
from evoptax.dsl.syntax import format_program, parse
from evoptax.search.report.lineage.graph import FORMATS
from evoptax.search.store.runs import Run
from small_ledger import finish, make_run

# What a change may hold, and a docstring, which may also hold what UTF-8 cannot.
HOSTILE = "\x7f\x1b[2J\0\x9b]]><script>alert('&')</script>\u202e\r\u2028"
DOC = f"{HOSTILE}\ud800"
NAMES = {
    "256 characters": "a" * 256,
    "5,000 characters": "a" * 5000,
    "255 characters of two bytes": "é" * 255,
    "invalid UTF-8": os.fsdecode(b"\xff\xfe"),
    "newline": "a\nb",
    "escape sequence": "\x1b[31mred",
    "NUL": "a\0b",
    "turned": "\u202eabc",
    "empty": "",
    "blank": " ",
    "dots": "../..",
    "a file name": "\x1b" * 200 + ".py",
}
# @ stands for the name. A worker process takes seconds to start: one command of those that load a
# task has it, the others load it here.
COMMANDS = (
    "show @", "show @:best", "show one:@", "show @:0", "show @.py",
    "simplify @ --exact", "simplify @:best --exact", "export @ --to json", "export @:1 --to latex",
    "evaluate @", "evaluate adamw --tasks @", "evaluate adamw --tasks @.py:T --workers in_process",
    "evaluate adamw --tasks tasks.py:@ --workers in_process",
    "evaluate adamw --against @", "evaluate adamw --seeds @",
    "lineage @", "lineage one @", "lineage @:best", "known @", "known --tier @", "resume @",
    "search @", "search @.toml", "search --preset @", "search --preset quick --seed @",
    "search --preset quick --task @", "search --preset quick --task @:T",
    "search --preset distill --traces @", "search --preset quick --name @/@",
    "search --preset quick --name .@",
    "@", "--@", "show --@", "show lion --format @", "doctor @", "tasks --format @",
)  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run whose programs and changes are hostile."""
    folder = tmp_path_factory.mktemp("runs")
    made = make_run(folder, name="one", count=20, rounds=2, doc=DOC, change=HOSTILE)
    finish(made, kinship=HOSTILE, pruned=(HOSTILE,))
    return made


def controls(text: str) -> set[str]:
    """What a terminal would act on."""
    return {c for c in text if c not in "\n\t" and unicodedata.category(c) in ("Cc", "Cs")} | (
        {"\u202e"} & {*text}
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_is_none_is_refused_in_a_sentence(
    name: str,
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EVOPTAX_RUNS_DIR", str(run.folder.parent))
    (tmp_path / "tasks.py").write_text("T = 3\n")
    for command in COMMANDS:
        arguments = [word.replace("@", NAMES[name]) for word in command.split(" ")]
        status = main(arguments)
        captured = capsys.readouterr()
        assert status == 2, command
        assert captured.out == "", command
        assert captured.err.startswith("evoptax: ") and captured.err.count("\n") == 1, command
        assert not controls(captured.err), command
        assert "Traceback" not in captured.err, command
        # A name of any length is shown, but not at any length.
        assert len(captured.err) < 2000, command


ORDINALS = [
    "9" * 30,
    "1" + "0" * 18,
    "9223372036854775808",
    "-1",
    "1.0",
    "١٢",
    "²",
    "0x1",
    " 1",
    "",
]


@pytest.mark.parametrize("which", ORDINALS)
@pytest.mark.parametrize("command", ["show", "lineage", "export --to json", "simplify --exact"])
def test_a_candidate_that_is_none_is_refused(
    which: str, command: str, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command.split(), f"one:{which}", "--runs-dir", str(run.folder.parent)]) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1 and "one" in captured.err


@pytest.mark.parametrize("name", ["invalid UTF-8", "newline", "escape sequence", "turned"])
def test_a_file_may_have_any_name_that_the_system_takes(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rule, output = tmp_path / f"{NAMES[name]}.py", tmp_path / NAMES[name]
    rule.write_text("def rule(w, g, *, lr=0.1):\n    return lr * g\n")
    assert main(["export", str(rule), "--to", "json", "-o", str(output)]) == 0
    assert json.loads(output.read_text())["name"] == "rule"
    rule.write_text("def rule(w, g, *, lr=0.1):\n    return lr * h\n")
    assert main(["show", str(rule)]) == 2
    error = capsys.readouterr().err
    assert "line 2, column 17" in error and not controls(error)
    for runs_dir in (output, tmp_path / "none" / NAMES[name]):
        assert main(["runs", "--runs-dir", str(runs_dir)]) == 0
        assert not controls(capsys.readouterr().out)


@pytest.mark.parametrize("name", ["256 characters", "255 characters of two bytes", "NUL"])
@pytest.mark.parametrize("command", ["export lion --to json", "lineage one"])
def test_an_output_that_cannot_be_is_refused(
    name: str, command: str, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / NAMES[name]
    arguments = [*command.split(), "-o", str(path), "--runs-dir", str(run.folder.parent)]
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert (
        captured.out == ""
        and captured.err.count("\n") == 1
        and ("cannot write" in captured.err or "NUL" in captured.err)
    )
    assert not list(tmp_path.iterdir())


SHOWN = (
    "show one", "show one:best", "show one:0", "show one --format latex", "show one --format json",
    "show one:0 --format json", "runs", "runs --format json", "lineage one", "lineage one best",
    *(f"lineage one --format {name}" for name in FORMATS), "simplify one:0 --exact",
    "simplify one:0 --exact --format json", "export one:0 --to json", "export one:0 --to latex",
)  # fmt: skip


@pytest.mark.parametrize("command", SHOWN)
def test_hostile_text_is_shown_harmlessly(
    command: str, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command.split(), "--runs-dir", str(run.folder.parent)]) == 0
    captured = capsys.readouterr()
    assert not controls(captured.out) and not controls(captured.err)
    captured.out.encode("utf-8")
    if "json" in command:
        json.loads(captured.out)
    if "xml" in captured.out[:20]:
        ET.fromstring(captured.out)
        assert "<script" not in captured.out
    if "html" in command:
        assert "<script>alert" not in captured.out


def test_a_docstring_of_any_kind_comes_back_from_what_is_shown(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    runs_dir = ["--runs-dir", str(run.folder.parent)]
    assert main(["show", "one:0", *runs_dir]) == 0
    text = capsys.readouterr().out
    assert parse(text).doc == DOC and format_program(parse(text)) == text
    assert main(["export", "one:0", "--to", "json", *runs_dir]) == 0
    assert json.loads(capsys.readouterr().out)["doc"] == DOC


def cli(*arguments: str, **how: object) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "evoptax.cli.main", *arguments]
    return subprocess.run(command, stderr=subprocess.PIPE, **how)  # type: ignore[call-overload,no-any-return]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no /dev/full")
@pytest.mark.parametrize("command", ["show lion", "known --format json", "--help", "lineage one"])
def test_an_output_without_room_is_one_sentence(command: str, run: Run) -> None:
    environment = {**os.environ, "EVOPTAX_RUNS_DIR": str(run.folder.parent)}
    with open("/dev/full", "w") as full:
        done = cli(*command.split(), stdout=full, env=environment)
    assert done.returncode == 2
    assert done.stderr == b"evoptax: cannot write the output: No space left on device\n"
    done = cli("export", "lion", "--to", "json", "-o", "/dev/full", stdout=subprocess.PIPE)
    assert done.returncode == 2 and done.stderr.count(b"\n") == 1


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_output_is_written_in_any_encoding(encoding: str, run: Run) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    environment["EVOPTAX_RUNS_DIR"] = str(run.folder.parent)
    for command in ("runs", "lineage one", "show no\udcff"):
        done = cli(*command.split(), stdout=subprocess.PIPE, env=environment)
        assert done.returncode == (2 if "no" in command.split()[-1][:2] else 0), done.stderr
        assert b"Traceback" not in done.stderr
        (done.stdout + done.stderr).decode(encoding)
