"""A run's report: one self-contained page that says what was found and how sure that is."""

from __future__ import annotations

import math
import platform
import shlex
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from ..dsl.errors import UserError
from ..dsl.simplifier import simplify
from ..dsl.syntax import format_program, parse
from .ancestry import Ancestor, ancestry
from .charts import CHART_STYLE, score_chart
from .config import SearchConfig, config_to_toml
from .ledger import Ledger
from .lineage_html import STEPS_STYLE, steps_html
from .page import code_block, page, paragraph, section, text
from .report_tables import comparison_table, finalists_table
from .runs import BEST_OPTAX, BEST_RULE, REPORT, Run, stored_config
from .verdict import Verdict, judge
from .wording import percent, plural, printed_name

_LIBRARIES = ("evoptax", "jax", "optax", "numpy", "scikit-learn", "networkx")


@dataclass(frozen=True)
class _Facts:
    """What the page is made of, read from the ledger at once."""

    run: Run
    config: SearchConfig
    outcome: Mapping[str, Any] | None
    counts: Mapping[str, int]
    reasons: Mapping[str, int]
    trained: tuple[tuple[int, float], ...]  # ordinal and fitness of what was trained
    best: int | None  # the best rule's ordinal; until there is an outcome, the best trained
    line: tuple[Ancestor, ...]  # its ancestry
    seconds: float

    @property
    def baseline(self) -> str:
        return printed_name(self.config.baseline)

    @property
    def evolved(self) -> bool:
        return len(self.line) > 1


def write_report(run: Run) -> Path:
    """Writes the report into the run's folder and returns its path.

    Raises:
      UserError: the ledger cannot be read or the folder not written.
    """
    html = report_html(run)
    path = run.folder / REPORT
    # A reader with the page open must never find half of it.
    unfinished = path.with_suffix(".tmp")
    try:
        unfinished.write_text(html, encoding="utf-8")
        unfinished.replace(path)
    except OSError as error:
        raise UserError(f"cannot write '{path}': {error.strerror}") from None
    return path


def report_html(run: Run) -> str:
    """The report of a run, finished or not, as one HTML page.

    Raises:
      UserError: the ledger cannot be read.
    """
    with closing(run.read()) as opened:
        facts = _read(run, opened)
    verdict = _verdict(facts)
    body = [
        "<header>",
        f"<h1>evoptax: run {text(run.name)}</h1>",
        paragraph(verdict.sentence, "verdict"),
        *(paragraph(caveat, "caveat") for caveat in verdict.caveats),
        "</header>",
        _best_rule(facts),
        _comparison(facts),
        _scores(facts),
        _finalists(facts),
        _counts(facts),
        _ancestry(facts),
        _reproduction(facts),
    ]
    style = CHART_STYLE + STEPS_STYLE
    return page(f"{run.name}: evoptax", (part for part in body if part), style)


def _read(run: Run, opened: Ledger) -> _Facts:
    outcome = opened.fact("outcome")
    reasons: Counter[str] = Counter()
    trained = []
    for candidate in opened.candidates():
        if candidate.status == "rejected":
            reasons[candidate.reason] += 1
        elif candidate.status == "new" and candidate.fitness is not None:
            trained.append((candidate.ordinal, candidate.fitness))
    finite = [(fitness, ordinal) for ordinal, fitness in trained if math.isfinite(fitness)]
    best = outcome["ordinal"] if outcome else min(finite)[1] if finite else None
    return _Facts(
        run,
        stored_config(opened),
        outcome,
        opened.counts(),
        reasons,
        tuple(trained),
        best,
        ancestry(opened, best) if best is not None else (),
        opened.seconds(),
    )


def _verdict(facts: _Facts) -> Verdict:
    if facts.outcome:
        return judge(facts.outcome, facts.config.baseline, evolved=facts.evolved)
    resume = f"Continue it with `evoptax resume {shlex.quote(facts.run.name)}`."
    trained = plural(len(facts.trained), "candidate")
    if facts.best is None:
        if not facts.trained:
            return Verdict("This run has not trained a candidate yet.", (resume,))
        return Verdict(
            f"This run is not finished: {trained} trained so far, all diverged.", (resume,)
        )
    score = percent(facts.line[-1].fitness)
    return Verdict(
        f"This run is not finished: of {trained} trained so far, the best has {score} loss"
        f" relative to tuned {facts.baseline} on the tasks it is evolved on.",
        ("That proves nothing yet: it was not tried on unseen tasks or with fresh seeds.", resume),
    )


def _best_rule(facts: _Facts) -> str:
    if facts.best is None:
        return ""
    name = shlex.quote(facts.run.name)
    if not facts.outcome:
        source = format_program(simplify(parse(facts.line[-1].candidate.program)))
        words = f"Candidate {facts.best}, simplified. Its name is still that of its starter."
        command = code_block(f"evoptax export {name}:{facts.best} --to optax")
        return section("The best rule so far", paragraph(words), code_block(source), command)
    source = facts.outcome["simplified"]
    rule = source.removeprefix("def ").partition("(")[0]
    size = parse(source).size
    state = len(parse(source).state)
    carries = plural(state, "state variable") if state else "no state"
    known = "" if facts.evolved else ", which is where the search started"
    words = f"Candidate {facts.best}{known}, simplified: {plural(size, 'operation')} and {carries}."
    module = BEST_OPTAX.removesuffix(".py")
    return section(
        "The best rule",
        paragraph(words),
        code_block(source),
        f"<p>To train with it, copy <code>{text(BEST_OPTAX)}</code> from the run's folder, which"
        " needs optax and jax alone:</p>",
        code_block(f"from {module} import {rule}\n\noptimizer = {rule}()"),
        "<p>Or export it, as Optax code or as LaTeX:</p>",
        code_block(f"evoptax export {name}:best --to optax\nevoptax export {name}:best --to latex"),
        f'<p class="note">The same program as text is in <code>{text(BEST_RULE)}</code>.</p>',
    )


def _comparison(facts: _Facts) -> str:
    if not facts.outcome or not facts.outcome["comparison"]:
        return ""
    words = (
        "Tasks and seeds that nothing was chosen by. Every rule gets the same learning rates and"
        f" is shown at its best one. Percent: how much higher its loss is than {facts.baseline}'s,"
        " with a 95 % interval from a paired t-test over seeds; negative is better."
    )
    return section(
        f"Compared with tuned {facts.baseline} on unseen tasks",
        paragraph(words, "note"),
        comparison_table(facts.outcome, facts.config.baseline),
    )


def _scores(facts: _Facts) -> str:
    if not facts.trained:
        return ""
    kin = {step.candidate.ordinal for step in facts.line}
    chart = score_chart(facts.trained, kin, facts.baseline)
    return section("The search", chart or paragraph("Every candidate diverged."))


def _finalists(facts: _Facts) -> str:
    if not facts.outcome or not facts.outcome["finalists"]:
        return ""
    funnel = facts.config.funnel
    proxies = ", ".join((*funnel.screen.tasks, *funnel.proxy.tasks))
    unseen = ", ".join(funnel.validation.tasks) or "none"
    words = (
        "What evolution optimizes proves little: it also fits its few proxies. So the best"
        " candidates were ranked by validation tasks, then trained again by an independent path"
        " with fresh seeds; the first that held was taken. A finalist whose lead shrinks from left"
        " to right was fitted to its proxies."
    )
    return section(
        "Finalists",
        paragraph(words, "note"),
        finalists_table(facts.outcome, validated=bool(funnel.validation.tasks)),
        paragraph(f"Proxies: {proxies}. Validation: {unseen}.", "note"),
    )


def _counts(facts: _Facts) -> str:
    total = sum(facts.counts.values())
    if not total:
        return ""
    diverged = sum(not math.isfinite(fitness) for _, fitness in facts.trained)
    items = [
        ("proposed", total, ""),
        ("trained", len(facts.trained), _share(len(facts.trained), total)),
        ("duplicates", facts.counts["duplicate"], _share(facts.counts["duplicate"], total)),
        ("rejected", facts.counts["rejected"], _share(facts.counts["rejected"], total)),
        ("diverged in training", diverged, _share(diverged, len(facts.trained), "trained")),
    ]
    cells = "".join(
        f"<div><dt>{name}</dt><dd>{count:,} <small>{share}</small></dd></div>"
        for name, count, share in items
    )
    cells += f"<div><dt>time searching</dt><dd>{_duration(facts.seconds)}</dd></div>"
    ordered = sorted(facts.reasons.items(), key=lambda item: (-item[1], item[0]))
    why = "; ".join(f"{reason} {count:,}" for reason, count in ordered)
    note = paragraph(f"Rejected before training: {why}.", "note") if why else ""
    return section("What became of the candidates", f"<dl>{cells}</dl>", note)


def _ancestry(facts: _Facts) -> str:
    if not facts.evolved:
        return ""
    steps = plural(len(facts.line) - 1, "step")
    words = (
        f"{steps} from {facts.line[0].change.removeprefix('start: ')}. Beside each: loss relative"
        f" to tuned {facts.baseline} on the proxies, and what the mutation did to it."
    )
    command = f"evoptax lineage {shlex.quote(facts.run.name)} {facts.best} --format graphml"
    return section(
        "Where the rule comes from",
        paragraph(words, "note"),
        steps_html(facts.line, facts.outcome["simplified"] if facts.outcome else None),
        "<p>For other programs:</p>",
        code_block(command),
    )


def _reproduction(facts: _Facts) -> str:
    versions = ", ".join([f"Python {platform.python_version()}", *_versions()])
    repeats = (
        "A budget in seconds ends elsewhere on another machine; to repeat this run exactly,"
        f" leave it out and set budget.candidates to {len(facts.trained)}."
        if facts.config.budget.seconds is not None
        else "The same configuration and versions repeat this run exactly."
    )
    return section(
        "Configuration",
        paragraph(f"Seed {facts.config.seed}. {repeats}"),
        code_block(config_to_toml(facts.config)),
        paragraph(f"This page was written with {versions}.", "note"),
    )


def _versions() -> list[str]:
    found = []
    for name in _LIBRARIES:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue  # a reader's machine need not have what training needs
    return found


def _share(part: int, whole: int, of: str = "") -> str:
    if not whole:
        return ""
    return f"{100 * part / whole:.0f} %" + (f" of {of}" if of else "")


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes / 60:.1f} h"
