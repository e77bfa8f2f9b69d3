"""Reads and writes configurations as TOML and as plain data; errors name the offending key."""

from __future__ import annotations

import dataclasses
import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cattrs

from ...dsl.errors import UserError, did_you_mean
from ...evaluators.task_names import is_own, whole_path, whole_task
from ...known_algorithms.catalogue import KNOWN
from ..mutation.grammars import GRAMMARS
from .ranges import Accepted, Range, accepted_by, shown
from .rules import is_text
from .settings import DISTILLATION, STAGES, Budget, Evolution, Funnel, SearchConfig, Stage

# The tables of a configuration, by key.
_TABLES: dict[str, type] = {"budget": Budget, "evolution": Evolution, "funnel": Funnel}
_TABLES |= dict.fromkeys(STAGES, Stage)


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
    except ValueError:  # Python's limit on the digits of a number
        raise UserError(f"'{path}' has a number of more than 4,300 digits") from None
    except RecursionError:
        raise UserError(f"'{path}' has lists or tables nested too deep to be read") from None
    return config_from_dict(_rooted(data, path.parent, str(path)), base, where=str(path))


def _rooted(data: dict[str, Any], folder: Path, where: str) -> dict[str, Any]:
    """The data with paths made absolute; relative ones start from the configuration's folder."""
    try:
        rooted = dict(data)
        if isinstance(traces := data.get("traces"), str) and traces:
            rooted["traces"] = str(whole_path(traces, folder))
        for key in ("start", "rivals"):
            if isinstance(rules := data.get(key), list):
                rooted[key] = [_rooted_rule(rule, folder) for rule in rules]
        if "baseline" in data:
            rooted["baseline"] = _rooted_rule(data["baseline"], folder)
        if isinstance(funnel := data.get("funnel"), dict):
            rooted["funnel"] = {key: _rooted_stage(value, folder) for key, value in funnel.items()}
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    return rooted


def _rooted_rule(rule: Any, folder: Path) -> Any:
    """The absolute path if a rule is that of a file; else the rule."""
    if not isinstance(rule, str) or is_text(rule) or not rule.strip() or rule in KNOWN:
        return rule
    path = str(whole_path(rule, folder))
    is_path = ":" not in rule and (rule.endswith(".py") or os.sep in rule)
    return path if is_path or os.path.isfile(path) else rule


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
    data = _with_present_names(data)
    _check_keys(data, SearchConfig, where, "")
    merged = _merged(config_to_dict(_with_grammar_of(data, base or SearchConfig())), data)
    if merged["traces"] and "strategy" not in data.get("evolution", {}):
        _read_traces_by(merged["evolution"])
    try:
        config = _CONVERTER.structure(merged, SearchConfig)
    except cattrs.BaseValidationError as error:
        message = cattrs.transform_error(error, format_exception=lambda exc, _: str(exc))[0]
        what, _, key = message.rpartition(" @ $.")
        accepted = _accepted_at(key)
        within = f", {accepted}" if isinstance(accepted, Range) else ""
        raise UserError(f"{where}: {key} {what}{within}") from None
    _check_values(config, where)
    return config


def _with_present_names(data: Any) -> Any:
    """The data with renamed keys under their present names."""
    match data:
        case {"funnel": {"hurdle": behind, **others}} if "early_stopping" not in others:
            return {**data, "funnel": {**others, "early_stopping": behind}}
    return data


def _with_grammar_of(data: Mapping[str, Any], base: SearchConfig) -> SearchConfig:
    """The base with the grammar that the data name, if there is such a grammar."""
    name = data.get("evolution", {}).get("grammar", base.evolution.grammar)
    if name == base.evolution.grammar or name not in tuple(GRAMMARS):
        return base
    return dataclasses.replace(base, evolution=base.evolution.with_grammar(name))


def _read_traces_by(evolution: dict[str, Any]) -> None:
    """Sets the strategy to distillation if it is the default, which does not use traces."""
    if evolution["strategy"] == Evolution.strategy:
        evolution["strategy"] = DISTILLATION


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
        if "\n" in value and "'''" not in value and value.replace("\n", "").isprintable():
            return f"'''\n{value}'''"  # a program, to be read by people
        # A JSON string is a TOML basic string, except for the one character JSON leaves bare.
        return json.dumps(value).replace("\x7f", "\\u007f")
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(v) for v in value) + "]"
    return repr(value).lower() if isinstance(value, bool) else repr(value)


def _merged(base: dict[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in data.items():
        inner = base.get(key)
        if isinstance(inner, dict) and isinstance(value, Mapping):
            value = _merged(inner, value)
        result[key] = value
    return result


def _check_keys(data: Any, cls: type, where: str, path: str) -> None:
    if not isinstance(data, Mapping):
        raise UserError(f"{where}: '{path}' must be a table of keys, not {shown(data)}")
    fields = {f.name: f for f in dataclasses.fields(cls)}
    for key, value in data.items():
        full = f"{path}.{key}" if path else key
        if key not in fields:
            raise UserError(
                f"{where}: unknown key '{full}'{did_you_mean(key, fields)};"
                f" accepted{f' in [{path}]' if path else ''}: {', '.join(fields)}"
            )
        if key in _TABLES:
            _check_keys(value, _TABLES[key], where, full)


def _accepted_at(key: str) -> Accepted | None:
    """The accepted values of a dotted key."""
    *tables, name = key.split(".")
    return accepted_by(_TABLES[tables[-1]] if tables else SearchConfig).get(name)


def _check_values(config: SearchConfig, where: str) -> None:
    _check_table(config, where, "")
    evolution, funnel = config.evolution, config.funnel
    if not funnel.screen.tasks:
        raise UserError(f"{where}: funnel.screen.tasks is empty; at least one task is needed")
    for task in funnel.screen.tasks:
        if task in funnel.proxy.tasks:
            raise UserError(
                f"{where}: funnel.proxy.tasks has {shown(task)}, which funnel.screen.tasks has too;"
                " accepted: a task in one of them"
            )
    for name in ("screen", "proxy", "validation"):
        for task in getattr(funnel, name).tasks:
            # One's own task may be all there is; then the report is read with that in mind.
            if task in funnel.target.tasks and not is_own(task):
                raise UserError(
                    f"{where}: funnel.target.tasks has {shown(task)}, which funnel.{name}.tasks has"
                    " too; accepted: tasks that the search has not seen"
                )
    if config.traces and evolution.strategy != DISTILLATION:
        raise UserError(
            f"{where}: traces is {shown(config.traces)}, and evolution.strategy is"
            f" '{evolution.strategy}', which reads none; accepted: traces with '{DISTILLATION}'"
        )
    if evolution.strategy == DISTILLATION and not config.traces:
        raise UserError(
            f"{where}: evolution.strategy is '{DISTILLATION}', which needs traces; accepted:"
            " traces = FILE too, as docs/distill.md says"
        )
    if evolution.islands > 1 and 2 * evolution.islands > evolution.population:
        raise UserError(
            f"{where}: evolution.islands is {evolution.islands}; accepted: at most half of"
            f" evolution.population, {evolution.population // 2}"
        )


def _check_table(table: Any, where: str, path: str) -> None:
    """Raises UserError, with the key, for a value that its field does not accept."""
    kind: type = type(table)
    for name, accepted in accepted_by(kind).items():
        value = getattr(table, name)
        if value is not None and (refusal := accepted.refusal(value)):
            raise UserError(f"{where}: {path}{name} {refusal}")
    for field in dataclasses.fields(table):
        if field.name in _TABLES:
            _check_table(getattr(table, field.name), where, f"{path}{field.name}.")


def _whole(value: Any) -> int:
    return _of_type(value, int, "a whole number")


def _number(value: Any) -> float:
    try:
        return float(_of_type(value, (int, float), "a number"))
    except OverflowError:  # a whole number too large for a float
        raise ValueError(f"is {shown(value)}; accepted: a number") from None


def _text(value: Any) -> str:
    return _of_type(value, str, "text in quotes")


def _of_type(value: Any, kind: type | tuple[type, ...], words: str) -> Any:
    if isinstance(value, bool) or not isinstance(value, kind):
        raise ValueError(f"is {shown(value)}; accepted: {words}")
    return value


def _weights(value: Any) -> dict[str, float]:
    if not isinstance(value, Mapping):
        raise ValueError(f"is {shown(value)}; accepted: a table of names and numbers")
    # Sorted, so that the order in a file has no effect.
    return {name: _number(value[name]) for name in sorted(value)}


def _switch(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"is {shown(value)}; accepted: true or false")
    return value


def _list(value: Any, of: Any) -> Any:
    if not isinstance(value, list | tuple):
        raise ValueError(f"is {shown(value)}; accepted: a list")
    return tuple(_CONVERTER.structure(v, of.__args__[0]) for v in value)


_CONVERTER = cattrs.Converter(forbid_extra_keys=True)
_CONVERTER.register_structure_hook(int, lambda value, _: _whole(value))
_CONVERTER.register_structure_hook(bool, lambda value, _: _switch(value))
_CONVERTER.register_structure_hook(str, lambda value, _: _text(value))
_CONVERTER.register_structure_hook(float, lambda value, _: _number(value))
_CONVERTER.register_structure_hook_func(lambda t: getattr(t, "__origin__", None) is tuple, _list)
_CONVERTER.register_structure_hook(
    float | None, lambda value, _: None if value is None else _number(value)
)
_CONVERTER.register_structure_hook(
    int | None, lambda value, _: None if value is None else _whole(value)
)
_CONVERTER.register_structure_hook(
    int | str, lambda value, _: value if isinstance(value, str) else _whole(value)
)
_CONVERTER.register_structure_hook_func(
    lambda t: getattr(t, "__origin__", None) is Mapping, lambda value, _: _weights(value)
)
