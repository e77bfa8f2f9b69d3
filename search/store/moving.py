"""A run whose files have moved: it is told where they are now, and goes on as if they had not."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from ...dsl.errors import UserError
from ...dsl.files import replace_text
from ...evaluators.task_names import short_task, split_task, whole_path, whole_task
from ..config.files import config_to_dict, config_to_toml
from ..config.settings import STAGES, SearchConfig
from . import ledger
from .ledger import Ledger
from .runs import CONFIG, Run, stored_config
from .task_files import FACT, checksum, file_of, own_tasks, stored_checksums


def point_elsewhere(run: Run, tasks: Sequence[str], traces: str | None = None) -> tuple[str, ...]:
    """Has a run find its files elsewhere.

    Args:
      run: not being searched in by any process.
      tasks: FILE.py:NAME, each in place of the run's own task of that NAME.
      traces: the file in place of the run's own traces.

    Returns:
      Sentences about those files that do not hold what they held when the run was started.

    Raises:
      UserError: the run has no such task, or there is no such file.
    """
    with closing(ledger.open_to_write(run.ledger_path)) as opened:
        said = [_replace_task(opened, run, whole_task(task)) for task in tasks]
        if traces is not None:
            said.append(_replace_traces(opened, run, whole_path(traces)))
        replace_text(run.folder / CONFIG, config_to_toml(stored_config(opened)))
    return tuple(words for words in said if words)


def _replace_task(opened: Ledger, run: Run, new: str) -> str:
    config = stored_config(opened)
    old = _same_name(run, own_tasks(config), new)

    def there(task: str) -> str:
        return new if task == old else task

    stages = {name: getattr(config.funnel, name) for name in STAGES}
    funnel = replace(
        config.funnel,
        **{name: replace(s, tasks=tuple(map(there, s.tasks))) for name, s in stages.items()},
    )
    facts, words = _facts(opened, replace(config, funnel=funnel), file_of(old), file_of(new))
    opened.rename_task(old, new, facts)
    return words


def _replace_traces(opened: Ledger, run: Run, new: Path) -> str:
    config = stored_config(opened)
    if not config.traces:
        raise UserError(f"run '{run.name}' has no traces to be replaced")
    old = whole_path(config.traces)
    facts, words = _facts(opened, replace(config, traces=str(new)), old, new)
    opened.set_facts(facts)
    return words


def _same_name(run: Run, own: Sequence[str], new: str) -> str:
    """The run's task that a task takes the place of."""
    name = split_task(new)[1]
    found = [task for task in own if split_task(task)[1] == name]
    if len(found) > 1:
        found = [task for task in found if short_task(task) == short_task(new)]
    if len(found) == 1:
        return found[0]
    has = f"its own tasks: {', '.join(own)}" if own else "it has no task of your own"
    what = "more than one" if found else "no"
    raise UserError(f"run '{run.name}' has {what} task named '{name}' to be replaced; {has}")


def _facts(
    opened: Ledger, config: SearchConfig, old: Path, new: Path
) -> tuple[dict[str, object], str]:
    """What is stored of a file that has moved, and a sentence if it has changed, too."""
    stored, found = dict(stored_checksums(opened)), checksum(new)
    if found is None:
        raise UserError(f"there is no file '{new}', or it cannot be read")
    before = stored.pop(str(old), None)
    stored[str(new)] = found
    words = (
        ""
        if before in (None, found)
        else f"'{new}' does not hold what '{old}' held when this run was started: from here on"
        " candidates are scored by what it holds now, beside those that were scored before"
    )
    return {"config": config_to_dict(config), FACT: stored}, words
