"""When are two programs the same rule? The digest of what a program outputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from .interpreter import interpret
from .primitives import PRIMITIVES
from .program import EVAL_W, LEARNING_RATE, Program
from .rewriting import Level, TermDomain
from .terms import SYMBOL, Term, digest, symbol


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


def symbols(roots: Iterable[Term]) -> set[str]:
    """The names of all symbols in some terms."""
    found: set[str] = set()
    seen: set[bytes] = set()
    stack = list(roots)
    while stack:
        term = stack.pop()
        if term.digest in seen:
            continue
        seen.add(term.digest)
        if term.head == SYMBOL:
            found.add(term.name)
        stack.extend(term.args)
    return found


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
    roots = [outcome.result] if eval_w is None else [outcome.result, eval_w]
    needed: set[str] = set()
    names = {s.name for s in program.state}
    while True:
        reached = symbols([*roots, *(outcome.env[n] for n in needed)]) & names
        if reached <= needed:
            break
        needed |= reached
    state = {s.name: outcome.env[s.name] for s in program.state if s.name in needed}
    return Meaning(outcome.result, state, eval_w)


# A program is immutable, and a search asks for the same digest several times for each candidate.
@lru_cache(maxsize=4096)
def program_digest(program: Program, level: Level = Level.EXACT) -> str:
    """A hexadecimal name for what the program computes.

    Equal for programs that differ in variable names, statement order, dead code, commuted
    arguments, constants written as hyperparameters, or by exact rewriting.
    """
    meant = meaning(program, level, bound_hyperparameters=True)
    init = {s.name: s.init for s in program.state}
    colors = {name: digest(b"state", str(init[name]).encode()) for name in meant.state}
    # State variables are told apart by what they compute, not by name: refine their colours until
    # each has seen every other (Weisfeiler–Leman; one round per variable suffices).
    for _ in range(len(colors) + 1):
        memo: dict[bytes, bytes] = {}
        colors = {
            name: digest(colors[name], _colored(term, colors, memo))
            for name, term in meant.state.items()
        }
    memo = {}
    parts = [_colored(meant.result, colors, memo)]
    if meant.eval_w is not None:
        parts.append(_colored(meant.eval_w, colors, memo))
    return digest(*parts, *sorted(colors.values())).hex()


def _colored(term: Term, colors: Mapping[str, bytes], memo: dict[bytes, bytes]) -> bytes:
    """The digest of a term in which state symbols are replaced by their colours."""
    if not term.args:
        return colors.get(term.name, term.digest) if term.head == SYMBOL else term.digest
    if (known := memo.get(term.digest)) is not None:
        return known
    parts = [_colored(arg, colors, memo) for arg in term.args]
    if PRIMITIVES[term.head].commutative:
        parts.sort()
    memo[term.digest] = result = digest(term.head.encode(), *parts)
    return result
