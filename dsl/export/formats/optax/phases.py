"""The order of work for code that acts parameter by parameter.

A number for the whole model, such as a global norm, can be had only when the tensor it reduces is
known for every parameter. `plan` cuts a program into phases: each is one pass over the parameters,
and the numbers for the whole model are computed between. Most rules need one phase.

Variables may be assigned more than once and change their kind, so the plan works on values, one
per assignment, and says afterwards which values may share a name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ....expressions import parse_expression
from ....inference import KIND_DOMAIN, kinds_of
from ....inputs import KINDS
from ....interpreter import evaluate
from ....kinds import Kind
from ....primitive import Scope
from ....primitives import PRIMITIVES
from ....program import EVAL_W, Call, Constant, Expr, Name, Program, subexpressions, substitute

RESULT = "update"
# Their results come as matrices, whatever the shape of the parameter.
_MATRIX_RESULTS = frozenset({"matmul", "transpose", "lead", "orthonormal"})


@dataclass(slots=True)
class Value:
    """What a variable holds between two assignments.

    Attributes:
      id: unique; expressions of the plan name values by it.
      variable: the program's name, or a suggestion for a value that the program does not name.
      kind: see `Kind`.
      expr: how it is computed; None for an input, a hyperparameter or a state of the last step.
        A matrix product or a transpose that has the kind of a tensor has one argument more, the
        gradient, whose shape it is given; an oracle has its number among the step's.
      broadcast: whether it is spread to the shape of its kind, though `expr` is not.
      phase: the pass over the parameters in which a per-tensor value or a tensor is computed, -1
        if it is there from the start; the pass before which it is computed, if it is not computed
        leaf by leaf.
    """

    id: str
    variable: str
    kind: Kind
    expr: Expr | None = None
    broadcast: bool = False
    phase: int = 0

    @property
    def has_leaves(self) -> bool:
        """Whether there is one for each parameter."""
        return self.kind is not Kind.SCALAR

    @property
    def is_leafwise(self) -> bool:
        """Whether it is computed leaf by leaf, as what an oracle answers is not."""
        return self.has_leaves and not _is_whole(self.expr)

    @property
    def reads(self) -> list[str]:
        """The ids of the values that it is computed from."""
        if self.expr is None:
            return []
        ids = [e.id for e in subexpressions(self.expr) if isinstance(e, Name)]
        return list(dict.fromkeys([*ids, GRADIENT] if self.broadcast else ids))


GRADIENT = "g@0"


@dataclass(frozen=True, slots=True)
class Plan:
    """A program in order of execution.

    Attributes:
      values: all values by id, in order of execution within `start` and `steps`.
      start: ids of what is there before the step: inputs, hyperparameters, states.
      steps: ids of what is computed, in order: for each phase its scalars, then its leaf values.
      next_state: by state name, the id that it holds at the end.
      result: the id of the update, a tensor.
      eval_w: the id of the evaluation point, or None.
    """

    values: Mapping[str, Value]
    start: tuple[str, ...]
    steps: tuple[str, ...]
    next_state: Mapping[str, str]
    result: str
    eval_w: str | None

    @property
    def phases(self) -> int:
        """Number of passes over the parameters."""
        return 1 + max((self.values[i].phase for i in self.steps), default=-1)

    @property
    def kept(self) -> list[str]:
        """The ids that are needed after the step."""
        ends = [self.result, *self.next_state.values()]
        return list(dict.fromkeys(ends if self.eval_w is None else [*ends, self.eval_w]))

    def whole(self, phase: int) -> list[Value]:
        """What is computed for the model as a whole before a phase."""
        found = (self.values[i] for i in self.steps)
        return [v for v in found if v.phase == phase and not v.is_leafwise]

    def leafwise(self, phase: int) -> list[Value]:
        """What is computed for each parameter in a phase."""
        found = (self.values[i] for i in self.steps)
        return [v for v in found if v.phase == phase and v.is_leafwise]

    def inputs(self, phase: int) -> list[str]:
        """The ids of the leaf values that a phase takes from before, in order of `values`."""
        read = {i for v in self.leafwise(phase) for i in v.reads}
        return [
            i
            for i, v in self.values.items()
            if i in read and v.has_leaves and (v.phase < phase or not v.is_leafwise)
        ]

    def outputs(self, phase: int) -> list[str]:
        """The ids of the leaf values that are needed after a phase, the update first."""
        later = set(self.kept)
        for value in self.values.values():
            if value.phase > phase:
                later.update(value.reads)
        found = [v.id for v in self.leafwise(phase) if v.id in later]
        return sorted(found, key=lambda i: i != self.result)


def plan(program: Program) -> Plan:
    """Plans a program.

    Raises:
      ProgramError: if the kinds of the program do not fit.
    """
    return _Planner(program).plan()


@dataclass
class _Planner:
    program: Program
    values: dict[str, Value] = field(default_factory=dict)
    holds: dict[str, str] = field(default_factory=dict)
    # Values that the program does not name, by expression: equal ones are computed once.
    unnamed: dict[Expr, Name] = field(default_factory=dict)
    # The oracles that are called, each with its number.
    asked: dict[Expr, int] = field(default_factory=dict)

    def plan(self) -> Plan:
        program, kinds = self.program, kinds_of(self.program)
        for h in program.hyperparameters:
            self.add(h.name, Kind.SCALAR)
        # The gradients are always there and give the shapes, whether or not the rule reads them.
        inputs = [*program.inputs, *({"g"} - set(program.inputs))]
        for name, kind in [*((i, KINDS[i]) for i in inputs), *kinds.state.items()]:
            self.add(name, kind, phase=-1 if kind is not Kind.SCALAR else 0)
        start = tuple(self.values)
        for statement in program.body:
            expr = self.lower(statement.value, top=True)
            if statement.target == EVAL_W and isinstance(expr, Name):
                self.holds[EVAL_W] = expr.id  # one copy is enough
                continue
            self.add(statement.target, self.kind(expr), expr)
        result = self.result(self.lower(program.result))
        for name, kind in kinds.state.items():
            if self.values[self.holds[name]].kind is not kind:
                self.add(name, kind, Name(self.holds[name]), broadcast=True)
        # Stable: within a phase the program's own order holds.
        computed = [v for v in self.values.values() if v.id not in start]
        computed.sort(key=lambda v: (v.phase, v.is_leafwise))
        ordered = [*(self.values[i] for i in start), *computed]
        return Plan(
            {v.id: v for v in ordered},
            start,
            tuple(v.id for v in computed),
            {s.name: self.holds[s.name] for s in program.state},
            result,
            self.holds[EVAL_W] if program.evaluates_elsewhere else None,
        )

    def result(self, expr: Expr) -> str:
        """The id of the update, which has the shape of the parameter whatever its kind was."""
        kind = self.kind(expr)
        if isinstance(expr, Name) and kind is Kind.TENSOR:
            return expr.id
        holds = dict(self.holds)
        update = self.add(RESULT, Kind.TENSOR, expr, broadcast=kind is not Kind.TENSOR)
        self.holds = holds  # it is no variable of the program
        return update.id

    def add(
        self,
        variable: str,
        kind: Kind,
        expr: Expr | None = None,
        *,
        broadcast: bool = False,
        phase: int = 0,
    ) -> Name:
        number = sum(v.variable == variable for v in self.values.values())
        value = Value(f"{variable}@{number}", variable, kind, expr, broadcast, phase)
        for read in (self.values[i] for i in value.reads):
            whole = _has_scope(expr, Scope.MODEL) or _is_whole(expr)
            waits = whole and read.is_leafwise
            value.phase = max(value.phase, read.phase + waits)
        self.values[value.id] = value
        self.holds[variable] = value.id
        return Name(value.id)

    def add_unnamed(self, suggestion: str, expr: Expr) -> Name:
        if expr not in self.unnamed:
            holds = dict(self.holds)
            self.unnamed[expr] = self.add(suggestion, self.kind(expr), expr)
            self.holds = holds
        return self.unnamed[expr]

    def kind(self, expr: Expr) -> Kind:
        return evaluate(expr, KIND_DOMAIN, {i: v.kind for i, v in self.values.items()})

    def lower(self, expr: Expr, *, top: bool = False) -> Expr:
        """The expression over value ids, with what needs a line of its own taken out.

        Args:
          expr: over the program's variables.
          top: whether it is the whole right-hand side of a statement.
        """
        if isinstance(expr, Name):
            return Name(self.holds[expr.id])
        if not isinstance(expr, Call):
            return expr
        return self.lower_call(expr.primitive, [self.lower(a) for a in expr.args], top)

    def lower_call(self, primitive: str, args: list[Expr], top: bool) -> Expr:
        row = PRIMITIVES[primitive]
        if row.expansion and not row.jax:
            # The expansion repeats its arguments, so that each gets a name.
            named = [self.named("operand", a) for a in args]
            expansion = parse_expression(row.expansion)
            given = dict(zip(row.arguments, named, strict=True))
            return self.lower_expanded(expansion, given, top)
        if primitive == "lerp":
            # Written as (1 - a) * x + a * y, which repeats a.
            args[2] = self.named("weight", args[2])
        if primitive in _MATRIX_RESULTS:
            call = Call(primitive, tuple(_as_it_comes(a) for a in args))
            to_parameter = self.kind(call) is Kind.TENSOR
            return Call(primitive, (*call.args, Name(GRADIENT))) if to_parameter else call
        if row.scope is not Scope.MODEL and not row.whole:
            return Call(primitive, tuple(args))
        named = [self.named("x" if row.whole else self.suggested(a), a) for a in args]
        call = Call(primitive, tuple(named))
        if row.scope is Scope.LOSS:
            number = self.asked.setdefault(call, len(self.asked))
            call = Call(primitive, (*call.args, Constant(float(number))))
        if top:
            return call
        of = [self.values[a.id].variable for a in named if isinstance(a, Name)]
        word = primitive.removeprefix("global_").removesuffix("_at")
        return self.add_unnamed(f"{of[0]}_{word}" if len(of) == 1 else f"_{word}_".join(of), call)

    def lower_expanded(self, expr: Expr, given: Mapping[str, Expr], top: bool) -> Expr:
        """As `lower`, over the argument names of a derived primitive."""
        if not isinstance(expr, Call):
            return substitute(expr, given)
        args = [self.lower_expanded(a, given, False) for a in expr.args]
        return self.lower_call(expr.primitive, args, top)

    def suggested(self, expr: Expr) -> str:
        """w_size for size(w); most expressions have no name that says so little."""
        if isinstance(expr, Call) and PRIMITIVES[expr.primitive].scope is Scope.PER_TENSOR:
            of = [self.values[a.id].variable for a in expr.args if isinstance(a, Name)]
            return f"{of[0]}_{expr.primitive}" if len(of) == 1 == len(expr.args) else "operand"
        return "operand"

    def named(self, suggestion: str, expr: Expr) -> Expr:
        return self.add_unnamed(suggestion, expr) if isinstance(expr, Call) else expr


def _as_it_comes(expr: Expr) -> Expr:
    """A factor of a matrix product, which may stay a matrix."""
    if isinstance(expr, Call) and expr.primitive in _MATRIX_RESULTS:
        return Call(expr.primitive, expr.args[: PRIMITIVES[expr.primitive].arity])
    return expr


def _is_whole(expr: Expr | None) -> bool:
    return isinstance(expr, Call) and PRIMITIVES[expr.primitive].whole


def _has_scope(expr: Expr | None, scope: Scope) -> bool:
    return isinstance(expr, Call) and PRIMITIVES[expr.primitive].scope is scope
