"""The report's section on the best rule: its program, how it was changed, how to train with it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from ...dsl.algebra.simplifier import simplify
from ...dsl.syntax import format_program, parse
from ...evaluators.formatting import plural
from ..store.runs import BEST_OPTAX, BEST_RULE
from .facts import Facts
from .html.page import bullets, code_block, paragraph, section, text

# Longer lists are folded.
_MOST_LISTED = 12


def best_rule(facts: Facts) -> str:
    """The best rule, or the best so far; empty before anything was trained."""
    if facts.best is None:
        return ""
    if not facts.outcome:
        return _best_so_far(facts, facts.best)
    name = shlex.quote(facts.run.name)
    source = facts.outcome["simplified"]
    rule = source.removeprefix("def ").partition("(")[0]
    program = parse(source)
    state = len(program.state)
    carries = plural(state, "state variable") if state else "no state"
    known = "" if facts.evolved else ", which is where the search started"
    words = (
        f"Candidate {facts.best}{known}, simplified: {plural(program.size, 'operation')} and"
        f" {carries}."
    )
    kinship = facts.outcome["kinship"]
    module = BEST_OPTAX.removesuffix(".py")
    return section(
        "The best rule",
        paragraph(words),
        code_block(source),
        paragraph(f"Kinship: {kinship}.") if kinship else "",
        *_changes("Constants tuned on the proxies", tuned_of(facts)),
        *_changes(
            "Removed, because training does not need it (in brackets: effect on the loss)",
            facts.outcome["pruned"],
        ),
        f"<p>To train with it, copy <code>{text(BEST_OPTAX)}</code> from the run's folder. It needs"
        " only optax and jax:</p>",
        code_block(f"from {module} import {rule}\n\noptimizer = {rule}()"),
        "<p>Or export it, as Optax code or as LaTeX:</p>",
        code_block(f"evoptax export {name}:best --to optax\nevoptax export {name}:best --to latex"),
        f'<p class="note">The same program as text is in <code>{text(BEST_RULE)}</code>.</p>',
    )


def tuned_of(facts: Facts) -> Sequence[str]:
    """What tuning changed in the best rule, in words."""
    taken = [f for f in facts.finalists if f.ordinal == facts.best]
    return taken[0].tuned if taken and facts.outcome and facts.outcome["confirmed"] else ()


def _best_so_far(facts: Facts, best: int) -> str:
    source = format_program(simplify(parse(facts.line[-1].candidate.program)))
    tried = any(f.ordinal == best for f in facts.finalists)
    by = "on held-out tasks" if tried else "on the tasks it was evolved on"
    words = f"Candidate {best}, the best {by}, simplified."
    command = f"evoptax export {shlex.quote(facts.run.name)}:{best} --to optax"
    return section(
        "The best rule so far", paragraph(words), code_block(source), code_block(command)
    )


def _changes(title: str, changes: Sequence[str]) -> Sequence[str]:
    return (paragraph(f"{title}:"), bullets(changes, _MOST_LISTED)) if changes else ()
