"""A lineage as plain text, at most a few hundred lines however long the run was."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ....evaluators.formatting import clipped, percent, plural, printable
from ...store.records import ALIKE

if TYPE_CHECKING:
    import networkx as nx  # takes longer to import than all else here

# The steps shown of one candidate's ancestry, from its start and from its end.
FIRST_STEPS, LAST_STEPS = 10, 40
# The number of best candidates whose ancestry is shown of a whole run.
BEST = 20
_CHANGE_WIDTH = 100
_PROGRAM_LINES = 80


def to_text(graph: nx.DiGraph) -> str:
    """The ancestry of one candidate step by step, or the family tree of a run's best candidates.

    The tree shows its roots, the best candidates, and their last common ancestors. Other candidates
    between them are only counted.
    """
    lines = _ancestry(graph) if "candidate" in graph.graph else _tree(graph)
    return "\n".join(lines) + "\n"


def best_candidates(graph: nx.DiGraph, most: int = BEST) -> list[int]:
    """The trained candidates of lowest fitness, best first, without re-evaluations."""
    trained = [
        (attributes["fitness"], node)
        for node, attributes in graph.nodes(data=True)
        if "fitness" in attributes and attributes["status"] == "new"
    ]
    return [node for _, node in sorted(trained)[:most]]


def repeats(attributes: Mapping[str, Any]) -> str:
    """Which candidate this one is a duplicate of, and how, in words; empty if of none."""
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
    yield "(a parent and child of different rounds were trained on different problems)"
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
    """The best and their ancestors, each with its children in this set."""
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
    """A note in brackets if the candidate is a duplicate, or was trained again."""
    if not (words := repeats(attributes)):
        return ""
    return f" ({words}{', trained again' if attributes['status'] == 'again' else ''})"


def _score(attributes: dict[str, Any]) -> str:
    if attributes["status"] == "rejected":
        return "rejected"
    return "diverged" if attributes["diverged"] else percent(attributes.get("fitness"))
