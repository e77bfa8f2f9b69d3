"""Simplified programs compute the same in fewer words; the digest is equal for the same rule."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from random import Random

import numpy as np
import pytest
from evoptax.dsl.canonical import program_digest
from evoptax.dsl.expressions import format_expression, parse_expression
from evoptax.dsl.program import Program
from evoptax.dsl.simplifier import simplify
from evoptax.dsl.syntax import check, format_program, parse
from evoptax.known_algorithms.catalogue import KNOWN
from hypothesis import given, settings
from hypothesis import strategies as st
from noise import moved_by_noise
from paths import compare, fixed_problem, run_reference
from programs import programs, random_program, small_program
from variants import SAME_RULE

PROBLEM = fixed_problem(steps=8)
COUNT = 300
PROGRAMS = [random_program(Random(seed)) for seed in range(1000, 1000 + COUNT)]

# The rule that Lion was simplified from, in this language; clip is to [-lr, lr].
LION_PROGRAM_4 = """\
def lion_program4(w, g, m=0, v=0, *, lr=1e-3):
    g = clip(g, -lr, lr)
    g = arcsin(g)
    m = lerp(g, v, 0.8999999761581421)
    m2 = m * m
    v = lerp(g, m, 1.109133005142212)
    abs_m = sqrt(m2)
    update = m / abs_m
    wd = w * 0.4602
    update = update + wd
    lr = lr * 0.0002
    m = cosh(update)
    update = update * lr
    return update
"""


def rule(body: str, parameters: str = "w, g, t, m=0, v=0, *, lr=0.1, b=0.9") -> Program:
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    return parse(f"def rule({parameters}):\n{lines}")


@settings(max_examples=150, derandomize=True, deadline=None, database=None)
@given(programs(), st.booleans())
def test_simplified_programs_are_never_larger_and_stay(program: Program, exact: bool) -> None:
    simple = simplify(program, exact=exact)
    check(simple)
    assert simple.size <= program.size and len(simple.body) <= len(program.body)
    assert simplify(simple, exact=exact) == simple
    assert parse(format_program(simple)) == simple


def test_exact_simplification_changes_nothing() -> None:
    smaller = 0
    for program in PROGRAMS:
        simple = simplify(program, exact=True)
        smaller += simple.size < program.size
        gap = compare(run_reference(program, PROBLEM), run_reference(simple, PROBLEM), PROBLEM)
        assert gap.within(1e-12), f"{gap}\n{format_program(program)}\n{format_program(simple)}"
    assert smaller >= 0.3 * COUNT


def test_real_simplification_agrees_where_both_are_finite() -> None:
    """Identities of real numbers may lose a NaN or an overflow on the way; few do."""
    counts: Counter[str] = Counter()
    for program in PROGRAMS:
        simple = simplify(program)
        expected = run_reference(program, PROBLEM)
        gap = compare(expected, run_reference(simple, PROBLEM), PROBLEM)
        text = f"{gap}\n{format_program(program)}\n{format_program(simple)}"
        if gap.within(1e-9):
            counts["agree"] += 1
        elif gap.gap <= 1e-9:
            counts["end elsewhere"] += 1
        else:
            assert moved_by_noise(program, expected, PROBLEM, 1e-15, 1e-10), text
            counts["chaotic"] += 1
    print(f"\nreal-number identities: {dict(counts)}")
    assert counts["agree"] >= 0.95 * COUNT


def test_lions_raw_program_becomes_readable() -> None:
    raw = parse(LION_PROGRAM_4)
    simple = simplify(raw)
    assert format_program(simple) == (
        "def lion_program4(w, g, v=0, *, lr=1e-3):\n"
        "    g = clip(g, -lr, lr)\n"
        "    g = arcsin(g)\n"
        "    m = lerp(g, v, 0.8999999761581421)\n"
        "    v = lerp(g, m, 1.109133005142212)\n"
        "    update = sign(m)\n"
        "    wd = 0.4602 * w\n"
        "    update = update + wd\n"
        "    lr = 2e-4 * lr\n"
        "    update = lr * update\n"
        "    return update\n"
    )
    exact = format_program(simplify(raw, exact=True))
    assert "cosh" not in exact and "sign" not in exact
    gap = compare(run_reference(raw, PROBLEM), run_reference(simple, PROBLEM), PROBLEM)
    assert gap.within(1e-12)


@pytest.mark.parametrize("name", KNOWN)
def test_known_rules_have_nothing_exact_to_simplify(name: str) -> None:
    program = KNOWN[name].program
    assert simplify(program, exact=True).size == program.size
    assert simplify(program).size == program.size


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("g + 0", "g"),
        ("g - -w", "g + w"),
        ("1 * g", "g"),
        ("-1 * g", "-g"),
        ("g * g", "square(g)"),
        ("1 / g", "reciprocal(g)"),
        ("g**1", "g"),
        ("--g", "g"),
        ("abs(-g)", "abs(g)"),
        ("where(1, g, w)", "g"),
        ("(1 + 2) * g", "3 * g"),
        ("maximum(g, g)", "g"),
    ],
)
def test_exact_identities(before: str, after: str) -> None:
    assert format_expression(simplify(rule(f"return {before}"), exact=True).result) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("g / sqrt(g * g)", "sign(g)"),
        ("g / abs(g)", "sign(g)"),
        ("g - g", "0"),
        ("g / g", "1"),
        ("0 * g", "0"),
        ("2 * (3 * g)", "6 * g"),
        ("g**2", "square(g)"),
        ("exp(log(g))", "g"),
        ("sign(2 * g)", "sign(g)"),
        ("lerp(g, g, 0.3)", "g"),
    ],
)
def test_real_identities(before: str, after: str) -> None:
    assert format_expression(simplify(rule(f"return {before}")).result) == after
    exact = simplify(rule(f"return {before}"), exact=True).result
    assert exact != parse_expression(after)


@pytest.mark.parametrize(
    "body",
    [
        "return lr * sum(g**0) * g",
        "return lr * norm(where(1, 2, g)) * g",
        "return lr * dot(g, where(g < w, 1, 1)) * g",
        "return lr * max(g - g) * g",
        "return lr * global_dot(g / g, 0 * w) * g",
        "eval_w = 0 * g\nreturn lr * g",
        "m = where(1, t, g)\nreturn lr * mean(m) * g",
    ],
)
def test_tensors_that_become_scalars_stay_where_a_tensor_is_needed(body: str) -> None:
    program = rule(body)
    for exact in (True, False):
        simple = simplify(program, exact=exact)
        assert parse(format_program(simple)) == simple
        gap = compare(run_reference(program, PROBLEM), run_reference(simple, PROBLEM), PROBLEM)
        assert gap.within(1e-12)


@pytest.mark.parametrize("variant", SAME_RULE, ids=lambda f: f.__name__)
def test_digest_is_equal_for_the_same_rule(variant: Callable[[Program, Random], Program]) -> None:
    changed = 0
    # This problem has no linear system to solve.
    known = [r.program for r in KNOWN.values() if "A" not in r.program.inputs]
    for seed, program in enumerate([*PROGRAMS[:100], *known]):
        other = variant(program, Random(seed))
        check(other)
        changed += other != program
        text = f"{format_program(program)}\n{format_program(other)}"
        assert program_digest(other) == program_digest(program), text
        gap = compare(run_reference(program, PROBLEM), run_reference(other, PROBLEM), PROBLEM)
        assert gap.within(1e-12), f"{gap}\n{text}"
    assert changed >= 40


def test_digest_of_exact_simplification_is_equal() -> None:
    for program in PROGRAMS:
        simple = simplify(program, exact=True)
        assert program_digest(simple) == program_digest(program), format_program(program)


def test_programs_of_one_digest_behave_the_same() -> None:
    groups: dict[str, list[Program]] = defaultdict(list)
    for seed in range(3000):
        program = small_program(Random(seed))
        groups[program_digest(program)].append(program)
    shared = [group for group in groups.values() if len(group) > 1]
    assert len(shared) >= 20
    for first, *others in shared:
        expected = run_reference(first, PROBLEM)
        for other in others:
            gap = compare(expected, run_reference(other, PROBLEM), PROBLEM)
            assert gap.within(1e-12), f"{gap}\n{format_program(first)}\n{format_program(other)}"


MOMENTUM = "m = b * m + g\nv = lerp(square(g), v, 0.99)\nreturn lr * m / (sqrt(v) + 1e-8)"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("0.99", "0.98"),
        ("1e-8", "1e-7"),
        ("b=0.9", "b=0.8"),
        ("m=0", "m=1"),
        ("m=0", "m=w"),
        ("v=0", "v=0.1"),
        ("lerp(square(g), v", "lerp(v, square(g)"),
        ("lr * m / (sqrt(v) + 1e-8)", "(sqrt(v) + 1e-8) / (lr * m)"),
        ("b * m + g", "b * m - g"),
        ("b * m + g", "b * m + w"),
        ("b * m + g", "b * v + g"),
        ("square", "abs"),
        ("lr * m", "0.1 * m"),
        ("return", "eval_w = w - m\n    return"),
    ],
)
def test_digest_tells_rules_apart(old: str, new: str) -> None:
    text = format_program(rule(MOMENTUM, "w, g, m=0, v=0, *, lr=0.1, b=0.9"))
    assert text.count(old) >= 1
    assert program_digest(parse(text.replace(old, new, 1))) != program_digest(parse(text))


def test_digest_tells_symmetric_states_apart_by_their_start() -> None:
    body = "m = m + g\nv = v + g\nreturn lr * (m - v)"
    same = rule(body, "w, g, m=0, v=0, *, lr=0.1")
    assert program_digest(rule(body, "w, g, m=0, v=1, *, lr=0.1")) != program_digest(same)
    first, second = (rule(body, f"w, g, {s}, *, lr=0.1") for s in ("m=0, v=1", "m=1, v=0"))
    assert program_digest(first) != program_digest(second)
    assert np.isfinite(run_reference(first, PROBLEM)).all()


def test_known_rules_have_different_digests() -> None:
    assert len({program_digest(r.program) for r in KNOWN.values()}) == len(KNOWN)
