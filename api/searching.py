"""`evoptax.discover` and `evoptax.resume`, which the commands `search` and `resume` call."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .dsl.errors import UserError
from .evaluators.task_names import is_own, whole_task
from .naming import as_setting, as_settings, with_programs
from .rules import Rules, runs_folder
from .running import Run
from .search.config.settings import SearchConfig
from .search.store import runs
from .tasks import Tasks, task_names, workers_for

if TYPE_CHECKING:
    from .search.engine.progress import Progress
    from .search.execution.base import Executor
    from .search.store.outcome import Outcome

Config = SearchConfig | str | os.PathLike[str] | Mapping[str, Any]


def configuration(
    config: Config | None = None,
    preset: str | None = None,
    *,
    tasks: Tasks = (),
    start: Rules = (),
    baseline: Rules | None = None,
    against: Rules = (),
    traces: str | os.PathLike[str] | None = None,
    budget: Mapping[str, float] | None = None,
    grammar: str | None = None,
    **settings: Any,
) -> SearchConfig:
    """Merges a preset, a configuration and single settings; the later ones take precedence.

    Args:
      config: a TOML file, the same as nested data, or a `SearchConfig`.
      preset: name of a preset.
      tasks: additional screen tasks, which every candidate is trained on; see `evoptax.evaluate`.
      start: the rules that the search starts from, each as `evoptax.rule` accepts it.
      baseline: the rule that scores are relative to.
      against: additional rivals in the final comparison.
      traces: a file of traces, for the preset "distill".
      budget: "seconds", "candidates" or both.
      grammar: the primitives that mutations draw; see `search.mutation.grammars`.
      settings: other fields of `SearchConfig`, such as `seed`; None keeps the value.

    Raises:
      UserError: a value is not accepted; the message says what is.
    """
    from .search.config.files import config_from_dict, load_config
    from .search.config.presets import preset as named_preset

    if config is None and preset is None:
        raise UserError("give a preset or a configuration, as in `evoptax search --preset quick`")
    found = config if isinstance(config, SearchConfig) else SearchConfig()
    if preset is not None:
        found = named_preset(preset)
    options: dict[str, Any] = {k: v for k, v in settings.items() if v is not None}
    if traces is not None:
        from .search.strategies.distillation.traces import read_traces

        read_traces(Path(traces))  # check the file before the run is created
        options["traces"] = str(Path(traces).resolve())
        found = replace(found, traces=options["traces"])
    if isinstance(config, Mapping):
        found = config_from_dict(dict(config), found, where="configuration")
    elif config is not None and not isinstance(config, SearchConfig):
        found = load_config(Path(config), found)
    if budget:
        options["budget"] = dict(budget)
    if grammar is not None:
        options["evolution"] = {"grammar": grammar}
    if rules := as_settings(start):
        options["start"] = rules
    if baseline is not None:
        options["baseline"] = as_setting(baseline)
    if rules := as_settings(against):
        options["rivals"] = [*dict.fromkeys([*options.get("rivals", found.rivals), *rules])]
    if tasks:
        # Absolute paths, so that the run can be resumed from another folder.
        own = [whole_task(name) if is_own(name) else name for name in task_names(tasks)]
        screen = dict.fromkeys([*found.funnel.screen.tasks, *own])
        options["funnel"] = {"screen": {"tasks": list(screen)}}
    settled = config_from_dict(options, found, where="command line")
    of_training = {
        "start": start,
        "baseline": baseline,
        "against": against,
        "task": tasks,
        "grammar": grammar,
    }
    if not settled.is_trained and (
        unused := [name for name, value in of_training.items() if value]
    ):
        raise UserError(
            f"'{unused[0]}' is for searches that train; distillation uses traces, a seed and a"
            " budget alone"
        )
    return settled


def discover(
    config: Config | None = None,
    *,
    preset: str | None = None,
    name: str | None = None,
    tasks: Tasks = (),
    start: Rules = (),
    baseline: Rules | None = None,
    against: Rules = (),
    workers: int | str | None = None,
    runs_dir: Any = None,
    started: Callable[[Run], None] = lambda run: None,
    report: Callable[[Progress], None] = lambda progress: None,
    should_stop: Callable[[], bool] = lambda: False,
    note: Callable[[str], None] = lambda sentence: None,
    **settings: Any,
) -> Run:
    """Searches for an optimizer and writes the run's files, as `evoptax search` does.

    It can be interrupted (`KeyboardInterrupt`) at any time and continued by `evoptax.resume`.

    Args:
      config, preset, tasks, start, baseline, against, settings: see `configuration`. The run keeps
        the text of every rule, and needs no file or other run that one was read from.
      name: of the run; default: date and time.
      workers: the number of processes, 0 for one per core; or the name of another executor. Task
        objects are always trained in this process.
      runs_dir: the folder of runs; see `rules.runs_folder`.
      started: called with the run before anything is trained.
      report: called with progress. should_stop: polled between candidates.
      note: called with sentences that the user should see.

    Returns:
      The run, finished unless it was stopped.

    Raises:
      UserError: names the mistake. Either no run was created, or it can be resumed.
    """
    workers = workers_for(tasks, workers)
    settled = configuration(
        config,
        preset,
        tasks=tasks,
        start=start,
        baseline=baseline,
        against=against,
        workers=workers,
        **settings,
    )
    folder = runs_folder(runs_dir)
    # Check names first, so that a mistake leaves no run behind.
    runs.new_run(folder, name)
    settled = with_programs(settled, folder)
    with _opened(settled) as opened:
        run = runs.create_run(folder, name, settled)
        return _carried_out(run, settled, opened, started, report, should_stop, note)


def resume(
    name: str,
    *,
    tasks: Tasks = (),
    traces: str | os.PathLike[str] | None = None,
    budget: Mapping[str, float] | None = None,
    workers: int | str | None = None,
    trust_tasks: bool = False,
    runs_dir: Any = None,
    started: Callable[[Run], None] = lambda run: None,
    report: Callable[[Progress], None] = lambda progress: None,
    should_stop: Callable[[], bool] = lambda: False,
    note: Callable[[str], None] = lambda sentence: None,
) -> Run:
    """Continues a run, or extends a finished one, as `evoptax resume` does.

    Args:
      name: of the run.
      tasks: FILE.py:NAME of the run's task files that have moved; or the run's task objects.
      traces: the file of traces, if it has moved.
      budget: a larger budget: "seconds", "candidates" or both.
      workers, runs_dir, started, report, should_stop, note: see `discover`.
      trust_tasks: whether to execute task files of the run that `tasks` does not name.

    Raises:
      UserError: names the mistake.
    """
    from .search.store.moving import point_elsewhere
    from .search.store.outcome import read_outcome
    from .search.store.task_files import check_files, stored_checksums

    given = task_names(tasks) if tasks else []
    own = [task for task in given if is_own(task)]
    run = runs.find_run(runs_folder(runs_dir), name)
    with run.writing():
        if own or traces is not None:
            for words in point_elsewhere(run, own, None if traces is None else os.fspath(traces)):
                note(words)
        # Opened for writing, so that SQLite merges the log of a killed process into the ledger.
        with closing(run.write()) as opened:
            config = runs.stored_config(opened)
            outcome = read_outcome(opened)
            if budget or outcome is None:
                named = [whole_task(task) for task in own]
                files = stored_checksums(opened)
                check_files(run.name, config, files, named=named, trusting=trust_tasks)
        if budget:
            config, outcome = runs.extend(run, dict(budget)), None
        if outcome is not None:
            # Finished; its files may be incomplete if it was killed while writing them.
            write_files(run, outcome, note)
            return Run(run.folder)
        if (who := workers_for(tasks, workers)) is not None:
            config = replace(config, workers=who)
        with _opened(config) as executor:
            return _carried_out(run, config, executor, started, report, should_stop, note)


@contextmanager
def _opened(config: SearchConfig) -> Iterator[Executor]:
    """An executor that has loaded every task that the configuration names.

    Raises:
      UserError: a task does not exist or cannot be loaded.
    """
    from .search.execution.base import open_executor

    with open_executor(config.loaded_tasks, config.workers) as executor:
        executor.versions()
        yield executor


def _carried_out(
    run: runs.Run,
    config: SearchConfig,
    executor: Executor,
    started: Callable[[Run], None],
    report: Callable[[Progress], None],
    should_stop: Callable[[], bool],
    note: Callable[[str], None],
) -> Run:
    """Runs or continues a search, and writes its files."""
    from .search.engine.loop import run_search
    from .search.engine.versions import changed_versions

    found = Run(run.folder)
    with run.writing():
        started(found)
        with closing(run.read()) as opened:
            if changed := changed_versions(opened, executor):
                note(changed)
        outcome = run_search(run, config, executor, report=report, should_stop=should_stop)
        if outcome is not None:
            # Writing the files needs JAX in this process, so the workers' memory is freed first.
            executor.close()
            write_files(run, outcome, note)
    return found


def write_files(run: runs.Run, outcome: Outcome, note: Callable[[str], None]) -> None:
    """Writes the best rule as text and as Optax code, and the report."""
    from .dsl.export.check import ExportError, export
    from .dsl.files import remove_abandoned, replace_text
    from .dsl.syntax import parse
    from .evaluators.cache import enable_compilation_cache
    from .search.report.report import write_report

    enable_compilation_cache()  # for the check of the export
    remove_abandoned(run.folder)
    replace_text(run.folder / runs.BEST_RULE, outcome.simplified)
    try:
        replace_text(run.folder / runs.BEST_OPTAX, export(parse(outcome.simplified), "optax"))
    except ExportError as error:
        # A rule may depend on rounding errors, so that the check fails; the run is still valid.
        note(f"no {runs.BEST_OPTAX}: {error}")
    write_report(run)
