"""Writing values as a program, with the author's names and order where they still fit."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ..expressions import MAX_DEPTH, format_expression
from ..inputs import ALWAYS, INPUTS, in_order
from ..primitives import PRIMITIVES
from ..program import (
    EVAL_W,
    Call,
    Constant,
    Expr,
    Name,
    Program,
    Statement,
    names_in,
    subexpressions,
)
from .terms import CONSTANT, SYMBOL, Term, postorder, symbol
from .values import Values

# What a value is called that no variable of the author's held.
_FRESH = "x"
_UPDATE = "update"


@dataclass(eq=False)
class _Assignment:
    """A value that gets a variable of its own.

    Attributes:
      place: where the author computed it, or would have.
      name: the variable it should have; another if that one is still read.
      reads: the named values it reads. symbols: the inputs, states and hyperparameters it reads.
    """

    term: Term
    place: float
    name: str
    reads: set[Term] = field(default_factory=set)
    symbols: set[str] = field(default_factory=set)


def write(
    program: Program,
    values: Values,
    new_class: Mapping[Term, int] | None = None,
    old_class: Mapping[Term, int] | None = None,
) -> Program:
    """A program that computes some values.

    Args:
      program: the author's, which gives name, signature, variables and order.
      values: what to compute; `statements` are the author's values.
      new_class, old_class: a value to be computed and one of the author's are the same if these
        say the same of them; unless given, if they are equal.
    """
    return _Writer(program, values, new_class, old_class).write()


class _Writer:
    def __init__(
        self,
        program: Program,
        values: Values,
        new_class: Mapping[Term, int] | None,
        old_class: Mapping[Term, int] | None,
    ) -> None:
        self.program = _with_inputs(program, values)
        self.values = values
        self.new_class, self.old_class = new_class, old_class
        self.states = {s.name for s in program.state}
        self.uses = _uses(values.outputs)
        self.assignments = self._assignments()

    # --- which values get a variable ---

    def _assignments(self) -> dict[Term, _Assignment]:
        found: dict[Term, _Assignment] = {}
        finals = dict(self.values.state)
        if self.values.eval_w is not None:
            finals[EVAL_W] = self.values.eval_w
        last = len(self.values.statements)
        authors = self._authors()
        owner: dict[Term, str] = {}
        for name, term in finals.items():
            if term.args:
                owner.setdefault(term, name)
        height: dict[Term, int] = {}  # of a value as text, what has a variable being its name
        for term, count in self.uses.items():
            height[term] = 1 + max((height[arg] for arg in term.args), default=-1)
            if not term.args or (term == self.values.result and count == 1 and term not in authors):
                continue
            if term in owner:
                place = authors.get(term, (last, ""))[0]
                found[term] = _Assignment(term, place, owner[term])
            elif term in authors:
                place, name = authors[term]
                found[term] = _Assignment(term, place, name)
            elif count > 1 or height[term] >= MAX_DEPTH:
                found[term] = _Assignment(term, -1.0, "")
            if term in found:
                height[term] = 0
        for assignment in found.values():
            for arg in assignment.term.args:
                self._note_reads(arg, assignment, found)
        self._place_unnamed(found, last)
        return found

    def _authors(self) -> dict[Term, tuple[int, str]]:
        """The first place where the author computed a value, and the variable that held it."""
        first: dict[Term | int | None, tuple[int, str]] = {}
        for place, (name, value) in enumerate(self.values.statements):
            key = value if self.old_class is None else self.old_class.get(value)
            first.setdefault(key, (place, name))
        first.pop(None, None)
        keys = {t: t if self.new_class is None else self.new_class.get(t) for t in self.uses}
        return {t: first[key] for t, key in keys.items() if t.args and key in first}

    def _note_reads(
        self, term: Term, reader: _Assignment, found: Mapping[Term, _Assignment]
    ) -> None:
        stack = [term]
        while stack:
            term = stack.pop()
            if term in found:
                reader.reads.add(term)
            elif term.head == SYMBOL:
                reader.symbols.add(term.name)
            else:
                stack += term.args

    def _place_unnamed(self, found: dict[Term, _Assignment], last: int) -> None:
        """A value without an author stands right before its first reader."""
        places: dict[Term, float] = {}  # of the first reader so far
        for a in reversed([*found.values()]):  # readers come before what they read
            if not a.name:
                a.place = places.get(a.term, float(last)) - 0.5
            for term in a.reads:
                places[term] = min(places.get(term, a.place), a.place)

    # --- in which order, under which names ---

    def write(self) -> Program:
        finals = self._finals()
        result = self._reader([self.values.result])
        tail = self._reader([t for name, t in finals.items() if t != symbol(name)])
        pending = sorted(self.assignments.values(), key=lambda a: a.place)
        # What every variable holds; None is what it started as.
        self.holder: dict[str, Term | None] = dict.fromkeys(self._signature_names())
        names: dict[Term, str] = {}
        body: list[Statement] = []
        while pending:
            ready = [a for a in pending if all(r in names for r in a.reads)]
            readers = [*pending, result, tail]
            chosen = next((a for a in ready if not self._in_use(a, readers)), None)
            if chosen is None and result.symbols and all(r in names for r in result.reads):
                # The update reads what has to be overwritten: compute it first.
                chosen = _Assignment(self.values.result, 0.0, _UPDATE)
                result = _Assignment(self.values.result, 0.0, "", {self.values.result})
                name = self._unused(_UPDATE)
            elif chosen is None:
                chosen = ready[0]
                name = self._unused(chosen.name)
            else:
                name = chosen.name or self._unused("")
            body.append(Statement(name, self._expression(chosen.term, names, top=True)))
            names[chosen.term] = name
            self.holder[name] = chosen.term
            pending = [a for a in pending if a is not chosen]
        update = self._expression(self.values.result, names)
        late = [
            Statement(name, self._expression(term, names))
            for name, term in finals.items()
            if term != symbol(name) and self.holder.get(name) != term
        ]
        if late and {s.target for s in late} & names_in(update):
            name = self._unused(_UPDATE)
            self.holder[name] = self.values.result
            body.append(Statement(name, update))
            update = Name(name)
        body += _sequential(late, lambda: self._unused(""))
        program = dataclasses.replace(self.program, body=tuple(body), result=update)
        return without_unread(program, set(self.values.state))

    def _reader(self, terms: list[Term]) -> _Assignment:
        """Something that reads some values at the end of a step."""
        reader = _Assignment(self.values.result, float("inf"), "")
        for term in terms:
            self._note_reads(term, reader, self.assignments)
        return reader

    def _finals(self) -> dict[str, Term]:
        """What variables must hold at the end of a step."""
        finals = dict(self.values.state)
        if self.values.eval_w is not None:
            finals[EVAL_W] = self.values.eval_w
        return finals

    def _signature_names(self) -> set[str]:
        return {*self.program.inputs, *self.states, *self.program.defaults}

    def _in_use(self, chosen: _Assignment, readers: list[_Assignment]) -> bool:
        """Whether what its variable holds is still to be read by another."""
        if chosen.name not in self.holder:
            return False
        held = self.holder[chosen.name]
        return any(
            (chosen.name in a.symbols) if held is None else (held in a.reads)
            for a in readers
            if a is not chosen
        )

    def _unused(self, name: str) -> str:
        """A name that nothing has: this one, or one like it."""
        reserved = {*self.holder, *INPUTS, EVAL_W, *(a.name for a in self.assignments.values())}
        stem = name.rstrip("0123456789") or _FRESH
        stem = "point" if stem == EVAL_W else stem
        tried = (f"{stem}{i or ''}" for i in range(10_000))
        return next(name for name in tried if name not in reserved)

    def _expression(self, term: Term, names: Mapping[Term, str], *, top: bool = False) -> Expr:
        if not top and term in names:
            return Name(names[term])
        if term.head == CONSTANT:
            return Constant(term.value)
        if term.head == SYMBOL:
            return Name(term.name)
        args = tuple(self._expression(arg, names) for arg in term.args)
        return ordered(Call(term.head, args), self.program.defaults)


def _with_inputs(program: Program, values: Values) -> Program:
    """The program with the inputs that values read: loss_at(w) is the loss."""
    local = {*program.inputs, *program.defaults, *(s.name for s in program.state)}
    read = {name for term in values.outputs for name in term.symbols if name not in local}
    if not read:
        return program
    return dataclasses.replace(program, inputs=(*program.inputs, *in_order(read)))


def _sequential(late: list[Statement], fresh: Callable[[], str]) -> list[Statement]:
    """Assignments that all read what was there before any of them, one after the other."""
    done: list[Statement] = []
    while late:
        read = Counter(
            e.id for s in late for e in set(subexpressions(s.value)) if isinstance(e, Name)
        )
        own = {s.target: Name(s.target) in subexpressions(s.value) for s in late}
        free = next((s for s in late if read[s.target] == own[s.target]), None)
        if free is None:
            # A circle: the first is kept aside.
            first, *rest = late
            name = fresh()
            done.append(Statement(name, Name(first.target)))
            late = [
                first,
                *(Statement(s.target, _renamed(s.value, first.target, name)) for s in rest),
            ]
            continue
        done.append(free)
        late = [s for s in late if s is not free]
    return done


def _renamed(expr: Expr, old: str, new: str) -> Expr:
    return Name(new) if expr == Name(old) else expr


def _uses(outputs: list[Term]) -> Counter[Term]:
    """How often each value is read, outputs included; arguments come before what reads them."""
    order = dict.fromkeys(postorder(outputs))
    uses = Counter(outputs)
    for term in order:
        uses.update(term.args)
    return Counter({term: uses[term] for term in order})


def ordered(call: Call, hyperparameters: Mapping[str, float]) -> Call:
    """Commuting arguments in a fixed order that reads well: 2 * lr * x, sqrt(v) + eps, t == 1."""
    if not PRIMITIVES[call.primitive].commutative:
        return call

    def key(arg: Expr) -> tuple[int, str]:
        if isinstance(arg, Constant):
            place = 0
        elif isinstance(arg, Name):
            place = 1 if arg.id in hyperparameters else 2
        else:
            place = 3
        if call.primitive in ("add", "equal", "not_equal"):
            place = -place
        return place, format_expression(arg)

    return Call(call.primitive, tuple(sorted(call.args, key=key)))


def without_unread(program: Program, live_state: set[str]) -> Program:
    """Drops states that do not matter, and hyperparameters and inputs that nothing reads."""
    used = names_in(program.result).union(*(names_in(s.value) for s in program.body))
    starts = {s.init for s in program.state if s.name in live_state}
    return dataclasses.replace(
        program,
        inputs=tuple(i for i in program.inputs if i in used | starts or i in ALWAYS),
        state=tuple(s for s in program.state if s.name in live_state),
        hyperparameters=tuple(h for h in program.hyperparameters if h.name in used),
    )
