"""What every known rule becomes: its text, the machine's tables, and each format of export.

A change in these is either intended, and explained where it is committed, or a fault. To write them
anew: EVOPTAX_RENEW_GOLDEN=1 pytest tests/test_golden_known.py
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evoptax.dsl.algebra.simplifier import simplify
from evoptax.dsl.export.formats.json import to_json
from evoptax.dsl.export.formats.latex import to_latex
from evoptax.dsl.export.formats.optax.write import to_optax
from evoptax.dsl.machine import operations as ops
from evoptax.dsl.machine.bytecode import TooLarge, assemble
from evoptax.dsl.program import Program
from evoptax.dsl.syntax import format_program
from evoptax.known_algorithms.catalogue import KNOWN, get_known
from evoptax.known_algorithms.simplest import FILE, key_of, without, zeroed

GOLDEN = Path(__file__).parent / "golden" / "known"


def becomes(program: Program) -> dict[str, Any]:
    """What a program becomes, as plain data."""
    return {
        "text": format_program(program).splitlines(),
        "optax": to_optax(program).splitlines(),
        "latex": to_latex(program).splitlines(),
        "json": json.loads(to_json(program)),
        "tables": _tables(program, bound=True),
        "tables, hyperparameters apart": _tables(program, bound=False),
    }


def _tables(program: Program, *, bound: bool) -> Any:
    """The machine's tables, without the zeros that fill them up; why there are none otherwise."""
    try:
        bytecode = assemble(program, bound_hyperparameters=bound)
    except TooLarge as error:
        return str(error)
    arrays = bytecode.arrays()
    tables = {name: _without_filling(table) for name, table in arrays.items()}
    for name, length in (("schedule", "schedule_length"), ("s_code", "s_length")):
        rows = arrays[name][: arrays[length]].tolist()
        tables[name] = [[_named(ops.S_OPERATIONS[row[0]]), *row[1:]] for row in rows]
    rows = arrays["v_code"].tolist()
    tables["v_code"] = code = []
    for start, middle, end in arrays["segments"][: arrays["segments_length"]]:
        code += [[_named(ops.ELEMENTWISE[row[0]]), *row[1:]] for row in rows[start:middle]]
        code += [[_named(ops.WIDE[bytecode.form][row[0]]), *row[1:]] for row in rows[middle:end]]
    return {**tables, "form": bytecode.form}


def _named(found: ops.Pattern) -> str:
    """An operation as text, because its number changes with each that is added."""
    if isinstance(found, str):
        return found
    return f"{found[0]}({', '.join(map(_named, found[1:]))})"


def _without_filling(table: np.ndarray) -> Any:
    rows = np.asarray(table)
    while rows.ndim and len(rows) and not np.any(rows[-1]):
        rows = rows[:-1]
    return rows.tolist()


def written(found: dict[str, Any]) -> str:
    """As JSON, a line for each line of text and each row of a table."""
    parts = []
    for key, value in found.items():
        if isinstance(value, list):
            lines = ",\n".join(f"  {json.dumps(line, ensure_ascii=False)}" for line in value)
            text = f"[\n{lines}\n ]"
        elif isinstance(value, dict):
            lines = ",\n".join(f'  "{k}": {json.dumps(v)}' for k, v in value.items())
            text = f"{{\n{lines}\n }}"
        else:
            text = json.dumps(value)
        parts.append(f' "{key}": {text}')
    return "{\n" + ",\n".join(parts) + "\n}\n"


@pytest.mark.parametrize("name", KNOWN)
def test_known_rule_becomes_what_it_did(name: str) -> None:
    found = becomes(get_known(name).program)
    path = GOLDEN / f"{name}.json"
    if os.environ.get("EVOPTAX_RENEW_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(written(found), encoding="utf-8")
    golden = json.loads(path.read_text(encoding="utf-8"))
    assert found.keys() == golden.keys()
    for key in golden:
        assert found[key] == golden[key], key


FORMS = [without(rule.program, names) for rule in KNOWN.values() for names in zeroed(rule.program)]


def test_simplified_forms_are_kept() -> None:
    if os.environ.get("EVOPTAX_RENEW_GOLDEN"):
        found = {key_of(form): format_program(simplify(form)) for form in FORMS}
        lines = (f" {json.dumps(key)}: {json.dumps(text)}" for key, text in found.items())
        FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    kept = json.loads(FILE.read_text(encoding="utf-8"))
    assert kept.keys() == {key_of(form) for form in FORMS}
    for form in FORMS[::9]:
        assert kept[key_of(form)] == format_program(simplify(form))


@pytest.mark.slow
def test_all_simplified_forms_are_those_of_the_simplifier() -> None:
    kept = json.loads(FILE.read_text(encoding="utf-8"))
    for form in FORMS:
        assert kept[key_of(form)] == format_program(simplify(form))


def test_nothing_else_is_kept() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == set(KNOWN)
