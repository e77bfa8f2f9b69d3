"""The ancestry of a rule as HTML: how each mutation changed the program and its score."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ....evaluators.formatting import percent, plural
from ...store.records import ALIKE, Candidate
from ..html.page import code_block, page, paragraph, section, text
from .ancestry import Ancestor, as_steps, text_diff
from .text import best_candidates, to_text

if TYPE_CHECKING:
    import networkx as nx  # takes longer to import than all else here

# The steps shown of a long ancestry, from its start and from its end.
FIRST_STEPS, LAST_STEPS = 20, 100
# Up to this many steps, the changes of the program are unfolded.
_UNFOLDED = 25

STEPS_STYLE = """
ol.steps{list-style:none;margin:.75rem 0;padding:0;border-left:2px solid var(--line)}
ol.steps li{padding:.1rem 0 1rem 1.1rem;position:relative}
ol.steps li::before{content:"";position:absolute;left:-.36rem;top:.6rem;width:.6rem;height:.6rem;
border-radius:50%;background:var(--dot)}
ol.steps li.better::before{background:var(--good)}
ol.steps li.worse::before{background:var(--bad)}
.step{display:flex;flex-wrap:wrap;gap:0 1rem;align-items:baseline}
.step b{font-variant-numeric:tabular-nums}
.change{margin:.1rem 0;font-size:.92rem}
pre.diff{padding:.5rem 0;margin:.35rem 0}
pre.diff code{display:inline-block;min-width:100%}
pre.diff span{display:block;padding:0 .9rem}
pre.diff .add{background:var(--good-back);color:var(--good)}
pre.diff .del{background:var(--bad-back);color:var(--bad)}
"""


def steps_html(steps: tuple[Ancestor, ...], simplified: str | None = None) -> str:
    """An ancestry, root first.

    Args:
      steps: from `ancestry`.
      simplified: text of the last program after simplification, shown as a last step.
    """
    hidden = len(steps) - FIRST_STEPS - LAST_STEPS
    unfolded = len(steps) <= _UNFOLDED
    items = []
    for place, step in enumerate(steps):
        if hidden > 0 and FIRST_STEPS <= place < FIRST_STEPS + hidden:
            if place == FIRST_STEPS:
                items.append(f'<li class="soft">… {plural(hidden, "more step")}</li>')
            continue
        items.append(_step(step, unfolded))
    if simplified is not None and steps:
        diff = text_diff(steps[-1].candidate.program, simplified)
        head = '<div class="step"><b>simplified</b></div>'
        words = (
            "the rule simplified, with a name and the learning rate tuned on the proxies; its"
            " constants may be tuned too, and parts that training does not need removed"
        )
        items.append(
            f'<li>{head}<p class="change">{words}</p>{_diff(diff, unfolded=True)}</li>'
            if diff
            else f'<li>{head}<p class="change">nothing left to simplify</p></li>'
        )
    return "\n".join(['<ol class="steps">', *items, "</ol>"])


def to_html(graph: nx.DiGraph) -> str:
    """A self-contained page: the ancestry of one candidate, or of the best of a whole run."""
    body = []
    if "candidate" in graph.graph:
        ordinal: int | None = graph.graph["candidate"]
        title = f"Ancestry of candidate {ordinal}"
        body.append(f"<h1>evoptax</h1>\n{paragraph(title, 'conclusion')}")
    else:
        ordinal = next(iter(best_candidates(graph, 1)), None)
        title = f"Lineage of {plural(len(graph), 'candidate')}"
        body.append(f"<h1>evoptax</h1>\n{paragraph(title, 'conclusion')}")
        body.append(section("The best and their families", code_block(to_text(graph))))
    if ordinal is not None:
        from networkx import ancestors

        line = ancestors(graph, ordinal) | {ordinal}
        steps = as_steps(_candidate(graph, node) for node in sorted(line))
        note = (
            "Loss is relative to the baseline on the proxies; lower is better. A parent and child"
            " of different rounds were trained on different problems."
        )
        body.append(
            section(
                f"Candidate {ordinal}, step by step", paragraph(note, "note"), steps_html(steps)
            )
        )
        body.append(section("Its program", code_block(steps[-1].candidate.program)))
    return page(title, body, STEPS_STYLE)


def _step(step: Ancestor, unfolded: bool) -> str:
    gain = step.difference
    css = ""
    if gain is not None and _shows(gain):
        css = ' class="better"' if gain < 0 else ' class="worse"'
    return (
        f'<li{css}><div class="step"><b>candidate {step.candidate.ordinal}</b>'
        f"<span>{percent(step.fitness)}</span>{_effect(step)}</div>"
        f'<p class="change">{text(step.change)}</p>{_diff(step.diff, unfolded)}</li>'
    )


def _effect(step: Ancestor) -> str:
    gain, same = step.difference, _duplicate_words(step.candidate)
    if step.candidate.parent is None:
        return '<span class="soft">starter</span>'
    if step.candidate.status == "rejected":
        return f'<span class="bad">rejected: {text(step.candidate.reason)}</span>'
    if gain is None:
        return f'<span class="soft">no score to compare with its parent{same}</span>'
    if not _shows(gain):
        return f'<span class="soft">no visible change in loss{same}</span>'
    css, word = ("good", "better") if gain < 0 else ("bad", "worse")
    return (
        f'<span class="{css}">{word}: {percent(gain)} against its parent</span>'
        f'<span class="soft">{same.removeprefix(", ")}</span>'
    )


def _duplicate_words(candidate: Candidate) -> str:
    """Which candidate this one is a duplicate of, as a clause; empty if of none."""
    if candidate.duplicate_of is None:
        return ""
    words = f", the same as candidate {candidate.duplicate_of}"
    if candidate.reason == ALIKE:
        words = f", behaves as candidate {candidate.duplicate_of}"
    return words + (" and was trained again" if candidate.status == "again" else "")


def _shows(gain: float) -> bool:
    return percent(gain) != percent(0.0)


def _diff(lines: tuple[str, ...], unfolded: bool) -> str:
    if not lines:
        return ""
    css = {"+": ' class="add"', "-": ' class="del"'}
    spans = "".join(f"<span{css.get(line[:1], '')}>{text(line)}</span>" for line in lines)
    return (
        f"<details{' open' if unfolded else ''}><summary>change in the program</summary>"
        f'<pre class="diff"><code>{spans}</code></pre></details>'
    )


def _candidate(graph: nx.DiGraph, node: int) -> Candidate:
    attributes = graph.nodes[node]
    return Candidate(
        node,
        next(iter(graph.pred[node]), None),
        attributes["change"],
        attributes["program"],
        attributes["digest"],
        attributes["status"],
        attributes.get("reason", ""),
        attributes.get("duplicate_of"),
        float("inf") if attributes["diverged"] else attributes.get("fitness"),
    )
