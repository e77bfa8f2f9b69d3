"""What the machine can do: its registers, and its two sets of operations.

An elementwise operation is a pattern of primitives over operands, written as text:
`lerp(square(V), V, S)` is one operation of three operands. Such fused operations are what keeps the
machine close to compiled code: AdamW is eleven primitives, but four of these. An operand is

    S  a number per replicate, from bank S
    V  a number per weight, from bank V

A wide operation is a primitive that sees whole tensors at once, with a letter for each operand:

    V  a tensor        L  a number per tensor, held in bank V once for each weight
    T  a transposed tensor        R, C  a rows-by-rows or columns-by-columns matrix

The lean machine holds what the search draws. The full machine adds the rest (matrix products and
all that needs a tensor's rows and columns); it has wider registers and takes longer to compile, so
that only programs that need it pay for it. The lean operations come first and have the same
numbers in both.
"""

from __future__ import annotations

import ast

from ..inputs import Source, given
from ..kinds import Kind
from ..primitive import Primitive, Scope
from ..primitives import PRIMITIVES
from ..program import LEARNING_RATE

# A primitive's name and its operands: letters or further patterns; or a letter alone.
Pattern = str | tuple["Pattern", ...]

S_INPUTS = (*given(Source.TRAINING, Kind.SCALAR), LEARNING_RATE)
V_INPUTS = given(Source.TRAINING, Kind.TENSOR)
MAX_S_STATES, MAX_V_STATES = 6, 6
MAX_CONSTANTS = 40
MAX_S_TEMPORARIES = 60
MAX_TEMPORARIES = 32  # values of one block that are used soon
MAX_SAVED = 16  # values of all weights, besides the states
MAX_S_CODE, MAX_V_CODE = 60, 120
MAX_SEGMENTS = 24
MAX_OPERANDS = 5

# Where whoever steps the machine puts the scalar inputs.
S_STEP, S_TOTAL, S_LOSS, S_RATE = map(S_INPUTS.index, ("t", "T", "loss", LEARNING_RATE))
S_STATE = len(S_INPUTS)
S_CONSTANT = S_STATE + MAX_S_STATES
S_TEMPORARY = S_CONSTANT + MAX_CONSTANTS
S_REGISTERS = S_TEMPORARY + MAX_S_TEMPORARIES
# Bank V: temporaries, then what is kept for all weights.
V_WEIGHT = MAX_TEMPORARIES
V_GRADIENT = V_WEIGHT + 1
V_STATE = V_WEIGHT + len(V_INPUTS)
V_SAVED = V_STATE + MAX_V_STATES
V_KEPT = len(V_INPUTS) + MAX_V_STATES + MAX_SAVED

SPREAD_ROWS, SPREAD_COLUMNS = "spread rows", "spread columns"  # a number per tensor to a gram
SPREADS = {Kind.ROW_GRAM: SPREAD_ROWS, Kind.COLUMN_GRAM: SPREAD_COLUMNS}
# The letters of the kinds whose shape matters.
KIND_LETTERS = {
    Kind.TENSOR: "V",
    Kind.TRANSPOSED: "T",
    Kind.ROW_GRAM: "R",
    Kind.COLUMN_GRAM: "C",
}

_MIXED = {1: ("V",), 2: ("VV", "VS", "SV"), 3: ("VVV", "VVS", "VSS", "SVV")}

# Pairs and triples that rules are made of, the ones that save most operations on known rules and
# their descendants; see benchmarks/operations.py.
_FUSED = (
    # moving averages
    "lerp(square(V), V, S)",
    "sign(lerp(V, V, S))",
    # Adam's direction
    "divide(divide(V, S), add(sqrt(divide(V, S)), S))",
    "divide(V, add(sqrt(divide(V, S)), S))",
    "divide(V, add(sqrt(V), S))",
    "divide(V, sqrt(V))",
    # the step
    "subtract(V, multiply(S, add(V, multiply(S, V))))",
    "subtract(V, multiply(S, add(sign(V), multiply(S, V))))",
    "subtract(V, multiply(S, V))",
    "multiply(S, add(V, multiply(S, V)))",
    "add(V, multiply(S, V))",
    "multiply(V, multiply(S, V))",
)

_MATRIX = {
    "transpose": ("V", "T", "R", "C"),
    "matmul": ("VT", "VC", "TV", "TR", "RV", "RR", "CT", "CC"),
    "diagonal": ("R", "C"),
    "solve_lower": ("RV", "RR", "CT", "CC"),
}


def pattern(text: str) -> Pattern:
    """A pattern from its text, such as `lerp(square(V), V, S)`."""

    def read(node: ast.expr) -> Pattern:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            return (node.func.id, *map(read, node.args))
        assert isinstance(node, ast.Name)
        return node.id

    return read(ast.parse(text, mode="eval").body)


def size(found: Pattern) -> int:
    """Number of primitives in a pattern."""
    return 0 if isinstance(found, str) else 1 + sum(map(size, found[1:]))


def letters(found: Pattern) -> str:
    """The operands of a pattern, in order."""
    return found if isinstance(found, str) else "".join(map(letters, found[1:]))


def _rows(*, searched: bool | None = None) -> list[Primitive]:
    # Constants are folded, derived primitives expanded.
    rows = (row for row in PRIMITIVES.values() if row.arity and not row.expansion)
    return [row for row in rows if searched in (None, row.searched)]


def _elementwise() -> tuple[Pattern, ...]:
    found: list[Pattern] = ["V", "S"]  # a copy; a scalar for every weight
    found += [pattern(text) for text in _FUSED]
    for row in _rows():
        if row.scope is Scope.ELEMENTWISE:
            mixed = (m for m in _MIXED[row.arity] if not (m == "SV" and row.commutative))
            found += [(row.name, *m) for m in mixed]
    return tuple(found)


def _lean_wide() -> tuple[tuple[str, str], ...]:
    return tuple((row.name, "V" * row.arity) for row in _rows(searched=True) if row.reduces)


def _further_wide() -> tuple[tuple[str, str], ...]:
    found: list[tuple[str, str]] = [(SPREAD_ROWS, "L"), (SPREAD_COLUMNS, "L")]
    for name, operands in _MATRIX.items():
        found += [(name, mixed) for mixed in operands]
    for row in _rows():
        if row.scope is Scope.MODEL:
            found.append((row.name, "L" * row.arity))
    for row in _rows(searched=False):
        if row.reduces and row.name not in _MATRIX:
            found.append((row.name, "VS" if row.name == "quantile" else "V" * row.arity))
    return tuple(found)


S_OPERATIONS = tuple((row.name, "S" * row.arity) for row in _rows() if not row.reduces)
S_OPCODE = {operation: code for code, operation in enumerate(S_OPERATIONS)}
ELEMENTWISE = _elementwise()
ELEMENTWISE_OPCODE = {operation: code for code, operation in enumerate(ELEMENTWISE)}
LEAN_WIDE = _lean_wide()
FULL_WIDE = LEAN_WIDE + _further_wide()
WIDE_OPCODE = {operation: code for code, operation in enumerate(FULL_WIDE)}
MATRIX_PRIMITIVES = frozenset(_MATRIX)
OF_SHAPE = frozenset({"size", "rows", "columns", "ndim"})  # what sees a tensor's shape alone
