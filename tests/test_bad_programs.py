"""Whatever is wrong with a program's text, the answer is one ProgramError that helps.

It names the offending thing and what is accepted, and says where; and the text is never executed.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
from evoptax.dsl.errors import ProgramError, UserError
from evoptax.dsl.expressions import parse_expression
from evoptax.dsl.program import Call, Constant, Hyperparameter, Name, Program, State, Statement
from evoptax.dsl.syntax import check, parse


def rule(body: str, parameters: str = "w, g") -> str:
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    return f"def rule({parameters}):\n{lines}"


def returning(expression: str) -> str:
    return rule(f"return {expression}")


# name: (text, line, column, words that the message must hold)
BAD: dict[str, tuple[str, int, int, list[str]]] = {
    # Calls and expressions.
    "unknown primitive": (
        *(returning("2 * sqroot(g)"), 2, 16),
        ["unknown primitive 'sqroot'", "did you mean 'sqrt'?"],
    ),
    "unlike any primitive": (returning("zzzz(g)"), 2, 12, ["'zzzz'", "accepted: add", "sqrt"]),
    "too few arguments": (returning("lerp(g, w)"), 2, 12, ["lerp takes 3 arguments, 2 given"]),
    "too many arguments": (returning("sqrt(g, w)"), 2, 12, ["sqrt takes 1 argument, 2 given"]),
    "keyword argument": (
        *(returning("maximum(g, y=w)"), 2, 12),
        ["maximum", "by position, not by keyword"],
    ),
    "unpacked arguments": (returning("maximum(*g, w)"), 2, 20, ["unpacking", "a number, a name"]),
    "used before it is assigned": (
        *(rule("u = g\nv = h * u\nh = w\nreturn v"), 3, 9),
        ["'h' is used before it is assigned", "known here: w, g, u"],
    ),
    "nan": (returning("nan * g"), 2, 12, ["'nan'", "known here: w, g"]),
    "branch": (returning("g if w else w"), 2, 12, ["a branch", "where(condition, a, b)"]),
    "attribute": (returning("g.T"), 2, 12, ["attribute access", "by their bare name"]),
    "method call": (returning("np.sqrt(g)"), 2, 12, ["attribute access", "by their bare name"]),
    "call of a call": (returning("abs(g)(w)"), 2, 12, ["only primitives can be called"]),
    "subscript": (returning("g[0]"), 2, 12, ["indexing", "a number, a name"]),
    "lambda": (returning("lambda: g"), 2, 12, ["a lambda", "a number, a name"]),
    "list comprehension": (returning("[x for x in g]"), 2, 12, ["a comprehension", "a number"]),
    "generator": (returning("sum(x for x in g)"), 2, 15, ["a comprehension", "a number"]),
    "list": (returning("[g]"), 2, 12, ["a list", "a number, a name"]),
    "dictionary": (returning("{g: w}"), 2, 12, ["a dictionary", "a number, a name"]),
    "tuple": (returning("g, w"), 2, 12, ["a tuple", "one value, the update"]),
    "walrus": (returning("(u := g)"), 2, 13, ["an assignment inside", "statement of its own"]),
    "f-string": (returning("f'{g}'"), 2, 12, ["an f-string", "a number, a name"]),
    "await": (returning("await g"), 2, 12, ["await", "a number, a name"]),
    "yield": (rule("u = yield g\nreturn u"), 2, 9, ["yield", "a number, a name"]),
    "chained comparison": (returning("0 < g < 1"), 2, 12, ["chained comparisons", "compare pairs"]),
    "and": (returning("g and w"), 2, 12, ["`and`/`or`", "minimum(a, b) or maximum(a, b)"]),
    "or": (returning("g or w"), 2, 12, ["`and`/`or`", "minimum(a, b) or maximum(a, b)"]),
    "not": (returning("not g"), 2, 12, ["for `not c` write invert(c)", "not g"]),
    "bitwise not": (returning("~g"), 2, 12, ["write invert(c)", "~g"]),
    "unary plus": (returning("+g"), 2, 12, ["unary plus", "leave it out"]),
    "is": (returning("g is w"), 2, 12, ["g is w", "accepted: + - * / ** % < <="]),
    "in": (returning("g in w"), 2, 12, ["g in w", "accepted: + - * / ** %"]),
    "matmul": (returning("g @ w"), 2, 12, ["g @ w", "accepted: + - * / ** %"]),
    "floor division": (returning("g // w"), 2, 12, ["g // w", "accepted: + - * / ** %"]),
    "shift": (returning("g << w"), 2, 12, ["g << w", "accepted: + - * / ** %"]),
    "reduction of a scalar": (
        *(rule("return norm(t) * g", "w, g, t"), 2, 12),
        ["norm reduces a tensor", "its argument is a scalar", "shaped like w or g"],
    ),
    "reduction of a reduction": (
        *(returning("g * dot(g, mean(w))"), 2, 16),
        ["dot reduces a tensor", "argument 2 is a per-tensor scalar", "shaped like w or g"],
    ),
    "reduction inside a derived primitive": (
        *(returning("g * cosine_sim(1, g)"), 2, 16),
        ["reduces a tensor", "argument 1 is a scalar", "cosine_sim(1, g)"],
    ),
    "scalar eval_w": (
        *(rule("eval_w = 1 + 2\nreturn g"), 2, 14),
        ["eval_w", "must be a tensor", "it is a scalar"],
    ),
    "column after non-ASCII": (rule('"""é"""; return h'), 2, 21, ["'h' is used before"]),
    # Constants.
    "inf": (rule("return lr * g", "w, g, *, lr=inf"), 1, 22, ["expected a number", "inf"]),
    "1e999": (returning("1e999 * g"), 2, 12, ["1e999", "finite and below 1.8e308"]),
    "minus 1e999": (returning("-1e999 * g"), 2, 13, ["1e999", "finite and below 1.8e308"]),
    "complex": (returning("1j * g"), 2, 12, ["1j", "expected a number, such as 0.9"]),
    "string": (returning("'g'"), 2, 12, ["'g'", "expected a number, such as 0.9"]),
    "bytes": (returning("b'g'"), 2, 12, ["b'g'", "expected a number, such as 0.9"]),
    "True": (returning("True * g"), 2, 12, ["True", "expected a number, such as 0.9"]),
    "None": (returning("None"), 2, 12, ["None", "expected a number, such as 0.9"]),
    "ellipsis": (returning("..."), 2, 12, ["...", "expected a number, such as 0.9"]),
    "401 digits": (returning("1" + "0" * 400), 2, 12, ["10000", "finite and below 1.8e308"]),
    "5,000 digits": (returning("1" * 5000), 2, 1, ["11111", "finite and below 1.8e308"]),
    "10**400 as a default": (
        *(rule("return lr * g", "w, g, *, lr=10**400"), 1, 22),
        ["10**400", "expected a number"],
    ),
    "1e400": (returning("1e400 * g"), 2, 12, ["1e400", "finite and below 1.8e308"]),
    "5,001 digits as a default": (
        *(rule("return lr * g", f"w, g, *, lr={'1' * 5001}"), 1, 1),
        ["11111", "finite and below 1.8e308"],
    ),
    "5,000 hexadecimal digits": (returning("0x" + "f" * 5000), 2, 12, ["0xfff", "finite"]),
    "nan as a default": (rule("return m", "w, g, m=nan"), 1, 18, ["'nan'", "a number, or w"]),
    "minus True": (rule("return m", "w, g, m=-True"), 1, 19, ["True", "expected a number"]),
    "minus nothing": (rule("return m", "w, g, m=--'1'"), 1, 20, ["'1'", "expected a number"]),
    "900 minus signs in a default": (
        *(rule("return m", f"w, g, m={'-' * 900}x"), 1, 18 + 900),
        ["x", "expected a number"],
    ),
    # Statements.
    "for": (rule("for i in g:\n    u = g\nreturn u"), 2, 5, ["loops", "a rule is one step"]),
    "while": (rule("while g:\n    u = g\nreturn u"), 2, 5, ["loops", "a rule is one step"]),
    "if": (rule("if t:\n    u = g\nreturn u"), 2, 5, ["branches", "where(condition, a, b)"]),
    "import": (rule("import os\nreturn g"), 2, 5, ["imports", "by their bare name", "import os"]),
    "from import": (rule("from os import path\nreturn g"), 2, 5, ["imports", "bare name"]),
    "augmented assignment": (rule("g += w\nreturn g"), 2, 5, ["as in m = m + g", "g += w"]),
    "annotation": (rule("u: float = g\nreturn u"), 2, 5, ["annotations", "write target = value"]),
    "del": (rule("del g\nreturn w"), 2, 5, ["del", "write target = value"]),
    "global": (rule("global u\nreturn w"), 2, 5, ["global", "a parameter with a default"]),
    "try": (rule("try:\n    u = g\nfinally:\n    u = w\nreturn u"), 2, 5, ["try", "outcomes"]),
    "with": (rule("with g:\n    u = g\nreturn u"), 2, 5, ["with", "write target = value"]),
    "raise": (rule("raise g\nreturn w"), 2, 5, ["raise", "write target = value"]),
    "assert": (rule("assert g\nreturn w"), 2, 5, ["assert", "write target = value"]),
    "pass": (rule("pass\nreturn g"), 2, 5, ["pass", "leave it out"]),
    "match": (rule("match g:\n    case 1:\n        u = g\nreturn g"), 2, 5, ["write target"]),
    "inner function": (rule("def f(): return g\nreturn g"), 2, 5, ["functions inside", "write"]),
    "inner class": (rule("class A: u = g\nreturn g"), 2, 5, ["classes", "write target = value"]),
    "bare expression": (rule("exec('x')\nreturn g"), 2, 5, ["exec('x')", "write target = value"]),
    "second docstring": (rule('"""a"""\n"""b"""\nreturn g'), 3, 5, ["write target = value"]),
    "tuple target": (rule("a, b = g\nreturn a"), 2, 5, ["a, b", "one bare name"]),
    "attribute target": (rule("g.x = w\nreturn g"), 2, 5, ["g.x", "one bare name"]),
    "subscript target": (rule("g[0] = w\nreturn g"), 2, 5, ["g[0]", "one bare name"]),
    "two targets": (rule("a = b = g\nreturn a"), 2, 5, ["one bare name, as in"]),
    "primitive as target": (rule("norm = g\nreturn g"), 2, 5, ["'norm' is a primitive"]),
    "dunder target": (rule("__u = g\nreturn g"), 2, 5, ["'__u'", "two underscores"]),
    "non-ASCII target": (rule("ä = g\nreturn g"), 2, 5, ["'ä'", "ASCII letters"]),
    "missing return": (rule("u = g"), 1, 1, ["a rule ends with `return update`"]),
    "docstring only": (rule('"""Nothing."""'), 1, 1, ["a rule ends with `return update`"]),
    "empty return": (rule("u = g\nreturn"), 3, 5, ["return needs a value: the update"]),
    "two returns": (rule("return g\nreturn w"), 2, 5, ["return comes once, as the last"]),
    "code after return": (rule("return g\nu = w"), 1, 1, ["a rule ends with `return update`"]),
    # The signature.
    "unknown input": (rule("return x", "w, g, x"), 1, 16, ["'x' is not an input", "w, g, t, T"]),
    "misspelt input": (rule("return g", "w, g, los"), 1, 16, ["did you mean 'loss'?", "w, g, t"]),
    "reserved name as state": (rule("return g", "w, g, t=0"), 1, 16, ["'t' is a reserved name"]),
    "reserved name as hyperparameter": (
        *(rule("return g", "w, g, *, loss=1"), 1, 19),
        ["'loss' is a reserved name", "hyperparameter"],
    ),
    "eval_w as state": (rule("return g", "w, g, eval_w=w"), 1, 16, ["'eval_w' is a reserved"]),
    "hyperparameter without default": (
        *(rule("return lr * g", "w, g, *, lr"), 1, 19),
        ["hyperparameter 'lr' needs a default, as in lr=1e-3"],
    ),
    "state default an expression": (
        *(rule("return m", "w, g, m=1 + 1"), 1, 18),
        ["1 + 1", "expected a number, such as 0.9"],
    ),
    "state default the gradient": (
        *(rule("return m", "w, g, m=g"), 1, 18),
        ["state 'm' cannot start as 'g'", "accepted: a number, or w"],
    ),
    "state default a string": (rule("return m", "w, g, m='0'"), 1, 18, ["'0'", "a number"]),
    "state twice": (rule("return m", "w, g, m=0, m=1"), 1, 21, ["'m' is a parameter twice"]),
    "input twice": (rule("return g", "w, w"), 1, 13, ["'w' is a parameter twice"]),
    "state and hyperparameter": (
        *(rule("return m", "w, g, m=0, *, m=1"), 1, 24),
        ["'m' is a parameter twice"],
    ),
    "primitive as state": (rule("return g", "w, g, norm=0"), 1, 16, ["'norm' is a primitive"]),
    "star arguments": (rule("return g", "w, *g"), 1, 14, ["*args, **kwargs and /", "plain names"]),
    "double star arguments": (rule("return w", "w, **g"), 1, 15, ["*args, **kwargs and /"]),
    "positional-only": (rule("return g", "w, /, g"), 1, 10, ["*args, **kwargs and /"]),
    "annotated parameter": (rule("return g", "w, g: int"), 1, 13, ["annotations", "plain names"]),
    "annotated result": ("def f(w, g) -> int:\n    return g\n", 1, 16, ["annotations"]),
    "decorator": ("@jit\ndef f(w, g):\n    return g\n", 1, 2, ["decorators", "one plain function"]),
    "primitive as name": ("def sqrt(w, g):\n    return g\n", 1, 1, ["'sqrt' is a primitive"]),
    # The text as a whole.
    "empty text": ("", 1, 1, ["expected one function, `def rule(w, g): ...`", "found 0"]),
    "comment only": ("# a rule\n", 1, 1, ["expected one function", "found 0"]),
    "async function": ("async def f(w, g):\n    return g\n", 1, 1, ["expected one function"]),
    "class": ("class F:\n    u = 1\n", 1, 1, ["expected one function", "class F"]),
    "lambda at the top": ("f = lambda w, g: g\n", 1, 1, ["expected one function", "f = lambda"]),
    "two functions": (returning("g") + returning("w"), 3, 1, ["one function", "found 2"]),
    "import above": ("import os\n" + returning("g"), 1, 1, ["one function", "import os"]),
    "not Python": ("def rule(w, g:\n    return g\n", 1, 9, ["not Python syntax", "'('"]),
    "no text but prose": ("use Adam with a warm-up", 1, 5, ["not Python syntax"]),
    "keyword as name": (rule("lambda = g\nreturn g"), 2, 12, ["not Python syntax"]),
    "null byte": (returning("g\0"), 1, 1, ["null bytes"]),
    "lone surrogate": (rule('"""\ud800"""\nreturn g'), 1, 1, ["not Python source"]),
    "10,000 statements": (
        *(rule("m=g\n" * 10_000 + "return g"), 502, 5),
        ["10001 statements", "at most 500"],
    ),
    "200 kB": ("# " + "x" * 200_000, 1, 1, ["200002 characters", "at most 100000"]),
    "61 calls deep": (
        *(returning("abs(" * 62 + "g" + ")" * 62), 2, 12 + 4 * 61),
        ["60 deep", "statements of their own"],
    ),
    "100 minus signs": (returning("-" * 100 + "g"), 2, 12 + 61, ["60 deep", "of their own"]),
    "90,000 minus signs": (returning("-" * 90_000 + "g"), 1, 1, ["nests too deeply", "60"]),
    "90,000 minus signs in a default": (
        *(rule("return m", "w, g, m=" + "-" * 90_000 + "1"), 1, 1),
        ["nests too deeply", "60"],
    ),
    "a long sum": (returning("+".join("g" * 40_000)), 1, 1, ["nests too deeply", "60"]),
    "a sum of 100": (returning("+".join("g" * 100)), 2, 12, ["60 deep", "of their own"]),
    "1,000 parentheses": (
        *(returning("(" * 1000 + "g" + ")" * 1000), 2, 212),
        ["too many nested parentheses"],
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_refused_with_place_and_help(name: str) -> None:
    text, line, column, words = BAD[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ProgramError) as caught:
            parse(text)
    message = str(caught.value)
    for word in words:
        assert word in message
    assert (caught.value.line, caught.value.column) == (line, column), message
    assert message.startswith(f"line {line}, column {column}: ")
    assert "\n" not in message and len(message) < 1000


def test_there_are_many_kinds() -> None:
    assert len(BAD) >= 40 and issubclass(ProgramError, UserError)


@pytest.mark.parametrize(
    "text",
    [
        "open({path!r}, 'w')\n" + returning("g"),
        rule("return m", "w, g, m=open({path!r}, 'w')"),
        rule("return lr * g", "w, g, *, lr=open({path!r}, 'w')"),
        rule("open({path!r}, 'w')\nreturn g"),
        rule("u = open({path!r}, 'w')\nreturn g"),
        rule("u = __import__('os').system('touch ' + {path!r})\nreturn g"),
        rule("__import__('os').system('touch ' + {path!r})\nreturn g"),
        rule("exec('open({path!r}, \"w\")')\nreturn g"),
        returning("eval('open({path!r}, \"w\")')"),
        returning("f\"{{open({path!r}, 'w')}}\""),
        "@open({path!r}, 'w')\n" + returning("g"),
        rule("return g", "w, g: open({path!r}, 'w')"),
    ],
)
def test_text_is_never_executed(text: str, tmp_path: Path) -> None:
    path = tmp_path / "touched"
    with pytest.raises(ProgramError):
        parse(text.format(path=str(path)))
    assert not path.exists()


def test_a_docstring_may_hold_anything() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert parse(rule('"""A \\d {open(1)} `rm`."""\nreturn g')).doc == r"A \d {open(1)} `rm`."


def test_programs_that_text_could_not_say_are_refused_too() -> None:
    good = Program("rule", ("w", "g"), (State("m", 0.0),), (), (), Name("g"))
    check(good)
    inf = Constant(float("inf"))
    bad = [
        Program("sqrt", ("w", "g"), (), (), (), Name("g")),
        Program("rule", ("w", "g"), (), (), (), Call("multiply", (inf, Name("g")))),
        Program("rule", ("w", "g"), (State("m", float("nan")),), (), (), Name("g")),
        Program("rule", ("w", "g"), (), (Hyperparameter("lr", float("inf")),), (), Name("g")),
        Program("rule", ("w", "g"), (State("t", 0.0),), (), (), Name("g")),
        Program("rule", ("w", "g"), (State("m", 0.0), State("m", 0.0)), (), (), Name("g")),
        Program("rule", ("w", "g"), (), (), (Statement("for", Name("g")),), Name("g")),
        Program("rule", ("w", "g"), (), (), (), Name("h")),
        Program("rule", ("w", "g"), (), (), (Statement("m", Name("g")),) * 501, Name("g")),
    ]
    for program in bad:
        with pytest.raises(ProgramError):
            check(program)


@pytest.mark.parametrize("text", ["", "x = 1", "g; w", "return g", "g +", "é("])
def test_one_expression_is_expected(text: str) -> None:
    with pytest.raises(ProgramError, match="line 1, column"):
        parse_expression(text)
