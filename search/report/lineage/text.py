"""A lineage as plain text, of bounded length however long the run was."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ....evaluators.formatting import clipped, percent, plural, printable
from ...store.records import ALIKE

if TYPE_CHECKING:
    import networkx as nx  # takes longer to import than all else here

# Of one candidate's ancestry, this many steps from either end.
FIRST_STEPS, LAST_STEPS = 10, 40
# Of a whole run, the lines that lead to this many of its best candidates.
BEST = 20
_CHANGE_WIDTH = 100
_PROGRAM_LINES = 80


def to_text(graph: nx.DiGraph) -> str:
    """The ancestry of one candidate step by step, or the family tree of a run's best candidates.

    A run's tree shows starters, the best candidates, and where the lines to them part; what lies
    between is counted. So the text has at most a few hundred lines.
    """
    lines = _ancestry(graph) if "candidate" in graph.graph else _tree(graph)
    return "\n".join(lines) + "\n"


def best_candidates(graph: nx.DiGraph, most: int = BEST) -> list[int]:
    """The trained candidates of lowest fitness, best first; each counts once."""
    trained = [
        (attributes["fitness"], node)
        for node, attributes in graph.nodes(data=True)
        if "fitness" in attributes and attributes["status"] == "new"
    ]
    return [node for _, node in sorted(trained)[:most]]


def repeats(attributes: Mapping[str, Any]) -> str:
    """Whom a candidate repeats, and how, in words; empty if nobody."""
    duplicate_of = attributes.get("duplicate_of")
    if duplicate_of is None:
        return ""
    return (
        f"behaves as {duplicate_of}"
        if attributes.get("reason") == ALIKE
        else f"same as {duplicate_of}"
    )


def _ancestry(graph: nx.DiGraph) -> Iterator[str]:
    nodes = sorted(graph)
    yield f"ancestry of candidate {nodes[-1]}: {plural(len(nodes) - 1, 'step')} from its starter"
    yield "loss is relative to the baseline on the proxies, then to the parent; lower is better"
    yield "(each round of a search has problems of its own; a parent's may be another's)"
    yield ""
    yield f"{'candidate':>9}  {'loss':>10}  {'to parent':>10}  change"
    hidden = len(nodes) - FIRST_STEPS - LAST_STEPS
    for place, node in enumerate(nodes):
        if hidden > 0 and FIRST_STEPS <= place < FIRST_STEPS + hidden:
            if place == FIRST_STEPS:
                yield f"{'':>9}  … {hidden:,} more"
            continue
        parents = list(graph.pred[node])
        gain = graph.edges[parents[0], node].get("difference") if parents else None
        attributes = graph.nodes[node]
        change = clipped(attributes["change"], _CHANGE_WIDTH) + _brackets(attributes)
        yield f"{node:>9}  {_score(attributes):>10}  {percent(gain):>10}  {change}"
    yield ""
    program = printable(graph.nodes[nodes[-1]]["program"]).rstrip("\n").split("\n")
    yield from program[:_PROGRAM_LINES]
    if len(program) > _PROGRAM_LINES:
        yield f"… {len(program) - _PROGRAM_LINES:,} more lines"


def _tree(graph: nx.DiGraph) -> Iterator[str]:
    best = best_candidates(graph)
    if not best:
        yield f"{plural(len(graph), 'candidate')}, none of which has been trained to a finite loss"
        return
    children = _spanned(graph, best)
    shown = {node for node in children if node in best or len(children[node]) != 1}
    roots = [node for node in children if not graph.pred[node]]
    yield (
        f"the lines that lead to the best {len(best)} of {plural(len(graph), 'candidate')};"
        " loss is relative to the baseline on the proxies"
    )
    yield ""
    # Depth first; an explicit stack, because a lineage may be deeper than Python's.
    stack = [(root, "", "", 0) for root in reversed(roots)]
    while stack:
        node, head, tail, skipped = stack.pop()
        if node not in shown and graph.pred[node]:
            stack.append((children[node][0], head, tail, skipped + 1))
            continue
        attributes = graph.nodes[node]
        between = f"… {skipped:,} more … " if skipped else ""
        star = " *" if node == best[0] else ""
        change = clipped(attributes["change"], _CHANGE_WIDTH) + _brackets(attributes)
        yield f"{head}{between}{node}{star}  {_score(attributes)}  {change}"
        for place, child in reversed(list(enumerate(children[node]))):
            last = place == len(children[node]) - 1
            joint, below = ("└─ ", "   ") if last else ("├─ ", "│  ")
            stack.append((child, tail + joint, tail + below, 0))
    yield ""
    yield f"* the best; … {len(graph) - len(shown | set(roots)):,} more candidates are not shown"


def _spanned(graph: nx.DiGraph, best: list[int]) -> dict[int, list[int]]:
    """The ancestors of the best, with those children that lead to one of the best."""
    children: dict[int, list[int]] = {}
    for node in best:
        child: int | None = None
        at: int | None = node
        while at is not None:
            known = at in children
            below = children.setdefault(at, [])
            if child is not None and child not in below:
                below.append(child)
            if known:
                break
            child, at = at, next(iter(graph.pred[at]), None)
    return {node: sorted(children[node]) for node in sorted(children)}


def _brackets(attributes: Mapping[str, Any]) -> str:
    """Whom a candidate repeats, and whether it was trained all the same."""
    if not (words := repeats(attributes)):
        return ""
    return f" ({words}{', trained again' if attributes['status'] == 'again' else ''})"


def _score(attributes: dict[str, Any]) -> str:
    if attributes["status"] == "rejected":
        return "rejected"
    return "diverged" if attributes["diverged"] else percent(attributes.get("fitness"))
