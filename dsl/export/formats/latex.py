"""A program as LaTeX: one line per statement, in the notation of papers.

The step is t: the weights go from w_{t-1} to w_t, a state is m_{t-1} until it is assigned and m_t
afterwards, gradients and everything computed in the step carry t, hyperparameters carry nothing.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import NamedTuple

from ...expressions import format_number
from ...inference import kinds_of
from ...inputs import INPUTS
from ...primitives import PRIMITIVES
from ...program import EVAL_W, Call, Constant, Expr, Name, Program

# How tightly a formula binds, loosest first. A matrix product and a product number by number stand
# in brackets inside one another, because they may not be exchanged.
_OPEN, _SUM, _MATRIX, _PRODUCT, _POWER, _ATOM = range(6)

# By primitive: how tightly the whole binds, and what each argument must bind at least. All others
# bring their own brackets.
_BINDING: dict[str, tuple[int, tuple[int, ...]]] = {
    "add": (_SUM, (_SUM, _MATRIX)),
    "subtract": (_SUM, (_SUM, _MATRIX)),
    "negative": (_SUM, (_MATRIX,)),
    "multiply": (_PRODUCT, (_PRODUCT, _PRODUCT)),
    "divide": (_POWER, (_OPEN, _OPEN)),
    "reciprocal": (_POWER, (_OPEN,)),
    "mod": (_SUM, (_POWER, _POWER)),
    "power": (_POWER, (_ATOM, _OPEN)),
    "square": (_POWER, (_ATOM,)),
    "cube": (_POWER, (_ATOM,)),
    "exp": (_POWER, (_OPEN,)),
    "exp2": (_POWER, (_OPEN,)),
    "exp10": (_POWER, (_OPEN,)),
    "get_eps": (_POWER, ()),
    "where": (_OPEN, (_OPEN, _OPEN, _OPEN)),
    "invert": (_SUM, (_ATOM,)),
    "sum": (_SUM, (_POWER,)),
    "global_sum": (_SUM, (_POWER,)),
    "global_max": (_SUM, (_POWER,)),
    "transpose": (_POWER, (_ATOM,)),
    "matmul": (_MATRIX, (_POWER, _POWER)),
    "solve_lower": (_MATRIX, (_OPEN, _POWER)),
    "mix_members": (_ATOM, (_POWER,)),
}
# What the field calls things.
_SYMBOLS = {
    "lr": r"\eta",
    "wd": r"\lambda",
    "eps": r"\epsilon",
    "b": r"\beta",
    "loss": r"\ell",
    "normal": r"\xi",
    "uniform": r"\upsilon",
    "rademacher": r"\zeta",
    "own_normal": r"\xi^{(i)}",
    "member": "i",
    "members": "M",
    EVAL_W: r"\tilde{w}",
}
_GREEK = frozenset(
    [
        *("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa"),
        *("lambda", "mu", "nu", "xi", "pi", "rho", "sigma", "tau", "phi", "chi", "psi", "omega"),
    ]
)
_ACCENTS = {"hat": r"\hat", "bar": r"\bar", "tilde": r"\tilde"}


class _Formula(NamedTuple):
    text: str
    level: int = _ATOM

    def within(self, level: int) -> str:
        return self.text if self.level >= level else rf"\left({self.text}\right)"


def to_latex(program: Program) -> str:
    """The program as an `align*` block (amsmath), which ends with the step of the weights, or with
    the value s_t of a schedule.

    Raises:
      ProgramError: if the program is not well formed.
    """
    kinds_of(program)
    notation = _Notation(program)
    lines = []
    for statement in program.body:
        value = _formula(statement.value, notation)
        lines.append(f"{notation.assign(statement.target).text} &= {value.text}")
    result = _formula(program.result, notation)
    moves = f"w_t &= w_{{t-1}} - {result.within(_MATRIX)}"
    lines.append(f"s_t &= {result.text}" if program.is_schedule else moves)
    body = " \\\\\n  ".join(lines)
    return f"\\begin{{align*}}\n  {body}\n\\end{{align*}}\n"


class _Notation:
    """What each variable is called at this point of the program."""

    def __init__(self, program: Program) -> None:
        self.states = {s.name for s in program.state}
        self.timeless = {name for name, row in INPUTS.items() if row.known_ahead}
        self.timeless |= {*program.defaults}
        self.bases: dict[str, _Base] = {}
        self.left = Counter(s.target for s in program.body)
        # Values that a variable has had in this step; a state's is that of the step before. The
        # weights and the step stand in every formula.
        self.had = Counter({*program.inputs, *program.defaults, "w", "t"})
        self.current = {
            name: self.symbol(name, old=name in self.states)
            for name in [*program.inputs, *program.defaults, *(s.name for s in program.state)]
        }

    def symbol(self, name: str, *, old: bool = False) -> _Formula:
        if name not in self.bases:
            base = _base(name)
            # b1 and beta1 would both be beta_1.
            self.bases[name] = base if base not in self.bases.values() else _spelt(name)
        time = "t-1" if old or name == "w" else "t"
        if name in self.timeless:
            time = ""
        stem, number = self.bases[name]
        index = ",".join(part for part in (number, time) if part)
        if not index:
            return _Formula(stem)
        return _Formula(f"{stem}_{index}" if len(index) == 1 else f"{stem}_{{{index}}}")

    def assign(self, name: str) -> _Formula:
        """The symbol of the value that an assignment makes, dashed if the plain one is taken."""
        self.left[name] -= 1
        self.had[name] += 1
        # The plain symbol of a state is its last value; of all others, the first.
        dashes = self.had[name] if name in self.states else self.had[name] - 1
        if name in self.states and self.left[name] == 0:
            dashes = 0
        symbol = self.symbol(name)
        if dashes:
            mark = "'" * dashes if dashes <= 3 else f"^{{({dashes})}}"
            symbol = _Formula(symbol.text + mark, _POWER)
        self.current[name] = symbol
        return symbol


_Base = tuple[str, str]  # the symbol and its number


def _base(name: str) -> _Base:
    """m_hat -> \\hat{m}; b1 -> \\beta and 1; my_rate2 -> \\mathrm{my\\_rate} and 2."""
    match = re.fullmatch(r"([A-Za-z].*?)(?:_(hat|bar|tilde))?_?(\d*)", name)
    if match is None:
        return _spelt(name)
    stem, accent, number = match.groups()
    if stem in _SYMBOLS and (stem != "b" or number):
        base = _SYMBOLS[stem]
    elif stem in _GREEK:
        base = f"\\{stem}"
    else:
        base = stem if len(stem) == 1 else _spelt(stem)[0]
    return f"{_ACCENTS[accent]}{{{base}}}" if accent else base, number


def _spelt(name: str) -> _Base:
    return rf"\mathrm{{{name.replace('_', chr(92) + '_')}}}", ""


def _formula(expr: Expr, notation: _Notation) -> _Formula:
    if isinstance(expr, Name):
        return notation.current[expr.id]
    if isinstance(expr, Constant):
        return _number(expr.value)
    if expr.primitive == "lerp":
        x, y, a = expr.args
        kept = Call("multiply", (Call("subtract", (Constant(1.0), a)), x))
        if not isinstance(a, Call):  # else the text would double with every level
            return _formula(Call("add", (kept, Call("multiply", (a, y)))), notation)
    return _apply(expr.primitive, [_formula(arg, notation) for arg in expr.args])


def _apply(primitive: str, args: list[_Formula]) -> _Formula:
    level, needed = _BINDING.get(primitive, (_ATOM, (_OPEN,) * len(args)))
    if primitive == "matmul" and args[0].level == _MATRIX:
        needed = (_MATRIX, _POWER)  # matrix products associate
    texts = [arg.within(need) for arg, need in zip(args, needed, strict=True)]
    if primitive == "multiply" and texts[1][0].isdigit():
        return _Formula(rf"{texts[0]} \cdot {texts[1]}", level)
    return _Formula(PRIMITIVES[primitive].latex.format(*texts), level)


def _number(value: float) -> _Formula:
    text = format_number(value)
    level = _SUM if math.copysign(1.0, value) < 0 else _ATOM
    if "e" in text:
        mantissa, exponent = text.split("e")
        power = f"10^{{{exponent}}}"
        sign = "-" if mantissa.startswith("-") else ""
        if mantissa.lstrip("-") == "1":
            return _Formula(f"{sign}{power}", min(level, _POWER))
        return _Formula(rf"{mantissa} \cdot {power}", min(level, _PRODUCT))
    return _Formula(text, level)


class _Latex:
    suffix = ".tex"

    def write(self, program: Program) -> str:
        return to_latex(program)

    def load(self, program: Program, text: str) -> None:
        return None


EXPORTER = _Latex()
