"""Plain data, as JSON holds it, checked while it is read as a value of a type.

The types are frozen dataclasses of numbers, text, tuples and tables: a further field of one of them
is checked without a line here.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from typing import Any, get_args, get_origin

import cattrs
from cattrs.gen import make_dict_structure_fn

# What SQLite can hold.
_MOST = 2**63 - 1
_CLIPPED = 40


class Mismatch(ValueError):
    """Data that is not of the type asked for; the message says where, and what is there."""


def from_json(text: Any) -> Any:
    """The plain data that a text of JSON holds.

    Raises:
      Mismatch: it is no JSON.
    """
    try:
        return json.loads(_text(text, str))
    except (ValueError, RecursionError):
        raise Mismatch(f"expected JSON, got {shown(text)}") from None


def structured(data: Any, kind: Any) -> Any:
    """Plain data as a value of a type: a dataclass, a tuple, a mapping, X | None, or one of those
    that JSON has. Nothing is converted but lists to tuples, and whole numbers to floats.

    Raises:
      Mismatch: naming the place, what is there and what belongs there.
    """
    try:
        return _CONVERTER.structure(data, kind)
    except (cattrs.BaseValidationError, Mismatch, RecursionError) as error:
        words = cattrs.transform_error(error, format_exception=_words)[0]
        what, _, where = words.partition(" @ $")
        raise Mismatch(f"{where.removeprefix('.')}: {what}" if where else what) from None


def _words(error: BaseException, _: Any) -> str:
    if isinstance(error, KeyError):
        return "it is missing"
    if isinstance(error, cattrs.ForbiddenExtraKeysError):
        return f"unknown key {shown(min(error.extra_fields))}"
    return str(error)


def shown(value: Any) -> str:
    """A value in a few words, for an error."""
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list | tuple):
        return "a list"
    text = repr(value)
    return text if len(text) <= _CLIPPED else f"{text[:_CLIPPED]}…"


def _number(value: Any, _: Any) -> float:
    if type(value) is float:
        return value
    if type(value) is not int or abs(value) > _MOST:
        raise Mismatch(f"expected a number, got {shown(value)}")
    return float(value)


def _whole(value: Any, _: Any) -> int:
    if type(value) is not int or abs(value) > _MOST:
        raise Mismatch(f"expected a whole number, got {shown(value)}")
    return value


def _truth(value: Any, _: Any) -> bool:
    if type(value) is not bool:
        raise Mismatch(f"expected true or false, got {shown(value)}")
    return value


def _text(value: Any, _: Any) -> str:
    if type(value) is not str:
        raise Mismatch(f"expected text, got {shown(value)}")
    return value


def _dataclass_hook(kind: Any) -> Callable[[Any, Any], Any]:
    inner = make_dict_structure_fn(kind, _CONVERTER, _cattrs_forbid_extra_keys=True)

    def hook(data: Any, _: Any) -> Any:
        if type(data) is not dict:
            raise Mismatch(f"expected a table, got {shown(data)}")
        return inner(data, kind)

    return hook


def _mapping_hook(kind: Any) -> Callable[[Any, Any], Any]:
    _, values = get_args(kind)  # keys are text in JSON
    inner = _CONVERTER.get_structure_hook(values)

    def hook(data: Any, _: Any) -> Any:
        if type(data) is not dict:
            raise Mismatch(f"expected a table, got {shown(data)}")
        return {key: inner(value, values) for key, value in data.items()}

    return hook


def _tuple_hook(kind: Any) -> Callable[[Any, Any], Any]:
    of = get_args(kind)
    hooks = [(_CONVERTER.get_structure_hook(k), k) for k in of if k is not Ellipsis]

    def any_length(data: Any, _: Any) -> Any:
        if type(data) not in (list, tuple):
            raise Mismatch(f"expected a list, got {shown(data)}")
        ((inner, element),) = hooks
        return tuple([inner(value, element) for value in data])

    def of_length(data: Any, _: Any) -> Any:
        if type(data) not in (list, tuple) or len(data) != len(hooks):
            raise Mismatch(f"expected a list of {len(hooks)}, got {shown(data)}")
        return tuple([inner(v, k) for v, (inner, k) in zip(data, hooks, strict=True)])

    return any_length if of[-1] is Ellipsis else of_length


_CONVERTER = cattrs.Converter()
for _kind, _hook in ((float, _number), (int, _whole), (bool, _truth), (str, _text)):
    _CONVERTER.register_structure_hook(_kind, _hook)
_CONVERTER.register_structure_hook_factory(dataclasses.is_dataclass, _dataclass_hook)
_CONVERTER.register_structure_hook_factory(lambda t: get_origin(t) is Mapping, _mapping_hook)
_CONVERTER.register_structure_hook_factory(lambda t: get_origin(t) is tuple, _tuple_hook)
