"""The rules that a user names in a configuration, as a run keeps them: names and program text."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from .dsl.errors import UserError
from .dsl.inputs import Source, refusal
from .dsl.program import Program
from .dsl.syntax import format_program
from .known_algorithms.catalogue import KNOWN
from .rules import Rule, Rules, listed, rule
from .search.config.rules import is_text
from .search.config.settings import SearchConfig

# What a search calls the rules that it finds.
_FOUND = re.compile(r"evolved_\d+")


def as_settings(rules: Rules) -> list[str]:
    """One or several rules as a configuration has them; see `evoptax.rule` for what is accepted."""
    return [as_setting(source) for source in listed(rules)]


def as_setting(source: Any) -> str:
    """A rule as a configuration has it: its name, its path, or its text."""
    if isinstance(source, Rule):
        return source.text
    return format_program(source) if isinstance(source, Program) else os.fspath(source)


def with_programs(config: SearchConfig, runs_dir: Path) -> SearchConfig:
    """The configuration with all rules but known ones as program text, each under its own name.

    Raises:
      UserError: there is no such rule, or the search cannot train it; names the setting.
    """
    taken: dict[str, Program] = {}  # rules as they were given, by the name that each has here

    def settled(setting: str, source: str) -> str:
        try:
            program = rule(source, runs_dir=runs_dir).program
            _check_trains(program, config, is_rival=setting == "rivals")
        except UserError as error:
            raise UserError(f"{setting}: {error}") from None
        if _is_known(program):
            return program.name
        name = _own_name(program, source, taken)
        taken[name] = program
        return format_program(replace(program, name=name))

    # The baseline first, so that it keeps its name.
    baseline = settled("baseline", config.baseline)
    start, rivals = (
        tuple(dict.fromkeys(settled(setting, source) for source in getattr(config, setting)))
        for setting in ("start", "rivals")
    )
    return replace(config, start=start, baseline=baseline, rivals=rivals)


def _is_known(program: Program) -> bool:
    return program.name in KNOWN and KNOWN[program.name].program == program


def _own_name(program: Program, source: str, taken: dict[str, Program]) -> str:
    """The first name that no other rule has in this search or in the catalogue."""
    if same := [name for name, other in taken.items() if other == program]:
        return same[0]
    names = _names(program.name, source)
    return next(n for n in names if not (n in taken or n in KNOWN or _FOUND.fullmatch(n)))


def _names(name: str, source: str) -> Iterator[str]:
    """A rule's own name, then that with the file or run that it is from, then numbered."""
    yield name
    if not is_text(source):
        run, _, which = source.rpartition(":")
        place = Path(run).name if run and not source.endswith(".py") else Path(which).stem
        name = f"{name}_of_{re.sub(r'[^0-9A-Za-z_]+', '_', place).strip('_')}"
        yield name
    number = 2
    while True:
        yield f"{name}_{number}"
        number += 1


def _check_trains(program: Program, config: SearchConfig, *, is_rival: bool) -> None:
    """Raises UserError if the search cannot train a rule. Rivals are trained by the fused path."""
    if not config.is_trained:
        return
    from .dsl.machine.bytecode import TooLarge, check_fits
    from .evaluators.backends.base import AS_DATA

    if lack := refusal(program, Source.TRAINING):
        raise UserError(f"{program.name} {lack}")
    if config.backend == AS_DATA and not is_rival:
        try:
            check_fits(program)
        except TooLarge as error:
            raise UserError(
                f"the backend '{config.backend}' cannot train {program.name}: {error}"
            ) from None
