"""Expressions as text: Python's own syntax, read with `ast` and never executed."""

from __future__ import annotations

import ast
import math
import re
import warnings
from collections.abc import Collection, Sequence

from .errors import ProgramError, did_you_mean
from .primitive import Primitive
from .primitives import ALIASES, INFIX, PRIMITIVES
from .program import Call, Constant, Expr, Name

# Deeper nesting than any readable rule; keeps every recursive analysis within Python's stack.
MAX_DEPTH = 60

TOO_DEEP = f"expressions may nest {MAX_DEPTH} deep; give inner parts statements of their own"
_FINITE = "constants must be finite and below 1.8e308"

_BINARY: dict[type[ast.AST], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.Pow: "**",
    ast.Mod: "%",
}
_COMPARE: dict[type[ast.AST], str] = {
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
}
# What people try most often, and what to write instead.
_INSTEAD: dict[type[ast.AST], str] = {
    ast.IfExp: "a branch; write where(condition, a, b)",
    ast.BoolOp: "`and`/`or`; write minimum(a, b) or maximum(a, b) of conditions",
    ast.Attribute: "attribute access; call primitives by their bare name, as in sqrt(v)",
    ast.Subscript: "indexing",
    ast.Lambda: "a lambda",
    ast.Tuple: "a tuple; a rule returns one value, the update",
    ast.List: "a list",
    ast.Dict: "a dictionary",
    ast.Set: "a set",
    ast.ListComp: "a comprehension",
    ast.SetComp: "a comprehension",
    ast.DictComp: "a comprehension",
    ast.GeneratorExp: "a comprehension",
    ast.NamedExpr: "an assignment inside an expression; give it a statement of its own",
    ast.Starred: "unpacking",
    ast.JoinedStr: "an f-string",
    ast.Await: "await",
    ast.Yield: "yield",
    ast.YieldFrom: "yield",
}


class Reader:
    """Turns the nodes of Python's `ast` into expressions and remembers where each one stood."""

    def __init__(self, source: str, rules: Collection[str] = ()) -> None:
        self.source = source
        self._rules = rules  # names of rules, which statements may call but expressions may not
        self._lines = re.split("\r\n|\r|\n", source)  # as Python does
        # By identity: two equal expressions at two places are two nodes. The expressions are kept
        # alive by the second element.
        self._places: dict[int, tuple[ast.AST, Expr]] = {}

    def error(self, node: ast.AST, reason: str) -> ProgramError:
        """An error that points at a node of the source."""
        line, column = getattr(node, "lineno", 1), getattr(node, "col_offset", 0)
        text = " ".join(self._segment(node).split())
        if len(text) > 60:
            text = text[:57] + "..."
        # ast counts bytes; people count characters.
        prefix = self._lines[line - 1].encode()[:column] if line <= len(self._lines) else b""
        return ProgramError(
            reason, line=line, column=len(prefix.decode(errors="ignore")) + 1, text=text
        )

    def _segment(self, node: ast.AST) -> str:
        try:
            return ast.get_source_segment(self.source, node) or ""
        except (IndexError, ValueError):
            return ""

    def located(self, error: ProgramError) -> ProgramError:
        """The same error with line, column and text, if its `node` came from this source."""
        if error.line is None and id(error.node) in self._places:
            return self.error(self._places[id(error.node)][0], error.reason)
        return error

    def expression(self, node: ast.AST, depth: int = 0) -> Expr:
        """The expression of a node. Raises ProgramError for what the language lacks."""
        if depth > MAX_DEPTH:
            raise self.error(node, TOO_DEEP)
        expr = self._expression(node, depth + 1)
        self._places[id(expr)] = (node, expr)
        return expr

    def _expression(self, node: ast.AST, depth: int) -> Expr:
        if isinstance(node, ast.Name):
            return Name(node.id)
        if isinstance(node, ast.Constant):
            return Constant(self.number(node))
        if isinstance(node, ast.UnaryOp):
            return self._unary(node, depth)
        if isinstance(node, ast.BinOp):
            if (symbol := _BINARY.get(type(node.op))) is None:
                raise self.error(
                    node, f"this operator is not in the language; {_operators_accepted()}"
                )
            return self._infix(symbol, node.left, node.right, depth)
        if isinstance(node, ast.Compare):
            if len(node.ops) > 1:
                raise self.error(node, "chained comparisons are not in the language; compare pairs")
            if (symbol := _COMPARE.get(type(node.ops[0]))) is None:
                raise self.error(
                    node, f"this comparison is not in the language; {_operators_accepted()}"
                )
            return self._infix(symbol, node.left, node.comparators[0], depth)
        if isinstance(node, ast.Call):
            return self._call(node, depth)
        refused = _INSTEAD.get(type(node), "this expression")
        accepted = "an expression is a number, a name, arithmetic or a call of a primitive"
        if ";" not in refused:
            refused = f"{refused}; {accepted}"
        raise self.error(node, f"not in the language: {refused}")

    def number(self, node: ast.AST) -> float:
        """The value of a number literal, with an optional sign."""
        sign = 1.0
        while isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            sign, node = -sign, node.operand
        value = node.value if isinstance(node, ast.Constant) else None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.error(node, "expected a number, such as 0.9 or 1e-8")
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise self.error(node, _FINITE)
        return sign * number

    def _unary(self, node: ast.UnaryOp, depth: int) -> Expr:
        if isinstance(node.op, ast.USub):
            if isinstance(node.operand, ast.Constant):
                return Constant(self.number(node))
            return Call("negative", (self.expression(node.operand, depth),))
        if isinstance(node.op, ast.UAdd):
            raise self.error(node, "unary plus does nothing; leave it out")
        raise self.error(node, "this operator is not in the language; for `not c` write invert(c)")

    def _infix(self, symbol: str, left: ast.AST, right: ast.AST, depth: int) -> Expr:
        args = (self.expression(left, depth), self.expression(right, depth))
        return Call(INFIX[symbol, 2].name, args)

    def _call(self, node: ast.Call, depth: int) -> Expr:
        if not isinstance(node.func, ast.Name):
            if isinstance(node.func, ast.Attribute):
                raise self.error(node, f"not in the language: {_INSTEAD[ast.Attribute]}")
            raise self.error(node, "only primitives can be called, by their bare name")
        name = node.func.id
        if node.keywords:
            raise self.error(node, f"{name} takes its arguments by position, not by keyword")
        name = ALIASES.get((name, len(node.args)), name)
        row = PRIMITIVES.get(name)
        if row is None and name in self._rules:
            raise self.error(
                node,
                f"call rule '{name}' in a statement of its own, as in u = {name}(w, g),"
                " without keywords",
            )
        if row is None:
            raise self.error(
                node,
                f"unknown primitive '{name}'"
                + (did_you_mean(name, PRIMITIVES) or f"; accepted: {', '.join(PRIMITIVES)}"),
            )
        if len(node.args) != row.arity:
            raise self.error(node, f"{name} takes {_arguments(row)}, {len(node.args)} given")
        return Call(name, tuple(self.expression(arg, depth) for arg in node.args))


def _arguments(row: Primitive) -> str:
    return f"{row.arity} argument" + ("" if row.arity == 1 else "s")


def _operators_accepted() -> str:
    return "accepted: " + " ".join(dict.fromkeys(symbol for symbol, _ in INFIX))


def parse_syntax_tree(source: str) -> ast.Module:
    """Python's own parser, with every way it can fail turned into a ProgramError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escape sequences in docstrings
            return ast.parse(source)
    except SyntaxError as error:
        reason = f"not Python syntax: {error.msg}"
        if "int_max_str_digits" in error.msg:
            reason = _FINITE
        raise ProgramError(
            reason,
            line=error.lineno or 1,
            column=error.offset or 1,
            text=(error.text or "").strip()[:60],
        ) from None
    except (RecursionError, MemoryError):
        raise ProgramError(
            f"the text nests too deeply to be read; at most {MAX_DEPTH} levels are accepted",
            line=1,
            column=1,
        ) from None
    except ValueError as error:  # null bytes
        raise ProgramError(f"the text is not Python source: {error}", line=1, column=1) from None


def parse_expression(text: str) -> Expr:
    """Reads one expression.

    Raises:
      ProgramError: with line and column, for anything but an expression of the language.
    """
    body = parse_syntax_tree(text).body
    if len(body) != 1 or not isinstance(body[0], ast.Expr):
        raise ProgramError("expected one expression", line=1, column=1, text=text[:60])
    return Reader(text).expression(body[0].value)


# Python's precedence, loosest first; comparisons do not associate here.
_LEVEL = {"<": 1, "<=": 1, ">": 1, ">=": 1, "==": 1, "!=": 1}
_LEVEL |= {"+": 2, "-": 2, "*": 3, "/": 3, "%": 3, "**": 5}
_UNARY_LEVEL = 4
_ATOM_LEVEL = 6


def format_number(value: float) -> str:
    """The shortest text that reads back as exactly this number, 1e-3 rather than 0.001."""
    if value == int(value) and abs(value) < 1e5:
        return f"-{-value:.0f}" if math.copysign(1.0, value) < 0 else f"{value:.0f}"
    plain = repr(float(value))
    mantissa, exponent = f"{value:e}".split("e")
    for digits in range(17):
        mantissa, exponent = f"{value:.{digits}e}".split("e")
        if float(f"{mantissa}e{exponent}") == value:
            break
    scientific = f"{mantissa}e{int(exponent)}"
    one_digit = len(mantissa.lstrip("-")) == 1
    if len(scientific) < len(plain) or (one_digit and len(scientific) == len(plain)):
        return scientific
    return plain


def extent(roots: Sequence[Expr]) -> tuple[int, int]:
    """How deep the deepest of some expressions nests, and of how many parts they all are.

    It stops counting beyond `MAX_DEPTH`.
    """
    depth, size, level = -1, 0, list(roots)
    while level and depth <= MAX_DEPTH:
        depth += 1
        size += len(level)
        level = [arg for part in level if type(part) is Call for arg in part.args]
    return depth, size


def format_expression(expr: Expr) -> str:
    """The text of an expression, with no more parentheses than needed."""
    return _format(expr)[0]


def _format(expr: Expr) -> tuple[str, int]:
    """Text, and the precedence level at which it binds."""
    if isinstance(expr, Name):
        return expr.id, _ATOM_LEVEL
    if isinstance(expr, Constant):
        negative = math.copysign(1.0, expr.value) < 0
        return format_number(expr.value), _UNARY_LEVEL if negative else _ATOM_LEVEL
    row = PRIMITIVES[expr.primitive]
    if row.infix and row.arity == 1 and not isinstance(expr.args[0], Constant):
        # -2 reads back as a constant, so the negative of a constant is written as a call.
        text, level = _format(expr.args[0])
        # Python reads -a**b as -(a**b).
        inner = text if level >= _UNARY_LEVEL else f"({text})"
        return f"-{inner}", _UNARY_LEVEL
    if row.infix and row.arity == 2:
        return _format_infix(row.infix, *expr.args)
    return f"{expr.primitive}({', '.join(_format(a)[0] for a in expr.args)})", _ATOM_LEVEL


def _format_infix(symbol: str, left: Expr, right: Expr) -> tuple[str, int]:
    level = _LEVEL[symbol]
    # ** binds to the right and tighter than a minus on its left; the rest bind to the left.
    needs_left = _ATOM_LEVEL if symbol == "**" else level + (level == 1)
    needs_right = _UNARY_LEVEL if symbol == "**" else level + 1
    parts = []
    for operand, needed in ((left, needs_left), (right, needs_right)):
        text, binds = _format(operand)
        parts.append(text if binds >= needed else f"({text})")
    space = "" if symbol == "**" else " "
    return f"{parts[0]}{space}{symbol}{space}{parts[1]}", level
