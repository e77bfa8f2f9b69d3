"""Run folders: where they are and what they hold."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ..dsl.errors import UserError, did_you_mean
from ..dsl.program import Program
from ..dsl.syntax import parse
from . import ledger
from .config import SearchConfig
from .config_file import config_from_dict, config_to_dict, config_to_toml
from .ledger import Ledger
from .reporting.overfitting import best_champion, read_rounds
from .state import Status

CONFIG = "config.toml"
REPORT = "report.html"
BEST_RULE = "best_rule.py"
BEST_OPTAX = "best_rule_optax.py"


@dataclass(frozen=True)
class Run:
    """A run folder."""

    folder: Path

    @property
    def name(self) -> str:
        """The run's name."""
        return self.folder.name

    @property
    def ledger_path(self) -> Path:
        """The ledger's file."""
        return self.folder / ledger.FILE

    def read(self) -> Ledger:
        """The ledger, read-only. Raises UserError if it cannot be read."""
        return ledger.open_to_read(self.ledger_path)


def new_run(runs_dir: Path, name: str | None) -> Run:
    """A run that does not exist yet. Raises UserError when the name is taken or not usable."""
    name = name or _fresh_name(runs_dir)
    if not name or name != os.path.basename(name) or name.startswith(".") or ":" in name:
        raise UserError(
            f"'{name}' cannot be the name of a run; accepted: a folder name without / and :"
        )
    from ..known_algorithms.catalogue import KNOWN  # takes a while, and only a new run needs it

    if name in KNOWN:
        raise UserError(
            f"'{name}' cannot be the name of a run, because it is that of a known rule;"
            " give another --name"
        )
    run = Run(runs_dir / name)
    if run.ledger_path.exists():
        raise UserError(
            f"run '{name}' exists already; continue it with `evoptax resume {name}`,"
            " or give another --name"
        )
    return run


def create_run(runs_dir: Path, name: str | None, config: SearchConfig) -> Run:
    """Makes a run folder with its configuration and an empty ledger.

    Raises:
      UserError: the name is taken or not usable, or the folder cannot be written.
    """
    run = new_run(runs_dir, name)
    _write_config(run, config)
    with closing(ledger.create(run.ledger_path)) as created:
        created.set_fact("config", config_to_dict(config))
    return run


def _write_config(run: Run, config: SearchConfig) -> None:
    """Writes the configuration for people. Raises UserError if it cannot be written."""
    try:
        run.folder.mkdir(parents=True, exist_ok=True)
        (run.folder / CONFIG).write_text(config_to_toml(config), encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write to '{run.folder}': {error.strerror}") from None


def extend(run: Run, limits: Mapping[str, float]) -> SearchConfig:
    """Gives a run a larger budget. A finished one is open again, and goes on as if it had had that
    budget from the start: what came out at the end is forgotten, and found anew.

    Args:
      run: not being searched in by any process.
      limits: those of its `config.Budget` that change, by name, from the run's start.

    Returns:
      Its configuration from now on.

    Raises:
      UserError: a limit is not larger than what the run has used, or its candidates are gone.
    """
    with closing(ledger.open_to_write(run.ledger_path)) as opened:
        config = config_from_dict(
            {"budget": dict(limits)}, stored_config(opened), where="command line"
        )
        counts = opened.counts()
        used = {
            "seconds": opened.seconds(),
            "candidates": sum(counts[status] for status in Status if status.is_trained),
        }
        for name, limit in limits.items():
            if limit <= used[name]:
                raise UserError(
                    f"--budget.{name} {limit:g}: run '{run.name}' has used {used[name]:,.0f}"
                    " already; accepted: more"
                )
        if config.traces:
            raise UserError(f"run '{run.name}' is a distillation, which takes no other budget")
        if opened.is_trimmed:
            raise UserError(f"run '{run.name}' was trimmed to its ancestry, and cannot go on")
        _write_config(run, config)
        opened.set_fact("config", config_to_dict(config))
        opened.set_fact("outcome", None)
        # The last round may not have been whole.
        opened.set_fact("rounds", opened.fact("rounds", [])[:-1])
    return config


def _fresh_name(runs_dir: Path) -> str:
    stem = datetime.now().strftime("%Y-%m-%d-%H%M%S")
    names = [stem, *(f"{stem}-{i}" for i in range(2, 1000))]
    return next(name for name in names if not (runs_dir / name).exists())


def stored_config(opened: Ledger) -> SearchConfig:
    """The configuration that a run was started with."""
    stored = opened.fact("config")
    if stored is None:
        raise UserError("this ledger has no configuration; it was never started")
    return config_from_dict(stored, where="the run's configuration")


def list_runs(runs_dir: Path) -> Iterator[Run]:
    """All runs in a folder, newest first by name."""
    if not runs_dir.is_dir():
        return
    for folder in sorted(runs_dir.iterdir(), reverse=True):
        if (folder / ledger.FILE).is_file():
            yield Run(folder)


def find_run(runs_dir: Path, name: str) -> Run:
    """A run by name, or by the path of its folder.

    Raises:
      UserError: naming the runs there are.
    """
    for folder in (runs_dir / name, Path(name)):
        if os.path.isfile(folder / ledger.FILE):  # a name that is too long is none
            return Run(folder)
    names = [run.name for run in list_runs(runs_dir)]
    accepted = f"runs in '{runs_dir}': {', '.join(names)}" if names else f"'{runs_dir}' has no runs"
    raise UserError(f"no run '{name}'{did_you_mean(name, names)}; {accepted}")


def ordinal_in_run(run: Run, which: str) -> int:
    """The number of a run's candidate: `best`, or a number.

    Raises:
      UserError: there is no such candidate, or nothing was trained yet.
    """
    with closing(run.read()) as opened:
        if which == "best":
            if outcome := opened.fact("outcome"):
                return outcome["ordinal"]
            rounds = read_rounds(opened)
            if (found := best_champion(rounds)) is not None:
                return found[1].ordinal
            trained = [c for c in opened.candidates() if c.fitness is not None]
            if not trained:
                raise UserError(f"run '{run.name}' has no trained candidate yet")
            return min(trained, key=lambda c: (c.fitness, c.ordinal)).ordinal
        if not (which.isascii() and which.isdecimal()):
            raise UserError(
                f"'{which}' is no rule of run '{run.name}'; accepted: best, or a candidate's number"
            )
        # SQLite's numbers have 18 digits at least.
        if len(which) > 18 or opened.candidate(int(which)) is None:
            raise UserError(
                f"run '{run.name}' has no candidate {which}; it has {sum(opened.counts().values())}"
            )
        return int(which)


def rule_of_run(run: Run, which: str) -> Program:
    """A rule of a run: `best` (simplified and tuned, once the run is done), or a number.

    Raises:
      UserError: as `ordinal_in_run` does.
    """
    ordinal = ordinal_in_run(run, which)
    with closing(run.read()) as opened:
        if which == "best" and (outcome := opened.fact("outcome")):
            return parse(outcome["simplified"])
        candidate = opened.candidate(ordinal)
        assert candidate is not None
        return parse(candidate.program)
