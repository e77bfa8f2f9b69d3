"""Which documented optimizer is a program, or comes nearest to one?"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache

from ..dsl.algebra.saturation import EGraph, saturate
from ..dsl.algebra.simplifier import simplify
from ..dsl.algebra.terms import CONSTANT, SYMBOL, Term, call_digest, digest, postorder
from ..dsl.algebra.values import Values, values_of
from ..dsl.expressions import format_number
from ..dsl.primitives import PRIMITIVES
from ..dsl.program import LEARNING_RATE, Constant, Program, Statement, substitute
from .catalogue import KNOWN


@dataclass(frozen=True)
class Nearest:
    """A documented rule beside a program.

    Attributes:
      name: the rule's.
      distance: the share of values, constants and hyperparameters being left blank, that only one
        of the two programs computes: 0 for the same structure, 1 for nothing in common.
      constants: where the program is an instance of the rule, what the rule's hyperparameters are;
        a hyperparameter without which the program is written is 0.
    """

    name: str
    distance: float
    constants: Mapping[str, str] | None = None

    def __str__(self) -> str:
        if self.constants is None:
            if not self.distance:
                return f"nearest known rule: {self.name}, the same operations on other constants"
            return f"nearest known rule: {self.name}, at distance {self.distance:.2f}"
        # A learning rate that is the program's own says nothing.
        said = {k: v for k, v in self.constants.items() if (k, v) != (LEARNING_RATE,) * 2}
        held = ", ".join(f"{name} = {value}" for name, value in said.items())
        return f"{self.name} with {held}" if held else self.name


def nearest_known(program: Program) -> Nearest:
    """The rule that a program is an instance of, else the one at the least distance.

    An instance has the rule's structure up to equal forms (by equality saturation), with any
    constants in place of its hyperparameters. Among several the one with the fewest
    hyperparameters is named.
    """
    values = values_of(program)
    own = _shape(values, program)
    ranked = sorted(
        (_distance(own, _shape(values_of(r.program), r.program)), r.name) for r in KNOWN.values()
    )
    graph = saturate(values.outputs)
    alike = [KNOWN[name] for _, name in ranked if _holds_alike(KNOWN[name].program, values)]
    found = []
    for rule in alike[:_EXAMINED]:
        constants = _instance(rule.program, program, values, graph)
        if constants is not None:
            found.append(Nearest(rule.name, 0.0, constants))
    if found:
        return min(found, key=lambda n: len(n.constants or ()))
    distance, name = ranked[0]
    return Nearest(name, distance)


# --- instances -------------------------------------------------------------------------------


# Examining a rule takes a third of a second, because it is simplified without what its zeros switch
# off. Of the rules with as many states, at most thirty, the nearest are examined.
_EXAMINED = 14


def _holds_alike(known: Program, values: Values) -> bool:
    """Whether a known rule has as many states as a program, and an evaluation point if it has."""
    elsewhere = values.eval_w is not None
    return len(known.state) == len(values.state) and known.evaluates_elsewhere == elsewhere


def _instance(
    known: Program, program: Program, values: Values, graph: EGraph
) -> dict[str, str] | None:
    """What the hyperparameters of a known rule are in a program, or None if it is another rule."""
    heads = {node.head for nodes in graph.classes.values() for node in nodes}
    zeros = tuple(h.name for h in known.hyperparameters if h.default == 0)
    for without in dict.fromkeys([None, (), zeros]):
        variant = known if without is None else _with_zeros(known, without)
        wanted = values_of(variant)
        if len(wanted.state) != len(values.state) or not _heads(wanted) <= heads:
            continue
        for bound in _Matcher(variant, wanted, program, values, graph).matches():
            held = {
                name: bound.get(name, "0" if name in (without or ()) else "")
                for name in known.defaults
            }
            return {name: value for name, value in held.items() if value}
    return None


@cache
def _with_zeros(program: Program, names: tuple[str, ...]) -> Program:
    """The rule, simplified, without what some hyperparameters of zero switch off."""
    zero = {name: Constant(0.0) for name in names}
    return simplify(
        replace(
            program,
            hyperparameters=tuple(h for h in program.hyperparameters if h.name not in zero),
            body=tuple(Statement(s.target, substitute(s.value, zero)) for s in program.body),
            result=substitute(program.result, zero),
        )
    )


def _heads(values: Values) -> set[str]:
    found: set[str] = set()
    stack = values.outputs
    while stack:
        term = stack.pop()
        if term.args:
            found.add(term.head)
            stack += term.args
    return found


# Of a constant's text; written out, it could be exponentially long.
_LONGEST = 80
# The class of each hyperparameter that is bound, and what stands for a class of 1.
Bound = dict[str, int]
_ONE = -1


class _Matcher:
    """Matches a known rule's values against the classes of a program's."""

    def __init__(
        self, known: Program, wanted: Values, program: Program, values: Values, graph: EGraph
    ) -> None:
        self.known, self.wanted, self.program = known, wanted, program
        self.values, self.graph = values, graph
        self.closed = {**_closed(graph, program.defaults), _ONE: "1"}

    def matches(self) -> Iterator[dict[str, str]]:
        """Every way in which the program is an instance, as text by hyperparameter."""
        theirs = {s.name: s.init for s in self.program.state}
        ours = {s.name: s.init for s in self.known.state}
        for order in itertools.permutations(self.values.state):
            named = dict(zip(self.wanted.state, order, strict=True))
            if any(ours[a] != theirs[b] for a, b in named.items()):
                continue
            pairs = [(self.wanted.result, self.values.result)]
            pairs += [(self.wanted.state[a], self.values.state[b]) for a, b in named.items()]
            if self.wanted.eval_w is not None and self.values.eval_w is not None:
                pairs.append((self.wanted.eval_w, self.values.eval_w))
            goals = [(term, self.graph.class_of[value]) for term, value in pairs]
            for bound in self._all(goals, named, {}):
                yield {name: self.closed[number] for name, number in bound.items()}

    def _all(
        self, goals: list[tuple[Term, int]], named: Mapping[str, str], bound: Bound
    ) -> Iterator[Bound]:
        if not goals:
            yield bound
            return
        (term, number), *rest = goals
        for further in self._match(term, number, named, bound):
            yield from self._all(rest, named, further)

    def _match(
        self, term: Term, number: int, named: Mapping[str, str], bound: Bound
    ) -> Iterator[Bound]:
        nodes = self.graph.classes[number]
        if term.head == SYMBOL and term.name in self.known.defaults:
            if bound.get(term.name, number) == number and number in self.closed:
                yield {**bound, term.name: number}
        elif term.head == SYMBOL:
            name = named.get(term.name, term.name)
            if any(node.head == SYMBOL and node.name == name for node in nodes):
                yield bound
        elif term.head == CONSTANT:
            if any(node.head == CONSTANT and node.value == term.value for node in nodes):
                yield bound
        else:
            if term.head == "multiply":
                # A factor that is missing is 1.
                for factor, other in (term.args, term.args[::-1]):
                    if factor.name in self.known.defaults and bound.get(factor.name, _ONE) == _ONE:
                        yield from self._match(other, number, named, {**bound, factor.name: _ONE})
            for node in nodes:
                if node.head == term.head:
                    goals = list(zip(term.args, node.args, strict=True))
                    yield from self._all(goals, named, bound)


def _closed(graph: EGraph, defaults: Mapping[str, float]) -> dict[int, str]:
    """The classes that are made of constants and hyperparameters alone, as text.

    Hyperparameters but the learning rate stand as their defaults.
    """
    texts: dict[int, str] = {}
    for number, nodes in graph.classes.items():
        for node in nodes:
            if node.head == CONSTANT:
                texts[number] = format_number(float(f"{node.value:.5g}"))
                break
            if node.head == SYMBOL and node.name in defaults:
                is_rate = node.name == LEARNING_RATE
                texts[number] = node.name if is_rate else format_number(defaults[node.name])
                break
    changed = True
    while changed:
        changed = False
        for number, nodes in graph.classes.items():
            if number in texts:
                continue
            for node in nodes:
                if node.args and all(arg in texts for arg in node.args):
                    text = _infix(node.head, [texts[arg] for arg in node.args])
                    texts[number] = text if len(text) <= _LONGEST else "…"
                    changed = True
                    break
    return texts


def _infix(head: str, args: list[str]) -> str:
    sign = PRIMITIVES[head].infix
    parts = [f"({a})" if " " in a else a for a in args]
    return f" {sign} ".join(parts) if sign and len(parts) == 2 else f"{head}({', '.join(args)})"


# --- distance --------------------------------------------------------------------------------


def _shape(values: Values, program: Program) -> set[bytes]:
    """The values that a program computes, with blanks for constants and for states."""
    blank, state = digest(b"constant"), digest(b"state")
    known: dict[int, bytes] = {}
    states, blanks = {s.name for s in program.state}, frozenset(program.defaults)
    for term in postorder(values.outputs, lambda x: x.symbols <= blanks):
        if term.symbols <= blanks:
            known[term.serial] = blank
        elif term.head == SYMBOL:
            known[term.serial] = state if term.name in states else term.digest
        else:
            known[term.serial] = call_digest(term.head, [known[a.serial] for a in term.args])
    return set(known.values())


def _distance(a: set[bytes], b: set[bytes]) -> float:
    """Jaccard's: one minus the share of values that both have."""
    return 1 - len(a & b) / len(a | b)
