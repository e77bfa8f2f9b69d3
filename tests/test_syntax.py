"""Program text: what is printed reads back as the same program, and reads as Python does."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from evoptax.dsl.expressions import format_expression, format_number, parse_expression
from evoptax.dsl.program import Call, Constant, Expr, Name, Program
from evoptax.dsl.syntax import check, format_program, parse
from evoptax.known_algorithms.catalogue import KNOWN
from evoptax.rules import read_program_file
from hypothesis import example, given, settings
from hypothesis import strategies as st
from programs import programs

ADAMW = '''\
def adamw(w, g, t, m=0, v=0, *, lr=1e-3, b1=0.9, b2=0.999, eps=1e-8, wd=1e-2):
    """AdamW (Loshchilov & Hutter 2019, Algorithm 2)."""
    m = lerp(g, m, b1)
    v = lerp(square(g), v, b2)
    m_hat = m / (1 - b1**t)
    v_hat = v / (1 - b2**t)
    return lr * (m_hat / (sqrt(v_hat) + eps) + wd * w)
'''


def test_the_design_documents_example_prints_as_it_is_written() -> None:
    program = parse(ADAMW)
    assert format_program(program) == ADAMW == KNOWN["adamw"].text
    assert program.inputs == ("w", "g", "t")
    assert [(s.name, s.init) for s in program.state] == [("m", 0.0), ("v", 0.0)]
    assert program.defaults == {"lr": 1e-3, "b1": 0.9, "b2": 0.999, "eps": 1e-8, "wd": 1e-2}
    assert [s.target for s in program.body] == ["m", "v", "m_hat", "v_hat"]


@settings(max_examples=200, derandomize=True, deadline=None, database=None)
@given(programs())
def test_random_programs_read_back_as_themselves(program: Program) -> None:
    text = format_program(program)
    assert parse(text) == program
    assert format_program(parse(text)) == text
    check(program)


@settings(max_examples=200, derandomize=True, deadline=None, database=None)
@given(
    st.one_of(
        st.text(st.characters(exclude_categories=[])),  # lone surrogates too
        st.text("a \"'\\\n\r\t\0\x0b\x0c\x1b\x85\xa0\u2028\u2029\u3000\ufeff\ud800{}é"),
        st.text("a \n"),
    )
)
@example('closing """')
@example('""""')
@example('\\"')
@example("ends in a backslash\\")
@example("\n\nblank lines around\n\n")
@example("first\n    indented\n      more")
@example("first\n\tby a tab")
@example("\u202eturned")
def test_docstrings_read_back_as_themselves(doc: str) -> None:
    program = Program("rule", ("w", "g"), (), (), (), Name("g"), doc)
    text = format_program(program)
    assert parse(text) == program
    assert format_program(parse(text)) == text
    shown = text.replace("\n", "").replace("\u3000", "").replace("\xa0", "")
    assert "\u2028" not in text and not any(c < " " or "\x7f" <= c < "\xa0" for c in shown)
    text.encode("utf-8")


@pytest.mark.parametrize(
    ("literal", "doc"),
    [
        ('"""a\\tb"""', "a\tb"),
        ("'one quote'", "one quote"),
        ('"two " "parts"', "two parts"),
        ('r"""raw \\d"""', "raw \\d"),
        ('"""  blanks around  \n\n    """', "blanks around  "),
        ('"""One line.\n    """', "One line."),
        ('"""a \\\n    continued"""', "a continued"),
        ('"""ends in a continued line\\\n    """', "ends in a continued line    "),
        ('"""\n    Below.\n\n      More.\n    """', "Below.\n\n  More."),
        ('""""""', ""),
        ('"\\x1b[31m\\N{BULLET}\\ud800"', "\x1b[31m•\ud800"),
        ('"""a\r\n    b\\n"""', "a\nb\n"),
    ],
)
def test_docstrings_as_people_write_them(literal: str, doc: str) -> None:
    program = parse(f"def f(w, g):\n    {literal}\n    return g\n")
    assert program.doc == doc
    assert parse(format_program(program)) == program


def test_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    assert parse("\ufeff" + ADAMW) == parse(ADAMW)
    for encoding in ("utf-8", "utf-8-sig"):
        path = tmp_path / f"{encoding}.py"
        path.write_text(ADAMW, encoding=encoding)
        assert read_program_file(path) == parse(ADAMW)


def test_docstrings_may_be_several_lines() -> None:
    text = 'def f(w, g):\n    """One.\n\n    Two.\n      Three.\n    """\n    return g\n'
    assert parse(text).doc == "One.\n\nTwo.\n  Three."
    assert format_program(parse(text)) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (1.0, "1"),
        (-2.0, "-2"),
        (99999.0, "99999"),
        (100000.0, "1e5"),
        (123456789.0, "123456789.0"),
        (1e-3, "1e-3"),
        (0.001, "1e-3"),
        (0.01, "1e-2"),
        (0.05, "5e-2"),
        (0.1, "0.1"),
        (0.9, "0.9"),
        (0.999, "0.999"),
        (0.0015, "0.0015"),
        (-1e-8, "-1e-8"),
        (1.5e-8, "1.5e-8"),
        (0.1 + 0.2, "0.30000000000000004"),
        (1e308, "1e308"),
        (1.7976931348623157e308, "1.7976931348623157e308"),
        (5e-324, "5e-324"),
        (-0.0, "-0"),
    ],
)
def test_numbers_are_short_and_exact(value: float, text: str) -> None:
    assert format_number(value) == text
    read = parse_expression(text)
    assert read == Constant(value)
    assert isinstance(read, Constant) and math.copysign(1, read.value) == math.copysign(1, value)


@settings(max_examples=1000, derandomize=True, deadline=None, database=None)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_number_reads_back_bit_for_bit(value: float) -> None:
    read = parse_expression(format_number(value))
    assert isinstance(read, Constant)
    assert read.value.hex() == value.hex()


def call(primitive: str, *args: Expr | str | float) -> Call:
    found: list[Expr] = []
    for arg in args:
        if isinstance(arg, str):
            found.append(Name(arg))
        else:
            found.append(Constant(float(arg)) if isinstance(arg, int | float) else arg)
    return Call(primitive, tuple(found))


@pytest.mark.parametrize(
    ("text", "expr"),
    [
        ("-x**2", call("negative", call("power", "x", 2))),
        ("(-x)**2", call("power", call("negative", "x"), 2)),
        ("(-2)**x", call("power", -2, "x")),
        ("-2**x", call("negative", call("power", 2, "x"))),
        ("2**-x", call("power", 2, call("negative", "x"))),
        ("2**-3", call("power", 2, -3)),
        ("a**b**c", call("power", "a", call("power", "b", "c"))),
        ("(a**b)**c", call("power", call("power", "a", "b"), "c")),
        ("a - (b - c)", call("subtract", "a", call("subtract", "b", "c"))),
        ("a - b - c", call("subtract", call("subtract", "a", "b"), "c")),
        ("a - (b + c)", call("subtract", "a", call("add", "b", "c"))),
        ("a + (b + c)", call("add", "a", call("add", "b", "c"))),
        ("a / (b / c)", call("divide", "a", call("divide", "b", "c"))),
        ("a / b * c", call("multiply", call("divide", "a", "b"), "c")),
        ("a * (b % c)", call("multiply", "a", call("mod", "b", "c"))),
        ("a * (b + c)", call("multiply", "a", call("add", "b", "c"))),
        ("-a * b", call("multiply", call("negative", "a"), "b")),
        ("-(a * b)", call("negative", call("multiply", "a", "b"))),
        ("a * -b", call("multiply", "a", call("negative", "b"))),
        ("a - -b", call("subtract", "a", call("negative", "b"))),
        ("a - -2", call("subtract", "a", -2)),
        ("--x", call("negative", call("negative", "x"))),
        ("negative(2)", call("negative", 2)),
        ("negative(-2)", call("negative", -2)),
        ("-negative(2)", call("negative", call("negative", 2))),
        ("negative(2)**x", call("power", call("negative", 2), "x")),
        ("a < b", call("less", "a", "b")),
        ("(a < b) < c", call("less", call("less", "a", "b"), "c")),
        ("a < (b < c)", call("less", "a", call("less", "b", "c"))),
        (
            "(a == b) != (c >= 1)",
            call("not_equal", call("equal", "a", "b"), call("greater_equal", "c", 1)),
        ),
        ("a + b <= c * 2", call("less_equal", call("add", "a", "b"), call("multiply", "c", 2))),
        ("(a < b) * c + 1", call("add", call("multiply", call("less", "a", "b"), "c"), 1)),
        ("-(a > b)", call("negative", call("greater", "a", "b"))),
        ("(a > b)**2", call("power", call("greater", "a", "b"), 2)),
        ("where(a < b, a, -b)", call("where", call("less", "a", "b"), "a", call("negative", "b"))),
        ("sqrt(a + b)", call("sqrt", call("add", "a", "b"))),
        ("get_pi() * a", call("multiply", call("get_pi"), "a")),
    ],
)
def test_precedence_is_pythons(text: str, expr: Expr) -> None:
    assert parse_expression(text) == expr
    assert format_expression(expr) == text


@pytest.mark.parametrize(
    ("written", "printed"),
    [
        ("interp(a, b, 0.1)", "lerp(a, b, 0.1)"),
        ("interpolate(a, b, 0.1)", "lerp(a, b, 0.1)"),
        ("max(a, b)", "maximum(a, b)"),
        ("min(a, b)", "minimum(a, b)"),
        ("max(a)", "max(a)"),
        ("add(a, multiply(b, c))", "a + b * c"),
        ("negative(a)", "-a"),
        ("((a)) + (b)", "a + b"),
        ("0.001 + 1E+2", "1e-3 + 100"),
        ("1_000 * a", "1000 * a"),
        ("0x10 * a", "16 * a"),
    ],
)
def test_other_spellings_print_the_tables_own(written: str, printed: str) -> None:
    assert format_expression(parse_expression(written)) == printed


def test_layout_and_comments_do_not_matter() -> None:
    loose = ADAMW.replace("    m =", "\n    # first moment\n    m  = ").replace(", t,", ",\n t,")
    assert parse(loose) == parse(ADAMW)
