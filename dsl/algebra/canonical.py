"""When are two programs the same rule? The digest of what a program outputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..interpreter import interpret
from ..program import EVAL_W, LEARNING_RATE, Program
from .rewriting import Level, TermDomain
from .terms import CONSTANT, SYMBOL, Term, call, call_digest, digest, postorder, symbol

# Stands for any number in a structure. No variable can have this name.
_ANY = symbol("?")


@dataclass(frozen=True, slots=True)
class Meaning:
    """What one step of a program computes, as terms.

    Attributes:
      result: the update.
      state: the next value of every state variable that matters for the update.
      eval_w: the evaluation point, if the program sets one.
    """

    result: Term
    state: Mapping[str, Term]
    eval_w: Term | None

    def outputs(self) -> Iterable[Term]:
        """Everything that a step must compute."""
        yield self.result
        yield from self.state.values()
        if self.eval_w is not None:
            yield self.eval_w


def meaning(program: Program, level: Level, *, bound_hyperparameters: bool = False) -> Meaning:
    """The terms of a program's outputs; state that no output depends on is left out.

    Args:
      program: the rule.
      level: which rewriting rules apply.
      bound_hyperparameters: whether hyperparameters other than the learning rate count as the
        constants they default to, so that naming a constant changes nothing.
    """
    env = {name: symbol(name) for name in program.inputs}
    env |= {s.name: symbol(s.name) for s in program.state}
    for h in program.hyperparameters:
        if not bound_hyperparameters or h.name == LEARNING_RATE:
            env[h.name] = symbol(h.name)
    outcome = interpret(program, TermDomain(level), env)
    eval_w = outcome.env.get(EVAL_W)
    needed = outcome.result.symbols if eval_w is None else outcome.result.symbols | eval_w.symbols
    while True:
        further = needed.union(
            *(outcome.env[s.name].symbols for s in program.state if s.name in needed)
        )
        if further == needed:
            break
        needed = further
    state = {s.name: outcome.env[s.name] for s in program.state if s.name in needed}
    return Meaning(outcome.result, state, eval_w)


def program_digest(program: Program, level: Level = Level.EXACT) -> str:
    """A hexadecimal name for what the program computes, the same in every process.

    Equal for programs that differ in variable names, statement order, dead code, commuted
    arguments, constants written as hyperparameters, or by exact rewriting.
    """
    init = {s.name: str(s.init) for s in program.state}
    return _digest(meaning(program, level, bound_hyperparameters=True), init)


def structure_digest(program: Program) -> str:
    """A hexadecimal name for what the program computes up to its constants.

    Equal for programs of equal `program_digest`, and for those that differ in the values of
    hyperparameters and literals. Not abstracted are 0, which switches something off, and integer
    exponents. A tensor times a number has the same structure whatever the number, and however many
    factors it is written as; 2 * g and g differ.
    """
    names = {h.name for h in program.hyperparameters}
    meant = meaning(program, Level.EXACT)
    memo: dict[int, Term] = {}
    abstract = Meaning(
        _abstracted(meant.result, names, memo),
        {name: _abstracted(term, names, memo) for name, term in meant.state.items()},
        None if meant.eval_w is None else _abstracted(meant.eval_w, names, memo),
    )
    # A number that a state starts at is a constant; an input that is copied is not.
    init = {s.name: s.init if isinstance(s.init, str) else f"{s.init != 0}" for s in program.state}
    return _digest(abstract, init)


def _abstracted(root: Term, constants: set[str], memo: dict[int, Term]) -> Term:
    """The term with `_ANY` in the place of every number and of what is computed from numbers."""
    for term in postorder([root], lambda term: term.serial in memo):
        if term.serial not in memo:
            memo[term.serial] = _abstract(term, [memo[arg.serial] for arg in term.args], constants)
    return memo[root.serial]


def _abstract(term: Term, args: list[Term], constants: set[str]) -> Term:
    if term.head == CONSTANT:
        return term if term.value == 0 else _ANY
    if term.head == SYMBOL:
        return _ANY if term.name in constants else term
    if all(arg is _ANY or arg.head == CONSTANT for arg in args):
        return _ANY
    if term.head == "power" and term.args[1].head == CONSTANT and term.args[1].value.is_integer():
        return call("power", (args[0], term.args[1]))
    if term.head == "negative":
        return _scaled(args[0])
    if term.head == "divide" and args[1] is _ANY:
        return _scaled(args[0])
    if term.head == "multiply" and _ANY in args:
        return _scaled(args[0] if args[1] is _ANY else args[1])
    return call(term.head, args)


def _scaled(term: Term) -> Term:
    """The term times any number."""
    is_scaled = term.head == "multiply" and _ANY in term.args
    return term if is_scaled else call("multiply", (_ANY, term))


def _digest(meant: Meaning, init: Mapping[str, str]) -> str:
    """A hexadecimal name for terms that does not depend on the names of state variables.

    Args:
      meant: the terms. init: what each state variable starts as, in words.
    """
    colors = {name: digest(f"state {init[name]}".encode()) for name in meant.state}
    # State variables are told apart by what they start as and compute, not by name: refine their
    # colours until all differ or no more do (Weisfeiler–Leman).
    distinct = len(set(colors.values()))
    while distinct < len(colors):
        colors = _refined(meant.state, colors)
        before, distinct = distinct, len(set(colors.values()))
        if distinct == before:
            break
    memo: dict[int, bytes] = {}
    parts = [_colored(meant.result, colors, memo)]
    if meant.eval_w is not None:
        parts.append(_colored(meant.eval_w, colors, memo))
    return digest(
        b"".join((*parts, b"|", *sorted(_refined(meant.state, colors, memo).values())))
    ).hex()


def _refined(
    state: Mapping[str, Term], colors: Mapping[str, bytes], memo: dict[int, bytes] | None = None
) -> dict[str, bytes]:
    """Each state's colour together with that of its next value."""
    memo = {} if memo is None else memo
    return {
        name: digest(colors[name] + _colored(term, colors, memo)) for name, term in state.items()
    }


def _colored(term: Term, colors: Mapping[str, bytes], memo: dict[int, bytes]) -> bytes:
    """The digest of a term in which state symbols are replaced by their colours."""
    found = _known_color(term, colors, memo)
    if found is not None:
        return found
    stack = [term]
    while stack:
        part = stack[-1]
        digests = []
        for arg in part.args:
            known = _known_color(arg, colors, memo)
            if known is None:
                stack.append(arg)
            else:
                digests.append(known)
        if stack[-1] is part:
            memo[part.serial] = call_digest(part.head, digests)
            stack.pop()
    return memo[term.serial]


def _known_color(
    term: Term, colors: Mapping[str, bytes], memo: Mapping[int, bytes]
) -> bytes | None:
    """The digest where nothing below the term has to be looked at; otherwise None."""
    known = memo.get(term.serial)
    if known is None and term.symbols.isdisjoint(colors):
        return term.digest
    if known is None and term.head == SYMBOL:
        return colors[term.name]
    return known
