"""What the machine can do: its registers, and its operations by name and operands.

An operation is a primitive with a letter for each operand:

    S  a number per replicate, from bank S
    V  a number per weight, from bank V, in the parameters' layout (or, elementwise, transposed)
    L  a number per tensor, held in bank V as V
    T  a transposed tensor; R, C  a rows-by-rows or columns-by-columns matrix; M  either of these

The lean machine holds what the search draws. The full machine adds the rest (matrix products and
all that needs a tensor's rows and columns); it has wider registers and takes longer to compile, so
that only programs that need it pay for it. The lean operations come first and have the same
numbers in both.
"""

from __future__ import annotations

from .primitives import PRIMITIVES, Primitive, Scope
from .program import LEARNING_RATE

S_INPUTS = ("t", "T", "loss", LEARNING_RATE)
V_INPUTS = ("w", "g", "role")
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

BROADCAST, MOVE = "broadcast", "move"  # a scalar to all of a register; a register to another
SPREAD_ROWS, SPREAD_COLUMNS = "spread rows", "spread columns"  # a number per tensor to a gram

Operation = tuple[str, str]  # name, operand letters

_MIXED = {1: ("V",), 2: ("VV", "VS", "SV"), 3: ("VVV", "VVS", "VSS", "SVV")}
# Primitives on square matrices; others would only make the full machine slower to compile.
_ON_SQUARES = {
    **dict.fromkeys(("add", "subtract", "multiply", "divide"), ("MM", "MS", "SM")),
    **dict.fromkeys(("negative", "square", "sqrt", "reciprocal", "abs", "sign"), ("M",)),
    "lerp": ("MMM", "MMS"),
}
_MATRIX = {
    "transpose": ("V", "T", "R", "C"),
    "matmul": ("VT", "VC", "TV", "TR", "RV", "RR", "CT", "CC"),
    "diagonal": ("R", "C"),
    "solve_lower": ("RV", "RR", "CT", "CC"),
}


def _defined(*, searched: bool) -> list[Primitive]:
    # Constants are folded, derived primitives expanded.
    rows = (row for row in PRIMITIVES.values() if row.arity and not row.expansion)
    return [row for row in rows if row.searched is searched]


def _scalar_operations() -> tuple[Operation, ...]:
    rows = (row for row in PRIMITIVES.values() if row.arity and not row.expansion)
    return tuple((row.name, "S" * row.arity) for row in rows if not row.reduces)


def _lean_operations() -> tuple[Operation, ...]:
    found: list[Operation] = [(BROADCAST, "S"), (MOVE, "V")]
    for row in _defined(searched=True):
        if row.reduces:
            found.append((row.name, "V" * row.arity))
        else:
            mixed = _MIXED[row.arity]
            found += [(row.name, m) for m in mixed if not (m == "SV" and row.commutative)]
    return tuple(found)


def _further_operations() -> tuple[Operation, ...]:
    found: list[Operation] = [(SPREAD_ROWS, "L"), (SPREAD_COLUMNS, "L")]
    for name, operands in (*_ON_SQUARES.items(), *_MATRIX.items()):
        found += [(name, letters) for letters in operands]
    for row in PRIMITIVES.values():
        if row.scope is Scope.MODEL and row.arity and not row.expansion:
            found.append((row.name, "L" * row.arity))
    for row in _defined(searched=False):
        if row.name not in _MATRIX:
            found.append((row.name, "VS" if row.name == "quantile" else "V" * row.arity))
    return tuple(found)


S_OPERATIONS = _scalar_operations()
LEAN_OPERATIONS = _lean_operations()
FULL_OPERATIONS = LEAN_OPERATIONS + _further_operations()
S_OPCODE = {operation: code for code, operation in enumerate(S_OPERATIONS)}
V_OPCODE = {operation: code for code, operation in enumerate(FULL_OPERATIONS)}
MATRIX_PRIMITIVES = frozenset(_MATRIX)
