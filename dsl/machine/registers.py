"""Registers: where the values of a program live in the machine, and the code that fills them."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ..algebra.terms import CONSTANT, SYMBOL, Term, constant, postorder, symbol
from ..inputs import INPUTS
from . import operations as ops
from .selection import SPREAD_SCALAR, TooLarge, Value, Values, select


class Scalars:
    """Bank S: emits code for a scalar term at its first use.

    What is made of constants and hyperparameters alone is not computed there: it is a constant.
    """

    def __init__(self, states: list[str], hyperparameters: Collection[str] = ()) -> None:
        self.schedule: list[tuple[int, ...]] = []
        self.code: list[tuple[int, ...]] = []
        self.constants: dict[Term, int] = {}
        self._hyperparameters = frozenset(hyperparameters)
        self._home = {name: ops.S_STATE + i for i, name in enumerate(states)}
        self._home |= {name: i for i, name in enumerate(ops.S_INPUTS)}
        self._varying = {
            i for name, i in self._home.items() if name in INPUTS and not INPUTS[name].known_ahead
        }
        self._varying |= {*range(ops.S_STATE, ops.S_CONSTANT)}
        self._registers: dict[Term, int] = {}

    def register(self, term: Term) -> int:
        """The register that holds a term."""
        for part in postorder([term], lambda x: x in self._registers or self._is_constant(x)):
            if part not in self._registers:
                self._registers[part] = self._register(part)
        return self._registers[term]

    def _register(self, term: Term) -> int:
        """A register for a term whose arguments have theirs."""
        if self._is_constant(term):
            return self._constant(term)
        if term.head == SYMBOL:
            if term.name in self._home:
                return self._home[term.name]
            default = INPUTS[term.name].default  # of what training does not give
            assert default is not None
            return self._constant(constant(default))
        operands = [self._registers[arg] for arg in term.args]
        opcode = ops.S_OPCODE[term.head, "S" * len(operands)]
        emitted = len(self.schedule) + len(self.code)
        if emitted == ops.MAX_S_TEMPORARIES:
            raise TooLarge(f"the rule needs more than {emitted} scalar operations")
        register = ops.S_TEMPORARY + emitted
        varies = not self._varying.isdisjoint(operands)
        if varies:
            self._varying.add(register)
        (self.code if varies else self.schedule).append(row(opcode, register, operands))
        return register

    def _is_constant(self, term: Term) -> bool:
        return term.head == CONSTANT or bool(term.symbols and term.symbols <= self._hyperparameters)

    def _constant(self, term: Term) -> int:
        if term not in self.constants:
            limit(self.constants, ops.MAX_CONSTANTS - 1, "constants")
            self.constants[term] = ops.S_CONSTANT + len(self.constants)
        return self.constants[term]


class Tensors:
    """Bank V: register allocation by linear scan.

    A value that is used up within its segment has a temporary; any other one is saved for all
    weights. A state's next value goes straight to its home once nothing reads the old one; what is
    left to move at the end is one parallel assignment.
    """

    def __init__(
        self, values: Values, nexts: Mapping[str, Term], eval_w: Term | None, scalars: Scalars
    ) -> None:
        def held(term: Term) -> Value:
            return term if term in values.tensors else (SPREAD_SCALAR, term)

        self.scalars = scalars
        states = [name for name in nexts if name not in ops.V_INPUTS]
        self.homes: dict[Value, int] = {
            symbol(name): ops.V_WEIGHT + i for i, name in enumerate(ops.V_INPUTS)
        }
        self.homes |= {symbol(name): ops.V_STATE + i for i, name in enumerate(states)}
        self.nexts = {symbol(name): held(term) for name, term in nexts.items()}
        self.point = None if eval_w is None else held(eval_w)
        outputs = list(dict.fromkeys([*self.nexts.values()]))
        if self.point is not None and self.point not in outputs:
            outputs.append(self.point)
        self.instructions = select(values, outputs)
        wide = {i.operation for i in self.instructions if i.wide}
        self.form = next(form for form in ops.FORMS if wide <= ops.WIDE_OPCODE[form].keys())
        self._plan(outputs)
        self.rows: list[tuple[int, ...]] = []
        self.register: dict[Value, int] = dict(self.homes)
        self.free = {
            False: [*range(ops.MAX_TEMPORARIES)][::-1],
            True: [*range(ops.V_SAVED, ops.V_SAVED + ops.MAX_SAVED)][::-1],
        }

    def _plan(self, outputs: list[Value]) -> None:
        """Finds last uses, what goes straight home, what must be moved, and what is saved."""
        end = len(self.instructions)
        made = {instruction.value: i for i, instruction in enumerate(self.instructions)}
        self.last_use: dict[Value, int] = {}
        for i, instruction in enumerate(self.instructions):
            for letter, value in instruction.operands:
                if letter != "S":
                    self.last_use[value] = i
        self.last_use |= dict.fromkeys(outputs, end)
        self.straight: dict[Value, int] = {}
        self.moves: dict[int, Value] = {}
        for name, value in self.nexts.items():
            if value == name:
                continue
            read_until = self.last_use.get(name, -1)
            if value in made and value not in self.straight and read_until <= made[value]:
                self.straight[value] = self.homes[name]
            else:
                self.moves[self.homes[name]] = value
        last = self.instructions[-1]
        copies_point = self.point in self.homes and self.homes[self.point] in self.moves
        self.last_segment = last.segment + (last.wide and bool(self.moves or copies_point))
        segment = {i.value: i.segment for i in self.instructions}
        self.saved = {i.value for i in self.instructions if i.wide}
        for instruction in self.instructions:
            for letter, value in instruction.operands:
                if letter == "S" or value not in made:
                    continue
                if instruction.wide or segment[value] != instruction.segment:
                    self.saved.add(value)
        self.saved |= {v for v in self.moves.values() if segment.get(v) != self.last_segment}
        if self.point is not None:
            self.saved.add(self.point)

    def assign(self) -> tuple[list[tuple[int, ...]], list[tuple[int, int, int]]]:
        """The rows of the V code and its segments; finds `eval_w` too."""
        segments: list[list[int]] = []
        for index, instruction in enumerate(self.instructions):
            while len(segments) <= instruction.segment:
                segments.append([index, index, index])
            operands = [
                self.scalars.register(value) if letter == "S" else self.register[value]  # type: ignore[arg-type]
                for letter, value in instruction.operands
            ]
            for letter, value in dict.fromkeys(instruction.operands):
                if letter != "S" and self.last_use[value] == index:
                    self._release(self.register[value])
            destination = self.straight.get(instruction.value)
            if destination is None:
                destination = self._allocate(instruction.value in self.saved)
            self.register[instruction.value] = destination
            operation = instruction.operation
            if not isinstance(operation, int):
                operation = ops.WIDE_OPCODE[self.form][operation]
            self._emit(operation, destination, operands)
            segments[instruction.segment][2] = len(self.rows)
            if not instruction.wide:
                segments[instruction.segment][1] = len(self.rows)
        while len(segments) <= self.last_segment:
            segments.append([len(self.rows)] * 3)
        self._finish()
        segments[-1][2] = len(self.rows)
        if self.last_segment > self.instructions[-1].segment or not self.instructions[-1].wide:
            segments[-1][1] = len(self.rows)
        limit(segments, ops.MAX_SEGMENTS, "reductions that wait for one another")
        return self.rows, [tuple(s) for s in segments]  # type: ignore[misc]

    def _finish(self) -> None:
        """Moves what is left to move, as one parallel assignment, and finds `eval_w`."""
        self.eval_w = ops.V_WEIGHT if self.point is None else self.register[self.point]
        if self.point is not None and self.eval_w in self.moves:  # its old value is wanted
            self.eval_w = self._copy(self.eval_w, saved=True)
        sources = {home: self.register[value] for home, value in self.moves.items()}
        for home, source in sources.items():
            if source in self.moves and source != home:
                sources[home] = self._copy(source, saved=False)
        for home, source in sources.items():
            self._emit(_MOVE, home, [source])

    def _copy(self, source: int, *, saved: bool) -> int:
        destination = self._allocate(saved)
        self._emit(_MOVE, destination, [source])
        return destination

    def _allocate(self, saved: bool) -> int:
        if not self.free[saved]:
            most = ops.MAX_SAVED if saved else ops.MAX_TEMPORARIES
            raise TooLarge(f"the rule needs more than {most} tensors at once")
        return self.free[saved].pop()

    def _release(self, register: int) -> None:
        if register < ops.V_WEIGHT:
            self.free[False].append(register)
        elif register >= ops.V_SAVED:
            self.free[True].append(register)

    def _emit(self, opcode: int, destination: int, operands: list[int]) -> None:
        limit(self.rows, ops.MAX_V_CODE - 1, "tensor operations")
        self.rows.append(row(opcode, destination, operands))


_MOVE = ops.ELEMENTWISE_OPCODE["V"]


def row(opcode: int, destination: int, operands: list[int]) -> tuple[int, ...]:
    return (opcode, destination, *operands)


def limit(items: object, most: int, what: str) -> None:
    """Refuses a program that needs more of something than there is."""
    if len(items) > most:  # type: ignore[arg-type]
        raise TooLarge(f"the rule needs more {what} than the machine has ({most})")
