"""How the packages hang together: one direction, no circles, light modules stay light."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import evoptax.dsl.syntax
import pytest
from conftest import LONGEST

ROOT = Path(evoptax.dsl.syntax.__file__).parents[1]
# Each layer may import itself and the layers to its right.
LAYERS = ("cli", "api", "search", "evaluators", "known_algorithms", "dsl")
FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for layer in LAYERS
    for path in sorted((ROOT / layer).rglob("*.py"))
}
# api/ is installed as evoptax itself; there `python -m evoptax` is the command line.
COMMAND = "api.__main__"
LIGHT = (
    "dsl.syntax",
    "dsl.algebra.simplifier",
    "dsl.algebra.canonical",
    "dsl.machine.bytecode",
    "known_algorithms.catalogue",
    "evaluators.tasks",
)


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(FILES[module].read_text(encoding="utf-8"))


def absolute(module: str, node: ast.ImportFrom) -> str:
    """The dotted name, below evoptax, that a relative import starts from."""
    parts = module.split(".")
    package = parts if FILES[module].name == "__init__.py" else parts[:-1]
    if parts[0] == "api":
        package = package[1:]
    base = package[: len(package) - node.level + 1]
    found = ".".join([*base, *(node.module or "").split(".")]).strip(".")
    return f"api.{found}".strip(".") if found.split(".")[0] not in LAYERS else found


def imported_modules(module: str, nodes: list[ast.AST]) -> set[str]:
    """The modules of this project that some import statements name."""
    found = set()
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.level:
            base = absolute(module, node)
            for alias in node.names:
                inner = f"{base}.{alias.name}".strip(".")
                found.add(inner if inner in FILES else base)
    return found


def folder_of(module: str) -> str:
    return module if FILES[module].name == "__init__.py" else module.rpartition(".")[0]


def everywhere(module: str) -> set[str]:
    """Including imports inside functions."""
    return imported_modules(module, list(ast.walk(tree(module))))


def at_import_time(module: str) -> set[str]:
    return imported_modules(module, list(tree(module).body))


@pytest.mark.parametrize("module", FILES)
def test_imports_run_one_way(module: str) -> None:
    layer = "cli" if module == COMMAND else module.split(".")[0]
    allowed = LAYERS[LAYERS.index(layer) :]
    for other in everywhere(module):
        assert other in FILES, f"{module} imports {other}, which does not exist"
        assert other.split(".")[0] in allowed, f"{module} may not import {other}"


@pytest.mark.parametrize("module", FILES)
def test_only_relative_imports_and_public_jax(module: str) -> None:
    for node in ast.walk(tree(module)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            assert name.split(".")[0] not in ("evoptax", *LAYERS), f"{module}: write it relatively"
            assert not name.startswith("jax._src"), f"{module} imports {name}"


def test_no_circles() -> None:
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " imports ".join([*path[path.index(module) :], module])
        if module not in done:
            for other in sorted(at_import_time(module) & FILES.keys()):
                visit(other, (*path, module))
            done.add(module)

    for module in FILES:
        visit(module, ())


def test_no_circles_between_folders() -> None:
    """Within a layer, also counting imports inside functions; a folder's own files are one part."""
    edges: dict[str, set[str]] = {}
    for module in FILES:
        folder = folder_of(module)
        found = {folder_of(other) for other in everywhere(module) & FILES.keys()}
        same_layer = {f for f in found - {folder} if f.split(".")[0] == folder.split(".")[0]}
        edges.setdefault(folder, set()).update(same_layer)
    done: set[str] = set()

    def visit(folder: str, path: tuple[str, ...]) -> None:
        assert folder not in path, " imports ".join([*path[path.index(folder) :], folder])
        if folder not in done:
            for other in sorted(edges[folder]):
                visit(other, (*path, folder))
            done.add(folder)

    for folder in edges:
        visit(folder, ())


def test_only_the_command_line_imports_the_report() -> None:
    for module in FILES:
        if not module.startswith(("cli.", "api.", "search.report.")):
            others = {m for m in everywhere(module) if m.startswith("search.report")}
            assert not others, f"{module} imports {sorted(others)}"


def test_search_has_nine_parts() -> None:
    parts = {path.name for path in (ROOT / "search").iterdir()} - {"__init__.py", "__pycache__"}
    assert len(parts - {"py.typed"}) <= 9, sorted(parts)


def test_light_modules_do_not_import_jax() -> None:
    imports = "; ".join(f"import evoptax.{module}" for module in LIGHT)
    code = f"import sys; {imports}; sys.exit('jax' in sys.modules or 'optax' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_packages_are_all_installed() -> None:
    """Each folder with code has its line in both tables of pyproject.toml."""
    tables = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = {".".join(path.relative_to(ROOT).parent.parts) for path in FILES.values()} - {"api"}
    assert set(tables["packages"]) == set(tables["package-dir"])
    assert {"evoptax", *(f"evoptax.{folder}" for folder in folders)} == set(tables["packages"])


def test_the_files_that_start_first_are_there() -> None:
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert all(names.count(name) == 1 for name in LONGEST)
