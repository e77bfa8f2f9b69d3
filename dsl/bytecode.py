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

from .canonical import Meaning, meaning
from .errors import ProgramError
from .primitives import PRIMITIVES, Kind
from .program import INPUTS, LEARNING_RATE, Program
from .rewriting import Level
from .terms import CONSTANT, SYMBOL, Term

S_INPUTS = ("t", "T", "loss", LEARNING_RATE)
V_INPUTS = ("w", "g")
MAX_S_STATES, MAX_V_STATES = 6, 6
MAX_CONSTANTS = 40
MAX_S_TEMPORARIES, MAX_V_TEMPORARIES = 60, 16
MAX_S_CODE, MAX_V_CODE = 60, 120

S_STATE = len(S_INPUTS)
S_CONSTANT = S_STATE + MAX_S_STATES
S_TEMPORARY = S_CONSTANT + MAX_CONSTANTS
S_REGISTERS = S_TEMPORARY + MAX_S_TEMPORARIES
V_STATE = len(V_INPUTS)
V_TEMPORARY = V_STATE + MAX_V_STATES
V_REGISTERS = V_TEMPORARY + MAX_V_TEMPORARIES

BROADCAST, MOVE = "broadcast", "move"  # V from S, V from V


class TooLarge(ProgramError):
    """A program that needs more registers or instructions than the machine has."""


def _operations() -> tuple[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]]:
    """All (primitive, banks of its arguments) of the S code and of the V code."""
    s_ops: list[tuple[str, str]] = []
    v_ops: list[tuple[str, str]] = [(BROADCAST, "S"), (MOVE, "V")]
    for row in PRIMITIVES.values():
        if row.expansion or row.arity == 0:  # constants are folded
            continue
        if row.reduces:
            v_ops.append((row.name, "V" * row.arity))
            continue
        s_ops.append((row.name, "S" * row.arity))
        mixed = {1: ["V"], 2: ["VV", "VS", "SV"], 3: ["VVV", "VVS", "VSS", "SVV"]}[row.arity]
        if row.commutative:
            mixed.remove("SV")
        v_ops += [(row.name, banks) for banks in mixed]
    return tuple(s_ops), tuple(v_ops)


S_OPERATIONS, V_OPERATIONS = _operations()
_S_OPCODE = {operation: code for code, operation in enumerate(S_OPERATIONS)}
_V_OPCODE = {operation: code for code, operation in enumerate(V_OPERATIONS)}


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

    def arrays(self) -> dict[str, np.ndarray]:
        """The tables by name, as the machine takes them."""
        return dict(vars(self))


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
        self.constants: dict[float, int] = {}
        self.s_code: list[tuple[int, ...]] = []
        self.s_registers: dict[Term, int] = {}
        self.v_code: list[tuple[int, ...]] = []
        self.tensors = self._tensor_terms()
        s_states = [n for n in self.meaning.state if n not in self.tensor_states]
        v_states = [n for n in self.meaning.state if n in self.tensor_states]
        _limit(s_states, MAX_S_STATES, "scalar states")
        _limit(v_states, MAX_V_STATES, "tensor states")
        self.s_home = {name: S_STATE + i for i, name in enumerate(s_states)}
        self.s_home |= {name: i for i, name in enumerate(S_INPUTS)}
        self.v_home = {name: V_STATE + i for i, name in enumerate(v_states)}
        self.v_home |= {name: i for i, name in enumerate(V_INPUTS)}
        self.s_states, self.v_states = s_states, v_states

    def _tensor_terms(self) -> set[Term]:
        """The terms that live in bank V. Also finds the states that do."""
        self.tensor_states = {n for n in self.meaning.state if isinstance(self.init[n], str)}
        while True:
            tensors: set[Term] = set()
            for term in postorder(self.meaning.outputs()):
                if term.head == SYMBOL:
                    in_v = term.name in self.tensor_states or (INPUTS.get(term.name) is Kind.TENSOR)
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

    # --- bank S ---

    def scalar(self, term: Term) -> int:
        """The S register that holds a scalar term, emitting code for it at first use."""
        if term.head == CONSTANT:
            return self._constant(term.value)
        if term.head == SYMBOL:
            return self.s_home[term.name]
        if term not in self.s_registers:
            operands = [self.scalar(arg) for arg in term.args]
            opcode = _S_OPCODE[term.head, "S" * len(operands)]
            _limit(self.s_code, MAX_S_CODE - 1, "scalar operations")
            register = S_TEMPORARY + len(self.s_code)
            self.s_code.append(_row(opcode, register, operands))
            self.s_registers[term] = register
        return self.s_registers[term]

    def _constant(self, value: float) -> int:
        if value not in self.constants:
            _limit(self.constants, MAX_CONSTANTS - 1, "constants")
            self.constants[value] = S_CONSTANT + len(self.constants)
        return self.constants[value]

    # --- bank V ---

    def bytecode(self) -> Bytecode:
        s_next = [self.scalar(self.meaning.state[n]) for n in self.s_states]
        result, eval_w = self._tensor_code()
        s_init = [float(self.init[n]) for n in self.s_states]
        v_init = [self.init[n] for n in self.v_states]
        constants = list(self.constants)
        return Bytecode(
            s_code=_table(self.s_code, MAX_S_CODE),
            s_length=np.int32(len(self.s_code)),
            v_code=_table(self.v_code, MAX_V_CODE),
            v_length=np.int32(len(self.v_code)),
            constants=_padded(constants, MAX_CONSTANTS),
            s_init=_padded(s_init, MAX_S_STATES),
            # Unused states keep themselves.
            s_next=np.array(
                s_next + list(range(S_STATE + len(s_next), S_CONSTANT)), dtype=np.int32
            ),
            v_init=_padded([0.0 if isinstance(v, str) else v for v in v_init], MAX_V_STATES),
            v_from_w=_padded([float(v == "w") for v in v_init], MAX_V_STATES),
            result=np.int32(result),
            eval_w=np.int32(eval_w),
        )

    def _tensor_code(self) -> tuple[int, int]:
        """Emits the V code by linear scan; returns the registers of the update and of eval_w."""
        meant = self.meaning
        outputs = [meant.result] + ([meant.eval_w] if meant.eval_w is not None else [])
        nexts = {n: meant.state[n] for n in self.v_states}
        work = _spread(
            [t for t in postorder(meant.outputs()) if t in self.tensors and t.args], self.tensors
        )
        end = len(work)
        last_use: dict[Term, int] = {}
        for index, (term, _) in enumerate(work):
            for arg in term.args:
                last_use[arg] = index
        for term in [*outputs, *nexts.values()]:
            last_use[term] = end
        self.free = list(range(V_TEMPORARY + MAX_V_TEMPORARIES - 1, V_TEMPORARY - 1, -1))
        self.register: dict[Term, int] = {}
        for term in last_use:
            if term.head == SYMBOL and term in self.tensors:
                self.register[term] = self.v_home[term.name]
        changed = {n for n, t in nexts.items() if not (t.head == SYMBOL and t.name == n)}
        homes = {t: n for n, t in reversed(nexts.items()) if t.args and t in self.tensors}
        old = {t.name: t for t in last_use if t.head == SYMBOL}
        placed: set[str] = set()
        for index, (term, spread) in enumerate(work):
            operands, banks, spares = [], "", []
            for position, arg in enumerate(term.args):
                if arg in self.tensors:
                    operands.append(self.register[arg])
                    banks += "V"
                elif position in spread:
                    spares.append(self._allocate())
                    self._emit(BROADCAST, "S", spares[-1], [self.scalar(arg)])
                    operands.append(spares[-1])
                    banks += "V"
                else:
                    operands.append(self.scalar(arg))
                    banks += "S"
            if banks == "SV" and PRIMITIVES[term.head].commutative:
                operands, banks = operands[::-1], "VS"
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
            self._emit(term.head, banks, destination, operands)
        return self._finish(outputs, nexts, changed - placed, placed)

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
                self._emit(MOVE, "V", found[-1], [source])
            else:
                found.append(source)
        sources = {}
        for name in sorted(pending):
            sources[name] = self._source(nexts[name])
            if sources[name] in moving:
                copy = self._allocate()
                self._emit(MOVE, "V", copy, [sources[name]])
                sources[name] = copy
        for name, source in sources.items():
            self._emit(MOVE, "V", self.v_home[name], [source])
        return found[0], found[1] if len(found) > 1 else -1

    def _source(self, term: Term) -> int:
        """A V register that holds a term, broadcasting a scalar."""
        if term in self.tensors:
            return self.register[term]
        destination = self._allocate()
        self._emit(BROADCAST, "S", destination, [self.scalar(term)])
        return destination

    def _allocate(self) -> int:
        if not self.free:
            raise TooLarge(f"the rule needs more than {MAX_V_TEMPORARIES} tensors at once")
        return self.free.pop()

    def _release(self, term: Term, index: int, last_use: Mapping[Term, int]) -> None:
        for arg in dict.fromkeys(term.args):
            if arg in self.tensors and last_use[arg] == index:
                register = self.register[arg]
                if register >= V_TEMPORARY:
                    self.free.append(register)

    def _emit(self, operation: str, banks: str, destination: int, operands: list[int]) -> None:
        _limit(self.v_code, MAX_V_CODE - 1, "tensor operations")
        self.v_code.append(_row(_V_OPCODE[operation, banks], destination, operands))


def _spread(terms: list[Term], tensors: set[Term]) -> list[tuple[Term, frozenset[int]]]:
    """With each term, the positions of scalar arguments that must be broadcast first."""
    found = []
    for term in terms:
        banks = "".join("V" if a in tensors else "S" for a in term.args)
        spread: frozenset[int] = frozenset()
        unordered = "VS" if len(banks) == 2 and PRIMITIVES[term.head].commutative else banks
        if "S" in banks and not {(term.head, banks), (term.head, unordered)} & _V_OPCODE.keys():
            spread = frozenset(i for i, bank in enumerate(banks) if bank == "S")
        found.append((term, spread))
    return found


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
