"""The update function of an exported Optax file."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from ....inputs import INPUTS, arguments
from ....kinds import Kind
from ....program import LEARNING_RATE, Program
from .helpers import shape_text
from .jax_text import Text, as_float, extent_text, to_text
from .names import AXIS_NAME, LOSS, OWN_EVAL_FIELD, RNG_KEY, Names
from .naming import bracketed, filled, indented, wrapped
from .phases import GRADIENT, Value

# Optax's own words (`optax._src.base.NO_PARAMS_MSG`), which it does not export.
_NO_PARAMS = (
    "You are using a transformation that requires the current value of parameters,",
    " but you are not passing `params` when calling `update`.",
)
# What Optax itself hands to an update.
_OWN = {"w": "params", "g": "updates", "t": "count"}
# What the axis of members says; a sum of the number 1 is a number.
_OF_AXIS = {
    "member": f"jax.lax.axis_index({AXIS_NAME})",
    "members": f"jax.lax.psum(1, {AXIS_NAME})",
}
_WIDTH = 92  # of a line in the function, which is itself indented by 8


class UpdateFunction:
    """Writes `update_fn(updates, state, params)`."""

    def __init__(self, program: Program, names: Names) -> None:
        self.program = program
        self.plan = names.plan
        self.names = names
        self.of = names.of
        self.texts = dict(names.texts)

    def lines(self) -> Iterator[str]:
        yield "def update_fn("
        yield "    updates: optax.Updates,"
        yield f"    state: {self.names.state_class},"
        yield "    params: optax.Params | None = None,"
        further = arguments(self.program, of_update=True)
        oracles = self.names.oracles
        yield from ["    *,"] if further or oracles else []
        yield from (f"    {a.name}: {a.type} | None = None," for _, a in further)
        if oracles:
            yield f"    {LOSS}: Callable[[Any], jax.Array] | None = None,"
        for name in dict.fromkeys(row.oracle.instead for row in oracles):
            yield f"    {name}: Callable[..., Any] | None = None,"
        yield "    **extra_args: Any,"
        yield f") -> tuple[optax.Updates, {self.names.state_class}]:"
        yield from indented(4, self.body())

    def body(self) -> Iterator[str]:
        yield "del extra_args"
        if self.names.needs_params:
            yield from _refuse_none("params", *_NO_PARAMS)
        for _, argument in arguments(self.program, of_update=True):
            yield from _refuse_none(
                argument.name,
                f"{self.names.rule} reads {argument.meaning}; pass it, as in",
                f" `update(grads, state, params, {argument.name}={argument.example})`.",
            )
        for row in self.names.oracles:
            message = (
                f"{self.names.rule} calls {row.name}, {row.oracle.meaning}; pass the loss, as in"
                f" `update(grads, state, params, {LOSS}=lambda p: loss(p, batch))`,"
                f" or `{row.oracle.instead}`."
            )
            first, *rest = textwrap.wrap(message, 76)
            parts = [first, *(f" {part}" for part in rest)]
            yield from _refuse(f"{LOSS} is None and {row.oracle.instead} is None", *parts)
        yield "count = optax.safe_increment(state.count)"
        yield from self.scalar_inputs()
        yield from self.tensor_inputs()
        yield from self.noise()
        for phase in range(self.plan.phases):
            for value in self.plan.whole(phase):
                yield from self.whole(value)
            yield from self.leaf_phase(phase)
        yield from self.returns()

    def scalar_inputs(self) -> Iterator[str]:
        # `float` is float64 in 64-bit mode and float32 otherwise.
        for name, row in INPUTS.items():
            if row.kind is Kind.SCALAR and self.names.reads(name):
                source = row.argument.name if row.argument else {**_OWN, **_OF_AXIS}[name]
                yield f"{self.of[f'{name}@0']} = jnp.asarray({source}, float)"
        if not self.names.has_rate or self.names.reads(LEARNING_RATE):
            yield (
                f"{self.names.rate} = learning_rate(state.count)"
                " if callable(learning_rate) else learning_rate"
            )

    def tensor_inputs(self) -> Iterator[str]:
        """The lists of leaves, from trees like the parameters and from tuples."""
        own = {f"{s.name}@0": f"state.{self.names.bases[s.name]}" for s in self.program.state}
        sources = {f"{name}@0": source for name, source in _OWN.items()} | own
        # What the user made comes last; the first tree says what the others must look like.
        given = {
            f"{row.name}@0": (row, argument)
            for of_update in (False, True)
            for row, argument in arguments(self.program, of_update=of_update)
            if row.kind is not Kind.SCALAR and self.names.reads(row.name)
        }
        read = self.names.read | ({GRADIENT} if given or self.names.noise else set())
        found = [self.plan.values[i] for i in self.plan.start if i in read and i in sources]
        found = [v for v in found if v.has_leaves]
        trees = [v.id for v in found if v.kind is Kind.TENSOR]
        trees += [i for i, (row, _) in given.items() if row.default is None]
        sources |= {i: argument.name for i, (_, argument) in given.items()}
        for ids in (trees, [v.id for v in found if v.kind is not Kind.TENSOR]):
            if ids:
                left = ", ".join(self.list_of(i) for i in ids)
                left = left if len(ids) > 1 else f"({left},)"
                right = f"_leaves({', '.join(sources[i] for i in ids)})"
                yield from wrapped(f"{left} = ", right, "", _WIDTH)
        for i, (row, argument) in given.items():
            if row.default is not None:
                leaf = "jnp.ones([])" if row.default == 1 else f"jnp.full([], {row.default})"
                usual = f"[{leaf} for _ in {self.of[GRADIENT]}]"
                leaves = f"_leaves(updates, {argument.name})[1]"
                yield f"{self.of[i]} = {usual} if {argument.name} is None else {leaves}"

    def noise(self) -> Iterator[str]:
        """New keys, and a list of leaves for each input that is noise."""
        if not self.names.noise:
            return
        keys = ", ".join([RNG_KEY, *(f"{name}_key" for name in self.names.noise)])
        count = 1 + len(self.names.noise)
        yield f"{keys} = jax.random.split(state.{RNG_KEY}, {count})"
        for name, noise in self.names.noise.items():
            like = self.list_of(GRADIENT)
            key = f"jax.random.{noise.sampler}, {name}_key"
            own = INPUTS[name].own
            draw = f"_own_noise({key}, {AXIS_NAME}, {like})" if own else f"_noise({key}, {like})"
            yield from wrapped(f"{self.of[f'{name}@0']} = ", draw, "", _WIDTH)

    def list_of(self, i: str) -> str:
        """The name of the list of a value's leaves, each of which has the value's own name."""
        return self.names.lists.get(i, self.of[i])

    def whole(self, value: Value) -> Iterator[str]:
        """`name = expression`, of a number for the whole model or of a list of leaves."""
        assert value.expr is not None
        text = as_float(value.expr, self.texts)
        name = self.of[value.id]
        self.texts[value.id] = Text(name, plain=text.plain)
        yield from wrapped(f"{name} = ", text.text, "", _WIDTH)

    def leafwise(self, value: Value, *, leaves: bool) -> str:
        """The right-hand side, of a value that there is for each parameter.

        Args:
          value: the value.
          leaves: whether it leaves the pass over the parameters and so must be an array.
        """
        assert value.expr is not None
        text = to_text(value.expr, self.texts)
        if value.broadcast and value.kind is not Kind.LAYER:
            shape = shape_text(value.kind, self.of[GRADIENT])
            return f"jnp.broadcast_to({text.text}, {shape})"
        if value.broadcast or (leaves and text.plain):
            return f"jnp.asarray({extent_text(value.expr, self.texts) or text.text}, float)"
        self.texts[value.id] = Text(self.of[value.id], plain=text.plain)
        return text.text

    def leaf_phase(self, phase: int) -> Iterator[str]:
        """One pass over the parameters."""
        outputs = self.plan.outputs(phase)
        if not outputs:
            return
        values = self.plan.leafwise(phase)
        given = ", ".join(self.of[i] for i in self.plan.inputs(phase))
        lists = ", ".join(self.list_of(i) for i in self.plan.inputs(phase))
        results = ", ".join(self.of[i] for i in outputs)
        if len(values) == 1:
            function = f"lambda {given}: {self.leafwise(values[0], leaves=True)}"
            line = f"{results} = jax.tree.map({function}, {lists})"
            if len(line) <= _WIDTH:
                yield line
                return
        function = "update_leaf" if self.plan.result in outputs else "prepare_leaf"
        yield ""
        yield from bracketed(f"def {function}(", given, "):", "", _WIDTH)
        for value in values:
            text = self.leafwise(value, leaves=value.id in outputs)
            yield from wrapped(f"{self.of[value.id]} = ", text, "    ", _WIDTH)
        yield from wrapped("return ", results, "    ", _WIDTH)
        yield ""
        if len(outputs) == 1:
            call, arguments = "jax.tree.map(", f"{function}, {lists}"
        else:
            call, arguments = "_map_leaves(", f"{function}, {len(outputs)}, {lists}"
        if len(f"{results} = {call}{arguments})") <= _WIDTH:
            yield f"{results} = {call}{arguments})"
        else:
            yield from bracketed("(", results, f") = {call}", "", _WIDTH)
            yield from [*filled(arguments, "    ", _WIDTH), ")"]

    def returns(self) -> Iterator[str]:
        factor = "-1" if self.names.has_rate else f"-{self.names.rate}"
        yield "# The program's result is subtracted; Optax adds updates."
        yield f"new_updates = optax.tree.scale({factor}, {self.of[self.plan.result]})"
        fields = ["count=count", *([f"{RNG_KEY}={RNG_KEY}"] if self.names.noise else [])]
        fields += self.next_states()
        line = f"new_state = {self.names.state_class}({', '.join(fields)})"
        if len(line) <= _WIDTH:
            yield line
        else:
            yield f"new_state = {self.names.state_class}("
            yield from (f"    {f}," for f in fields)
            yield ")"
        like = "params" if self.names.needs_params else "updates"
        yield f"return _like({like}, new_updates), _like(state, new_state)"

    def next_states(self) -> Iterator[str]:
        for name, i in self.plan.next_state.items():
            base = self.names.bases[name]
            yield f"{base}=state.{base}" if i == f"{name}@0" else f"{base}={self.of[i]}"
        yield from (f"{name}={name}" for name in self.names.recorded)
        if self.names.eval_field == OWN_EVAL_FIELD and self.plan.eval_w is not None:
            yield f"{OWN_EVAL_FIELD}={self.of[self.plan.eval_w]}"


def _refuse_none(argument: str, *message: str) -> Iterator[str]:
    yield from _refuse(f"{argument} is None", *message)


def _refuse(condition: str, *message: str) -> Iterator[str]:
    yield f"if {condition}:"
    yield "    raise ValueError("
    yield from (f'        "{part}"' for part in message)
    yield "    )"
