"""A lineage graph in the formats of other programs: JSON, GraphML, GEXF and DOT.

Files are well-formed whatever characters program texts and changes contain.
"""

from __future__ import annotations

import json
import re
from typing import Any

import networkx as nx

from ....evaluators.formatting import clipped, percent, printable
from .text import repeats

# Keys that every node has in JSON; null if there is no value.
_OPTIONAL = {"fitness": None, "reason": None, "duplicate_of": None}


def to_json(graph: nx.DiGraph) -> str:
    """Strict JSON that `networkx.node_link_graph(data, edges="edges")` reads."""
    data = {
        "directed": True,
        "multigraph": False,
        "graph": dict(graph.graph),
        "nodes": [{"id": n, **_OPTIONAL, **graph.nodes[n]} for n in graph],
        "edges": [
            {"source": a, "target": b, "difference": None, **attributes}
            for a, b, attributes in graph.edges(data=True)
        ],
    }
    return json.dumps(data, indent=1, allow_nan=False).replace("\x7f", r"\u007f") + "\n"


def to_graphml(graph: nx.DiGraph) -> str:
    """GraphML, for Gephi, yEd, Cytoscape and networkx."""
    return "\n".join(nx.generate_graphml(_for_xml(graph))) + "\n"


def to_gexf(graph: nx.DiGraph) -> str:
    """GEXF 1.2, for Gephi and networkx."""
    text = "\n".join(nx.generate_gexf(_for_xml(graph), version="1.2draft"))
    # Without networkx's date of today, so that the same run gives the same file.
    return re.sub(r' lastmodifieddate="[^"]*"', "", text, count=1) + "\n"


def to_dot(graph: nx.DiGraph) -> str:
    """DOT, for Graphviz; the program is each node's tooltip."""
    lines = ["digraph lineage {", '  node [shape=box, fontname="monospace"];']
    lines += [f"  {node} [{_dot_node(node, graph.nodes[node])}];" for node in graph]
    for parent, child, attributes in graph.edges(data=True):
        label = clipped(attributes["change"], 60)
        lines.append(f"  {parent} -> {child} [label={_quoted(label)}];")
    return "\n".join([*lines, "}"]) + "\n"


def _dot_node(node: int, attributes: dict[str, Any]) -> str:
    if attributes["status"] == "rejected":
        score, style = f"rejected: {attributes.get('reason', '')}", "dotted"
    elif attributes["status"] == "duplicate":
        score, style = repeats(attributes), "dashed"
    elif attributes["diverged"]:
        score, style = "diverged", "dotted"
    else:
        score, style = percent(attributes.get("fitness")), "solid"
    if attributes["status"] == "again":
        score, style = f"{repeats(attributes)}, trained again: {score}", "bold"
    label = _quoted(f"{node}\n{score}")
    return f"label={label}, tooltip={_quoted(attributes['program'])}, style={style}"


def _quoted(text: str) -> str:
    # Graphviz reads backslashes as escapes and & as the start of an entity, even within quotes.
    escaped = printable(text).replace("&", "&amp;").replace("\\", "\\\\").replace('"', '\\"')
    return '"' + escaped.replace("\n", "\\n") + '"'


def _for_xml(graph: nx.DiGraph) -> nx.DiGraph:
    """A copy without characters that XML forbids."""
    copy = nx.DiGraph(**graph.graph)
    copy.add_nodes_from((n, _cleaned(attributes)) for n, attributes in graph.nodes(data=True))
    copy.add_edges_from((a, b, _cleaned(attributes)) for a, b, attributes in graph.edges(data=True))
    return copy


def _cleaned(attributes: dict[str, Any]) -> dict[str, Any]:
    return {k: printable(v) if isinstance(v, str) else v for k, v in attributes.items()}
