"""What everything is called in the Optax file of a program."""

from __future__ import annotations

from collections.abc import Sequence

from ....inputs import INPUTS, noise_of
from ....kinds import Kind
from ....members import is_of_members
from ....oracles import ORACLES, combined_by, oracles_of
from ....program import LEARNING_RATE, Program
from .helpers import HELPERS
from .jax_text import Text, name_values
from .naming import FreshNames, camel_case
from .phases import plan

# The argument of an update that is the loss of the minibatch, a function of the weights.
LOSS = "obj_fn"
# The arguments that name the axis of members, and their mixing matrix.
AXIS_NAME, MIXING = "axis_name", "mixing"
# The field of the state that noise is drawn from.
RNG_KEY = "rng_key"
# Arguments that are called as the input itself, and so are a variable of the program: trees.
_KEPT = [row.name for row in INPUTS.values() if row.argument and row.argument.name == row.name]
_KEPT = [name for name in _KEPT if INPUTS[name].kind is not Kind.SCALAR]
# What the generated file uses itself.
_RESERVED = (
    *("jax", "jnp", "optax", "Any", "NamedTuple", *HELPERS),
    *(
        "init_fn",
        "update_fn",
        "update_leaf",
        "prepare_leaf",
        "learning_rate",
        "state_dtype",
    ),
    *("state", "new_state", "updates", "new_updates", "params", "extra_args", "count"),
    *(
        row.argument.name
        for name, row in INPUTS.items()
        if row.argument and name not in _KEPT and not row.of_members
    ),
    *(f"{name}_leaves" for name in _KEPT),
    *("Callable", LOSS, *(row.oracle.instead for row in ORACLES)),
    *("key", RNG_KEY, *(f"{name}_key" for name, row in INPUTS.items() if row.noise)),
)
# The same in the file of a program of members.
_RESERVED_OF_MEMBERS = (
    *(AXIS_NAME, MIXING),
    *(row.argument.name for row in INPUTS.values() if row.argument and row.of_members),
)
# Reserved in programs, so that no state has this name.
OWN_EVAL_FIELD = "eval_w"


def rule_name(program: Program) -> str:
    """The name of the function that the file of a program defines."""
    return FreshNames(_RESERVED).safe(program.name)


class Names:
    """The plan of a program and the names in its file.

    Attributes:
      program: the rule.
      plan: its order of work.
      rule: the function.
      state_class: the class of its state.
      bases: by variable of the program, its name in the file where nothing stands against it.
      of: by value id, the name or text that stands for it.
      texts: the same for `to_text`, which needs to know more.
      lists: by value id, the name of the list of its leaves where that is another.
      rate: the learning rate of the step.
      has_rate: whether the program has a learning rate of its own.
      read: the ids of all values that something reads.
      oracles: the rows of those that the program calls. noise: what it reads of noise, by input.
      of_members: whether it is of members. mixes: whether it needs their mixing matrix.
      needs_params: whether a step reads the weights, or asks about the loss there.
      eval_field: the field of the state that holds the evaluation point: one that starts as w and
        always holds it, or a field of its own; empty if the program assigns none.
      recorded: the hyperparameters that the state records, for the evaluation.
      has_large_state: whether the state holds more than numbers for a parameter or the model.

    Args:
      program: the rule.
      recorded: names of hyperparameters in the program.
    """

    def __init__(self, program: Program, recorded: Sequence[str] = ()) -> None:
        self.program = program
        self.plan = plan(program)
        self.rule = rule_name(program)
        self.state_class = f"{camel_case(self.rule)}State"
        self.has_rate = LEARNING_RATE in program.defaults
        values = self.plan.values
        self.read = {i for v in values.values() for i in v.reads} | {self.plan.result}
        self.read |= {self.plan.eval_w} if self.plan.eval_w else set()
        self.oracles = oracles_of(program)
        self.noise = noise_of(program)
        self.of_members = is_of_members(program)
        self.mixes = any(row.name == "mix_members" for row in combined_by(program))
        self.needs_params = self.reads("w") or bool(self.oracles)

        # Parameters of the function, which are never assigned inside the update.
        kept = [name for name in program.inputs if name in _KEPT]
        reserved = [*_RESERVED, *(_RESERVED_OF_MEMBERS if self.of_members else ())]
        fresh = FreshNames([*reserved, self.state_class, *kept])
        states = [s.name for s in program.state]
        variables = [*program.inputs, *states, *program.defaults, "g"]
        variables += [s.target for s in program.body]
        self.bases = {name: fresh.safe(name) for name in dict.fromkeys(variables)}
        self.rate = self.bases[LEARNING_RATE] if self.has_rate else fresh.numbered("lr")
        given = {f"{h}@0": self.bases[h] for h in program.defaults}
        given |= {f"{name}@0": name for name in kept}
        scalars = [s for s in states if values[f"{s}@0"].kind is Kind.SCALAR]
        given |= {f"{s}@0": f"state.{self.bases[s]}" for s in scalars}
        self.lists = {f"{name}@0": f"{name}_leaves" for name in kept if self.reads(name)}
        self.of = name_values(self.plan, given, self.bases, fresh)
        hyperparameters = {f"{h}@0" for h in program.defaults}
        self.texts = {i: Text(name, plain=i in hyperparameters) for i, name in self.of.items()}
        kinds = {values[f"{s}@0"].kind for s in states} - {Kind.SCALAR, Kind.LAYER}
        self.has_large_state = bool(kinds) or self.plan.eval_w is not None
        self.recorded = [self.bases[name] for name in recorded]
        self.eval_field = self._eval_field()

    def reads(self, name: str) -> bool:
        """Whether a step reads the input of this name; a program may assign the name to another."""
        return f"{name}@0" in self.plan.start and f"{name}@0" in self.read

    def _eval_field(self) -> str:
        if self.plan.eval_w is None:
            return ""
        for state in self.program.state:
            starts_as_w = isinstance(state.init, str)
            if starts_as_w and self.plan.next_state[state.name] == self.plan.eval_w:
                return self.bases[state.name]
        return OWN_EVAL_FIELD
