"""Programs as LaTeX and as JSON."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

import pytest
from evoptax.dsl.errors import ProgramError
from evoptax.dsl.export.formats.json import from_json, to_json
from evoptax.dsl.export.formats.latex import to_latex
from evoptax.dsl.inference import kinds_of
from evoptax.dsl.primitives import PRIMITIVES
from evoptax.dsl.program import (
    Call,
    Constant,
    Expr,
    Hyperparameter,
    Name,
    Program,
    State,
    Statement,
)
from evoptax.dsl.syntax import parse
from hypothesis import assume, given, settings
from hypothesis import strategies as st

ADAMW = '''
def adamw(w, g, t, m=0, v=0, *, lr=1e-3, b1=0.9, b2=0.999, eps=1e-8, wd=1e-2):
    """AdamW (Loshchilov & Hutter 2019, Algorithm 2)."""
    m = lerp(g, m, b1)
    v = lerp(square(g), v, b2)
    m_hat = m / (1 - b1**t)
    v_hat = v / (1 - b2**t)
    return lr * (m_hat / (sqrt(v_hat) + eps) + wd * w)
'''
LION = '''
def lion(w, g, m=0, *, lr=1e-4, b1=0.9, b2=0.99, wd=0.1):
    """Lion (Chen et al. 2023)."""
    u = sign(lerp(g, m, b1))
    m = lerp(g, m, b2)
    return lr * (u + wd * w)
'''

# Random programs.

# Where a rounding error decides between two branches, two correct programs differ.
JUMPS = {"sign", "mod", "invert", "equal", "not_equal", "tan"}
# Where a random argument is as good as never a sensible one.
CHOOSY = {"quantile", "solve_lower", "newton_schulz", "orthonormal", "eigenvectors"}
SMOOTH = sorted(set(PRIMITIVES) - JUMPS - CHOOSY)


def expressions(names: list[str], primitives: list[str], depth: int = 3) -> st.SearchStrategy[Expr]:
    """Expressions over names; whether their kinds fit shows later."""
    numbers = st.sampled_from([0.0, 1.0, 2.0, -1.0, 0.5, 0.9, -0.25, 3.0, 1e-3, 1e-8])
    leaf = st.one_of(st.sampled_from(names).map(Name), numbers.map(Constant))
    if depth == 0:
        return leaf
    inner = st.deferred(lambda: expressions(names, primitives, depth - 1))
    calls = st.sampled_from(primitives).flatmap(
        lambda p: st.tuples(*[inner] * PRIMITIVES[p].arity).map(lambda args: Call(p, args))
    )
    return st.one_of(leaf, calls, calls)


@st.composite
def programs(draw: st.DrawFn, primitives: list[str] | None = None) -> Program:
    """Small programs with states of every kind, in which any variable may be assigned again."""
    inits = st.sampled_from([0.0, 1.0, 0.1, "w", "w"])
    state = tuple(State(name, draw(inits)) for name in ("m", "s", "z")[: draw(st.integers(0, 3))])
    hyperparameters = (Hyperparameter("lr", 0.1), Hyperparameter("b1", 0.9))
    hyperparameters = hyperparameters[draw(st.integers(0, 1)) :]
    inputs = ("w", "g", "t", "T", "loss")
    known = [*inputs, *(s.name for s in state), *(h.name for h in hyperparameters)]
    # Tensors are what most rules are about.
    known = ["w", "g", "g", *known]
    body = []
    targets = st.sampled_from(["m", "s", "z", "u", "u", "lr", "g", "b1", "t", "update", "eval_w"])
    for _ in range(draw(st.integers(0, 6))):
        value = draw(expressions(known, primitives or sorted(PRIMITIVES)))
        target = draw(targets)
        body.append(Statement(target, value))
        known.append(target)
        program = Program("rule", inputs, state, hyperparameters, tuple(body), Name("g"))
        try:
            kinds_of(program)
        except ProgramError:
            body.pop()
            known.pop()
    result = draw(expressions(known, primitives or sorted(PRIMITIVES)))
    program = Program("rule", inputs, state, hyperparameters, tuple(body), result, "A rule.")
    try:
        kinds_of(program)
    except ProgramError:
        assume(False)
    return program


# LaTeX.


def test_adamw_in_latex() -> None:
    assert to_latex(parse(ADAMW)) == (
        "\\begin{align*}\n"
        r"  m_t &= \left(1 - \beta_1\right) \, g_t + \beta_1 \, m_{t-1} \\" + "\n"
        r"  v_t &= \left(1 - \beta_2\right) \, g_t^{2} + \beta_2 \, v_{t-1} \\" + "\n"
        r"  \hat{m}_t &= \frac{m_t}{1 - \beta_1^{t}} \\" + "\n"
        r"  \hat{v}_t &= \frac{v_t}{1 - \beta_2^{t}} \\" + "\n"
        r"  w_t &= w_{t-1} - \eta \, \left(\frac{\hat{m}_t}{\sqrt{\hat{v}_t} + \epsilon}"
        r" + \lambda \, w_{t-1}\right)" + "\n"
        "\\end{align*}\n"
    )


def test_lion_in_latex() -> None:
    assert to_latex(parse(LION)) == (
        "\\begin{align*}\n"
        r"  u_t &= \operatorname{sign}\left(\left(1 - \beta_1\right) \, g_t"
        r" + \beta_1 \, m_{t-1}\right) \\" + "\n"
        r"  m_t &= \left(1 - \beta_2\right) \, g_t + \beta_2 \, m_{t-1} \\" + "\n"
        r"  w_t &= w_{t-1} - \eta \, \left(u_t + \lambda \, w_{t-1}\right)" + "\n"
        "\\end{align*}\n"
    )


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ("g - (m - 1)", r"g_t - \left(m_{t-1} - 1\right)"),
        ("(g + m) * 2", r"\left(g_t + m_{t-1}\right) \cdot 2"),
        ("square(-g)", r"\left(-g_t\right)^{2}"),
        ("(g / m) ** 2", r"\left(\frac{g_t}{m_{t-1}}\right)^{2}"),
        ("2 ** exp(g)", r"2^{e^{g_t}}"),
        ("exp(g) ** 2", r"\left(e^{g_t}\right)^{2}"),
        ("g * 1e-8", r"g_t \cdot 10^{-8}"),
        ("2.5e-7 ** g", r"\left(2.5 \cdot 10^{-7}\right)^{g_t}"),
        ("my_rate * g", r"\mathrm{my\_rate} \, g_t"),
        ("g + -2", r"g_t + \left(-2\right)"),
        ("lerp(g, m, 1 - 1 / 3)", r"\operatorname{lerp}\left(g_t, m_{t-1}, 1 - \frac{1}{3}\right)"),
    ],
)
def test_brackets(result: str, expected: str) -> None:
    text = to_latex(parse(f"def rule(w, g, m=0, *, my_rate=0.1):\n    return {result}\n"))
    bare = text.splitlines()[1].removeprefix("  w_t &= w_{t-1} - ")
    assert bare in (expected, rf"\left({expected}\right)")


def test_values_of_one_variable_differ() -> None:
    text = to_latex(
        parse(
            "def rule(w, g, m=0, *, b1=0.9, beta1=0.8):\n"
            "    g = clip(g, -1, 1)\n"
            "    m = b1 * m + g\n"
            "    m = beta1 * m\n"
            "    return m\n"
        )
    )
    assert text.splitlines()[1:-1] == [
        r"  g_t' &= \operatorname{clip}\left(g_t, -1, 1\right) \\",
        r"  m_t' &= \beta_1 \, m_{t-1} + g_t' \\",
        r"  m_t &= \mathrm{beta1} \, m_t' \\",
        r"  w_t &= w_{t-1} - m_t",
    ]


def balanced(text: str) -> bool:
    depth = 0
    for bracket in re.findall(r"(?<!\\)[{}]", text):
        depth += 1 if bracket == "{" else -1
        if depth < 0:
            return False
    pairs = text.count(r"\left") == text.count(r"\right")
    return depth == 0 and pairs and text.count(r"\begin") == text.count(r"\end")


@settings(derandomize=True, max_examples=60, deadline=None)
@given(programs())
def test_random_programs_are_balanced_latex(program: Program) -> None:
    text = to_latex(program)
    assert balanced(text)
    # TeX refuses two superscripts or two subscripts on one symbol.
    assert not re.search(r"\^\{[^{}]*\}\^|_\{[^{}]*\}_|'\^\{", text)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_pdflatex_accepts_it(tmp_path) -> None:
    body = to_latex(parse(ADAMW)) + to_latex(parse(LION))
    source = r"\documentclass{article}\usepackage{amsmath}\begin{document}"
    (tmp_path / "rule.tex").write_text(source + body + r"\end{document}")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "rule.tex"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=60)


# JSON.


@settings(derandomize=True, max_examples=60, deadline=None)
@given(programs())
def test_json_round_trip(program: Program) -> None:
    assert from_json(to_json(program)) == program


def test_json_keeps_every_bit() -> None:
    for value in (0.1 + 0.2, 5e-324, 1.7976931348623157e308, -0.0, 1e-8, 123456789.0):
        program = Program("r", ("g",), (), (), (), Call("add", (Name("g"), Constant(value))))
        result = from_json(to_json(program)).result
        assert isinstance(result, Call) and isinstance(result.args[1], Constant)
        assert repr(result.args[1].value) == repr(value)


def test_json_keeps_the_docstring() -> None:
    program = parse(ADAMW)
    for doc in ('say """this"""', "a\\b", "two\nlines\r\n", "日本", "  spaced "):
        changed = Program(
            program.name,
            program.inputs,
            program.state,
            program.hyperparameters,
            program.body,
            program.result,
            doc,
        )
        assert from_json(to_json(changed)) == changed


def _spoilt(**changes) -> str:
    return json.dumps(json.loads(to_json(parse(LION))) | changes)


G = {"name": "g"}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "not JSON"),
        ("[" * 100_000, "nests too deeply"),
        ("[]", "'program' must be an object"),
        ('{"name": "a", "name": "b"}', "'name' comes twice"),
        (_spoilt(version=2), "'version' is 2"),
        (_spoilt(schema="x"), "'schema' is 'x'"),
        (_spoilt(extra=1), "unknown key 'extra'"),
        (_spoilt(name=3), "'name' must be a string"),
        (_spoilt(name="a b"), "'a b' cannot be a name"),
        (_spoilt(name="r(w): import os"), "cannot be a name"),
        (_spoilt(inputs=["w", "x"]), r"'inputs\[1\]' is 'x'"),
        (_spoilt(inputs=["w", "g", "g"]), "is a parameter twice"),
        (_spoilt(state=[{"name": "m"}]), r"'state\[0\]' lacks the key 'init'"),
        (_spoilt(state=[{"name": "m", "init": True}]), r"'state\[0\].init' must be a number"),
        (_spoilt(state=[{"name": "m", "init": "lr"}]), r"'state\[0\].init' is 'lr'"),
        (_spoilt(state=[{"name": "m", "init": 0}, {"name": "t", "init": 0}]), "'t' is reserved"),
        (_spoilt(hyperparameters=[{"name": "lr", "default": "1"}]), "must be a number"),
        (_spoilt(result={"call": "sqr", "args": [G]}), "'result.call' is 'sqr'.*sqrt"),
        (_spoilt(result={"call": "sqrt", "args": [G, G]}), "'result.args' has 2 arguments"),
        (_spoilt(result={"call": "add", "args": [G, {"constant": "1"}]}), r"result.args\[1\]"),
        (_spoilt(result={"name": "nothing"}), "'nothing' is used before"),
        (_spoilt(result={"name": "g", "constant": 1}), "unknown key 'name'"),
        (_spoilt(result=None), "'result' must be an object"),
        (_spoilt(body=[{"target": "u", "value": {"constant": 10**400}}]), "must be finite"),
        (_spoilt(body={}), "'body' must be a list"),
        (to_json(parse(LION)).replace("0.9", "NaN"), "NaN"),
    ],
)
def test_malformed_json_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(ProgramError, match=complaint):
        from_json(text)


def test_deeply_nested_json_is_refused() -> None:
    deep = G
    for _ in range(100):
        deep = {"call": "sqrt", "args": [deep]}
    with pytest.raises(ProgramError, match="nests deeper than"):
        from_json(_spoilt(result=deep))
