"""What every format of export keeps, and that a further one is one file."""

from __future__ import annotations

from pathlib import Path

import pytest
from evoptax.cli.main import main
from evoptax.dsl.errors import ProgramError
from evoptax.dsl.export import formats as folder
from evoptax.dsl.export.base import exporter, formats
from evoptax.dsl.export.check import check_export
from evoptax.dsl.program import Name, Program, Statement
from evoptax.dsl.syntax import parse
from evoptax.known_algorithms.catalogue import KNOWN, get_known

# Elementwise, over layers, over the model, with matrices, evaluated elsewhere, a game, a solver.
RUN = ("adamw", "lars", "global_norm_clipping", "muon", "schedule_free_sgd", "optimistic_gd", "sor")
HOSTILE = '""" \\ </script> %s {x} $ \x1b[31m \u202e'


@pytest.fixture(params=formats())
def format(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def test_every_known_rule_is_written(format: str) -> None:
    for name, rule in KNOWN.items():
        text = exporter(format).write(rule.program)
        assert text.strip(), name
        assert text == exporter(format).write(rule.program), f"{name} is written the same again"


def test_what_can_be_run_does_what_the_program_does(format: str) -> None:
    for name in RUN:
        program = get_known(name).program
        assert check_export(program, exporter(format).write(program), format) < 1e-8, name


def test_suffix(format: str) -> None:
    assert exporter(format).suffix.startswith(".")


def test_docstrings_are_data(format: str) -> None:
    program = parse("def rule(g, *, lr=1):\n    return lr * g\n")
    text = exporter(format).write(
        Program("rule", ("g",), (), program.hyperparameters, (), program.result, HOSTILE)
    )
    assert "\x1b" not in text and "\u202e" not in text
    text.encode()


def test_what_is_no_program_is_refused(format: str) -> None:
    broken = Program("rule", ("g",), (), (), (Statement("u", Name("nowhere")),), Name("u"))
    with pytest.raises(ProgramError, match="nowhere"):
        exporter(format).write(broken)


def test_command_line_takes_it(
    format: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "lion", "--to", format]) == 0
    text = capsys.readouterr().out
    assert text == exporter(format).write(get_known("lion").program).rstrip("\n") + "\n"
    assert main(["export", "lion", "--to", format, "-o", str(tmp_path / "rule")]) == 0
    assert (tmp_path / "rule").read_text().rstrip("\n") == text.rstrip("\n")


TOY = """
from evoptax.dsl.export.example import interpreted
from evoptax.dsl.inference import kinds_of
from evoptax.dsl.syntax import format_program, parse


class _Shouted:
    suffix = ".TXT"

    def write(self, program):
        kinds_of(program)
        return ascii(format_program(program).upper())

    def load(self, program, text):
        return lambda inputs, rates, starts: interpreted(program, inputs, rates)


EXPORTER = _Shouted()
"""


def test_a_further_format_is_one_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "toys").mkdir()
    (tmp_path / "toys" / "shouted.py").write_text(TOY)
    monkeypatch.setattr(folder, "__path__", [*folder.__path__, str(tmp_path / "toys")])
    assert "shouted" in formats()
    test_every_known_rule_is_written("shouted")
    test_what_can_be_run_does_what_the_program_does("shouted")
    test_suffix("shouted")
    test_docstrings_are_data("shouted")
    test_what_is_no_program_is_refused("shouted")
    test_command_line_takes_it("shouted", tmp_path, capsys)
