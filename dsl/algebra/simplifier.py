"""Simplification: the same rule in fewer words, every step named and verified.

Dead code goes first. Then states that hold nothing of their own are merged (`recurrences`), and
equality saturation finds the cheapest form of all values together (`saturation`, `extraction`),
until neither finds anything more. A step counts only if the program before it and the program
after it agree in float64 on several steps of evolving state (`agreement`).

Whoever has no time to wait for that says when to stop; the best program so far is the answer then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from ..errors import ProgramError
from ..expressions import format_expression
from ..liveness import without_dead_code
from ..primitives import PRIMITIVES
from ..program import Call, Constant, Expr, Name, Program
from ..syntax import check
from .agreement import agree
from .extraction import Cost, cost_of, extract
from .identities import Identity, identities
from .laws import ORDER
from .recurrences import merged_states, rescaled_states
from .rewriting import fold
from .saturation import Stopped, saturate
from .terms import constant
from .values import values_of
from .writing import without_unread, write

# Asked before each piece of work, of a second at most unless the program is very large.
ShouldStop = Callable[[], bool]


def _never() -> bool:
    return False


@dataclass(frozen=True)
class Step:
    """One step of a simplification.

    Attributes:
      name: what was done: "dead code removed", or the identities applied.
      before, after: the program around it.
    """

    name: str
    before: Program
    after: Program


def simplify(program: Program, should_stop: ShouldStop = _never) -> Program:
    """The simplest program that is found for the same rule, until it should stop.

    "Simplest" is the least `rank`. The result computes the same for real numbers; in floating
    point it differs by rounding alone, and may lose a NaN where the original divides zero by zero.

    Returns:
      A program that is never larger; simplifying it again changes nothing more, unless it was
      stopped.
    """
    steps = _simplified(program, should_stop, explain=False)
    return steps[-1].after if steps else program


def explain(program: Program, should_stop: ShouldStop = _never) -> list[Step]:
    """`simplify` step by step: the first step starts from the program, the last ends simplest."""
    return _simplified(program, should_stop, explain=True)


def measure(program: Program) -> Cost:
    """How simple a program is; states that do not matter count nothing."""
    return cost_of(values_of(program).outputs)


def _simplified(program: Program, should_stop: ShouldStop, *, explain: bool) -> list[Step]:
    steps: list[Step] = []
    with suppress(Stopped):
        _simplify(program, steps, should_stop, explain=explain)
    return steps


def _simplify(
    program: Program, steps: list[Step], should_stop: ShouldStop, *, explain: bool
) -> None:
    """Adds one step after the other. Raises `Stopped` between two of them."""

    def take(name: str, after: Program | None) -> bool:
        before = steps[-1].after if steps else program
        if after is None or after == before or not _is_well_formed(after):
            return False
        if not agree(before, after):
            return False
        steps.append(Step(name, before, after))
        return True

    alive = _alive(program)
    take(_dead(program, alive), alive)
    plain = write(alive, values_of(alive))
    if plain.size == alive.size and len(plain.body) < len(alive.body):
        take("copies dropped", plain)
    while True:
        current = steps[-1].after if steps else program
        for name, after in merged_states(current, should_stop):
            shorter = _saturated(after, should_stop) or after
            if rank(shorter) < rank(current) and take(name, after):
                break
        else:
            found = _saturated(current, should_stop)
            if found is not None:
                named = _named(current, found, should_stop) if explain else None
                steps += named or [Step("", current, found)]
                continue
            for name, after in rescaled_states(current):
                found = _saturated(after, should_stop)
                if found is not None and rank(found) < rank(current) and take(name, found):
                    break
            else:
                # Last, because sqrt(2) * sqrt(2) is 2, but 1.4142135623730951 twice is not.
                if not take("constants computed", _computed(current)):
                    return


def rank(program: Program) -> tuple[int, int, Cost, int]:
    """What is simpler comes first: fewer calls as written, fewer states, less cost, fewer lines."""
    return program.size, len(program.state), measure(program), len(program.body)


def _alive(program: Program) -> Program:
    """The program without dead code, and without what nothing reads then."""
    # `x = x` is alive where x is, and does nothing.
    body = tuple(s for s in program.body if s.value != Name(s.target))
    smaller = without_dead_code(replace(program, body=body))
    return without_unread(smaller, set(values_of(program).state))


def _computed(program: Program) -> Program:
    """The program with numbers in place of what has only numbers."""

    def computed(expr: Expr) -> Expr:
        if not isinstance(expr, Call):
            return expr
        args = tuple(map(computed, expr.args))
        numbers = tuple(constant(arg.value) for arg in args if isinstance(arg, Constant))
        found = fold(PRIMITIVES[expr.primitive], numbers) if len(numbers) == len(args) else None
        return Call(expr.primitive, args) if found is None else Constant(found.value)

    body = tuple(replace(s, value=computed(s.value)) for s in program.body)
    return replace(program, body=body, result=computed(program.result))


def _dead(program: Program, alive: Program) -> str:
    """What became of dead code, in words."""
    kept = [*alive.body]
    gone = []
    for statement in program.body:
        if statement in kept:
            kept.remove(statement)
        else:
            gone.append(f"{statement.target} = {format_expression(statement.value)}")
    states = {s.name for s in program.state} - {s.name for s in alive.state}
    gone += [f"state {name}" for name in sorted(states)]
    return "dead code removed" + (f": {', '.join(gone)}" if gone else "")


# --- equality saturation ---------------------------------------------------------------------


def _saturated(
    program: Program, should_stop: ShouldStop, used: Iterable[Identity] | None = None
) -> Program | None:
    """The program in its cheapest form under some identities; None if it is that already.

    What holds for real numbers only may go wrong, as where 0 / 0 is called 1, or where a tensor
    becomes a scalar that a reduction refuses. Then only what keeps every value is used.
    """
    used = identities() if used is None else tuple(used)
    # What only shrinks leaves less to be turned over by the rest.
    shrinking = tuple(i for i in used if i.shrinks)
    for chosen in (shrinking, used):
        for tried in (chosen, tuple(i for i in chosen if i.safe)):
            found = _cheapest(program, tried, should_stop)
            if found is None:
                break
            if found != program and _is_well_formed(found) and agree(program, found):
                return found
    return None


def _cheapest(
    program: Program, used: Sequence[Identity], should_stop: ShouldStop
) -> Program | None:
    """The cheapest form, not verified yet; None if nothing is cheaper.

    Where identities contradict each other, it is the program itself.
    """
    values = values_of(program)
    terms = [*values.outputs, *(value for _, value in values.statements)]
    graph = saturate(terms, used, should_stop=should_stop)
    if not graph.fired:
        return None
    if graph.contradicts:
        return program
    outputs, class_of = extract(graph, values.outputs)
    if cost_of(outputs) >= cost_of(values.outputs):
        return None
    found = write(program, values.replaced(outputs), class_of, graph.class_of)
    return found if rank(found) < rank(program) else None


def _named(program: Program, found: Program, should_stop: ShouldStop) -> list[Step]:
    """The way from a program to its cheapest form, one identity after the other.

    Only what is needed to get there is named: identities are left out, many at once and then one
    by one, as long as the end is as simple. If it should stop before that is known, it is one step.
    """
    try:
        return _told_apart(program, found, should_stop)
    except Stopped:
        return [Step("identities applied, which ones was not looked into", program, found)]


def _told_apart(program: Program, found: Program, should_stop: ShouldStop) -> list[Step]:
    values = values_of(program)
    terms = [*values.outputs, *(value for _, value in values.statements)]
    fired = saturate(terms, should_stop=should_stop).fired
    order = tuple(i for i in identities() if i.family == ORDER)
    rest = {i.name: i.family for i in identities() if i.family != ORDER and i.name in fired}

    def reached(names: Sequence[str], start: Program) -> Program | None:
        used = (*order, *(i for i in identities() if i.name in names))
        return _saturated(start, should_stop, used)

    def suffices(names: Sequence[str], start: Program, goal: Program) -> bool:
        end = reached(names, start)
        return end is not None and rank(end) <= rank(goal)

    def smallest(names: list[str], start: Program, goal: Program) -> list[str]:
        return _smallest(names, lambda fewer: suffices(fewer, start, goal))

    needed = smallest(list(rest), program, found)
    steps: list[Step] = []
    current, pending = program, []
    for place, name in enumerate(needed):
        pending.append(name)
        is_last = place == len(needed) - 1
        after = found if is_last else reached(needed[: place + 1], current)
        if after is None or after == current:
            continue
        used = smallest(pending, current, after)
        steps.append(Step(_title(used, rest), current, after))
        current, pending = after, [name for name in pending if name not in used]
    return steps or [Step(_title((), rest), program, found)]


def _smallest(names: list[str], suffices: Callable[[Sequence[str]], bool]) -> list[str]:
    """The names without those that can be left out."""
    size = max(1, len(names) // 2)
    while names:
        place = 0
        while place < len(names):
            fewer = names[:place] + names[place + size :]
            if suffices(fewer):
                names = fewer
            else:
                place += size
        if size == 1:
            return names
        size = max(1, size // 2)
    return names


def _title(names: Sequence[str], families: Mapping[str, str]) -> str:
    """Identities under their families: "sign and absolute value: x / abs(x) → sign(x)"."""
    found: dict[str, list[str]] = {}
    for name in names:
        left, _, right = name.partition(" → ")
        found.setdefault(families[name], []).extend([name] if left != right else [])
    if not found:
        return "values in another order, or computed once"
    return "; ".join(
        f"{family}: {', '.join(names)}" if names else family for family, names in found.items()
    )


def _is_well_formed(program: Program) -> bool:
    try:
        check(program)
    except ProgramError:
        return False
    return True
