"""`evoptax.rule` reads a rule; `Rule` can be exported and used as an optimizer."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .dsl.errors import UserError, did_you_mean
from .dsl.program import Program
from .dsl.syntax import format_program, parse
from .known_algorithms.catalogue import KNOWN, SCHEDULES, get_known
from .known_algorithms.raw import RAW, raw_program

if TYPE_CHECKING:
    import optax

# The default folder of runs.
RUNS_DIR = "runs"


def runs_folder(runs_dir: str | os.PathLike[str] | None = None) -> Path:
    """The folder of runs: `runs_dir` if given, else $EVOPTAX_RUNS_DIR, else ./runs."""
    return Path(runs_dir or os.environ.get("EVOPTAX_RUNS_DIR", RUNS_DIR))


@dataclass(frozen=True)
class Rule:
    """An update rule. A notebook displays it as program text and as formulas.

    Attributes:
      program: the rule as data.
    """

    program: Program

    @property
    def name(self) -> str:
        """A Python identifier."""
        return self.program.name

    @property
    def text(self) -> str:
        """The program as text, which `evoptax.rule` reads back."""
        return format_program(self.program)

    @property
    def hyperparameters(self) -> dict[str, float]:
        """Default values of the hyperparameters by name."""
        return self.program.defaults

    def with_hyperparameters(self, **values: float) -> Rule:
        """The rule with other default values. Raises UserError for an unknown name."""
        return Rule(self.program.with_defaults(**values))

    def export(self, format: str) -> str:
        """The rule in a format: "optax", "latex" or "json". Runnable code is checked before.

        Raises:
          UserError: there is no such format, or the rule cannot be written in it.
        """
        from .dsl.export.check import ExportError, export

        try:
            return export(self.program, format)
        except ExportError as error:
            raise UserError(str(error)) from None

    def optax(
        self, learning_rate: Any = None, **arguments: Any
    ) -> optax.GradientTransformationExtraArgs:
        """The rule as an optimizer, without a file.

        Args:
          learning_rate: a number or a schedule; None for the rule's default.
          arguments: further arguments of the exported function, such as hyperparameters.

        Raises:
          UserError: an argument is unknown or missing.
        """
        if learning_rate is not None:
            arguments["learning_rate"] = learning_rate
        try:
            optimizer: optax.GradientTransformationExtraArgs = self._exported(**arguments)
        except TypeError as error:
            raise UserError(str(error)) from None
        return optimizer

    @cached_property
    def _exported(self) -> Any:
        """The function in the exported file."""
        from .dsl.export.formats.optax.names import rule_name
        from .dsl.export.formats.optax.running import load
        from .dsl.export.formats.optax.write import to_optax

        return getattr(load(to_optax(self.program)), rule_name(self.program))

    def __str__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        from .search.report.html.page import code_block

        return code_block(self.text)

    def _repr_latex_(self) -> str:
        from .dsl.export.formats.latex import to_latex

        return f"$$\n{to_latex(self.program).replace('align*', 'aligned')}$$"


# One or several rules, each as `rule` accepts it.
Rules = str | os.PathLike[str] | Program | Rule | Iterable[Any]


def listed(rules: Rules) -> list[Any]:
    """One or several rules as a list."""
    return [rules] if isinstance(rules, str | os.PathLike | Program | Rule) else list(rules)


def rule(source: str | os.PathLike[str] | Program | Rule, *, runs_dir: Any = None) -> Rule:
    """Reads a rule.

    Args:
      source: a known name, RUN:best, RUN:NUMBER, the path of a file with one program, or program
        text.
      runs_dir: the folder of runs; see `runs_folder`.

    Raises:
      UserError: there is no such rule; the message says what is accepted.
    """
    if isinstance(source, Rule):
        return source
    if isinstance(source, Program):
        return Rule(source)
    text = os.fspath(source)
    if isinstance(source, str) and "\n" in text:
        return Rule(_parsed(text))
    return Rule(read_rule(text, runs_folder(runs_dir)))


def read_rule(text: str, runs_dir: Path) -> Program:
    """The program for a command-line RULE: a known name, RUN:best, RUN:NUMBER, or a file.

    Raises:
      UserError: there is no such rule; the message says what is accepted.
    """
    if text in KNOWN or text in SCHEDULES:
        return get_known(text).program
    if text in RAW:
        return raw_program(text)
    if os.path.isfile(text):  # unlike Path.is_file, False for a name that is too long
        return read_program_file(Path(text))
    if ":" in text:
        from .search.store.runs import find_run, rule_of_run

        name, _, which = text.rpartition(":")
        return rule_of_run(find_run(runs_dir, name), which)
    if text.endswith(".py") or os.sep in text:
        raise UserError(f"no file '{text}'; a rule file holds one program")
    if os.path.isdir(runs_dir / text):
        raise UserError(f"'{text}' is a run; its best rule is {text}:best")
    raise UserError(
        f"no rule '{text}'{did_you_mean(text, KNOWN)}; accepted: a known name"
        " (`evoptax known` lists them), RUN:best, RUN:NUMBER, or a file with one program"
    )


def read_program_file(path: Path) -> Program:
    """The program in a file. Raises UserError with the file and the mistake in it."""
    try:
        text = path.read_text(encoding="utf-8-sig")  # with or without a byte-order mark
    except OSError as error:
        raise UserError(f"cannot read '{path}': {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"'{path}' is not text in UTF-8; a rule file holds one program") from None
    if "\nimport optax" in text:
        raise UserError(
            f"'{path}' is exported Optax code, not a rule; the rule that it was exported from is in"
            " its comment"
        )
    try:
        return _parsed(text)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def _parsed(text: str) -> Program:
    """The program in a text, which may call known rules. Raises ProgramError."""
    known = {**KNOWN, **SCHEDULES}
    return parse(text, {name: rule.program for name, rule in known.items() if name in text})
