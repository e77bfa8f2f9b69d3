"""What the README shows works, and what docstrings show is true."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest
from evoptax import cli, dsl, evaluators, known_algorithms, search
from evoptax.cli.main import parser
from evoptax.dsl.syntax import format_program, parse
from evoptax.evaluators.task import load_task_file
from evoptax.known_algorithms.catalogue import get_known
from small_search import SMALL

ROOT = Path(__file__).parent.parent
LAYERS = ("cli", "api", "search", "evaluators", "known_algorithms", "dsl")
DOCS = (path.relative_to(ROOT) for path in (ROOT / "docs").glob("*.md"))
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_readme_program_is_the_known_one() -> None:
    (program,) = (block for block in PYTHON if block.startswith("def lion("))
    assert program == get_known("lion").text == format_program(parse(program))


def test_readme_training_loop_runs(tmp_path: Path) -> None:
    (code,) = (block for block in PYTHON if "rule.optax(" in block)
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)


def test_readme_search_runs(tmp_path: Path) -> None:
    (code,) = (block for block in PYTHON if "evoptax.discover(" in block)
    code = code.replace('preset="quick"', f'{SMALL}, budget={{"candidates": 12}}')
    code = code.replace("trials=50", "trials=9").replace("seeds=5", "seeds=2")
    code += "\nassert run.is_finished and found.tasks == ['Fit'] and tuned.rule.name == 'adamw'\n"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    assert (tmp_path / "runs" / "mine" / "report.html").exists()


def test_readme_task_is_a_task(tmp_path: Path) -> None:
    (code,) = (block for block in PYTHON if "class Regression" in block)
    (tmp_path / "my_task.py").write_text(code)
    assert load_task_file(f"{tmp_path}/my_task.py:Regression").steps == 100


def test_readme_commands_exist() -> None:
    shell = "\n".join(re.findall(r"```(?:sh|text)\n(.*?)```", README, re.DOTALL))
    commands = re.findall(r"^(?:\$ )?evoptax ([a-z]+[^#\n]*)", shell, re.MULTILINE)
    assert len(commands) >= 8
    for command in commands:
        parser().parse_args(command.split())


MODULES = sorted(
    info.name
    for package in (dsl, known_algorithms, evaluators, search, cli)
    for info in pkgutil.walk_packages(package.__path__, package.__name__ + ".")
)


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__, f"{name} says nothing of what it is"
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", *sorted(map(str, DOCS))])
def test_files_that_pages_name_exist(page: str) -> None:
    """Links, and paths in code; a path may leave out its layer, or be a script of benchmarks/."""
    text = (ROOT / page).read_text(encoding="utf-8")
    for link in re.findall(r"\]\((?!http|#)([^)#]+)", text):
        assert (ROOT / page).parent.joinpath(link).exists(), link
    for path in re.findall(r"`([a-z_]+(?:/[a-z_]+)*(?:\.py|/))`", text):
        places = [ROOT / folder for folder in (".", "benchmarks", "tests", *LAYERS)]
        assert any((place / path).exists() for place in places), path


def test_architecture_says_where_to_add_things() -> None:
    text = (ROOT / "docs/ARCHITECTURE.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1:4] for line in text.splitlines() if line.startswith("| a")]
    rows += [line.split("|")[1:4] for line in text.splitlines() if line.startswith("| some")]
    assert len(rows) >= 8
    for what, where, tests in rows:
        for path in re.findall(r"`([^`]+)`", where + tests):
            assert (ROOT / path).exists(), f"to add{what}: {path}"
