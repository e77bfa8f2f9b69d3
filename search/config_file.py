"""Configurations as TOML and as plain data, checked, and refused by name when misspelt."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cattrs

from ..dsl.errors import UserError, did_you_mean
from ..evaluators.schedules import SCHEDULES
from ..evaluators.task_names import is_own, whole_path, whole_task
from .config import READABLE, STRATEGIES, Budget, Evolution, Funnel, SearchConfig, Stage


def load_config(path: Path, base: SearchConfig) -> SearchConfig:
    """Reads a TOML file over a base configuration.

    Raises:
      UserError: the file cannot be read, is not TOML, or has a key or value that is not accepted.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read configuration '{path}': {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"'{path}' is not TOML: {error}") from None
    return config_from_dict(_rooted(data, path.parent, str(path)), base, where=str(path))


def _rooted(data: dict[str, Any], folder: Path, where: str) -> dict[str, Any]:
    """The same with whole paths: the files that a configuration names belong to its folder."""
    try:
        rooted = dict(data)
        if isinstance(traces := data.get("traces"), str) and traces:
            rooted["traces"] = str(whole_path(traces, folder))
        if isinstance(funnel := data.get("funnel"), dict):
            rooted["funnel"] = {key: _rooted_stage(value, folder) for key, value in funnel.items()}
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    return rooted


def _rooted_stage(stage: Any, folder: Path) -> Any:
    if not isinstance(stage, dict) or not isinstance(tasks := stage.get("tasks"), list):
        return stage
    own = [whole_task(t, folder) if isinstance(t, str) and is_own(t) else t for t in tasks]
    return {**stage, "tasks": own}


def config_from_dict(
    data: Mapping[str, Any], base: SearchConfig | None = None, where: str = "configuration"
) -> SearchConfig:
    """A configuration from nested dictionaries, with the base's values where keys are missing.

    Raises:
      UserError: naming the offending key or value.
    """
    _check_keys(data, SearchConfig, where, "")
    merged = _merged(config_to_dict(base or SearchConfig()), data)
    try:
        config = _CONVERTER.structure(merged, SearchConfig)
    except cattrs.BaseValidationError as error:
        message = cattrs.transform_error(error, format_exception=lambda exc, _: str(exc))[0]
        what, _, key = message.partition(" @ $.")
        raise UserError(f"{where}: {key}: {what}") from None
    _check_values(config, where)
    return config


def config_to_dict(config: SearchConfig) -> dict[str, Any]:
    """Nested plain data that `config_from_dict` reads back."""
    return _CONVERTER.unstructure(config)


def config_to_toml(config: SearchConfig) -> str:
    """TOML that `load_config` reads back as the same configuration."""
    return "\n".join(_toml_lines(config_to_dict(config), ())).lstrip("\n") + "\n"


def _toml_lines(data: Mapping[str, Any], path: tuple[str, ...]) -> list[str]:
    lines = [f"\n[{'.'.join(path)}]"] if path else []
    tables = {k: v for k, v in data.items() if isinstance(v, dict)}
    # TOML has no null: a missing key is None.
    lines += [f"{k} = {_toml(v)}" for k, v in data.items() if k not in tables and v is not None]
    for name, table in tables.items():
        lines += _toml_lines(table, (*path, name))
    return lines


def _toml(value: Any) -> str:
    if isinstance(value, str):
        # A JSON string is a TOML basic string, except for the one character JSON leaves bare.
        return json.dumps(value).replace("\x7f", "\\u007f")
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(v) for v in value) + "]"
    return repr(value).lower() if isinstance(value, bool) else repr(value)


def _merged(base: dict[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in data.items():
        inner = base.get(key)
        result[key] = _merged(inner, value) if isinstance(inner, dict) else value
    return result


def _check_keys(data: Any, cls: type, where: str, path: str) -> None:
    if not isinstance(data, Mapping):
        raise UserError(f"{where}: '{path}' must be a table of keys, not {data!r}")
    fields = {f.name: f for f in dataclasses.fields(cls)}
    nested = {"budget": Budget, "evolution": Evolution, "funnel": Funnel}
    nested |= dict.fromkeys(("screen", "proxy", "validation", "target"), Stage)
    for key, value in data.items():
        full = f"{path}.{key}" if path else key
        if key not in fields:
            raise UserError(
                f"{where}: unknown key '{full}'{did_you_mean(key, fields)};"
                f" accepted{f' in [{path}]' if path else ''}: {', '.join(fields)}"
            )
        if key in nested:
            _check_keys(value, nested[key], where, full)


def _check_values(config: SearchConfig, where: str) -> None:
    evolution, funnel, budget = config.evolution, config.funnel, config.budget
    at_least = {
        "evolution.population": (evolution.population, 2),
        "evolution.tournament": (evolution.tournament, 1),
        "evolution.batch": (evolution.batch, 1),
        "evolution.islands": (evolution.islands, 1),
        "evolution.round": (evolution.round, 0),
        "evolution.patience": (evolution.patience, 0),
        "evolution.mutations": (evolution.mutations, 1),
        "evolution.max_size": (evolution.max_size, 1),
        "evolution.max_state": (evolution.max_state, 0),
        "funnel.finalists": (funnel.finalists, 1),
        "funnel.champions": (funnel.champions, 1),
        "funnel.confirmed": (funnel.confirmed, 1),
        "funnel.tuned": (funnel.tuned, 0),
        "funnel.most_gain": (funnel.most_gain, 0),
        "seed": (config.seed, 0),
        "workers": (config.workers, 0),
        "funnel.hurdle": (funnel.hurdle, 0),
        "budget.seconds": (0 if budget.seconds is None else budget.seconds, 0),
        "budget.candidates": (1 if budget.candidates is None else budget.candidates, 1),
    }
    for stage in ("screen", "proxy", "validation", "target"):
        at_least[f"funnel.{stage}.seeds"] = (getattr(funnel, stage).seeds, 1)
    for key, (value, least) in at_least.items():
        if value < least:
            raise UserError(f"{where}: {key} is {value}; accepted: {least} or more")
    if not 0 < evolution.survivors <= 1:
        share = evolution.survivors
        raise UserError(f"{where}: evolution.survivors is {share}; accepted: above 0, at most 1")
    if evolution.strategy not in STRATEGIES:
        raise UserError(
            f"{where}: evolution.strategy is {evolution.strategy!r}"
            f"{did_you_mean(evolution.strategy, STRATEGIES)}; accepted: {', '.join(STRATEGIES)}"
        )
    for stage in ("screen", "proxy", "validation", "target"):
        schedule = getattr(funnel, stage).schedule
        if schedule not in SCHEDULES:
            raise UserError(
                f"{where}: funnel.{stage}.schedule is {schedule!r}"
                f"{did_you_mean(schedule, SCHEDULES)}; accepted: {', '.join(SCHEDULES)}"
            )
    for name in evolution.inputs:
        if name not in READABLE:
            raise UserError(
                f"{where}: evolution.inputs has {name!r}{did_you_mean(name, READABLE)};"
                f" accepted: {', '.join(READABLE)}"
            )
    if not funnel.screen.tasks:
        raise UserError(f"{where}: funnel.screen.tasks is empty; at least one task is needed")
    if not config.start:
        raise UserError(f"{where}: start is empty; accepted: names of known rules, as in adamw")


def _strict(value: Any, kind: type) -> Any:
    if isinstance(value, bool) or not isinstance(value, kind):
        raise ValueError(f"expected {kind.__name__}, got {value!r}")
    return value


def _strict_bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"expected true or false, got {value!r}")
    return value


def _strict_float(value: Any, _: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"expected a number, got {value!r}")
    return float(value)


def _strict_tuple(value: Any, of: Any) -> Any:
    if not isinstance(value, list | tuple):
        raise ValueError(f"expected a list, got {value!r}")
    return tuple(_CONVERTER.structure(v, of.__args__[0]) for v in value)


_CONVERTER = cattrs.Converter(forbid_extra_keys=True)
_CONVERTER.register_structure_hook(int, lambda value, _: _strict(value, int))
_CONVERTER.register_structure_hook(bool, lambda value, _: _strict_bool(value))
_CONVERTER.register_structure_hook(str, lambda value, _: _strict(value, str))
_CONVERTER.register_structure_hook(float, _strict_float)
_CONVERTER.register_structure_hook_func(
    lambda t: getattr(t, "__origin__", None) is tuple, _strict_tuple
)
_CONVERTER.register_structure_hook(
    float | None, lambda value, _: None if value is None else _strict_float(value, float)
)
_CONVERTER.register_structure_hook(
    int | None, lambda value, _: None if value is None else _strict(value, int)
)
