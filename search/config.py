"""What a search is told: frozen dataclasses, read from TOML, refused by name when misspelt."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cattrs

from ..dsl.errors import UserError, did_you_mean


@dataclass(frozen=True)
class Budget:
    """When to stop searching; whichever comes first. None means no limit.

    Attributes:
      seconds: of search, over all sessions of a run. Where it stops depends on the machine.
      candidates: distinct programs trained. Where it stops repeats exactly.
    """

    seconds: float | None = None
    candidates: int | None = None


@dataclass(frozen=True)
class Evolution:
    """Regularized evolution (Real et al. 2019), as in the Lion paper.

    Attributes:
      population: how many individuals live; the oldest dies when one is born.
      tournament: how many are drawn to find a parent, the fittest of them.
      batch: new programs proposed before any of them is scored. Part of what repeats exactly, so
        it does not depend on the number of workers.
      mutations: mean number of mutations from parent to child (at least one; geometric).
      max_size: most primitive calls in a program.
      max_state: most state variables in a program.
    """

    population: int = 1000
    tournament: int = 2
    batch: int = 16
    mutations: float = 1.5
    max_size: int = 60
    max_state: int = 4


@dataclass(frozen=True)
class Stage:
    """Tasks and how thoroughly rules are tried on them.

    Attributes:
      tasks: names of built-in tasks, or FILE.py:NAME.
      learning_rates: the grid that every rule gets; empty for the default grid.
      seeds: how many seeds of initial weights and minibatches.
    """

    tasks: tuple[str, ...] = ()
    learning_rates: tuple[float, ...] = ()
    seeds: int = 1


@dataclass(frozen=True)
class Funnel:
    """From many cheap trials to few thorough ones.

    Attributes:
      screen: every candidate is trained on these.
      proxy: only candidates that pass the screen are trained on these too.
      promote_within: a candidate passes when its mean log-ratio to tuned AdamW on the screen is
        at most this (0.05: at most about 5 % worse).
      hurdle: a candidate's training is stopped where its validation loss is this far behind tuned
        AdamW's at the same step, as a log-ratio (0.4: about 50 % higher).
      validation: chooses among the finalists, on tasks that the evolution has not seen, or on
        seeds that it has not seen of tasks that it has.
      target: the final comparison; nothing is chosen by these tasks.
      finalists: how many distinct best candidates reach validation.
    """

    screen: Stage = Stage(("quadratic", "digits_mlp"))
    proxy: Stage = Stage(("digits_conv", "text_transformer"))
    promote_within: float = 0.05
    hurdle: float = 0.4
    validation: Stage = Stage(("cancer_mlp", "digits_autoencoder"), seeds=2)
    target: Stage = Stage(("photo_denoiser", "text_transformer_large"), seeds=5)
    finalists: int = 16


@dataclass(frozen=True)
class SearchConfig:
    """Everything that decides the outcome of a search, and how it runs.

    Attributes:
      seed: of the whole run; every random draw derives from it.
      start: known rules that the population starts from.
      baseline: the known rule that scores are relative to, tuned on the same grid.
      rivals: further known rules in the final comparison.
      workers: processes that train candidates; 0 for one per core. Does not change the outcome.
    """

    seed: int = 0
    start: tuple[str, ...] = ("adamw",)
    baseline: str = "adamw"
    rivals: tuple[str, ...] = ("lion",)
    workers: int = 0
    budget: Budget = field(default_factory=Budget)
    evolution: Evolution = field(default_factory=Evolution)
    funnel: Funnel = field(default_factory=Funnel)

    @property
    def tasks(self) -> tuple[str, ...]:
        """Every task that the funnel names, once."""
        funnel = self.funnel
        stages = (funnel.screen, funnel.proxy, funnel.validation, funnel.target)
        return tuple(dict.fromkeys(task for stage in stages for task in stage.tasks))


PRESETS: Mapping[str, SearchConfig] = {
    # Three minutes on two cores, compilation and final comparison included.
    "quick": SearchConfig(
        # The number of candidates decides, so that a seed repeats; the seconds are for machines so
        # slow that three minutes would not do.
        budget=Budget(seconds=110.0, candidates=700),
        evolution=Evolution(population=100, tournament=5, batch=8, max_size=40),
        funnel=Funnel(
            proxy=Stage(("digits_conv",)),
            # One task that the evolution has not seen, and two that it has, on other seeds.
            validation=Stage(("cancer_mlp", "digits_mlp", "digits_conv"), seeds=3),
            # The two cheapest that the search has not seen; the real targets take minutes.
            target=Stage(("digits_autoencoder", "text_transformer"), seeds=5),
            finalists=12,
        ),
    ),
    # An hour or so on two cores.
    "standard": SearchConfig(
        budget=Budget(candidates=50_000),
        evolution=Evolution(population=500, tournament=3),
    ),
    # The Lion paper's population and tournament, until stopped.
    "lion": SearchConfig(),
}


def preset(name: str) -> SearchConfig:
    """A preset by name. Raises UserError naming those that exist."""
    if name not in PRESETS:
        raise UserError(
            f"unknown preset '{name}'{did_you_mean(name, PRESETS)}; accepted: {', '.join(PRESETS)}"
        )
    return PRESETS[name]


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
    return config_from_dict(data, base, where=str(path))


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
        "evolution.mutations": (evolution.mutations, 1),
        "evolution.max_size": (evolution.max_size, 1),
        "evolution.max_state": (evolution.max_state, 0),
        "funnel.finalists": (funnel.finalists, 1),
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
    if not funnel.screen.tasks:
        raise UserError(f"{where}: funnel.screen.tasks is empty; at least one task is needed")
    if not config.start:
        raise UserError(f"{where}: start is empty; accepted: names of known rules, as in adamw")


def _strict(value: Any, kind: type) -> Any:
    if isinstance(value, bool) or not isinstance(value, kind):
        raise ValueError(f"expected {kind.__name__}, got {value!r}")
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
