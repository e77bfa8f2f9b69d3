"""What the machine can do: its registers, and the operations of its forms.

An elementwise operation is a pattern of primitives over operands, written as text:
`lerp(square(V), V, S)` is one operation of three operands. Such fused operations are what keeps the
machine close to compiled code: AdamW is eleven primitives, but four of these. An operand is

    S  a number per replicate, from bank S
    V  a number per weight, from bank V

A wide operation is a primitive that sees whole tensors at once, with a letter for each operand:

    V  a tensor, or what has as many numbers
    L  a number per tensor, held in bank V once for each weight
    T  a transposed tensor        R, C  a rows-by-rows or columns-by-columns matrix

The lean machine holds what the core grammar draws. The matrix machine adds what the matrix grammar
draws, but for matrix products. The full machine adds these and the rest, and its registers are wide
enough for square matrices; the decomposing one adds decompositions, and reductions of square
matrices. Each takes longer to compile than the one before, so that only programs that need it pay
for it, and its operations begin with that one's, under the same numbers.

Each form has a sibling whose operations begin with the oracles, which ask about the step's
minibatch, draws of noise, and the labels that a task gives its tensors; the others follow. So
programs that do without run as if there were none, and a larger sibling runs what is written for a
smaller one too.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from .. import kinds
from ..expressions import parse_expression
from ..inputs import INPUTS, Source, given
from ..kinds import Kind
from ..primitive import CORE, MATRIX, Primitive, Scope
from ..primitives import PRIMITIVES
from ..program import LEARNING_RATE, Call, subexpressions

LEAN, FULL, DECOMPOSING = "lean", "full", "decomposing"
_SIZES = (LEAN, MATRIX, FULL, DECOMPOSING)
# By form, the one that has oracles, noise and labels too.
WITH_ORACLES = {form: f"{form} with oracles" for form in _SIZES}
# The forms of the machine, the smallest first.
FORMS = (*_SIZES, *WITH_ORACLES.values())
# Those whose registers are wide enough for square matrices.
HOLD_SQUARES = frozenset(
    form for size in (FULL, DECOMPOSING) for form in (size, WITH_ORACLES[size])
)

# A primitive's name and its operands: letters or further patterns; or a letter alone.
Pattern = str | tuple["Pattern", ...]
# A wide operation: a primitive's name, or of what is spread, and its operands.
Wide = tuple[str, str]

S_INPUTS = (*given(Source.MACHINE, Kind.SCALAR), LEARNING_RATE)
_V_GIVEN = given(Source.MACHINE, Kind.TENSOR)
V_INPUTS = tuple(name for name in _V_GIVEN if INPUTS[name].noise is None)
# Have no register of their own: a wide operation without operands fetches them where they are read.
NOISE = tuple(name for name in _V_GIVEN if INPUTS[name].noise is not None)
FETCHED = (*NOISE, *given(Source.TRAINING, Kind.LAYER))
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
    "lead": ("VL", "TL", "RL", "CL"),
    "orthonormal": ("V", "T", "R", "C"),
    "eigenvectors": ("R", "C"),
}
_DECOMPOSITIONS = frozenset({"lead", "orthonormal", "eigenvectors"})


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


# Constants are folded, derived primitives expanded.
_ROWS = [row for row in PRIMITIVES.values() if row.arity and not row.expansion]


def _called(grammar: str) -> Iterator[str]:
    """What the derived primitives of a grammar are made of."""
    for row in PRIMITIVES.values():
        if row.expansion and row.grammar == grammar:
            parts = subexpressions(parse_expression(row.expansion))
            yield from (e.primitive for e in parts if isinstance(e, Call))


def _elementwise() -> tuple[Pattern, ...]:
    found: list[Pattern] = ["V", "S"]  # a copy; a scalar for every weight
    found += [pattern(text) for text in _FUSED]
    for row in _ROWS:
        if row.scope is Scope.ELEMENTWISE:
            mixed = (m for m in _MIXED[row.arity] if not (m == "SV" and row.commutative))
            found += [(row.name, *m) for m in mixed]
    return tuple(found)


_CALLED = frozenset(_called(MATRIX))


def _form(row: Primitive) -> str:
    """The smallest form of the machine that has the wide operations of a primitive."""
    if row.grammar == CORE:
        return LEAN
    if row.name in _DECOMPOSITIONS:
        return DECOMPOSING
    drawn = row.grammar == MATRIX or row.name in _CALLED
    return MATRIX if drawn and row.name not in _MATRIX else FULL


def _operands(row: Primitive) -> tuple[str, ...]:
    if row.name in _MATRIX:
        return _MATRIX[row.name]
    return ("VL" if row.name == "quantile" else "V" * row.arity,)


def _wide() -> Iterator[tuple[str, tuple[Wide, ...]]]:
    """The wide operations of each form."""
    oracles = [(row.name, "V" * row.arity) for row in _ROWS if row.scope is Scope.LOSS]
    oracles += [(name, "") for name in FETCHED]
    whole = [row for row in _ROWS if row.scope in (Scope.PER_TENSOR, Scope.MODEL)]
    found: dict[Wide, None] = {}  # in order
    for size, form in enumerate(_SIZES, 1):
        rows = [row for row in whole if _form(row) in _SIZES[:size]]
        found |= {(row.name, mixed): None for row in rows for mixed in _operands(row)}
        if form != LEAN:
            model = [row for row in rows if row.scope is Scope.MODEL]
            found |= {(row.name, "L" * row.arity): None for row in model}
        if form == FULL:
            found |= {(SPREAD_ROWS, "L"): None, (SPREAD_COLUMNS, "L"): None}
        if form == DECOMPOSING:
            of_squares = [row for row in rows if row.kind is kinds.per_tensor]
            found |= {(r.name, x * r.arity): None for r in of_squares for x in "RC"}
        yield form, tuple(found)
        yield WITH_ORACLES[form], (*oracles, *found)


S_OPERATIONS = tuple((row.name, "S" * row.arity) for row in _ROWS if not row.reduces)
S_OPCODE = {operation: code for code, operation in enumerate(S_OPERATIONS)}
ELEMENTWISE = _elementwise()
ELEMENTWISE_OPCODE = {operation: code for code, operation in enumerate(ELEMENTWISE)}
WIDE: Mapping[str, tuple[Wide, ...]] = MappingProxyType(dict(_wide()))
WIDE_OPCODE: Mapping[str, Mapping[Wide, int]] = MappingProxyType(
    {form: {operation: code for code, operation in enumerate(WIDE[form])} for form in FORMS}
)
# Those of any form.
ALL_WIDE = frozenset(WIDE[WITH_ORACLES[DECOMPOSING]])
MATRIX_PRIMITIVES = frozenset(_MATRIX)
WITH_A_NUMBER = frozenset({"quantile", "lead"})  # as their second argument
OF_SHAPE = frozenset({"size", "rows", "columns", "ndim"})  # what sees a tensor's shape alone
