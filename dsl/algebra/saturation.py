"""Equality saturation: all forms of a program's values at once, by egglog.

The terms of a program and the identities are handed to egglog as text in its own language. What
comes back is an e-graph: classes of terms that are equal, each with all nodes found for it.
"""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

from ..inputs import INPUTS
from ..primitives import PRIMITIVES
from ..program import Call, Constant, Expr, Name
from .identities import CONSTANTS, Identity, facts, identities, variables
from .laws import ORDER
from .terms import CONSTANT, SYMBOL, Term, postorder

# Rounds of all identities, and the number of nodes after which none is begun.
ROUNDS = 6
MOST_NODES = 1500
# A round may explode: what it leaves is looked at if it has at most so many times as many nodes.
_EXPLODED = 4

_POSITIVE_INPUTS = tuple(name for name, row in INPUTS.items() if row.positive)
# Applied in turn.
_RULESETS = ("order", "rest")
_COMPARED = {"less": "<", "less_equal": "<=", "greater": ">", "not_equal": "!="}
_COMPUTED = {
    "add": "+",
    "subtract": "-",
    "multiply": "*",
    "divide": "/",
    "negative": "neg",
    "abs": "abs",
}


@dataclass(frozen=True, slots=True)
class Node:
    """One way to compute a class.

    Attributes:
      head: `CONSTANT`, `SYMBOL` or a primitive.
      args: the classes of its arguments.
      value: a constant's number. name: a symbol's name.
    """

    head: str
    args: tuple[int, ...] = ()
    value: float = 0.0
    name: str = ""


@dataclass(frozen=True)
class EGraph:
    """Classes of equal terms.

    Attributes:
      classes: the nodes of each class.
      class_of: the class of each term that was given, and of every part of one.
      fired: the names of the identities that matched something.
      grown: whether it stopped for its size and not because nothing was left to be found.
    """

    classes: Mapping[int, Sequence[Node]]
    class_of: Mapping[Term, int]
    fired: frozenset[str]
    grown: bool

    @property
    def contradicts(self) -> bool:
        """Whether two different numbers are in one class, as after 0 / 0 → 1."""
        for nodes in self.classes.values():
            values = [n.value for n in nodes if n.head == CONSTANT]
            if values and max(values) - min(values) > 1e-9 * max(map(abs, values)):
                return True
        return False


class Stopped(Exception):
    """Whoever asked for a simplification has no more time for it."""


def saturate(
    terms: Sequence[Term],
    used: Iterable[Identity] | None = None,
    *,
    rounds: int = ROUNDS,
    most_nodes: int = MOST_NODES,
    should_stop: Callable[[], bool] = lambda: False,
) -> EGraph:
    """Applies identities to terms until nothing new is found, or the e-graph is large.

    Args:
      terms: what a program computes.
      used: the identities; all unless given.
      rounds, most_nodes: when to stop.
      should_stop: asked before every round.

    Raises:
      Stopped: as soon as it should.
    """
    if should_stop():
        raise Stopped
    parts = postorder(terms)
    if len(parts) > _EXPLODED * most_nodes:
        return _unsaturated(parts)
    used = identities() if used is None else tuple(used)
    fired: set[str] = set()
    grown, idle = False, 0
    with _prepared(used) as graph:
        for text in _definitions(parts):
            graph.run_program(*graph.parse_program(text))
        nodes = found = _serialized(graph)
        for step in [_step(ruleset) for ruleset in _RULESETS] * rounds:
            if should_stop():
                raise Stopped
            (output,) = graph.run_program(*step)
            matches = output.report.num_matches_per_rule
            fired |= {rule for rule, count in matches.items() if count}
            idle = 0 if output.report.updated else idle + 1
            if output.report.updated:
                found = _serialized(graph)
            size = _count(found)
            grown = size > most_nodes
            # Otherwise what was known before has to do.
            if size <= _EXPLODED * most_nodes:
                nodes = found
            if grown or idle == len(_RULESETS):
                break
    names = {rule_name(i): i.name for i in used}
    classes, roots = _read(json.loads(nodes)["nodes"])
    class_of = {term: roots[place] for place, term in enumerate(parts)}
    return EGraph(classes, class_of, frozenset(names[r] for r in fired if r in names), grown)


def _unsaturated(parts: Sequence[Term]) -> EGraph:
    """The terms as they are, each in a class of its own: they are too many."""
    class_of: dict[Term, int] = {}
    classes: dict[int, list[Node]] = {}
    for place, term in enumerate(parts):
        if term not in class_of:
            args = tuple([class_of[arg] for arg in term.args])
            class_of[term], classes[place] = place, [Node(term.head, args, term.value, term.name)]
    return EGraph(classes, class_of, frozenset(), grown=True)


def _serialized(graph: Any) -> str:
    """The e-graph in JSON, which only the last is read of."""
    data = graph.serialize(
        [], max_functions=None, max_calls_per_function=None, include_temporary_functions=False
    )
    text: str = data.to_json()
    return text


def _count(serialized: str) -> int:
    """The number of nodes. Quotes within a name are escaped, so that no name counts."""
    return serialized.count('"eclass":')


class _Kept(threading.local):
    """Of each thread, because an e-graph belongs to one: e-graphs with the language and some
    identities.
    """

    def __init__(self) -> None:
        self.graphs: dict[tuple[Identity, ...], Any] = {}


_KEPT = _Kept()
_MOST_PREPARED = 8


@contextmanager
def _prepared(used: tuple[Identity, ...]) -> Iterator[Any]:
    """An e-graph with the language and the identities, and without terms.

    To hand 274 identities to egglog takes 25 ms, more than to apply them to most programs. So they
    are kept, and what is added is taken back; after an exception nothing is kept.
    """
    kept = _KEPT.graphs
    graph = kept.pop(used, None)
    if graph is None:
        # Half a second to import, which only who simplifies pays.
        from egglog import bindings

        graph = bindings.EGraph()
        graph.run_program(*_language())
        graph.run_program(*(command for i in used for command in _compiled(i)))
    graph.run_program(*_parsed("(push)"))
    yield graph
    graph.run_program(*_parsed("(pop)"))
    kept[used] = graph
    while len(kept) > _MOST_PREPARED:
        del kept[next(iter(kept))]


# --- into egglog's language ------------------------------------------------------------------


@cache
def _parsed(text: str) -> Any:
    from egglog import bindings

    return bindings.EGraph().parse_program(text)


def _step(ruleset: str) -> Any:
    return _parsed(f"(run-schedule (saturate facts) (run {ruleset}))")


@cache
def _language() -> Any:
    primitives = " ".join(f"({_call(row.name)}{' E' * row.arity})" for row in PRIMITIVES.values())
    lines = [
        f"(datatype E (Num f64) (Sym String) {primitives})",
        "(datatype R (Root i64 E))",
        "(relation positive (E))",
        "(relation nonneg (E))",
        "(ruleset facts)",
        "(ruleset order)",
        "(ruleset rest)",
        "(rule ((positive x)) ((nonneg x)) :ruleset facts)",
        "(rule ((= x (Num c)) (> c 0.0)) ((positive x)) :ruleset facts)",
        "(rule ((= x (Num c)) (>= c 0.0)) ((nonneg x)) :ruleset facts)",
        *(f'(rule ((= x (Sym "{t}"))) ((positive x)) :ruleset facts)' for t in _POSITIVE_INPUTS),
    ]
    for fact, pattern, conditions in facts():
        needed = " ".join([f"(= e {_pattern(pattern)})", *map(_condition, conditions)])
        lines.append(f"(rule ({needed}) (({fact} e)) :ruleset facts)")
    return _parsed("\n".join(lines))


@cache
def _compiled(identity: Identity) -> Any:
    when = f" :when ({' '.join(map(_condition, identity.conditions))})"
    ruleset = "order" if identity.family == ORDER else "rest"
    text = (
        f"(rewrite {_pattern(identity.left)} {_computed(identity.right)}"
        f'{when if identity.conditions else ""} :ruleset {ruleset} :name "{rule_name(identity)}")'
    )
    return _parsed(text)


@cache
def rule_name(identity: Identity) -> str:
    """A name without special characters."""
    return f"rule{identities().index(identity)}"


def _call(primitive: str) -> str:
    return f"p_{primitive}"


def _number(value: float) -> str:
    text = repr(float(value))
    return text if "e" in text or "." in text or "n" in text else f"{text}.0"


def _pattern(expr: Expr) -> str:
    if isinstance(expr, Constant):
        return f"(Num {_number(expr.value)})"
    if isinstance(expr, Name):
        return f"(Num {expr.id})" if expr.id in CONSTANTS else expr.id
    return f"({' '.join([_call(expr.primitive), *map(_pattern, expr.args)])})"


def _computed(expr: Expr) -> str:
    """The right side of an identity, in which constants are computed."""
    if isinstance(expr, Call):
        if variables(expr) and variables(expr) <= CONSTANTS:
            return f"(Num {_arithmetic(expr)})"
        return f"({' '.join([_call(expr.primitive), *map(_computed, expr.args)])})"
    return _pattern(expr)


def _arithmetic(expr: Expr) -> str:
    if isinstance(expr, Constant):
        return _number(expr.value)
    if isinstance(expr, Name):
        return expr.id
    return f"({' '.join([_COMPUTED[expr.primitive], *map(_arithmetic, expr.args)])})"


def _condition(expr: Expr) -> str:
    assert isinstance(expr, Call)
    if expr.primitive in ("positive", "nonneg"):
        return f"({expr.primitive} {_pattern(expr.args[0])})"
    left, right = map(_arithmetic, expr.args)
    if expr.primitive == "equal":  # but for rounding
        return f"(< (abs (- {left} {right})) 1e-12)"
    return f"({_COMPARED[expr.primitive]} {left} {right})"


def _definitions(parts: Sequence[Term]) -> Iterator[str]:
    """One global for each value, so that what terms share stays shared.

    Each text apart, because every command that egglog reads keeps the whole text it stood in.
    """
    names: dict[int, str] = {}
    for place, term in enumerate(parts):
        if term.head == CONSTANT:
            text = f"(Num {_number(term.value)})"
        elif term.head == SYMBOL:
            text = f'(Sym "{term.name}")'
        else:
            text = f"({' '.join([_call(term.head), *(names[a.serial] for a in term.args)])})"
        names[term.serial] = name = f"$n{place}"
        yield f"(let {name} {text}) (Root {place} {name})"


# --- and back --------------------------------------------------------------------------------


def _read(nodes: Mapping[str, Any]) -> tuple[dict[int, list[Node]], dict[int, int]]:
    """The nodes of each class, and the class of each root."""
    classes: dict[int, list[Node]] = {}
    numbers: dict[str, int] = {}
    roots: dict[int, int] = {}

    def number(child: str) -> int:
        return numbers.setdefault(nodes[child]["eclass"], len(numbers))

    for node in nodes.values():
        op, children = node["op"], node["children"]
        if op == "Root":
            roots[int(nodes[children[0]]["op"])] = number(children[1])
            continue
        if op == "Num":
            value = float(nodes[children[0]]["op"])
            if not math.isfinite(value):
                continue
            found = Node(CONSTANT, value=value)
        elif op == "Sym":
            found = Node(SYMBOL, name=json.loads(nodes[children[0]]["op"]))
        elif op.startswith("p_"):
            found = Node(op.removeprefix("p_"), tuple(map(number, children)))
        else:
            continue
        classes.setdefault(numbers.setdefault(node["eclass"], len(numbers)), []).append(found)
    return classes, roots
