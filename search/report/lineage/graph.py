"""The lineage of a run as a networkx graph, and its file formats.

graph = lineage_graph(ledger)                 # the whole run
graph = lineage_graph(ledger, ordinal=412)    # one candidate and its ancestors
text = write(graph, "graphml")
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

import networkx as nx

from ....dsl.errors import UserError, did_you_mean
from ...store.ledger import Ledger
from ...store.records import Candidate
from .ancestry import Ancestor, ancestry, difference
from .formats import to_dot, to_gexf, to_graphml, to_json
from .html import to_html
from .text import to_text

__all__ = [
    "FORMATS",
    "Ancestor",
    "ancestry",
    "lineage_graph",
    "to_dot",
    "to_gexf",
    "to_graphml",
    "to_html",
    "to_json",
    "to_text",
    "write",
]

FORMATS: Mapping[str, Callable[[nx.DiGraph], str]] = MappingProxyType(
    {
        "text": to_text,
        "html": to_html,
        "graphml": to_graphml,
        "gexf": to_gexf,
        "dot": to_dot,
        "json": to_json,
    }
)


def write(graph: nx.DiGraph, format: str) -> str:
    """The graph in one of `FORMATS`.

    Raises:
      UserError: there is no such format; names those that there are.
    """
    if format not in FORMATS:
        raise UserError(
            f"unknown lineage format '{format}'{did_you_mean(format, FORMATS)};"
            f" accepted: {', '.join(FORMATS)}"
        )
    return FORMATS[format](graph)


def lineage_graph(ledger: Ledger, *, ordinal: int | None = None) -> nx.DiGraph:
    """The lineage as a forest: edges go from parent to child.

    Args:
      ledger: of the run.
      ordinal: only this candidate and its ancestors; None for the whole run.

    Returns:
      A graph whose nodes are ordinals. Every node has `change`, `program`, `digest`, `status`,
      `statements` (the size in lines) and `diverged`. Some have `fitness` (mean log-ratio to the
      baseline, finite), `reason` (of a rejection, or the kind of duplicate) and `duplicate_of` (the
      original of a duplicate or of a re-evaluation). Edges have `change`, and `difference` (child's
      fitness minus parent's) if both are finite. The graph attribute `candidate` is `ordinal`, if
      given.

    Raises:
      UserError: there is no such candidate.
    """
    if ordinal is None:
        return _graph(ledger.candidates())
    graph = _graph(step.candidate for step in ancestry(ledger, ordinal))
    graph.graph["candidate"] = ordinal
    return graph


def _graph(candidates: Iterable[Candidate]) -> nx.DiGraph:
    graph = nx.DiGraph()
    seen: dict[int, Candidate] = {}
    for candidate in candidates:
        seen[candidate.ordinal] = candidate
        graph.add_node(candidate.ordinal, **_attributes(candidate))
        if candidate.parent is None:
            continue
        graph.add_edge(candidate.parent, candidate.ordinal, change=candidate.change)
        gain = difference(seen.get(candidate.parent), candidate)
        if gain is not None:
            graph.edges[candidate.parent, candidate.ordinal]["difference"] = gain
    return graph


def _attributes(candidate: Candidate) -> dict[str, str | int | float | bool]:
    fitness = candidate.fitness
    attributes: dict[str, str | int | float | bool] = {
        "change": candidate.change,
        "program": candidate.program,
        "digest": candidate.digest,
        "status": candidate.status,
        # Counted in lines, because parsing 20,000 programs to count calls would take seconds.
        "statements": candidate.program.rpartition('"""')[2].count("\n") - 1,
        "diverged": fitness is not None and not math.isfinite(fitness),
    }
    # Missing and infinite values are left out, because not all file formats have null and infinity.
    if fitness is not None and math.isfinite(fitness):
        attributes["fitness"] = fitness
    if candidate.reason:
        attributes["reason"] = candidate.reason
    if candidate.duplicate_of is not None:
        attributes["duplicate_of"] = candidate.duplicate_of
    return attributes
