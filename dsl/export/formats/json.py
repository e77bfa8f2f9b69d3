"""A program as JSON, for other languages and for storage; the round trip is exact.

An expression is one of {"constant": 0.9}, {"name": "g"} and {"call": "add", "args": [...]}.
Numbers are written by Python's `repr`, which reads back as the same float64.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from ...errors import ProgramError, did_you_mean
from ...expressions import MAX_DEPTH
from ...inputs import INPUTS
from ...primitives import PRIMITIVES
from ...program import Call, Constant, Expr, Hyperparameter, Name, Program, State, Statement
from ...syntax import check, format_program, parse
from ..base import Runnable
from ..example import interpreted

SCHEMA = "evoptax-program"
VERSION = 1

T = TypeVar("T")


def to_json(program: Program) -> str:
    """The program as JSON text.

    Raises:
      ProgramError: if the program is not well formed.
    """
    check(program)
    data = {
        "schema": SCHEMA,
        "version": VERSION,
        "name": program.name,
        "doc": program.doc,
        "inputs": list(program.inputs),
        "state": [{"name": s.name, "init": s.init} for s in program.state],
        "hyperparameters": [
            {"name": h.name, "default": h.default} for h in program.hyperparameters
        ],
        "body": [{"target": s.target, "value": _written(s.value)} for s in program.body],
        "result": _written(program.result),
    }
    # The one control character that JSON leaves as it is.
    return json.dumps(data, indent=2, allow_nan=False).replace("\x7f", r"\u007f") + "\n"


def _written(expr: Expr) -> dict[str, Any]:
    if isinstance(expr, Constant):
        return {"constant": expr.value}
    if isinstance(expr, Name):
        return {"name": expr.id}
    return {"call": expr.primitive, "args": [_written(arg) for arg in expr.args]}


def from_json(text: str) -> Program:
    """Reads what `to_json` wrote, and checks it as `parse` would.

    Raises:
      ProgramError: for anything else, naming the offending key, such as body[2].value.args[0].
    """
    try:
        data = json.loads(text, object_pairs_hook=_without_duplicates, parse_constant=_refuse)
    except RecursionError:
        raise ProgramError("the JSON text nests too deeply") from None
    except ValueError as error:
        raise ProgramError(f"not JSON: {error}") from None
    keys = ("schema", "version", "name", "doc", "inputs", "state", "hyperparameters")
    found = _fields(data, "program", *keys, "body", "result")
    if found["schema"] != SCHEMA:
        _fail("schema", f"is {_shown(found['schema'])}; accepted: '{SCHEMA}'")
    if found["version"] != VERSION or isinstance(found["version"], bool):
        _fail("version", f"is {_shown(found['version'])}; this evoptax reads {VERSION}")
    program = Program(
        name=_string(found["name"], "name"),
        inputs=_each(found["inputs"], "inputs", _input),
        state=_each(found["state"], "state", _state),
        hyperparameters=_each(found["hyperparameters"], "hyperparameters", _hyperparameter),
        body=_each(found["body"], "body", _statement),
        result=_expression(found["result"], "result"),
        doc=_string(found["doc"], "doc"),
    )
    check(program)
    # The reader of program text knows every further rule, such as that names may not repeat.
    parse(format_program(dataclasses.replace(program, doc="")))
    return program


def _fail(key: str, reason: str) -> NoReturn:
    raise ProgramError(f"in the JSON program, '{key}' {reason}")


def _refuse(literal: str) -> NoReturn:
    raise ProgramError(f"the JSON program holds {literal}; numbers must be finite")


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for key, value in pairs:
        if key in data:
            _fail(key, "comes twice in one object")
        data[key] = value
    return data


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _fields(data: Any, key: str, *names: str) -> dict[str, Any]:
    """The fields of an object that has exactly these."""
    if not isinstance(data, dict):
        _fail(key, f"must be an object with {', '.join(names)}, not {_shown(data)}")
    for name in data:
        if name not in names:
            _fail(key, f"has an unknown key '{name}'{did_you_mean(name, names)}")
    for name in names:
        if name not in data:
            _fail(key, f"lacks the key '{name}'")
    return data


def _each(data: Any, key: str, read: Callable[[Any, str], T]) -> tuple[T, ...]:
    if not isinstance(data, list):
        _fail(key, f"must be a list, not {_shown(data)}")
    return tuple(read(item, f"{key}[{i}]") for i, item in enumerate(data))


def _string(data: Any, key: str) -> str:
    if not isinstance(data, str):
        _fail(key, f"must be a string, not {_shown(data)}")
    return data


def _number(data: Any, key: str) -> float:
    if isinstance(data, bool) or not isinstance(data, int | float):
        _fail(key, f"must be a number, not {_shown(data)}")
    try:
        value = float(data)
    except OverflowError:
        value = math.inf
    if not math.isfinite(value):
        _fail(key, "must be finite and below 1.8e308")
    return value


def _input(data: Any, key: str) -> str:
    name = _string(data, key)
    if name not in INPUTS:
        _fail(key, f"is '{name}', which is not an input; inputs: {', '.join(INPUTS)}")
    return name


def _state(data: Any, key: str) -> State:
    found = _fields(data, key, "name", "init")
    init = found["init"]
    if isinstance(init, str) and init != "w":
        _fail(f"{key}.init", f"is '{init}'; accepted: a number, or \"w\" for the initial weights")
    start = init if isinstance(init, str) else _number(init, f"{key}.init")
    return State(_string(found["name"], f"{key}.name"), start)


def _hyperparameter(data: Any, key: str) -> Hyperparameter:
    found = _fields(data, key, "name", "default")
    default = _number(found["default"], f"{key}.default")
    return Hyperparameter(_string(found["name"], f"{key}.name"), default)


def _statement(data: Any, key: str) -> Statement:
    found = _fields(data, key, "target", "value")
    value = _expression(found["value"], f"{key}.value")
    return Statement(_string(found["target"], f"{key}.target"), value)


def _expression(data: Any, key: str, depth: int = 0) -> Expr:
    if depth > MAX_DEPTH:
        _fail(key, f"nests deeper than {MAX_DEPTH} levels")
    if isinstance(data, dict) and "constant" in data:
        return Constant(_number(_fields(data, key, "constant")["constant"], f"{key}.constant"))
    if isinstance(data, dict) and "name" in data:
        return Name(_string(_fields(data, key, "name")["name"], f"{key}.name"))
    if not isinstance(data, dict) or "call" not in data:
        _fail(key, f"must be an object with constant, name or call, not {_shown(data)}")
    found = _fields(data, key, "call", "args")
    primitive = _string(found["call"], f"{key}.call")
    if (row := PRIMITIVES.get(primitive)) is None:
        near = did_you_mean(primitive, PRIMITIVES)
        _fail(f"{key}.call", f"is '{primitive}', which is not a primitive{near}")
    args = _each(found["args"], f"{key}.args", lambda a, k: _expression(a, k, depth + 1))
    if len(args) != row.arity:
        _fail(f"{key}.args", f"has {len(args)} arguments; {primitive} takes {row.arity}")
    return Call(primitive, args)


class _Json:
    suffix = ".json"

    def write(self, program: Program) -> str:
        return to_json(program)

    def load(self, program: Program, text: str) -> Runnable:
        read = from_json(text)
        return lambda inputs, rates, starts: interpreted(read, inputs, rates)


EXPORTER = _Json()
