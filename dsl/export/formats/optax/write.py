"""A program as one standalone Optax file, which needs jax and optax alone.

The file is written for people: the program's statements, line by line and under their own names,
inside the init/update pair that Optax's own rules are made of. This module writes text and never
imports JAX; `check` runs what it wrote.
"""

from __future__ import annotations

from collections.abc import Iterator

from ....errors import ProgramError
from ....expressions import format_number
from ....inputs import Input, Source, arguments, refusal
from ....kinds import Kind
from ....members import AXIS
from ....program import LEARNING_RATE, Program, State
from ....syntax import check, format_program
from ...warm_up import finite_at_rate_0
from .evaluation import evaluation_lines, recovered
from .helpers import STATE_TYPES, helpers_used, shape_text
from .linearity import is_linear
from .names import AXIS_NAME, LOSS, MIXING, OWN_EVAL_FIELD, RNG_KEY, Names
from .naming import comment, docstring_text, indented, paragraph, wrapped
from .schedule import to_schedule
from .update import UpdateFunction


def to_optax(program: Program) -> str:
    """The source of a Python file that defines the rule as an Optax gradient transformation.

    The file defines `rule(learning_rate=…, *, …) -> optax.GradientTransformationExtraArgs`, named
    after the program (with an underscore after it if Python or the file needs the name), and
    `rule_eval_params(state, params)` if the program assigns `eval_w`. A program without a
    hyperparameter `lr` gets `learning_rate=1.0`, which scales its result. A schedule is a file of
    its own kind; see `schedule`.

    Raises:
      ProgramError: if the program is not well formed, or reads what such files are not given.
    """
    check(program)
    if program.is_schedule:
        return to_schedule(program)
    if refused := refusal(program, Source.EXPORT):
        raise ProgramError(f"{program.name} {refused}")
    return "\n".join(_File(program).lines()) + "\n"


class _File:
    """Writes the file of one program."""

    def __init__(self, program: Program) -> None:
        self.origin_program = program
        self.recovered = recovered(program)
        program = program if self.recovered is None else self.recovered.rest
        self.program = program
        self.names = Names(program, self.recovered.hyperparameters if self.recovered else ())
        self.plan = self.names.plan
        self.others = [h for h in program.hyperparameters if h.name != LEARNING_RATE]
        self.doc = program.doc.strip() or f"The update rule {program.name}."

    def lines(self) -> Iterator[str]:
        lines = list(self.public_lines())
        yield from [*lines, *helpers_used([line for line in lines if not line.startswith("#")])]

    def public_lines(self) -> Iterator[str]:
        yield from self.head()
        yield from ["", *comment(self.origin()), ""]
        typing = ["Any", *(["Callable"] if self.names.oracles else []), "NamedTuple"]
        yield from [f"from typing import {', '.join(typing)}", ""]
        yield from ["import jax", "import jax.numpy as jnp", "import optax", "", ""]
        yield from self.state()
        yield from ["", "", *self.signature(), *self.rule_doc(), ""]
        yield from indented(4, self.init())
        yield ""
        yield from indented(4, UpdateFunction(self.program, self.names).lines())
        yield ""
        yield "    return optax.GradientTransformationExtraArgs(init_fn, update_fn)"
        if self.origin_program.evaluates_elsewhere:
            yield from ["", "", *evaluation_lines(self.names, self.recovered)]

    def head(self) -> Iterator[str]:
        """The docstring of the file."""
        passed = ["grads", "state"]
        passed += ["params"] if self.names.needs_params else []
        passed += [f"{a.name}={a.example}" for _, a in arguments(self.program, of_update=True)]
        passed += [f"{LOSS}=lambda p: loss(p, batch)"] if self.names.oracles else []
        more = "".join(f", {a.name}={a.example}" for _, a in arguments(self.program))
        more += f", {MIXING}={MIXING}" if self.names.mixes else ""
        rule = self.names.rule
        yield from f'"""{docstring_text(self.doc)}'.split("\n")
        yield from ["", "To train with it:", ""]
        yield f"    optimizer = {rule}(learning_rate={self.default_rate}{more})"
        yield "    state = optimizer.init(params)"
        yield f"    updates, state = optimizer.update({', '.join(passed)})"
        yield "    params = optax.apply_updates(params, updates)"
        if self.origin_program.evaluates_elsewhere:
            yield f"    evaluation_params = {rule}_eval_params(state, params)"
        if self.names.of_members:
            yield ""
            lines = paragraph(
                "Each member does so with gradients of its own, along a named axis: as in"
                f' `jax.vmap(step, axis_name="{AXIS}")`, or by `jax.shard_map` over a mesh with'
                " such an axis."
            )
            yield from (line.removeprefix("    ") for line in lines)
        yield '"""'

    def origin(self) -> str:
        text = format_program(self.origin_program).rstrip("\n")
        return f"Written by evoptax from this program, whose result is subtracted from w:\n\n{text}"

    @property
    def default_rate(self) -> str:
        return format_number(self.program.defaults[LEARNING_RATE]) if self.names.has_rate else "1.0"

    def state(self) -> Iterator[str]:
        yield f"class {self.names.state_class}(NamedTuple):"
        yield f'    """State of {self.names.rule}."""'
        yield ""
        yield "    count: jax.Array  # shape=(), dtype=int32; the steps taken"
        if self.names.noise:
            yield f"    {RNG_KEY}: jax.Array  # of the next step's noise"
        for s in self.program.state:
            kind = self.plan.values[f"{s.name}@0"].kind
            yield f"    {self.names.bases[s.name]}: {STATE_TYPES[kind]}"
        if self.names.eval_field == OWN_EVAL_FIELD:
            yield f"    {OWN_EVAL_FIELD}: optax.Params  # where the model is to be evaluated"
        yield from (
            f"    {name}: jax.Array  # shape=(); for the evaluation" for name in self.names.recorded
        )

    def signature(self) -> Iterator[str]:
        further = [
            f"{argument.name}: {argument.type}{_default(row)}"
            for row, argument in arguments(self.program)
        ]
        if self.names.mixes:
            further.insert(0, f"{MIXING}: jax.typing.ArrayLike")
        if self.names.of_members:
            further.append(f'{AXIS_NAME}: str = "{AXIS}"')
        if self.names.noise:
            further.append("key: jax.Array | int = 0")
        yield f"def {self.names.rule}("
        yield f"    learning_rate: optax.ScalarOrSchedule = {self.default_rate},"
        if self.others or further or self.names.has_large_state:
            yield "    *,"
        yield from (f"    {text}," for text in further)
        for h in self.others:
            default = format_number(h.default)
            yield f"    {self.names.bases[h.name]}: jax.typing.ArrayLike = {default},"
        if self.names.has_large_state:
            yield "    state_dtype: jax.typing.DTypeLike | None = None,"
        yield ") -> optax.GradientTransformationExtraArgs:"

    def rule_doc(self) -> Iterator[str]:
        """The docstring of the function."""
        like = "parameters" if self.names.needs_params else "gradients"
        yield f'    """{docstring_text(self.doc.split(chr(10))[0])}'
        yield ""
        yield from paragraph(
            f"The updates have the dtype of the {like}; half precision is computed in float32."
        )
        if not finite_at_rate_0(self.origin_program):
            yield ""
            yield from paragraph(
                "The learning rate must never be 0, neither at the start of a warm-up nor at the"
                " end of a decay: from that step on the weights are not finite."
            )
        yield ""
        yield "    Args:"
        scales = "" if self.names.has_rate else " It scales the update."
        yield from paragraph(
            f"  learning_rate: a number, or a schedule called with the steps taken so far.{scales}"
        )
        for _, argument in arguments(self.program):
            yield from paragraph(f"  {argument.name}: {argument.meaning}")
        if self.names.mixes:
            yield from paragraph(
                f"  {MIXING}: the matrix (members, members) of which each member has a row."
            )
        if self.names.of_members:
            yield from paragraph(f"  {AXIS_NAME}: of the axis of members, which updates run along.")
        if self.names.noise:
            yield from paragraph("  key: of the noise; a key of `jax.random`, or a seed.")
        if self.others:
            names = ", ".join(self.names.bases[h.name] for h in self.others)
            yield from paragraph(
                f"  {names}: as in the program above; for schedules use"
                " `optax.inject_hyperparams(..., hyperparam_dtype=jnp.float32)`, because without a"
                " dtype it rounds them to that of the parameters."
            )
        if self.names.has_large_state:
            yield from paragraph(
                '  state_dtype: the dtype of tensors in the state, as in `state_dtype="bfloat16"`.'
                " None means that of their parameter, but float32 for half precision, where small"
                " changes of an average round away: such a tensor takes twice the memory of its"
                " parameter."
            )
        yield '    """'

    def init(self) -> Iterator[str]:
        if self.others:
            names = ", ".join(self.names.bases[h.name] for h in self.others)
            defaults = ", ".join(format_number(h.default) for h in self.others)
            if len(self.others) == 1:
                yield f"{names} = _unrounded({names}, {defaults})"
            else:
                yield from wrapped(
                    f"{names} = ", f"map(_unrounded, ({names}), ({defaults}))", "", 96
                )
            yield ""
        yield f"def init_fn(params: optax.Params) -> {self.names.state_class}:"
        if not is_linear(self.origin_program):
            yield "    _refuse_complex(params)"
        if self.names.has_large_state:
            yield "    params = _in_state_dtype(params, state_dtype)"
        yield f"    return {self.names.state_class}("
        yield "        count=jnp.zeros([], jnp.int32),"
        if self.names.noise:
            yield f"        {RNG_KEY}=_as_key(key),"
        for s in self.program.state:
            yield f"        {self.names.bases[s.name]}={self.start(s)},"
        if self.names.eval_field == OWN_EVAL_FIELD:
            yield f"        {OWN_EVAL_FIELD}=jax.tree.map(jnp.copy, params),"
        yield from (f"        {name}=jnp.asarray({name}, float)," for name in self.names.recorded)
        yield "    )"

    def start(self, state: State) -> str:
        """The expression of a state's start value."""
        kind = self.plan.values[f"{state.name}@0"].kind
        if isinstance(state.init, str):  # w, the only name accepted
            return "jax.tree.map(jnp.copy, params)"
        if kind is Kind.TENSOR and state.init == 0:
            return "optax.tree.zeros_like(params)"
        number = format_number(state.init)
        if kind is Kind.TENSOR:
            return f"optax.tree.full_like(params, {number})"
        if kind in (Kind.SCALAR, Kind.LAYER):
            array = f"jnp.asarray({number}, float)"
            return array if kind is Kind.SCALAR else f"_per_leaf(lambda _: {array}, params)"
        like = f"shape={shape_text(kind, 'p')}"
        array = f"full_like(p, {number}, {like})" if state.init else f"zeros_like(p, {like})"
        return f"_per_leaf(lambda p: jnp.{array}, params)"


def _default(row: Input) -> str:
    """What follows an argument's type. A tensor's default is that of each leaf."""
    if row.default is None:
        return ""
    return f" = {format_number(row.default) if row.kind is Kind.SCALAR else None}"
