"""The largest programs that are accepted go through everything that takes a program, in seconds."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from random import Random

import pytest
from evoptax.cli.main import main
from evoptax.dsl.algebra.canonical import program_digest
from evoptax.dsl.algebra.reductions import reductions, with_plain_rate
from evoptax.dsl.algebra.simplifier import explain, rank, simplify
from evoptax.dsl.dependencies import update_depends_on
from evoptax.dsl.errors import ProgramError
from evoptax.dsl.export.formats.json import from_json, to_json
from evoptax.dsl.export.formats.latex import to_latex
from evoptax.dsl.export.formats.optax.write import to_optax
from evoptax.dsl.liveness import without_dead_code
from evoptax.dsl.machine.bytecode import TooLarge, assemble, check_fits
from evoptax.dsl.machine.constants import tunable
from evoptax.dsl.program import Call, Name, Program, Statement
from evoptax.dsl.syntax import check, format_program, parse
from evoptax.known_algorithms.catalogue import KNOWN
from evoptax.known_algorithms.nearest import nearest_known
from evoptax.search.filters.gates import examine
from evoptax.search.mutation.mutate import mutate
from paths import compare, fixed_problem, run_reference

PROBLEM = fixed_problem(steps=8)
# Processor time of one function on one program.
MOST_SECONDS = 10


def chain(
    count: int,
    value: str,
    signature: str = "w, g, t, m=w, *, lr=0.1",
    first: str = "",
    result: str = "lr * m",
) -> str:
    """A program that assigns to m so many times."""
    body = f"    {first}\n" * bool(first) + f"    m = {value}\n" * count
    return f"def rule({signature}):\n{body}    return {result}\n"


def nested(depth: int, outer: str, inner: str) -> str:
    """An expression inside itself, @ being the place where."""
    for _ in range(depth):
        inner = outer.replace("@", inner)
    return inner


CHAINS = {
    "doubled": "m + m",
    "squared": "m * m",
    "scaled": "0.5 * m - g",
    "rooted": "sqrt(abs(m * g + 0.5))",
}
PROGRAMS = {
    **{f"20 times {name}": chain(20, value) for name, value in CHAINS.items()},
    "100 times rooted": chain(100, CHAINS["rooted"]),
    **{f"499 times {name}": chain(499, CHAINS[name]) for name in ("doubled", "squared")},
    "499 times a squared state of 0": chain(499, "m * m", "w, g, m=0, *, lr=0.1"),
    "498 squares of the learning rate": chain(498, "m * m", "w, g, *, lr=0.1", "m = lr", "m * g"),
    "499 scalars": chain(499, "sqrt(m * t + 1)", "w, g, t, m=0, *, lr=0.1", result="lr * m * g"),
    "57 primitives": chain(19, "tanh(0.9 * m + g)"),
    "60 functions deep": chain(1, nested(60, "tanh(@)", "g")),
    "60 minus signs": chain(1, nested(60, "-(@)", "g")),
    "60 decays deep": chain(1, nested(60, "lerp(g, w, @)", "m")),
    "30 similarities deep": chain(1, nested(30, "cosine_sim(g, w * @)", "m")),
    "60 terms": chain(1, "+".join(["g", "w", "m"] * 20)),
    "6,250 minus signs": chain(125, nested(50, "-(@)", "m - g")),
}


@cache
def program(name: str) -> Program:
    return parse(PROGRAMS[name])


def simplified(program: Program) -> Program:
    """In whatever form it is after some seconds."""
    started = time.process_time()
    return simplify(program, lambda: time.process_time() > started + 5)


def assembled(program: Program) -> None:
    for lower in (check_fits, assemble):
        with suppress(TooLarge):
            lower(program)


FUNCTIONS: dict[str, Callable[[Program], object]] = {
    "check": check,
    "format": lambda p: parse(format_program(p)) == p,
    "digest": program_digest,
    "dead code": without_dead_code,
    "dependencies": update_depends_on,
    "tunable": lambda p: tunable(p).with_values({}),
    "latex": to_latex,
    "json": lambda p: from_json(to_json(p)) == p,
    "optax": to_optax,
    "assemble": assembled,
    "examine": lambda p: examine(p, max_size=10**6),
    "mutate": lambda p: [mutate(p, Random(seed)) for seed in range(3)],
    "reductions": lambda p: next(reductions(p), None),
    "plain rate": with_plain_rate,
    "nearest": nearest_known,
    "simplify": lambda p: parse(format_program(simplified(p))),
}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_function_takes_every_program(function: str) -> None:
    FUNCTIONS[function](program("20 times doubled"))  # imports and tables that are made once
    for name in PROGRAMS:
        started = time.process_time()
        assert FUNCTIONS[function](program(name)) is not False, name
        assert time.process_time() - started < MOST_SECONDS, name


@pytest.mark.parametrize(
    "name", ["20 times doubled", "57 primitives", "499 times squared", "60 terms", "499 scalars"]
)
def test_simplified_large_programs_compute_the_same(name: str) -> None:
    simple = simplified(program(name))
    assert rank(simple) <= rank(program(name))
    gap = compare(run_reference(program(name), PROBLEM), run_reference(simple, PROBLEM), PROBLEM)
    assert gap.within(1e-10), f"{gap}\n{format_program(simple)}"


def test_a_simplification_that_is_stopped_is_the_best_so_far() -> None:
    """Whenever it is stopped, its steps lead from the program to something simpler."""
    original = parse(chain(8, "tanh(1 * m + g - g)"))
    ranks = []
    for patience in (0, 1, 5, 20, 60, 200, 10**9):
        asked = iter(range(patience))
        steps = explain(original, lambda asked=asked: next(asked, None) is None)
        reached = steps[-1].after if steps else original
        assert all(step.name and rank(step.after) <= rank(step.before) for step in steps)
        gap = compare(run_reference(original, PROBLEM), run_reference(reached, PROBLEM), PROBLEM)
        assert gap.within(1e-10)
        ranks.append(rank(reached))
    assert ranks == sorted(ranks, reverse=True) and ranks[0] > ranks[-1]
    assert ranks[-1] == rank(simplify(original))


@pytest.mark.parametrize(("seconds", "complete"), [("1e-9", False), ("1000", True)])
def test_the_command_says_that_it_was_stopped(
    seconds: str, complete: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "rule.py"
    path.write_text(chain(2, "1 * m + g"))
    command = ["simplify", str(path), "--exact", "--seconds", seconds]
    assert main(command) == 0
    captured = capsys.readouterr()
    parse(captured.out)
    assert ("stopped after" in captured.err) is not complete
    assert main([*command, "--format", "json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["complete"] is complete
    assert format_program(parse(data["program"])) == captured.out == data["program"]


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "x"])
def test_seconds_are_checked(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simplify", "lion", "--exact", f"--seconds={seconds}"]) == 2
    assert "--seconds" in capsys.readouterr().err


CALL = "    u = adamw(w, g, t)\n"
TOO_LARGE = {
    "2,000 statements": (chain(2000, "m + g"), "2001 statements; at most 500"),
    "500 statements and a return": (chain(500, "m + g"), "501 statements; at most 500"),
    "rules that it calls": (
        f"def rule(w, g, t, *, lr=0.1):\n{CALL * 120}    return u\n",
        "statements; at most 500",
    ),
    "200 deep": (chain(1, nested(200, "-(@)", "g")), "60 deep"),
    "5,000 deep": (chain(1, "-" * 5000 + "g"), "deep"),
    "50,000 deep": (chain(1, "-" * 50_000 + "g"), "deep"),
    "minus signs in a default": (chain(1, "g", f"w, g, m={'-' * 50_000}1, *, lr=1"), "deep"),
    "longer when written out": (chain(480, "+".join(["g*w"] * 45)), "written out"),
    "a long name": (chain(1, "g", f"w, g, {'m' * 256}=0, m=0"), "256 characters; at most 255"),
}


@pytest.mark.parametrize("name", TOO_LARGE)
def test_larger_programs_are_refused(name: str) -> None:
    text, words = TOO_LARGE[name]
    with pytest.raises(ProgramError) as caught:
        parse(text, {"adamw": KNOWN["adamw"].program})
    message = str(caught.value)
    assert words in message and message.startswith("line ") and len(message) < 400


def test_programs_that_came_from_elsewhere_have_the_same_limits() -> None:
    good = parse(chain(1, "g"))
    deep = parse(chain(1, nested(60, "abs(@)", "g")))
    check(deep)
    statements = (Statement("m", Name("g")),)
    for bad in (
        Program("rule", good.inputs, good.state, (), statements * 500, Name("m")),
        Program("rule", good.inputs, (), (), (), Call("abs", (deep.body[0].value,))),
        Program("r" * 256, good.inputs, (), (), (), Name("g")),
        Program("ä", good.inputs, (), (), (), Name("g")),
        Program("__a", good.inputs, (), (), (), Name("g")),
        Program("rule", good.inputs, (), (), (), Name("g"), doc="\0" * 50_000),
    ):
        with pytest.raises(ProgramError):
            check(bad)
        assert len(format_program(bad)) < 10**6
