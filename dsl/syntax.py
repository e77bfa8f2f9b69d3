"""Programs as text: one Python function, read with `ast` and never executed.

`parse(format_program(p)) == p` for every program p.
"""

from __future__ import annotations

import ast
import keyword
import math
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import NoReturn

from .docstrings import docstring_lines, read_docstring
from .errors import ProgramError, did_you_mean
from .expressions import (
    MAX_DEPTH,
    TOO_DEEP,
    Reader,
    extent,
    format_expression,
    format_number,
    parse_syntax_tree,
)
from .inference import kinds_of
from .inlining import inline
from .inputs import INPUTS
from .primitives import PRIMITIVES
from .program import EVAL_W, Hyperparameter, Program, State, Statement

# The largest program: statements, the return among them; characters of its text; characters of a
# name. Its expressions nest `MAX_DEPTH` deep.
MAX_STATEMENTS = 500
MAX_CHARACTERS = 100_000
MAX_NAME = 255
# No part of an expression, and no character of a docstring, takes more when it is written out.
_LONGEST_PART, _LONGEST_ESCAPE = MAX_NAME + 20, 10

_ANNOTATION = "type annotations are not in the language; write plain names, as in m=0"
_PLAIN = "write target = value"
_STATEMENT_INSTEAD: dict[type[ast.AST], str] = {
    ast.For: "loops are not in the language; a rule is one step",
    ast.While: "loops are not in the language; a rule is one step",
    ast.If: "branches are not in the language; write where(condition, a, b)",
    ast.Import: "imports are not in the language; primitives are called by their bare name",
    ast.ImportFrom: "imports are not in the language; primitives are called by their bare name",
    ast.AugAssign: "write the operation out, as in m = m + g",
    ast.AnnAssign: f"type annotations are not in the language; {_PLAIN}",
    ast.Delete: f"del is not in the language; {_PLAIN}",
    ast.Global: "global is not in the language; state is a parameter with a default",
    ast.Nonlocal: "nonlocal is not in the language; state is a parameter with a default",
    ast.FunctionDef: f"functions inside a rule are not in the language; {_PLAIN}",
    ast.ClassDef: f"classes are not in the language; {_PLAIN}",
    ast.Try: "try is not in the language; non-finite values are outcomes, not errors",
    ast.With: f"with is not in the language; {_PLAIN}",
    ast.Raise: f"raise is not in the language; {_PLAIN}",
    ast.Assert: f"assert is not in the language; {_PLAIN}",
    ast.Pass: "pass does nothing; leave it out",
    ast.Expr: f"a bare expression does nothing; {_PLAIN}",
}


def parse(text: str, rules: Mapping[str, Program] | None = None) -> Program:
    """Reads one program and checks it.

    Args:
      text: one Python function.
      rules: programs that it may call by name, as in `u = adamw(w, g, t)`; calls are written out.

    Raises:
      ProgramError: naming the offending text with its line and column and what is accepted.
    """
    text = text.removeprefix("\ufeff")  # a byte-order mark
    if len(text) > MAX_CHARACTERS:
        raise ProgramError(
            f"the program has {len(text)} characters; at most {MAX_CHARACTERS} are accepted",
            line=1,
            column=1,
        )
    module = parse_syntax_tree(text)
    if len(module.body) != 1 or not isinstance(module.body[0], ast.FunctionDef):
        wrong = next(
            (n for i, n in enumerate(module.body) if i or not isinstance(n, ast.FunctionDef)),
            ast.Pass(),
        )
        raise Reader(text).error(
            wrong,
            "expected one function, `def rule(w, g): ...`, and nothing else;"
            f" found {len(module.body)} top-level statements",
        )
    return _ProgramReader(text, module.body[0], rules or {}).program()


class _ProgramReader:
    """Reads the function of one program."""

    def __init__(self, text: str, function: ast.FunctionDef, rules: Mapping[str, Program]) -> None:
        self.function = function
        self.rules = rules
        self.reader = Reader(text, rules)
        # What calls of other rules add to the signature.
        self.called_state: list[State] = []
        self.called_hyperparameters: list[Hyperparameter] = []

    def fail(self, node: ast.AST, reason: str) -> NoReturn:
        raise self.reader.error(node, reason)

    def program(self) -> Program:
        function = self.function
        if function.decorator_list:
            self.fail(
                function.decorator_list[0],
                "decorators are not in the language; a rule is one plain function",
            )
        if parameters := getattr(function, "type_params", None):  # from Python 3.12 on
            self.fail(parameters[0], "type parameters are not in the language; write a plain name")
        if function.returns is not None:
            self.fail(function.returns, _ANNOTATION)
        self.check_name(function, function.name)
        inputs, state = self.positional()
        hyperparameters = self.keyword_only()
        statements = function.body
        doc = ""
        if _is_docstring(statements[0]):
            assert isinstance(statements[0], ast.Expr)
            doc = read_docstring(self.reader.source, statements[0])
            statements = statements[1:]
        if len(statements) > MAX_STATEMENTS:
            self.fail(
                statements[MAX_STATEMENTS],
                f"the program has {len(statements)} statements;"
                f" at most {MAX_STATEMENTS} are accepted",
            )
        if not statements or not isinstance(statements[-1], ast.Return):
            self.fail(function, "a rule ends with `return update`, which is subtracted from w")
        self.taken = {*INPUTS, *(s.name for s in state), *(h.name for h in hyperparameters)}
        self.taken |= {n.id for s in statements for n in ast.walk(s) if isinstance(n, ast.Name)}
        self.shared = {h.name for h in hyperparameters}
        body = tuple(read for node in statements[:-1] for read in self.statement(node))
        value = statements[-1].value
        if value is None:
            self.fail(statements[-1], "return needs a value: the update, subtracted from w")
        result = self.reader.expression(value)
        state += tuple(self.called_state)
        hyperparameters += tuple(self.called_hyperparameters)
        program = Program(function.name, inputs, state, hyperparameters, body, result, doc)
        try:
            _check_size(program)  # as it is written out, with the rules that it calls
            kinds_of(program)
        except ProgramError as error:
            located = self.reader.located(error)
            if located.line is None:
                self.fail(function, error.reason)
            raise located from None
        return program

    def check_name(self, node: ast.AST, name: str) -> None:
        if name in PRIMITIVES:
            self.fail(node, f"'{name}' is a primitive and cannot name something else")
        if name.startswith("__"):
            self.fail(node, f"'{name}': names may not start with two underscores")
        if not name.isascii():
            self.fail(node, f"'{name}': names are ASCII letters, digits and underscores")
        if len(name) > MAX_NAME:
            self.fail(
                node,
                f"a name has {len(name)} characters; at most {MAX_NAME} are accepted",
            )

    def positional(self) -> tuple[tuple[str, ...], tuple[State, ...]]:
        """Inputs (no default) and state (default)."""
        args = self.function.args
        if args.posonlyargs or args.vararg or args.kwarg:
            node = args.vararg or args.kwarg or args.posonlyargs[0]
            self.fail(node, "parameters are plain names; *args, **kwargs and / are not accepted")
        seen: set[str] = set()
        for arg in [*args.args, *args.kwonlyargs]:
            if arg.annotation is not None:
                self.fail(arg, _ANNOTATION)
            if arg.arg in seen:  # Python itself says so only when it compiles
                self.fail(arg, f"'{arg.arg}' is a parameter twice; each name is accepted once")
            seen.add(arg.arg)
        count = len(args.args) - len(args.defaults)
        for arg in args.args[:count]:
            if arg.arg not in INPUTS:
                self.fail(
                    arg,
                    f"'{arg.arg}' is not an input{did_you_mean(arg.arg, INPUTS)};"
                    f" inputs: {', '.join(INPUTS)}; a state needs a default, as in m=0",
                )
        inputs = tuple(arg.arg for arg in args.args[:count])
        state = tuple(
            State(arg.arg, self.initial(arg, default, inputs))
            for arg, default in zip(args.args[count:], args.defaults, strict=True)
        )
        return inputs, state

    def initial(self, arg: ast.arg, default: ast.expr, inputs: tuple[str, ...]) -> float | str:
        self.check_name(arg, arg.arg)
        if arg.arg in INPUTS or arg.arg == EVAL_W:
            self.fail(arg, f"'{arg.arg}' is a reserved name and cannot be a state")
        if isinstance(default, ast.Name):
            # No gradient exists yet when state starts; where(t == 1, g, m) reads the first.
            if default.id != "w" or "w" not in inputs:
                self.fail(
                    default,
                    f"state '{arg.arg}' cannot start as '{default.id}';"
                    " accepted: a number, or w for a copy of the initial weights",
                )
            return default.id
        return self.reader.number(default)

    def keyword_only(self) -> tuple[Hyperparameter, ...]:
        args = self.function.args
        found = []
        for arg, default in zip(args.kwonlyargs, args.kw_defaults, strict=True):
            self.check_name(arg, arg.arg)
            if arg.arg in INPUTS or arg.arg == EVAL_W:
                self.fail(arg, f"'{arg.arg}' is a reserved name and cannot be a hyperparameter")
            if default is None:
                self.fail(arg, f"hyperparameter '{arg.arg}' needs a default, as in lr=1e-3")
            found.append(Hyperparameter(arg.arg, self.reader.number(default)))
        return tuple(found)

    def statement(self, node: ast.stmt) -> list[Statement]:
        """One statement, or those of a called rule."""
        if isinstance(node, ast.Return):
            self.fail(node, "return comes once, as the last statement")
        if not isinstance(node, ast.Assign):
            self.fail(
                node,
                _STATEMENT_INSTEAD.get(
                    type(node), f"this statement is not in the language; {_PLAIN}"
                ),
            )
        target = node.targets[0]
        if len(node.targets) > 1 or not isinstance(target, ast.Name):
            self.fail(target, "a statement assigns to one bare name, as in m = lerp(g, m, b1)")
        self.check_name(target, target.id)
        value = node.value
        if isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
            callee = self.rules.get(value.func.id)
            if callee is not None and not value.keywords and value.func.id not in PRIMITIVES:
                return self.rule_call(value, callee, target.id)
        return [Statement(target.id, self.reader.expression(value))]

    def rule_call(self, node: ast.Call, callee: Program, target: str) -> list[Statement]:
        args = [self.reader.expression(arg) for arg in node.args]
        try:
            called = inline(callee, args, target, self.taken, self.shared)
        except ProgramError as error:
            self.fail(node, error.reason)
        self.called_state += called.state
        self.called_hyperparameters += called.hyperparameters
        self.shared |= {h.name for h in called.hyperparameters}
        self.taken |= self.shared | {s.name for s in called.state} | {s.target for s in called.body}
        return list(called.body)


def _is_docstring(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def check(program: Program) -> None:
    """Checks a program that did not come from text.

    Raises:
      ProgramError: as `parse` would.
    """
    own = [*(s.name for s in program.state), *(h.name for h in program.hyperparameters)]
    for name in (program.name, *own, *(s.target for s in program.body)):
        if not _can_be_a_name(name):
            raise ProgramError(f"'{name[:60]}' cannot be a name in a program")
    parameters = {*program.inputs}
    for name in own:
        if name in INPUTS or name == EVAL_W or name in parameters:
            raise ProgramError(f"'{name}' is reserved or a parameter already")
        parameters.add(name)
    for s in program.state:
        if not isinstance(s.init, str) and not math.isfinite(s.init):
            raise ProgramError(f"constants must be finite, not {s.init}")
    _check_size(program)
    kinds_of(program)


def _check_size(program: Program) -> None:
    """Refuses what `parse` would not read back for its size. Raises ProgramError."""
    count = len(program.body) + 1
    if count > MAX_STATEMENTS:
        raise ProgramError(
            f"the program has {count} statements; at most {MAX_STATEMENTS} are accepted"
        )
    roots = program.expressions()
    depth, parts = extent(roots)
    if depth > MAX_DEPTH:
        deepest = next(root for root in roots if extent([root])[0] > MAX_DEPTH)
        raise ProgramError(TOO_DEEP, node=deepest)
    parts += 2 * count + len(program.state) + len(program.hyperparameters)
    # Most are so small that there is no need to write them out.
    if _LONGEST_PART * parts + _LONGEST_ESCAPE * len(program.doc) > MAX_CHARACTERS:
        characters = len(format_program(program))
        if characters > MAX_CHARACTERS:
            raise ProgramError(
                f"written out, the program has {characters} characters;"
                f" at most {MAX_CHARACTERS} are accepted"
            )


@lru_cache(maxsize=4096)
def _can_be_a_name(name: str) -> bool:
    is_word = name.isidentifier() and name.isascii() and not keyword.iskeyword(name)
    is_free = name not in PRIMITIVES and not name.startswith("__")
    return is_word and is_free and len(name) <= MAX_NAME


def format_program(program: Program) -> str:
    """The text of a program, which `parse` reads back as the same program."""
    return "\n".join(_lines(program)) + "\n"


def _lines(program: Program) -> Iterator[str]:
    yield f"def {program.name}({_signature(program)}):"
    if program.doc:
        yield from docstring_lines(program.doc)
    for statement in program.body:
        yield f"    {statement.target} = {format_expression(statement.value)}"
    yield f"    return {format_expression(program.result)}"


def _signature(program: Program) -> str:
    parts = list(program.inputs)
    for s in program.state:
        parts.append(f"{s.name}={s.init if isinstance(s.init, str) else format_number(s.init)}")
    if program.hyperparameters:
        parts.append("*")
        parts += [f"{h.name}={format_number(h.default)}" for h in program.hyperparameters]
    return ", ".join(parts)
