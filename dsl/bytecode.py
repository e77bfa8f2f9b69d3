"""Lowering: a program as integer tables for the machine.

The machine has two banks of registers. Bank S holds one number per register: values that come
from t, T, loss, the learning rate and constants alone. Bank V holds one number per weight:
everything that touches a tensor, with reductions kept broadcast. Each step runs the S code, then
the V code; most scalar work (bias corrections, schedules) therefore costs next to nothing.

    bank S: t T loss lr | scalar states | constants | temporaries
    bank V: w g | tensor states | temporaries
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from . import operations as ops
from .canonical import Meaning, meaning
from .errors import ProgramError
from .kinds import kinds_of
from .primitives import PRIMITIVES, Scope
from .program import INPUTS, Program
from .rewriting import Level
from .shapes import Kind
from .terms import CONSTANT, SYMBOL, Term

_LETTER = {Kind.TRANSPOSED: "T", Kind.ROW_GRAM: "R", Kind.COLUMN_GRAM: "C"}
_SPREAD = {Kind.ROW_GRAM: ops.SPREAD_ROWS, Kind.COLUMN_GRAM: ops.SPREAD_COLUMNS}


class TooLarge(ProgramError):
    """A program that needs more registers, instructions or operations than the machine has."""


@dataclass(frozen=True)
class Bytecode:
    """A program as data; all arrays have fixed shapes, so every program fits one compiled machine.

    Attributes:
      s_code, v_code: int32 rows (operation, destination, three operands), zero-padded.
      s_length, v_length: number of rows in use.
      constants: float64, shape (MAX_CONSTANTS,).
      s_init: float64, start values of the scalar states; s_next: registers of their next values.
      v_init: float64, start values of the tensor states; v_from_w: 1 where the start is w.
      result, eval_w: V registers of the update and of the evaluation point (-1: the new w).
      full: whether it needs the full machine; see `operations`.
    """

    s_code: np.ndarray
    s_length: np.int32
    v_code: np.ndarray
    v_length: np.int32
    constants: np.ndarray
    s_init: np.ndarray
    s_next: np.ndarray
    v_init: np.ndarray
    v_from_w: np.ndarray
    result: np.int32
    eval_w: np.int32
    full: bool

    def arrays(self) -> dict[str, np.ndarray]:
        """The tables by name, as the machine takes them."""
        return {name: value for name, value in vars(self).items() if name != "full"}


def assemble(program: Program) -> Bytecode:
    """Lowers a program.

    Raises:
      TooLarge: when it needs more than the machine has; the message says of what.
    """
    return _Assembler(program).bytecode()


class _Assembler:
    def __init__(self, program: Program) -> None:
        self.meaning: Meaning = meaning(program, Level.EXACT, bound_hyperparameters=True)
        self.init: Mapping[str, float | str] = {s.name: s.init for s in program.state}
        self.symbol_kinds: Mapping[str, Kind] = {**INPUTS, **kinds_of(program).state}
        if "A" in program.inputs:
            raise TooLarge("the rule solves linear systems A w = b, which no training task has")
        self.constants: dict[float, int] = {}
        self.s_code: list[tuple[int, ...]] = []
        self.s_registers: dict[Term, int] = {}
        self.v_code: list[tuple[int, ...]] = []
        self.full = False
        self.tensors = self._tensor_terms()
        s_states = [n for n in self.meaning.state if n not in self.tensor_states]
        v_states = [n for n in self.meaning.state if n in self.tensor_states]
        _limit(s_states, ops.MAX_S_STATES, "scalar states")
        _limit(v_states, ops.MAX_V_STATES, "tensor states")
        self.s_home = {name: ops.S_STATE + i for i, name in enumerate(s_states)}
        self.s_home |= {name: i for i, name in enumerate(ops.S_INPUTS)}
        self.v_home = {name: ops.V_STATE + i for i, name in enumerate(v_states)}
        self.v_home |= {name: i for i, name in enumerate(ops.V_INPUTS)}
        self.s_states, self.v_states = s_states, v_states

    def _tensor_terms(self) -> set[Term]:
        """The terms that live in bank V. Also finds the states that do, and all kinds."""
        self.kinds: dict[Term, Kind] = {}
        for term in postorder(self.meaning.outputs()):
            self.kinds[term] = self._kind(term)
        self.tensor_states = {n for n in self.meaning.state if isinstance(self.init[n], str)}
        while True:
            tensors: set[Term] = set()
            for term in self.kinds:
                if term.head == SYMBOL:
                    in_v = term.name in self.tensor_states or term.name in ops.V_INPUTS
                elif term.head == CONSTANT:
                    in_v = False
                else:
                    # Rewriting may have left a reduction with a scalar, as in sum(g**0) = sum(1):
                    # the scalar then stands for a tensor of equal numbers.
                    reduces = PRIMITIVES[term.head].reduces
                    in_v = reduces or any(arg in tensors for arg in term.args)
                if in_v:
                    tensors.add(term)
            grown = self.tensor_states | {n for n, t in self.meaning.state.items() if t in tensors}
            if grown == self.tensor_states:
                return tensors
            self.tensor_states = grown

    def _kind(self, term: Term) -> Kind:
        if term.head == SYMBOL:
            return self.symbol_kinds.get(term.name, Kind.SCALAR)
        if term.head == CONSTANT:
            return Kind.SCALAR
        try:
            return PRIMITIVES[term.head].kind([self.kinds[arg] for arg in term.args])
        except ProgramError:  # as above: of a scalar that stands for a tensor
            return Kind.SCALAR if PRIMITIVES[term.head].scope is Scope.MODEL else Kind.LAYER

    # --- bank S ---

    def scalar(self, term: Term) -> int:
        """The S register that holds a scalar term, emitting code for it at first use."""
        if term.head == CONSTANT:
            return self._constant(term.value)
        if term.head == SYMBOL:
            return self.s_home[term.name]
        if term not in self.s_registers:
            operands = [self.scalar(arg) for arg in term.args]
            opcode = ops.S_OPCODE[term.head, "S" * len(operands)]
            _limit(self.s_code, ops.MAX_S_CODE - 1, "scalar operations")
            register = ops.S_TEMPORARY + len(self.s_code)
            self.s_code.append(_row(opcode, register, operands))
            self.s_registers[term] = register
        return self.s_registers[term]

    def _constant(self, value: float) -> int:
        if value not in self.constants:
            _limit(self.constants, ops.MAX_CONSTANTS - 1, "constants")
            self.constants[value] = ops.S_CONSTANT + len(self.constants)
        return self.constants[value]

    # --- bank V ---

    def bytecode(self) -> Bytecode:
        s_next = [self.scalar(self.meaning.state[n]) for n in self.s_states]
        result, eval_w = self._tensor_code()
        s_init = [float(self.init[n]) for n in self.s_states]
        v_init = [self.init[n] for n in self.v_states]
        constants = list(self.constants)
        return Bytecode(
            s_code=_table(self.s_code, ops.MAX_S_CODE),
            s_length=np.int32(len(self.s_code)),
            v_code=_table(self.v_code, ops.MAX_V_CODE),
            v_length=np.int32(len(self.v_code)),
            constants=_padded(constants, ops.MAX_CONSTANTS),
            s_init=_padded(s_init, ops.MAX_S_STATES),
            # Unused states keep themselves.
            s_next=np.array(
                s_next + list(range(ops.S_STATE + len(s_next), ops.S_CONSTANT)), dtype=np.int32
            ),
            v_init=_padded([0.0 if isinstance(v, str) else v for v in v_init], ops.MAX_V_STATES),
            v_from_w=_padded([float(v == "w") for v in v_init], ops.MAX_V_STATES),
            result=np.int32(result),
            eval_w=np.int32(eval_w),
            full=self.full,
        )

    def _tensor_code(self) -> tuple[int, int]:
        """Emits the V code by linear scan; returns the registers of the update and of eval_w."""
        meant = self.meaning
        outputs = [meant.result] + ([meant.eval_w] if meant.eval_w is not None else [])
        nexts = {n: meant.state[n] for n in self.v_states}
        work = [t for t in self.kinds if t in self.tensors and t.args]
        end = len(work)
        last_use: dict[Term, int] = {}
        for index, term in enumerate(work):
            for arg in term.args:
                last_use[arg] = index
        for term in [*outputs, *nexts.values()]:
            last_use[term] = end
        self.free = list(
            range(ops.V_TEMPORARY + ops.MAX_V_TEMPORARIES - 1, ops.V_TEMPORARY - 1, -1)
        )
        self.register: dict[Term, int] = {}
        for term in last_use:
            if term.head == SYMBOL and term in self.tensors:
                self.register[term] = self.v_home[term.name]
        changed = {n for n, t in nexts.items() if not (t.head == SYMBOL and t.name == n)}
        homes = {t: n for n, t in reversed(nexts.items()) if t.args and t in self.tensors}
        old = {t.name: t for t in last_use if t.head == SYMBOL}
        placed: set[str] = set()
        for index, term in enumerate(work):
            operands, letters, spares = self._operands(term)
            self._release(term, index, last_use)
            self.free += spares
            state = homes.get(term)
            # A state's next value goes straight to its home once nothing reads the old one.
            if state and (state not in old or last_use[old[state]] <= index):
                destination = self.v_home[state]
                placed.add(state)
            else:
                destination = self._allocate()
            self.register[term] = destination
            self._emit(term.head, letters, destination, operands)
        return self._finish(outputs, nexts, changed - placed, placed)

    def _operands(self, term: Term) -> tuple[list[int], str, list[int]]:
        """Registers and letters of a term's operands, and registers free again after it.

        A scalar that the operation cannot take as such is broadcast first.
        """
        letters = self._letters(term)
        commutes = PRIMITIVES[term.head].commutative and len(letters) == 2
        args = list(term.args)
        if commutes and letters[0] == "S" and (term.head, letters) not in ops.V_OPCODE:
            args, letters = args[::-1], letters[::-1]
        elementwise = PRIMITIVES[term.head].scope is Scope.ELEMENTWISE
        gram = _SPREAD.get(self.kinds[term]) if elementwise else None
        wanted = letters.replace("L", "M") if gram else letters
        spread = (term.head, wanted) not in ops.V_OPCODE
        operands: list[int] = []
        spares: list[int] = []
        final = ""
        for arg, letter in zip(args, letters, strict=True):
            if letter == "S" and spread:
                spares.append(self._allocate())
                self._emit(ops.BROADCAST, "S", spares[-1], [self.scalar(arg)])
                operands.append(spares[-1])
                letter = "M" if gram else "V"
            elif letter == "S":
                operands.append(self.scalar(arg))
            elif letter == "L" and gram:
                spares.append(self._allocate())
                self._emit(gram, "L", spares[-1], [self.register[arg]])
                operands.append(spares[-1])
                letter = "M"
            else:
                operands.append(self.register[arg])
            final += letter
        return operands, final, spares

    def _letters(self, term: Term) -> str:
        """The operand letters of a term, before any scalar is broadcast."""
        row = PRIMITIVES[term.head]
        gram = row.scope is Scope.ELEMENTWISE and self.kinds[term] in _SPREAD
        per_tensor = row.scope is Scope.MODEL and all(
            self.kinds[a] is Kind.LAYER and a in self.tensors for a in term.args
        )
        letters = ""
        for arg in term.args:
            kind = self.kinds[arg]
            if arg not in self.tensors:
                letters += "S"
            elif gram:
                letters += "M" if kind in _SPREAD else "L"
            elif per_tensor:
                letters += "L"
            elif term.head in ops.MATRIX_PRIMITIVES:
                letters += _LETTER.get(kind, "V")
            else:
                letters += "V"
        return letters

    def _finish(
        self, outputs: list[Term], nexts: Mapping[str, Term], pending: set[str], placed: set[str]
    ) -> tuple[int, int]:
        """Moves next states home and finds the outputs, all as one parallel assignment."""
        moving = {self.v_home[n] for n in pending}
        found = []
        for term in outputs:
            source = self._source(term)
            if source in moving:
                found.append(self._allocate())
                self._emit(ops.MOVE, "V", found[-1], [source])
            else:
                found.append(source)
        sources = {}
        for name in sorted(pending):
            sources[name] = self._source(nexts[name])
            if sources[name] in moving:
                copy = self._allocate()
                self._emit(ops.MOVE, "V", copy, [sources[name]])
                sources[name] = copy
        for name, source in sources.items():
            self._emit(ops.MOVE, "V", self.v_home[name], [source])
        return found[0], found[1] if len(found) > 1 else -1

    def _source(self, term: Term) -> int:
        """A V register that holds a term, broadcasting a scalar."""
        if term in self.tensors:
            return self.register[term]
        destination = self._allocate()
        self._emit(ops.BROADCAST, "S", destination, [self.scalar(term)])
        return destination

    def _allocate(self) -> int:
        if not self.free:
            raise TooLarge(f"the rule needs more than {ops.MAX_V_TEMPORARIES} tensors at once")
        return self.free.pop()

    def _release(self, term: Term, index: int, last_use: Mapping[Term, int]) -> None:
        for arg in dict.fromkeys(term.args):
            if arg in self.tensors and last_use[arg] == index:
                register = self.register[arg]
                if register >= ops.V_TEMPORARY:
                    self.free.append(register)

    def _emit(self, operation: str, letters: str, destination: int, operands: list[int]) -> None:
        _limit(self.v_code, ops.MAX_V_CODE - 1, "tensor operations")
        if (operation, letters) not in ops.V_OPCODE:
            raise TooLarge(f"the machine has no {operation} of these kinds")
        opcode = ops.V_OPCODE[operation, letters]
        self.full |= opcode >= len(ops.LEAN_OPERATIONS)
        self.v_code.append(_row(opcode, destination, operands))


def postorder(roots: Iterable[Term]) -> list[Term]:
    """All terms under some roots, arguments before what uses them."""
    found: dict[Term, None] = {}
    stack = [(root, False) for root in reversed(list(roots))]
    while stack:
        term, ready = stack.pop()
        if term in found:
            continue
        if ready:
            found[term] = None
            continue
        stack.append((term, True))
        stack.extend((arg, False) for arg in reversed(term.args))
    return list(found)


def _row(opcode: int, destination: int, operands: list[int]) -> tuple[int, ...]:
    return (opcode, destination, *operands, *[0] * (3 - len(operands)))


def _table(rows: list[tuple[int, ...]], length: int) -> np.ndarray:
    table = np.zeros((length, 5), dtype=np.int32)
    if rows:
        table[: len(rows)] = rows
    return table


def _padded(values: list[float], length: int) -> np.ndarray:
    return np.array(values + [0.0] * (length - len(values)), dtype=np.float64)


def _limit(items: object, most: int, what: str) -> None:
    if len(items) > most:  # type: ignore[arg-type]
        raise TooLarge(f"the rule needs more {what} than the machine has ({most + 1})")
