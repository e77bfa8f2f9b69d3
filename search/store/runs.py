"""Run folders: where they are and what they hold."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, closing
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from ...dsl.errors import UserError, did_you_mean
from ...dsl.files import replace_text
from ...dsl.program import Program
from ...dsl.syntax import parse
from ..config.files import config_from_dict, config_to_dict, config_to_toml
from ..config.rules import is_text
from ..config.settings import Evolution, SearchConfig
from . import ledger, task_files
from .ledger import Ledger
from .lock import hold
from .outcome import best_champion, read_outcome, read_rounds
from .records import Status

CONFIG = "config.toml"
REPORT = "report.html"
BEST_RULE = "best_rule.py"
BEST_OPTAX = "best_rule_optax.py"

# A run that is being created, and the lock of whoever creates one.
_UNFINISHED = ".evoptax-new-"
_CREATING = ".evoptax-lock"
# Seconds to wait for another process that creates a run, which takes a moment.
_PATIENCE = 30.0


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

    def write(self) -> Ledger:
        """The ledger, to be written. Raises UserError if another process writes it."""
        return ledger.open_to_write(self.ledger_path)

    def writing(self) -> AbstractContextManager[None]:
        """Keeps other processes from writing the run. Raises UserError if one does."""
        return ledger.writing(self.ledger_path)


def new_run(runs_dir: Path, name: str | None) -> Run:
    """A run that does not exist yet. Raises UserError when it cannot be created."""
    name = name or _fresh_name(runs_dir)
    if not name or name != os.path.basename(name) or name.startswith(".") or ":" in name:
        raise UserError(
            f"'{name}' cannot be the name of a run; accepted: a folder name without / and :"
        )
    from ...known_algorithms.catalogue import KNOWN  # takes a while, and only a new run needs it

    if name in KNOWN:
        raise UserError(
            f"'{name}' cannot be the name of a run, because it is that of a known rule;"
            " give another --name"
        )
    run = Run(runs_dir / name)
    _check_place(run)
    return run


def _check_place(run: Run) -> None:
    """Raises UserError if a run's folder cannot be made."""
    if _is_run(run.folder):
        raise UserError(
            f"run '{run.name}' exists already; continue it with `evoptax resume {run.name}`,"
            " or give another --name"
        )
    try:
        if run.folder.exists() and (not run.folder.is_dir() or any(run.folder.iterdir())):
            raise UserError(
                f"'{run.folder}' exists already and is no run; move it away, or give another --name"
            )
        above = next(folder for folder in run.folder.absolute().parents if folder.exists())
    except OSError as error:
        raise UserError(f"cannot write to '{run.folder.parent}': {error.strerror}") from None
    if not above.is_dir():
        raise UserError(f"cannot write to '{run.folder.parent}': '{above}' is not a folder")
    if not os.access(above, os.W_OK | os.X_OK):
        raise UserError(f"cannot write to '{above}'; give another --runs-dir")


def create_run(runs_dir: Path, name: str | None, config: SearchConfig) -> Run:
    """Makes a run folder with its configuration and an empty ledger, or nothing.

    It is made under another name and renamed, by one process at a time: so whatever stands under
    such a name is of a process that is dead, and removed.

    Raises:
      UserError: the name is taken or not usable, or the folder cannot be written.
    """
    new_run(runs_dir, name)
    facts = {"config": config_to_dict(config), task_files.FACT: task_files.checksums(config)}
    try:
        runs_dir.mkdir(parents=True, exist_ok=True)
        with hold(runs_dir / _CREATING, f"a run is being created in '{runs_dir}'", wait=_PATIENCE):
            run = new_run(runs_dir, name)  # another process may have made it meanwhile
            for abandoned in runs_dir.glob(f"{_UNFINISHED}*"):
                shutil.rmtree(abandoned, ignore_errors=True)
            unfinished = Run(runs_dir / f"{_UNFINISHED}{secrets.token_hex(8)}")
            try:
                unfinished.folder.mkdir()
                _write_config(unfinished, config)
                ledger.create(unfinished.ledger_path, facts).close()
                unfinished.folder.rename(run.folder)
            except BaseException:
                shutil.rmtree(unfinished.folder, ignore_errors=True)
                raise
    except OSError as error:
        raise UserError(f"cannot write to '{runs_dir}': {error.strerror}") from None
    task_files.trust_tasks(task_files.own_tasks(config))  # who starts a run has named them
    return run


def _write_config(run: Run, config: SearchConfig) -> None:
    """Writes the configuration for people. Raises UserError if it cannot be written."""
    replace_text(run.folder / CONFIG, config_to_toml(config))


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
    with closing(run.write()) as opened:
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
        if not config.is_trained:
            kind = config.evolution.strategy
            raise UserError(f"run '{run.name}' is a {kind}, which takes no other budget")
        if opened.is_trimmed:
            raise UserError(f"run '{run.name}' was trimmed to its ancestry, and cannot go on")
        _write_config(run, config)
        # The last round may not have been whole.
        rounds = [asdict(r) for r in read_rounds(opened)[:-1]]
        opened.set_facts({"config": config_to_dict(config), "outcome": None, "rounds": rounds})
    return config


def _fresh_name(runs_dir: Path) -> str:
    stem = datetime.now().strftime("%Y-%m-%d-%H%M%S")
    names = [stem, *(f"{stem}-{i}" for i in range(2, 1000))]
    return next(name for name in names if not (runs_dir / name).exists())


def stored_config(opened: Ledger) -> SearchConfig:
    """The configuration that a run was started with.

    Raises:
      UserError: there is none, or something else in its place.
    """
    stored = opened.fact("config")
    if stored is None:
        raise UserError("this ledger has no configuration; it was never started")
    try:
        config = config_from_dict(_renewed(stored), _nothing_added(stored), where="fact 'config'")
    except UserError as error:
        raise opened.damaged(str(error)) from None
    for rule in (*config.start, config.baseline, *config.rivals):
        if is_text(rule):
            opened.program(rule, "a rule of the configuration")
    return config


def _renewed(stored: Any) -> Any:
    """As it is stored now: older versions told a distillation by its traces alone."""
    match stored:
        case {"traces": str(traces), "evolution": {"strategy": Evolution.strategy, **others}}:
            return {**stored, "evolution": others} if traces else stored
    return stored


def _nothing_added(stored: Any) -> SearchConfig:
    """The base of a stored configuration: what has been added since to its tables is not drawn."""
    base = SearchConfig()
    found = stored.get("evolution") if isinstance(stored, Mapping) else None
    known = found if isinstance(found, Mapping) else {}
    evolution = base.evolution
    evolution = replace(
        evolution,
        grammar=known.get("grammar", evolution.grammar),
        weights={} if "weights" in known else evolution.weights,
        primitives={} if "primitives" in known else evolution.primitives,
    )
    return replace(base, evolution=evolution)


def list_runs(runs_dir: Path) -> Iterator[Run]:
    """All runs in a folder, newest first by name. Raises UserError if it cannot be read."""
    try:
        folders = sorted(runs_dir.iterdir(), reverse=True) if runs_dir.is_dir() else []
    except OSError as error:
        raise UserError(f"cannot read '{runs_dir}': {error.strerror}") from None
    for folder in folders:
        if not folder.name.startswith(".") and _is_run(folder):
            yield Run(folder)


def _is_run(folder: Path) -> bool:
    """Whether a folder holds a ledger, as far as this user may look into it."""
    try:
        return (folder / ledger.FILE).is_file()
    except OSError:
        return False


def find_run(runs_dir: Path, name: str) -> Run:
    """A run by name, or by the path of its folder.

    Raises:
      UserError: naming the runs there are.
    """
    for folder in (runs_dir / name, Path(name)):
        if _is_run(folder):
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
            if (outcome := read_outcome(opened)) is not None:
                return outcome.ordinal
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
        if which == "best" and (outcome := read_outcome(opened)) is not None:
            return parse(outcome.simplified)
        candidate = opened.candidate(ordinal)
        assert candidate is not None
        return opened.program(candidate.program, f"candidate {ordinal}")
