"""Simplified forms of the documented rules, which are kept, because each takes some 0.3 s.

They are kept under the text of what was simplified, so that an edited rule is simplified again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

from ..dsl.algebra.simplifier import simplify
from ..dsl.program import Constant, Program, Statement, substitute
from ..dsl.syntax import format_program, parse

# Written by `EVOPTAX_RENEW_GOLDEN=1 pytest tests/test_golden_known.py`.
FILE = Path(__file__).with_name("simplest.json")


def zeroed(program: Program) -> Iterator[tuple[str, ...]]:
    """The hyperparameters that may be taken out: none, and those that are 0 by default."""
    zeros = tuple(h.name for h in program.hyperparameters if h.default == 0)
    yield from dict.fromkeys([(), zeros])


@cache
def simplest_without(program: Program, names: tuple[str, ...]) -> Program:
    """A documented rule, simplified, without what some hyperparameters of zero switch off."""
    whole = without(program, names)
    text = _kept().get(key_of(whole))
    return simplify(whole) if text is None else parse(text)


def without(program: Program, names: tuple[str, ...]) -> Program:
    """A rule with 0 in place of some hyperparameters."""
    zero = {name: Constant(0.0) for name in names}
    return replace(
        program,
        hyperparameters=tuple(h for h in program.hyperparameters if h.name not in zero),
        body=tuple(Statement(s.target, substitute(s.value, zero)) for s in program.body),
        result=substitute(program.result, zero),
    )


def key_of(program: Program) -> str:
    """What a simplified form is kept under."""
    return hashlib.sha256(format_program(program).encode()).hexdigest()[:32]


@cache
def _kept() -> Mapping[str, str]:
    found: dict[str, str] = json.loads(FILE.read_text(encoding="utf-8"))
    return found
