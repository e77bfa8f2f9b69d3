"""When are two programs the same rule? The digest of what a program outputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..interpreter import interpret
from ..program import EVAL_W, LEARNING_RATE, Program
from .rewriting import Level, TermDomain
from .terms import SYMBOL, Term, call_digest, digest, symbol


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
    meant = meaning(program, level, bound_hyperparameters=True)
    init = {s.name: s.init for s in program.state}
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
