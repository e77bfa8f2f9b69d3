"""Instruction selection: which operations of the machine compute the terms of a program.

First every term is found to be a scalar (bank S) or to touch a tensor (bank V). Then the terms of
bank V are covered, from the outputs down, each by the largest fused operation that fits ("maximal
munch"), where a term inside an operation is one that nothing else reads. Last they are put in
order: segments of elementwise instructions, each followed by wide ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..algebra.canonical import Meaning
from ..algebra.terms import CONSTANT, SYMBOL, Term, postorder
from ..errors import ProgramError
from ..inference import kind_of_scalars
from ..inputs import KINDS
from ..kinds import Kind
from ..primitive import Scope
from ..primitives import PRIMITIVES
from . import operations as ops

# What a register can hold: a term, or a scalar or a number per tensor spread over more numbers.
Value = Term | tuple[str, Term]
SPREAD_SCALAR = "spread scalar"


class TooLarge(ProgramError):
    """A program that needs more registers, instructions or operations than the machine has."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """One operation of the V code, before registers are assigned.

    Attributes:
      operation: an elementwise one by its opcode; a wide one, whose opcode depends on the machine's
        form, itself.
      value: what it computes.
      operands: a scalar's term (letter S) or what a V register holds.
      segment: in which it runs.
    """

    operation: int | ops.Wide
    value: Value
    operands: tuple[tuple[str, Value], ...]
    segment: int

    @property
    def wide(self) -> bool:
        """Whether it takes whole registers."""
        return not isinstance(self.operation, int)


class Values:
    """Where every term of a program lives.

    Attributes:
      kinds: of every term, in an order where arguments come first.
      tensors: the terms in bank V.
      tensor_states: the names of states in bank V.
    """

    def __init__(
        self, meant: Meaning, inits: Mapping[str, float | str], kinds: Mapping[str, Kind]
    ) -> None:
        self._symbol_kinds = {**KINDS, **kinds}
        self.kinds: dict[Term, Kind] = {}
        for term in postorder(meant.outputs()):
            self.kinds[term] = self._kind(term)
        self.tensor_states = {n for n in meant.state if isinstance(inits[n], str)}
        while True:
            self.tensors = self._in_v()
            grown = {n for n, t in meant.state.items() if t in self.tensors} | self.tensor_states
            if grown == self.tensor_states:
                break
            self.tensor_states = grown

    def _kind(self, term: Term) -> Kind:
        if term.head == SYMBOL:
            return self._symbol_kinds.get(term.name, Kind.SCALAR)
        if term.head == CONSTANT:
            return Kind.SCALAR
        try:
            return PRIMITIVES[term.head].kind([self.kinds[arg] for arg in term.args])
        except ProgramError:  # rewriting left a scalar that stands for a tensor; see `_in_v`
            return kind_of_scalars(PRIMITIVES[term.head])

    def _in_v(self) -> set[Term]:
        tensors: set[Term] = set()
        for term in self.kinds:
            if term.head == SYMBOL:
                given = term.name in ops.V_INPUTS or term.name in ops.FETCHED
                in_v = given or term.name in self.tensor_states
            elif term.head == CONSTANT:
                in_v = False
            else:
                # Rewriting may have left a reduction with a scalar, as in sum(g**0) = sum(1):
                # the scalar then stands for a tensor of equal numbers.
                in_v = PRIMITIVES[term.head].reduces or any(a in tensors for a in term.args)
            if in_v:
                tensors.add(term)
        return tensors


def select(values: Values, outputs: Sequence[Value]) -> list[Instruction]:
    """The instructions that compute some values of bank V, in order.

    Raises:
      TooLarge: when the machine has no such operation.
    """
    return _Selection(values, outputs).ordered()


class _Selection:
    def __init__(self, values: Values, outputs: Sequence[Value]) -> None:
        self.kinds = values.kinds
        self.tensors = values.tensors
        roots = [value for value in outputs if isinstance(value, Term)]
        terms = dict.fromkeys(postorder(roots))  # of equal ones, the first
        work = [t for t in terms if t in self.tensors and t.args]
        self.readers = Counter(arg for term in work for arg in term.args)
        self.readers.update(roots)
        self.chosen: dict[Value, tuple[int | ops.Wide, tuple[tuple[str, Value], ...]]] = {}
        for value in outputs:
            if isinstance(value, tuple):
                self._spread(value)
        for term in terms:
            if term.head == SYMBOL and term.name in ops.FETCHED:
                self._choose(term, (term.name, ""), ())
        needed: set[Value] = set(roots)
        for term in reversed(work):
            if term not in needed:
                continue
            if PRIMITIVES[term.head].reduces:
                operation, operands = self._wide(term)
                self._choose(term, operation, operands)
            else:
                opcode, operands = self._cover(term)
                self._choose(term, opcode, operands)
            needed.update(value for _, value in operands if isinstance(value, Term))
            needed.update(value[1] for _, value in operands if isinstance(value, tuple))

    def _choose(
        self, value: Value, operation: int | ops.Wide, operands: tuple[tuple[str, Value], ...]
    ) -> None:
        self.chosen[value] = operation, operands
        for _, operand in operands:
            if isinstance(operand, tuple):
                self._spread(operand)

    def _spread(self, value: tuple[str, Term]) -> None:
        how, term = value
        if how == SPREAD_SCALAR:
            self.chosen[value] = ops.ELEMENTWISE_OPCODE["S"], (("S", term),)
        else:
            self.chosen[value] = (how, "L"), (("L", term),)

    def ordered(self) -> list[Instruction]:
        """Segment by segment, elementwise instructions before wide ones."""
        segments: dict[Value, int] = {}
        found: list[Instruction] = []
        for value in self._dependent_order():
            operation, operands = self.chosen[value]
            wide = not isinstance(operation, int)
            segment = 0
            for letter, operand in operands:
                if letter != "S" and operand in self.chosen:
                    # What a wide instruction gives is there for the wide ones after it, and for
                    # the elementwise ones of the next segment.
                    later = not isinstance(self.chosen[operand][0], int) and not wide
                    segment = max(segment, segments[operand] + later)
            segments[value] = segment
            found.append(Instruction(operation, value, operands, segment))
        found.sort(key=lambda i: (i.segment, i.wide))
        return found

    def _dependent_order(self) -> list[Value]:
        found: dict[Value, None] = {}
        # Choices were made from the outputs down: the last ones have the fewest operands to come.
        stack = list(self.chosen)
        while stack:
            value = stack[-1]
            operands = [v for x, v in self.chosen[value][1] if x != "S" and v in self.chosen]
            missing = [v for v in operands if v not in found]
            if value in found or not missing:
                found[value] = None
                stack.pop()
            else:
                stack += missing[::-1]
        return list(found)

    # --- elementwise ---

    def _cover(self, term: Term) -> tuple[int, tuple[tuple[str, Value], ...]]:
        """The largest operation that computes a term, and its operands."""
        for opcode, found in _BY_ROOT[term.head]:
            operands = self._match(found, term, term)
            if operands is not None:
                return opcode, tuple(operands)
        # Some operand is a scalar where the machine has none: spread it.
        operands = [
            self._operand(term, arg) if arg in self.tensors else ("V", (SPREAD_SCALAR, arg))
            for arg in term.args
        ]
        return ops.ELEMENTWISE_OPCODE[(term.head, *"V" * len(operands))], tuple(operands)

    def _match(self, found: ops.Pattern, term: Term, root: Term) -> list[tuple[str, Value]] | None:
        """The operands of a pattern that computes a term, or None if it does not."""
        if found == "S":
            return None if term in self.tensors else [("S", term)]
        if found == "V":
            return [self._operand(root, term)] if term in self.tensors else None
        if term.head != found[0] or term not in self.tensors:
            return None
        if term is not root and (self.readers[term] > 1 or self._gram(term) != self._gram(root)):
            return None
        orders = [term.args]
        if PRIMITIVES[term.head].commutative:
            orders.append(term.args[::-1])
        for args in orders:
            operands: list[tuple[str, Value]] = []
            for inner, arg in zip(found[1:], args, strict=True):
                part = self._match(inner, arg, root)
                if part is None:
                    break
                operands += part
            else:
                return operands
        return None

    def _gram(self, term: Term) -> Kind | None:
        kind = self.kinds[term]
        return kind if kind in ops.SPREADS else None

    def _operand(self, root: Term, term: Term) -> tuple[str, Value]:
        """An operand in bank V of an elementwise operation."""
        gram = self._gram(root)
        if gram is None or self._gram(term) is gram:
            return "V", term
        return "V", (ops.SPREADS[gram], term)

    # --- wide ---

    def _wide(self, term: Term) -> tuple[ops.Wide, tuple[tuple[str, Value], ...]]:
        per_tensor = PRIMITIVES[term.head].scope is Scope.MODEL and all(
            self.kinds[a] is Kind.LAYER and a in self.tensors for a in term.args
        )
        operands: list[tuple[str, Value]] = []
        for place, arg in enumerate(term.args):
            letter = "V"
            if per_tensor or (place and term.head in ops.WITH_A_NUMBER):
                letter = "L"
            elif term.head in ops.MATRIX_PRIMITIVES or self._gram(arg):
                letter = ops.KIND_LETTERS.get(self.kinds[arg], "V")
            operands.append((letter, arg if arg in self.tensors else (SPREAD_SCALAR, arg)))
        operation = term.head, _letters(operands)
        if operation not in ops.ALL_WIDE:
            raise TooLarge(f"the machine has no {term.head} of these kinds")
        return operation, tuple(operands)


def _letters(operands: Iterable[tuple[str, Value]]) -> str:
    return "".join(letter for letter, _ in operands)


def _by_root() -> dict[str, list[tuple[int, ops.Pattern]]]:
    """The elementwise operations by the primitive computed last, the largest first."""
    found: dict[str, list[tuple[int, ops.Pattern]]] = {}
    for opcode, operation in enumerate(ops.ELEMENTWISE):
        if not isinstance(operation, str):
            found.setdefault(str(operation[0]), []).append((opcode, operation))
    return {k: sorted(v, key=lambda row: -ops.size(row[1])) for k, v in found.items()}


_BY_ROOT = _by_root()
