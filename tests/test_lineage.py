"""Lineage graphs: forests, in formats that other programs read back unchanged."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import networkx as nx
import pytest
from evoptax.dsl.errors import UserError
from evoptax.known_algorithms.catalogue import get_known
from evoptax.search.report.lineage.graph import FORMATS, ancestry, lineage_graph, to_text, write
from evoptax.search.store import ledger
from evoptax.search.store.ledger import Ledger
from evoptax.search.store.records import Proposal, Status
from small_ledger import HOSTILE, make_run

# What a format may trip over: markup, quotes, line ends, a bell, a lone surrogate.
NASTY = HOSTILE + ' "quoted" \\" \\n \r\n\t]]> &lt; \x07 \udc80 '


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    return make_run(tmp_path_factory.mktemp("runs"), count=200, rounds=5).read()


@pytest.fixture
def nasty(tmp_path: Path) -> nx.DiGraph:
    graph = lineage_graph(make_run(tmp_path, count=20, change=HOSTILE).read())
    for node in graph:
        graph.nodes[node]["program"] += NASTY
        graph.nodes[node]["reason"] = NASTY
    for edge in graph.edges:
        graph.edges[edge]["change"] = NASTY
    return graph


def chain(path: Path, length: int) -> Ledger:
    """A ledger in which everyone has one child."""
    opened = ledger.create(path / ledger.FILE)
    program = get_known("adamw").program
    opened.propose(
        Proposal(i, i - 1 if i else None, f"step {i}", program, f"{i}", Status.NEW)
        for i in range(length)
    )
    opened.commit_fitness({i: -1e-4 * i for i in range(length)})
    return opened


def test_a_run_is_a_forest_of_parents_before_children(opened: Ledger) -> None:
    graph = lineage_graph(opened)
    candidates = list(opened.candidates())
    assert list(graph) == [c.ordinal for c in candidates]
    assert nx.is_forest(graph)
    assert all(parent < child for parent, child in graph.edges)
    for c in candidates:
        assert list(graph.pred[c.ordinal]) == ([] if c.parent is None else [c.parent])
        attributes = graph.nodes[c.ordinal]
        assert (attributes["change"], attributes["program"]) == (c.change, c.program)
        assert attributes["diverged"] == (c.fitness == math.inf)
        assert attributes.get("fitness", math.inf) == (math.inf if c.fitness is None else c.fitness)
        assert attributes.get("duplicate_of") == c.duplicate_of
    assert {"new", "again", "duplicate", "rejected"} == {
        a["status"] for _, a in graph.nodes(data=True)
    }


def test_an_edge_has_the_difference_that_a_mutation_made(opened: Ledger) -> None:
    graph = lineage_graph(opened)
    for parent, child, attributes in graph.edges(data=True):
        ends = [graph.nodes[node].get("fitness") for node in (parent, child)]
        if None in ends:
            assert "difference" not in attributes
        else:
            assert attributes["difference"] == ends[1] - ends[0]


def test_statements_are_counted_from_text(tmp_path: Path) -> None:
    for doc in ("", "One line.", "Several\n\nlines = more\n"):
        opened = make_run(tmp_path, name=f"run{len(doc)}", count=3, doc=doc).read()
        assert lineage_graph(opened).nodes[0]["statements"] == 5  # four and the return


def test_ancestry_leads_from_a_starter_to_the_candidate(opened: Ledger) -> None:
    deepest = max(lineage_graph(opened), key=lambda n: (len(ancestry(opened, n)), n))
    steps = ancestry(opened, deepest)
    assert len(steps) > 3
    assert steps[0].candidate.parent is None
    assert (steps[0].difference, steps[0].diff) == (None, ())
    assert steps[-1].candidate.ordinal == deepest
    for before, after in itertools.pairwise(steps):
        assert after.candidate.parent == before.candidate.ordinal
        old, new = (set(s.candidate.program.splitlines()) for s in (before, after))
        assert {line[1:] for line in after.diff if line[0] == "-"} >= old - new
        assert {line[1:] for line in after.diff if line[0] == "+"} >= new - old
        assert any(line[0] in "+-" for line in after.diff)
    graph = lineage_graph(opened, ordinal=deepest)
    assert list(graph) == [s.candidate.ordinal for s in steps]


def test_an_unknown_candidate_is_named(opened: Ledger) -> None:
    with pytest.raises(UserError, match="no candidate 999; its candidates: 0 to 199"):
        lineage_graph(opened, ordinal=999)


def test_a_damaged_ledger_leads_to_no_endless_loop(tmp_path: Path) -> None:
    opened = ledger.create(tmp_path / ledger.FILE)
    program = get_known("sgd").program
    opened.propose([Proposal(i, 1 - i, "swap", program, f"{i}", Status.NEW) for i in (0, 1)])
    with pytest.raises(UserError, match="damaged"):
        ancestry(opened, 1)


@pytest.mark.parametrize("format", ["graphml", "gexf", "json"])
@pytest.mark.parametrize("whole", [True, False])
def test_formats_are_read_back_unchanged(
    opened: Ledger, tmp_path: Path, format: str, whole: bool
) -> None:
    graph = lineage_graph(opened, ordinal=None if whole else 150)
    again = read_back(write(graph, format), format, tmp_path)
    assert dict(again.nodes(data=True)) == dict(graph.nodes(data=True))
    assert again.adj == graph.adj


@pytest.mark.parametrize("format", ["graphml", "gexf", "json"])
def test_hostile_text_survives(nasty: nx.DiGraph, tmp_path: Path, format: str) -> None:
    again = read_back(write(nasty, format), format, tmp_path)
    assert list(again) == list(nasty)
    change = next(iter(again.edges(data="change")))[2]
    assert HOSTILE in change and "]]> &lt;" in change
    if format != "json":  # XML has no such characters, so they are written out
        assert r"\x07" in change and r"\udc80" in change


def read_back(text: str, format: str, folder: Path) -> nx.DiGraph:
    path = folder / f"lineage.{format}"
    path.write_text(text, encoding="utf-8")
    if format == "json":
        data = json.loads(text, parse_constant=refuse)
        for item in (*data["nodes"], *data["edges"]):
            for key in [k for k, v in item.items() if v is None]:
                del item[key]
        return nx.node_link_graph(data, edges="edges")
    if format == "graphml":
        return nx.read_graphml(path, node_type=int)
    graph = nx.read_gexf(path, node_type=int)
    for _, attributes in graph.nodes(data=True):
        del attributes["label"]  # GEXF's own
    for _, _, attributes in graph.edges(data=True):
        del attributes["id"]
    return graph


def refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def test_dot_is_well_formed_whatever_programs_hold(nasty: nx.DiGraph) -> None:
    lines = write(nasty, "dot").splitlines()
    quoted = r'"(?:[^"\\]|\\.)*"'
    statement = re.compile(rf"  \d+( -> \d+)? \[\w+={quoted}(, \w+=(\w+|{quoted}))*\];")
    assert (lines[0], lines[-1]) == ("digraph lineage {", "}")
    assert all(statement.fullmatch(line) for line in lines[2:-1])
    assert len(lines) == 3 + len(nasty) + nasty.number_of_edges()
    assert "&lt;" not in "\n".join(lines)  # Graphviz would show it as <


def test_a_family_tree_shows_the_best_and_counts_the_rest(opened: Ledger) -> None:
    graph = lineage_graph(opened)
    text = write(graph, "text")
    fitness = {n: f for n, f in graph.nodes(data="fitness") if f is not None}
    best = min(fitness, key=lambda n: (fitness[n], n))
    assert f" {best} *  " in text
    assert "more candidates are not shown" in text
    assert len(text.splitlines()) < 60


def test_what_was_trained_again_is_said_as_what_it_is(opened: Ledger) -> None:
    candidates = list(opened.candidates())
    again = next(c for c in candidates if c.status == "again" and c.fitness != math.inf)
    graph = lineage_graph(opened, ordinal=again.ordinal)
    assert f"(same as {again.duplicate_of}, trained again)" in write(graph, "text")
    assert f"same as candidate {again.duplicate_of} and was trained again" in write(graph, "html")
    assert rf"\nsame as {again.duplicate_of}, trained again: " in write(graph, "dot")
    for format in ("graphml", "gexf", "json"):
        assert "again" in write(graph, format)
    alike = next(c for c in candidates if c.reason == "behaves the same")
    graph = lineage_graph(opened, ordinal=alike.ordinal)
    assert f"(behaves as {alike.duplicate_of})" in write(graph, "text")
    assert f"behaves as candidate {alike.duplicate_of}" in write(graph, "html")
    assert f"behaves as {alike.duplicate_of}" in write(graph, "dot")


def test_text_is_bounded_however_long_the_run(tmp_path: Path) -> None:
    opened = chain(tmp_path, 3000)
    for ordinal in (None, 2999):
        text = to_text(lineage_graph(opened, ordinal=ordinal))
        assert "more" in text
        assert len(text.splitlines()) < 100
        assert max(map(len, text.splitlines())) < 250
    html = write(lineage_graph(opened, ordinal=2999), "html")
    assert len(html) < 100_000 and "2,880 more steps" in html


def test_text_for_a_terminal_holds_no_control_characters(nasty: nx.DiGraph) -> None:
    text = write(nasty, "text") + write(nx.DiGraph(nasty, candidate=19), "text")
    assert "\x07" not in text and "\r" not in text


@pytest.mark.parametrize("format", FORMATS)
def test_an_empty_run_has_a_lineage_too(tmp_path: Path, format: str) -> None:
    assert write(lineage_graph(make_run(tmp_path, count=0).read()), format)


def test_a_misspelt_format_is_named() -> None:
    with pytest.raises(UserError, match=r"'grapml'.*did you mean.*graphml.*accepted: text, html"):
        write(nx.DiGraph(), "grapml")


def test_reading_a_lineage_needs_no_jax() -> None:
    modules = "evoptax.search.report.lineage.graph, evoptax.search.report.report"
    code = f"import sys, {modules}; print('jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_ancestors_are_immutable(opened: Ledger) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        ancestry(opened, 0)[0].difference = 1.0  # type: ignore[misc]
