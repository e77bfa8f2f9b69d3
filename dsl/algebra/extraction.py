"""The cheapest way to compute some classes of an e-graph, shared values counted once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from ..expressions import format_number
from ..primitives import PRIMITIVES
from .saturation import EGraph, Node
from .terms import CONSTANT, SYMBOL, Term, call, constant, postorder, symbol


class Cost(NamedTuple):
    """The measure of simplicity; the first difference decides.

    Attributes:
      calls: primitive calls, a shared value counted once.
      written: primitive calls if every value were written out: as large as 2**500.
      flops: floating-point operations per number if it were written out, roughly.
      digits: of all constants, written out.
    """

    calls: int
    written: int
    flops: int
    digits: int


def cost_of(terms: Sequence[Term]) -> Cost:
    """The cost of computing some terms."""
    known: dict[Term, tuple[int, int, int]] = {}
    calls = 0
    for term in postorder(terms):
        if term in known:
            continue
        if term.head == CONSTANT:
            known[term] = 0, 0, digits(term.value)
        elif term.head == SYMBOL:
            known[term] = 0, 0, 0
        else:
            calls += 1
            known[term] = _summed((1, PRIMITIVES[term.head].cost, 0), [known[a] for a in term.args])
    return Cost(calls, *_summed((0, 0, 0), [known[term] for term in terms]))


def _summed(
    own: tuple[int, int, int], parts: Sequence[tuple[int, int, int]]
) -> tuple[int, int, int]:
    written, flops, length = (sum(column) for column in zip(own, *parts, strict=True))
    return written, flops, length


@lru_cache(maxsize=4096)
def digits(value: float) -> int:
    """How long a number is when written: its significant digits and its exponent."""
    return len(format_number(abs(value)).replace(".", "").replace("-", "").strip("0")) or 1


class _Choice(NamedTuple):
    """A way to compute a class: its cost, the nodes it needs as bits, and the node itself."""

    cost: tuple[int, int, int, int, int]  # as `Cost`, then how many nodes were not given
    nodes: int
    node: Node


class _Entry(NamedTuple):
    """A node, its bit, its own flops and digits, and whether it stood in no term that was given."""

    node: Node
    bit: int
    flops: int
    digits: int
    is_new: int


@dataclass(frozen=True)
class _Selection:
    """A choice for every class that some root needs."""

    root: int
    choices: Mapping[int, _Choice]

    @property
    def nodes(self) -> int:
        return self.choices[self.root].nodes


def extract(graph: EGraph, terms: Sequence[Term]) -> tuple[list[Term], Mapping[Term, int]]:
    """The cheapest equals of some terms, and the classes of all their parts.

    Finding the least cost with sharing is NP-hard. This is the greedy bottom-up way, in which each
    class keeps the cheapest set of nodes it knows; then each term in turn is chosen anew, what the
    others need being free. Where all else is equal, the terms stay as they are.

    Args:
      graph: the e-graph.
      terms: of those that were saturated.
    """
    table = _Table(graph)
    roots = [graph.class_of[term] for term in terms]
    best: list[_Selection] = []
    for root in roots:
        best.append(table.cheapest(root, _union(best)))
    least = cost_of(_terms(best))
    changed = len(roots) > 1
    while changed:
        changed = False
        for place, root in enumerate(roots):
            others = best[:place] + best[place + 1 :]
            tried = [*best]
            tried[place] = table.cheapest(root, _union(others))
            cost = cost_of(_terms(tried))
            if cost < least:
                best, least, changed = tried, cost, True
    class_of: dict[Term, int] = {}
    found = [_build(selection, class_of) for selection in best]
    return found, class_of


def _union(selections: Sequence[_Selection]) -> int:
    union = 0
    for selection in selections:
        union |= selection.nodes
    return union


def _terms(selections: Sequence[_Selection]) -> list[Term]:
    return [_build(selection, {}) for selection in selections]


def _build(selection: _Selection, class_of: dict[Term, int]) -> Term:
    """The term of a root; notes the classes of its parts."""
    built: dict[int, Term] = {}
    stack = [selection.root]
    while stack:
        number = stack[-1]
        node = selection.choices[number].node
        missing = [arg for arg in node.args if arg not in built]
        if number not in built and missing:
            stack += missing[::-1]
            continue
        stack.pop()
        if number in built:
            continue
        if node.head == CONSTANT:
            built[number] = constant(node.value)
        elif node.head == SYMBOL:
            built[number] = symbol(node.name)
        else:
            built[number] = call(node.head, [built[arg] for arg in node.args])
        class_of.setdefault(built[number], number)
    return built[selection.root]


class _Table:
    """The e-graph, indexed for extraction."""

    def __init__(self, graph: EGraph) -> None:
        given = {
            (term.head, *(graph.class_of[arg] for arg in term.args)) for term in graph.class_of
        }
        self._entries: dict[int, list[_Entry]] = {}
        # Who uses a class: the number of another, and the place of a node in it.
        self._users: dict[int, list[tuple[int, int]]] = {}
        count = 0
        for number, nodes in graph.classes.items():
            entries = self._entries[number] = []
            for place, node in enumerate(nodes):
                is_new = int((node.head, *node.args) not in given)
                flops = 0 if node.head in (CONSTANT, SYMBOL) else PRIMITIVES[node.head].cost
                length = digits(node.value) if node.head == CONSTANT else 0
                entries.append(_Entry(node, 1 << count, flops, length, is_new))
                count += 1
                for arg in dict.fromkeys(node.args):
                    self._users.setdefault(arg, []).append((number, place))

    def cheapest(self, root: int, free: int) -> _Selection:
        """The cheapest choice of every class below a root, some nodes being free."""
        best: dict[int, _Choice] = {}
        # Leaves first, then whoever uses what has become cheaper. A node is looked at again only
        # when one of its arguments has changed: it cannot have become cheaper before.
        pending: dict[int, set[int]] = {}
        for number, entries in self._entries.items():
            leaves = {place for place, entry in enumerate(entries) if not entry.node.args}
            if leaves:
                pending[number] = leaves
        queue = list(pending)
        while queue:
            following: dict[int, None] = {}
            for number in queue:
                known = found = best.get(number)
                entries = self._entries[number]
                for place in sorted(pending.pop(number, ())):
                    choice = _choice(entries[place], best, free)
                    if choice is not None and (found is None or choice.cost < found.cost):
                        found = choice
                if found is not known and found is not None:
                    best[number] = found
                    for user, place in self._users.get(number, ()):
                        following[user] = None
                        pending.setdefault(user, set()).add(place)
            queue = list(following)
        return _Selection(root, best)


def _choice(entry: _Entry, best: Mapping[int, _Choice], free: int) -> _Choice | None:
    """The choice of a node over the cheapest of its arguments; None if one has none yet."""
    node, nodes, flops, length, new = entry
    if node.head in (CONSTANT, SYMBOL):
        return _Choice((0, 0, 0, length, 0), 0, node)
    written = 1
    for arg in node.args:
        part = best.get(arg)
        if part is None:
            return None
        nodes |= part.nodes
        _, more_written, more_flops, more_length, more_new = part.cost
        written += more_written
        flops += more_flops
        length += more_length
        new += more_new
    calls = (nodes & ~free).bit_count()
    return _Choice((calls, written, flops, length, new), nodes, node)
