"""Simplified programs compute the same in fewer words; the digest is equal for the same rule."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable
from random import Random

import numpy as np
import pytest
from disguises import disguised
from evoptax.dsl.algebra.agreement import agree
from evoptax.dsl.algebra.canonical import program_digest
from evoptax.dsl.algebra.identities import Identity, identities
from evoptax.dsl.algebra.simplifier import explain, rank, simplify
from evoptax.dsl.arrays import ArrayDomain
from evoptax.dsl.expressions import format_expression
from evoptax.dsl.interpreter import evaluate
from evoptax.dsl.members import is_of_members
from evoptax.dsl.primitives import PRIMITIVES
from evoptax.dsl.program import Call, Expr, Name, Program, subexpressions
from evoptax.dsl.syntax import check, format_program, parse
from evoptax.known_algorithms.catalogue import KNOWN
from evoptax.known_algorithms.raw import raw_program
from hypothesis import given, settings
from paths import compare, fixed_problem, run_reference
from programs import programs, random_program, small_program
from variants import SAME_RULE

PROBLEM = fixed_problem(steps=8)
# Those that the source documents do not name take a minute together.
EACH = [
    pytest.param(name, marks=[pytest.mark.slow] if rule.row is None else [])
    for name, rule in KNOWN.items()
]
COUNT = 300
PROGRAMS = [random_program(Random(seed)) for seed in range(1000, 1000 + COUNT)]

# Of derived rows only the sigmoid takes numbers.
_REDUCTIONS = {row.name for row in PRIMITIVES.values() if row.reduces or row.expansion}
_REDUCTIONS -= {"sigmoid"}


def _heads(*sides: Expr) -> set[str]:
    return {e.primitive for side in sides for e in subexpressions(side) if isinstance(e, Call)}


def rule(body: str, parameters: str = "w, g, t, m=0, v=0, *, lr=0.1, b=0.9") -> Program:
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    return parse(f"def rule({parameters}):\n{lines}")


@settings(max_examples=30, derandomize=True, deadline=None, database=None)
@given(programs())
def test_simplified_programs_are_never_larger_and_stay(program: Program) -> None:
    simple = simplify(program)
    check(simple)
    assert simple.size <= program.size and rank(simple) <= rank(program)
    assert simplify(simple) == simple
    assert parse(format_program(simple)) == simple


def test_simplification_changes_nothing() -> None:
    smaller = 0
    for program in PROGRAMS[:60]:
        simple = simplify(program)
        smaller += simple.size < program.size
        gap = compare(run_reference(program, PROBLEM), run_reference(simple, PROBLEM), PROBLEM)
        assert gap.within(1e-10), f"{gap}\n{format_program(program)}\n{format_program(simple)}"
    assert smaller >= 24


def assert_same(program: Program, simple: Program) -> None:
    """On the problem, or on the probes of `agree` where several members run the rule."""
    text = f"{format_program(program)}\n{format_program(simple)}"
    if is_of_members(program):
        assert agree(program, simple), text
        return
    gap = compare(run_reference(program, PROBLEM), run_reference(simple, PROBLEM), PROBLEM)
    assert gap.within(1e-10), f"{gap}\n{text}"


@pytest.mark.parametrize("name", [param for param in EACH if param.values != ("sor",)])
def test_disguised_rules_come_back(name: str) -> None:
    """Ten random rewrites, dead code and often a state that is a multiple of another."""
    known = KNOWN[name].program
    program = disguised(known, Random(name))
    simple = simplify(program)
    text = f"{format_program(program)}\n{format_program(simple)}"
    assert program.size > known.size + 8, text
    assert simple.size <= known.size and len(simple.state) <= len(known.state), text
    assert_same(program, simple)


def test_lions_raw_program_step_by_step() -> None:
    raw = raw_program("lion_program4")
    dead, sign, merged = explain(raw)
    assert dead.before == raw
    assert dead.name == "dead code removed: m = cosh(update), state m"
    assert "x / abs(x) → sign(x)" in sign.name and "sqrt(square(x)) → abs(x)" in sign.name
    assert "lerp(x, lerp(x, y, a), b) → lerp(x, y, a * b)" in merged.name
    assert [step.after.size for step in (dead, sign, merged)] == [12, 10, 10]
    assert "update = sign(m)" in format_program(merged.before)
    assert merged.after == simplify(raw)
    assert format_program(merged.after).partition('"""\n')[2] == (
        "    g = clip(g, -lr, lr)\n"
        "    g = arcsin(g)\n"
        "    m = lerp(g, v, 0.8999999761581421)\n"
        "    v = lerp(g, v, 0.9982196781841992)\n"
        "    update = sign(m)\n"
        "    wd = 0.4602 * w\n"
        "    update = update + wd\n"
        "    lr = 2e-4 * lr\n"
        "    update = lr * update\n"
        "    return update\n"
    )
    gap = compare(run_reference(raw, PROBLEM), run_reference(merged.after, PROBLEM), PROBLEM)
    assert gap.within(1e-12)


def test_steps_are_named_and_lead_from_the_program_to_its_simplest_form() -> None:
    for name in ("amsgrad", "lookahead_sgd"):
        # More rewrites would take longer, and lead to more of the same steps.
        program = disguised(KNOWN[name].program, Random(7), rewrites=6)
        steps = explain(program)
        assert len(steps) > 3
        assert steps[0].before == program and steps[-1].after == simplify(program)
        for step, following in itertools.pairwise(steps):
            assert step.after == following.before
        assert all(step.name and rank(step.after) <= rank(step.before) for step in steps)


@pytest.mark.parametrize("name", EACH)
def test_known_rules_keep_their_meaning_and_never_grow(name: str) -> None:
    program = KNOWN[name].program
    simple = simplify(program)
    assert rank(simple) <= rank(program)
    if "A" not in program.inputs:
        assert_same(program, simple)


def test_adamw_is_as_simple_as_it_gets() -> None:
    assert simplify(KNOWN["adamw"].program) == KNOWN["adamw"].program


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("g + 0", "g"),
        ("g - -w", "g + w"),
        ("1 * g", "g"),
        ("-1 * g", "-g"),
        ("g**1", "g"),
        ("--g", "g"),
        ("abs(-g)", "abs(g)"),
        ("where(1, g, w)", "g"),
        ("(1 + 2) * g", "3 * g"),
        ("maximum(g, g)", "g"),
        ("g / sqrt(g * g)", "sign(g)"),
        ("g / abs(g)", "sign(g)"),
        ("2 * (3 * g)", "6 * g"),
        ("g**2", "square(g)"),
        ("sign(2 * g)", "sign(g)"),
        ("lerp(g, g, 0.3)", "g"),
        ("g * w + g * 3", "g * (w + 3)"),
        ("0.25 * g + 0.75 * w", "lerp(w, g, 0.25)"),
        ("g + 0.1 * (w - g)", "lerp(g, w, 0.1)"),
        ("w + g - w", "g"),
        ("sqrt(2) * (sqrt(2) * g)", "2 * g"),
        ("1 / (1 + exp(-g))", "sigmoid(g)"),
        ("sqrt(sum(square(g))) * g", "g * norm(g)"),
        ("abs(exp(g))", "exp(g)"),
        ("norm(w) * g / maximum(1e-15, norm(g))", "rescale(g, w)"),
        ("g / sqrt(maximum(mean(g * g), 1e-36))", "normalize(g)"),
        ("g / sqrt(maximum(row_mean(g**2), 1e-36))", "normalize_rows(g)"),
        ("normalize(newton_schulz(g / maximum(norm(g), 1e-15)))", "orthogonalize(g)"),
    ],
)
def test_identities(before: str, after: str) -> None:
    assert format_expression(simplify(rule(f"return {before}")).result) == after


@pytest.mark.parametrize("before", ["exp(log(g))", "(g - g) / (g - g)", "sqrt(g) * sqrt(w)"])
def test_what_would_lose_a_nan_or_underflow_stays(before: str) -> None:
    program = rule(f"return {before}", "w, g")
    assert simplify(program) == program


IDENTITIES = [i for i in identities() if not _REDUCTIONS & _heads(i.left, i.right)]


@pytest.mark.parametrize("identity", IDENTITIES, ids=lambda i: i.name)
def test_identities_hold(identity: Identity) -> None:
    """Both sides of every identity of numbers, where both have a value."""
    rng = np.random.default_rng(0)
    compared = 0
    for _ in range(200):
        env = {name: float(rng.normal()) for name in "xyzabc"}
        env |= {name: float(rng.uniform(-2, 2)) for name in "CD"}
        for condition in identity.conditions:
            match condition:
                case Call(primitive="positive" | "nonneg", args=(Name(id=name),)):
                    env[name] = abs(env[name])
                case Call(primitive="equal"):
                    env["D"] = (1 - env["C"]) * (1 if "+" in identity.name else -1)
                case Call(primitive="less"):
                    env["C"] = -abs(env["C"])
        domain = ArrayDomain(np, np.float64)
        with np.errstate(all="ignore"):
            given = {name: np.float64(value) for name, value in env.items()}
            sides = (identity.left, identity.right)
            left, right = (float(evaluate(side, domain, given)) for side in sides)
        if np.isfinite([left, right]).all():
            compared += 1
            assert abs(left - right) <= 1e-9 * max(1, abs(left)), (env, left, right)
        elif identity.safe:
            assert np.isfinite(left) == np.isfinite(right) or abs(left) == np.inf, env
    assert compared >= 20


@pytest.mark.parametrize(
    ("body", "states"),
    [
        ("m = lerp(g, m, b)\nv = lerp(g, v, b)\nreturn lr * (m + v)", 1),
        ("m = b * m + g\nv = b * v + 2 * g\nreturn lr * (m + v)", 1),
        ("m = b * m\nreturn lr * (m + g)", 0),
        ("m = b * m + 0.1 * g\nreturn lr * m * 10", 1),
        ("m = v\nv = m\nreturn lr * (m * v + g)", 0),
        ("m = lerp(g, m, b)\nv = lerp(g, v, 0.95)\nreturn lr * (m + v)", 2),
    ],
)
def test_states_are_merged(body: str, states: int) -> None:
    program = rule(body, "w, g, m=0, v=0, *, lr=0.1, b=0.9")
    simple = simplify(program)
    assert len(simple.state) == states
    gap = compare(run_reference(program, PROBLEM), run_reference(simple, PROBLEM), PROBLEM)
    assert gap.within(1e-10)


def test_a_scale_that_a_state_is_written_and_read_with_goes() -> None:
    program = rule("m = b * m + 0.1 * g\nreturn lr * m * 10", "w, g, m=0, *, lr=0.1, b=0.9")
    assert simplify(program).size == 3


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
    simple = simplify(program)
    assert parse(format_program(simple)) == simple
    gap = compare(run_reference(program, PROBLEM), run_reference(simple, PROBLEM), PROBLEM)
    assert gap.within(1e-12)


@pytest.mark.parametrize("variant", SAME_RULE, ids=lambda f: f.__name__)
def test_digest_is_equal_for_the_same_rule(variant: Callable[[Program, Random], Program]) -> None:
    changed = 0
    # This problem has no linear system to solve.
    known = [r.program for r in KNOWN.values() if "A" not in r.program.inputs]
    known = [program for program in known if not is_of_members(program)]
    for seed, program in enumerate([*PROGRAMS[:100], *known]):
        other = variant(program, Random(seed))
        check(other)
        changed += other != program
        text = f"{format_program(program)}\n{format_program(other)}"
        assert program_digest(other) == program_digest(program), text
        gap = compare(run_reference(program, PROBLEM), run_reference(other, PROBLEM), PROBLEM)
        assert gap.within(1e-12), f"{gap}\n{text}"
    assert changed >= 40


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
