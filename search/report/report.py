"""Writes a run's report: one self-contained page with the results and their uncertainty."""

from __future__ import annotations

import platform
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

from ...dsl.files import replace_text
from ...evaluators.formatting import percent, plural, printed_name
from ..config.files import config_to_toml
from ..config.rules import rule_name
from ..store.runs import REPORT, Run
from .best_section import best_rule
from .charts import CHART_STYLE, score_chart
from .conclusions import Conclusion, base_words, judge, judge_distilled
from .facts import Facts, read_facts
from .funnel_section import FUNNEL_STYLE, funnel_section
from .hall_of_fame_section import fame_section
from .html.page import bullets, code_block, page, paragraph, section, text
from .html.plot import PLOT_STYLE
from .lineage.html import STEPS_STYLE, steps_html
from .round_chart import ROUND_STYLE
from .rounds_section import rounds_section
from .scales_section import SCALES_STYLE, scales_section
from .tables import comparison_table, overall_table

_LIBRARIES = ("evoptax", "jax", "optax", "numpy", "scikit-learn", "networkx")


def write_report(run: Run) -> Path:
    """Writes the report into the run's folder and returns its path.

    Raises:
      UserError: the ledger cannot be read or the folder not written.
    """
    html = report_html(run)
    path = run.folder / REPORT
    replace_text(path, html)  # a reader with the page open never finds half of it
    return path


def report_html(run: Run) -> str:
    """The report of a run, finished or not, as one HTML page.

    Raises:
      UserError: the ledger cannot be read.
    """
    facts = read_facts(run)
    conclusion = conclusion_of(facts)
    body = [
        "<header>",
        f"<h1>evoptax: run {text(run.name)}</h1>",
        paragraph(conclusion.sentence, "conclusion"),
        *(paragraph(caveat, "caveat") for caveat in conclusion.caveats),
        "</header>",
        best_rule(facts),
        *(_of_training(facts) if facts.config.is_trained else ()),
        _reproduction(facts),
    ]
    style = PLOT_STYLE + CHART_STYLE + ROUND_STYLE + FUNNEL_STYLE + STEPS_STYLE + SCALES_STYLE
    return page(f"{run.name}: evoptax", (part for part in body if part), style)


def _of_training(facts: Facts) -> Sequence[str]:
    return (
        _comparison(facts),
        scales_section(facts.outcome, base_words(facts.outcome, rule_name(facts.config.baseline))),
        rounds_section(facts),
        fame_section(facts),
        _scores(facts),
        funnel_section(facts),
        _ancestry(facts),
    )


def conclusion_of(facts: Facts) -> Conclusion:
    """The conclusion on a run, finished or not, with a caveat if workers hung."""
    conclusion = _conclusion_of(facts)
    if not facts.hung:
        return conclusion
    what = ", ".join(f"{what} on {task or 'a task'}" for what, task in facts.hung.items())
    words = (
        f"Workers hung on {what}, which counts as diverged. On a machine where they do not hang,"
        " this search may end differently."
    )
    return replace(conclusion, caveats=(*conclusion.caveats, words))


def _conclusion_of(facts: Facts) -> Conclusion:
    if not facts.config.is_trained:
        return judge_distilled(facts.outcome)
    if facts.outcome:
        return judge(facts.outcome, rule_name(facts.config.baseline), evolved=facts.evolved)
    resume = f"Continue it with `evoptax resume {shlex.quote(facts.run.name)}`."
    trained = plural(len(facts.counts.trials), "candidate")
    if facts.best is None:
        if not facts.counts.trials:
            return Conclusion("This run has not trained a candidate yet.", (resume,))
        return Conclusion(
            f"This run is not finished: {trained} trained so far, all diverged.", (resume,)
        )
    so_far = f"This run is not finished: of {trained} trained so far, the best"
    relative = f"loss relative to {base_words(None, facts.baseline)}"
    tried = {c.ordinal: c.validation for r in facts.rounds for c in r.champions}
    if facts.best in tried:
        return Conclusion(
            f"{so_far} on held-out tasks has {percent(tried[facts.best])} {relative} there.",
            (
                "That score is optimistic, because it is the best of many: the rule was neither"
                " confirmed on fresh seeds nor compared on unseen tasks.",
                resume,
            ),
        )
    return Conclusion(
        f"{so_far} has {percent(facts.line[-1].fitness)} {relative} on the tasks it is evolved on.",
        (
            "That proves nothing yet: the rule was not tested on unseen tasks or fresh seeds.",
            resume,
        ),
    )


def _comparison(facts: Facts) -> str:
    if not facts.outcome or not facts.outcome["comparison"]:
        return ""
    words = (
        "No choice used these tasks and seeds. Every rule is shown at its best learning rate of the"
        " same grid. Percent: loss relative to the baseline's, with a paired 95 %"
        " interval over seeds; negative is better."
    )
    base = base_words(facts.outcome, rule_name(facts.config.baseline))
    return section(
        f"Compared with {base} on unseen tasks",
        paragraph(words, "note"),
        comparison_table(facts.outcome, rule_name(facts.config.baseline)),
        *_opponents(facts.outcome),
        *_overall(facts.outcome),
    )


def _opponents(outcome: Mapping[str, Any]) -> Sequence[str]:
    lines = [
        f"{printed_name(o['rule'])}: {', '.join(o['changes']) or 'none better than the default'}"
        for o in outcome["opponents"]
    ]
    title = "The opponents' constants, tuned on the proxies of this search:"
    return (paragraph(title), bullets(lines, len(lines))) if lines else ()


def _overall(outcome: Mapping[str, Any]) -> Sequence[str]:
    if not (found := overall_table(outcome)):
        return ()
    words = (
        "All of these tasks together, then each tier that has several: the geometric mean of the"
        " loss ratios, best rule over rival, paired by task and seed. Intervals: 95 % bootstrap"
        " over seeds. p: two-sided sign-flip test against no difference on these tasks, after"
        " Holm's correction over the opponents with tuned constants, or over those with default"
        " ones."
    )
    return ("<h3>Over all unseen tasks</h3>", found, paragraph(words, "note"))


def _scores(facts: Facts) -> str:
    if not facts.counts.trials:
        return ""
    kin = {step.candidate.ordinal for step in facts.line}
    chart = score_chart(facts.counts.trials, kin, facts.baseline)
    note = (
        "Each round has its own problems, so scores of different rounds are not exactly comparable."
        if facts.config.evolution.round
        else ""
    )
    return section(
        "The search",
        chart or paragraph("Every candidate diverged."),
        paragraph(note, "note") if note else "",
    )


def _ancestry(facts: Facts) -> str:
    if not facts.evolved:
        return ""
    steps = plural(len(facts.line) - 1, "step")
    words = (
        f"{steps} from {facts.line[0].change.removeprefix('start: ')}. Each shows the loss relative"
        f" to {base_words(None, facts.baseline)} on the proxies, and its change from the parent. A"
        " parent and child of different rounds were trained on different problems."
    )
    command = f"evoptax lineage {shlex.quote(facts.run.name)} {facts.best} --format graphml"
    return section(
        "Where the rule comes from",
        paragraph(words, "note"),
        steps_html(facts.line, facts.outcome["simplified"] if facts.outcome else None),
        "<p>For other programs:</p>",
        code_block(command),
    )


def _reproduction(facts: Facts) -> str:
    versions = ", ".join([f"Python {platform.python_version()}", *_versions()])
    if facts.config.budget.seconds is None:
        repeats = "The same configuration and versions repeat this run exactly."
    elif facts.config.is_trained:
        repeats = (
            "A budget in seconds is not reproducible. To repeat this run exactly, remove it and set"
            f" budget.candidates to {len(facts.counts.trials)}."
        )
    else:
        repeats = (
            "A budget in seconds is not reproducible; a run with budget.candidates instead repeats"
            " exactly."
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
            continue  # a report can be written without the libraries that training needs
    return found
