"""`evoptax search`: start a run."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..dsl.errors import UserError
from ..known_algorithms.catalogue import get_known
from .arguments import add_budget, add_runs_dir, budget_of, command
from .output import print_note
from .signals import stop_on_signals

if TYPE_CHECKING:
    from ..search.config import SearchConfig
    from ..search.outcome import Outcome
    from ..search.runs import Run
    from ..search.workers import Workers

STOPPED = 130


def add(subparsers: Any) -> None:
    """Adds the command."""
    parser = command(subparsers, "search", "search for optimizers", run)
    parser.add_argument("config", nargs="?", type=Path, metavar="CONFIG.toml")
    parser.add_argument(
        "--preset", metavar="NAME", help="quick, standard, lion, distill, or an ablation"
    )
    parser.add_argument("--name", metavar="RUN", help="name of the run (default: date and time)")
    parser.add_argument("--seed", type=int, metavar="N")
    parser.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="processes that train candidates (default: one per core)",
    )
    add_budget(parser)
    parser.add_argument(
        "--task",
        action="append",
        default=[],
        metavar="FILE.py:NAME",
        help="a task of your own, which every candidate is trained on",
    )
    parser.add_argument(
        "--traces",
        type=Path,
        metavar="FILE",
        help="with --preset distill: what a black box did, to be written as a program",
    )
    add_runs_dir(parser)


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    from ..search.runs import create_run, new_run

    config = configuration(args)
    # Before the run exists, so that a mistake leaves nothing behind.
    new_run(args.runs_dir, args.name)
    for name in (*config.start, config.baseline, *config.rivals):
        get_known(name)
    with started_workers(config) as workers:
        return carry_out(create_run(args.runs_dir, args.name, config), config, workers)


def configuration(args: argparse.Namespace) -> SearchConfig:
    """Preset, then file, then options."""
    from ..search.config import SearchConfig
    from ..search.config_file import config_from_dict, load_config
    from ..search.presets import DISTILL, preset

    config = preset(args.preset) if args.preset else SearchConfig()
    if args.config is not None:
        config = load_config(args.config, config)
    elif not args.preset:
        raise UserError("give a preset or a configuration, as in `evoptax search --preset quick`")
    options: dict[str, Any] = {}
    for key in ("seed", "workers"):
        if getattr(args, key) is not None:
            options[key] = getattr(args, key)
    if budget := budget_of(args):
        options["budget"] = budget
    if (args.preset == DISTILL) != (args.traces is not None):
        raise UserError(
            "--preset distill needs --traces FILE; docs/distill.md says how to record one"
            if args.traces is None
            else "--traces FILE is for --preset distill"
        )
    if args.traces is not None:
        from ..search.distillation.traces import read_traces

        read_traces(args.traces)  # so that a mistake shows before the run exists
        options["traces"] = str(args.traces.resolve())
    if args.task:
        # Whole paths, so that the run can be resumed from another folder.
        own = [f"{Path(path).resolve()}:{name}" for path, _, name in map(_split_task, args.task)]
        options["funnel"] = {"screen": {"tasks": [*config.funnel.screen.tasks, *own]}}
    return config_from_dict(options, config, where="command line")


def _split_task(text: str) -> tuple[str, str, str]:
    path, colon, name = text.rpartition(":")
    if not colon:
        raise UserError(f"--task {text}: accepted: FILE.py:NAME")
    return path, colon, name


@contextmanager
def started_workers(config: SearchConfig) -> Iterator[Workers]:
    """Workers that have loaded every task that the configuration names.

    Raises:
      UserError: a task does not exist or cannot be loaded.
    """
    from ..search.workers import Workers

    with Workers(config.tasks, config.workers) as workers:
        workers.versions()
        yield workers


def carry_out(run: Run, config: SearchConfig, workers: Workers) -> int:
    """Runs or continues a search, with live progress, and writes its files."""
    from ..search.distillation.run import distil
    from ..search.engine import run_search
    from .progress import progress_display

    print_note(f"run {run.name} in {run.folder}")
    search = distil if config.traces else run_search
    with stop_on_signals() as stop, progress_display() as report:
        outcome = search(run, config, workers, report=report, should_stop=lambda: bool(stop))
    if outcome is None:
        print_note(
            f"\nstopped and saved; continue with `evoptax resume {run.name}`"
            + ("" if run.folder.parent == Path("runs") else f" --runs-dir {run.folder.parent}")
        )
        return STOPPED
    # The files need JAX in this process; the workers' memory is free before that.
    workers.close()
    return finish(run, outcome)


def finish(run: Run, outcome: Outcome) -> int:
    """Writes a finished run's files and says what it found."""
    from .summary import print_outcome

    write_files(run, outcome)
    print_outcome(outcome, run)
    return 0


def write_files(run: Run, outcome: Outcome) -> None:
    """Writes the best rule as text and as Optax code, and the report."""
    from ..dsl.export.check import ExportError, export_optax
    from ..dsl.syntax import parse
    from ..evaluators.cache import enable_compilation_cache
    from ..search.reporting.report import write_report
    from ..search.runs import BEST_OPTAX, BEST_RULE

    enable_compilation_cache()  # for the check of the export
    (run.folder / BEST_RULE).write_text(outcome.simplified, encoding="utf-8")
    try:
        source = export_optax(parse(outcome.simplified))
        (run.folder / BEST_OPTAX).write_text(source, encoding="utf-8")
    except ExportError as error:
        # A search can find a rule that hangs on rounding errors; the rest of what it found stands.
        print_note(f"no {BEST_OPTAX}: {error}")
    write_report(run)
