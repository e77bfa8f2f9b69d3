"""`evoptax search`: start a run."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..dsl.errors import UserError
from ..evaluators.task_names import whole_task
from ..known_algorithms.catalogue import get_known
from ..search.config.settings import SearchConfig
from .arguments import (
    add_backend,
    add_budget,
    add_runs_dir,
    add_setting,
    add_workers,
    budget_of,
    command,
)
from .entry import STOPPED
from .output import print_note
from .signals import interrupted_by_signals, stop_on_signals

if TYPE_CHECKING:
    from ..search.execution.base import Executor
    from ..search.store.outcome import Outcome
    from ..search.store.runs import Run


def add(subparsers: Any) -> None:
    """Adds the command."""
    parser = command(subparsers, "search", "search for optimizers", run)
    parser.add_argument("config", nargs="?", type=Path, metavar="CONFIG.toml")
    parser.add_argument(
        "--preset", metavar="NAME", help="quick, standard, lion, distill, or an ablation"
    )
    parser.add_argument("--name", metavar="RUN", help="name of the run (default: date and time)")
    add_setting(parser, "--seed", SearchConfig, "seed", metavar="N")
    add_workers(parser)
    add_backend(parser)
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
    from ..search.store.runs import create_run, new_run

    config = configuration(args)
    # Before the run exists, so that a mistake leaves nothing behind.
    new_run(args.runs_dir, args.name)
    for name in (*config.start, config.baseline, *config.rivals):
        get_known(name)
    with interrupted_by_signals(), started_workers(config) as workers:
        return carry_out(create_run(args.runs_dir, args.name, config), config, workers)


def configuration(args: argparse.Namespace) -> SearchConfig:
    """Preset, then file, then options."""
    from ..search.config.files import config_from_dict, load_config
    from ..search.config.presets import DISTILL, preset

    if (args.preset == DISTILL) != (args.traces is not None):
        raise UserError(
            "--preset distill needs --traces FILE; docs/distill.md says how to record one"
            if args.traces is None
            else "--traces FILE is for --preset distill"
        )
    options: dict[str, Any] = {}
    config = preset(args.preset) if args.preset else SearchConfig()
    if args.traces is not None:
        from ..search.strategies.distillation.traces import read_traces

        read_traces(args.traces)  # so that a mistake shows before the run exists
        options["traces"] = str(args.traces.resolve())
        config = replace(config, **options)
    if args.config is not None:
        config = load_config(args.config, config)
    elif not args.preset:
        raise UserError("give a preset or a configuration, as in `evoptax search --preset quick`")
    for key in ("seed", "workers", "backend"):
        if getattr(args, key) is not None:
            options[key] = getattr(args, key)
    if budget := budget_of(args):
        options["budget"] = budget
    if args.task:
        # Whole paths, so that the run can be resumed from another folder.
        own = [whole_task(task) for task in args.task]
        tasks = dict.fromkeys([*config.funnel.screen.tasks, *own])
        options["funnel"] = {"screen": {"tasks": list(tasks)}}
    return config_from_dict(options, config, where="command line")


@contextmanager
def started_workers(config: SearchConfig) -> Iterator[Executor]:
    """Workers that have loaded every task that the configuration names.

    Raises:
      UserError: a task does not exist or cannot be loaded.
    """
    from ..search.execution.base import open_executor

    with open_executor(config.tasks, config.workers) as workers:
        workers.versions()
        yield workers


def carry_out(run: Run, config: SearchConfig, workers: Executor) -> int:
    """Runs or continues a search, with live progress, and writes its files.

    Raises:
      UserError: another process writes the run, a file cannot be written, or as the search does.
    """
    with run.writing():
        try:
            if (outcome := _searched(run, config, workers)) is not None:
                # The files need JAX in this process; the workers' memory is free before that.
                workers.close()
                return finish(run, outcome)
        except KeyboardInterrupt:
            pass  # the ledger holds all that was finished
    print_note(
        f"\nstopped and saved; continue with `evoptax resume {run.name}`"
        + ("" if run.folder.parent == Path("runs") else f" --runs-dir {run.folder.parent}")
    )
    return STOPPED


def _searched(run: Run, config: SearchConfig, workers: Executor) -> Outcome | None:
    """The outcome of a search; None if it was stopped before."""
    from ..search.engine.loop import run_search
    from ..search.engine.versions import changed_versions
    from .progress import progress_display

    print_note(f"run {run.name} in {run.folder}")
    with closing(run.read()) as opened:
        if changed := changed_versions(opened, workers):
            print_note(changed)
    with stop_on_signals() as stop, progress_display() as report:
        return run_search(run, config, workers, report=report, should_stop=lambda: bool(stop))


def finish(run: Run, outcome: Outcome) -> int:
    """Writes a finished run's files and says what it found."""
    from ..search.report.facts import read_facts
    from .summary import print_outcome

    write_files(run, outcome)
    print_outcome(outcome, read_facts(run))
    return 0


def write_files(run: Run, outcome: Outcome) -> None:
    """Writes the best rule as text and as Optax code, and the report."""
    from ..dsl.export.check import ExportError, export
    from ..dsl.files import remove_abandoned, replace_text
    from ..dsl.syntax import parse
    from ..evaluators.cache import enable_compilation_cache
    from ..search.report.report import write_report
    from ..search.store.runs import BEST_OPTAX, BEST_RULE

    enable_compilation_cache()  # for the check of the export
    remove_abandoned(run.folder)
    replace_text(run.folder / BEST_RULE, outcome.simplified)
    try:
        replace_text(run.folder / BEST_OPTAX, export(parse(outcome.simplified), "optax"))
    except ExportError as error:
        # A search can find a rule that hangs on rounding errors; the rest of what it found stands.
        print_note(f"no {BEST_OPTAX}: {error}")
    write_report(run)
