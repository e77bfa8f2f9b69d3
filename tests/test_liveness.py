"""Dead code: dropping it changes nothing, and what is left is needed."""

from __future__ import annotations

from evoptax.dsl.algebra.canonical import program_digest
from evoptax.dsl.liveness import dead_statements, without_dead_code
from evoptax.dsl.program import Program
from evoptax.dsl.syntax import check, format_program, parse
from hypothesis import given
from hypothesis import strategies as st
from programs import programs


@given(programs(), st.integers(0, 3))
def test_dropping_dead_code_changes_nothing(program: Program, keep: int) -> None:
    smaller = without_dead_code(program, keep)
    check(smaller)
    assert parse(format_program(smaller)) == smaller
    assert program_digest(smaller) == program_digest(program)
    assert len(dead_statements(smaller)) <= keep


def test_what_is_dead() -> None:
    text = (
        "def f(w, g, t, m=0, s=0, z=w, *, lr=1e-3):\n"
        "    m = lerp(g, m, 0.9)\n"
        "    s = lerp(m, s, 0.5)\n"
        "    u = sign(m)\n"
        "    z = z * t\n"
        "    u = m / 2\n"
        "    eval_w = w - u\n"
        "    return lr * u\n"
    )
    program = parse(text)
    assert dead_statements(program) == [1, 2, 3]
    smaller = without_dead_code(program)
    assert [s.name for s in smaller.state] == ["m"]
    assert smaller.inputs == ("w", "g")
    assert [s.target for s in smaller.body] == ["m", "u", "eval_w"]


def test_states_that_feed_each_other_alone_are_dead() -> None:
    program = parse(
        "def f(w, g, a=0, b=0, *, lr=1e-3):\n    a = b + g\n    b = a * 0.5\n    return lr * g\n"
    )
    assert without_dead_code(program).body == ()
