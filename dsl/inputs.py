"""The inputs: one row each.

A row holds everything the rest of evoptax knows about an input: its name and kind, what it means,
who gives it, what it is where nobody does, and how an exported rule is given it. A new input is one
row here, and whoever gives it. What is not given and has no default is refused in one sentence that
is made of the row.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from .kinds import Kind
from .oracles import asked_of_others
from .primitive import CORE, ORACLE
from .program import Program
from .sources import EVERYWHERE
from .sources import Source as Source


@dataclass(frozen=True, slots=True)
class Argument:
    """How the user of an exported Optax rule gives an input.

    Attributes:
      name: of the argument.
      meaning: its line in the docstring, or of what is raised where an update lacks it.
      type: its annotation.
      example: what the example of use passes.
      of_update: whether each update is given it, and not the function that makes the rule.
    """

    name: str
    meaning: str
    type: str
    example: str
    of_update: bool = False


@dataclass(frozen=True, slots=True)
class Noise:
    """How noise is drawn: at each step, number by number, each independent of all others.

    Attributes:
      sampler: the function of jax.random.
      numpy: `numpy(rng, shape)`, the same in NumPy.
    """

    sampler: str
    numpy: Callable[[Any, tuple[int, ...]], Any]


@dataclass(frozen=True, slots=True)
class Input:
    """One input of the language.

    Attributes:
      name: reserved in programs.
      kind: of its value.
      meaning: a noun phrase. use: what a rule that reads it does; empty where "reads it" says all.
      given_by: the sources that provide it.
      default: its value, of every tensor, where nobody gives one; None where there is none.
      known_ahead: whether its value at every step is known before the first.
      positive: whether it is positive at every step.
      grammar: in which grammar of the search mutations may read it first, as in
        `primitive.Primitive`; empty if they never do.
      argument: of an exported Optax rule; None for what Optax hands over itself.
      noise: of what is drawn; None for all else. In training it depends on the seed, the step and
        the input's name, and is the same for every learning rate.
      labels: of a label that a task may give each tensor, the values that it takes; empty for all
        else.
      own: whether each member has its own; the others are the same for all members.
      of_members: whether only programs of members read it.
    """

    name: str
    kind: Kind
    meaning: str
    given_by: frozenset[Source]
    use: str = ""
    default: float | None = None
    known_ahead: bool = False
    positive: bool = False
    grammar: str = ""
    argument: Argument | None = None
    noise: Noise | None = None
    labels: tuple[float, ...] = ()
    own: bool = False
    of_members: bool = False

    def lack(self, which: str) -> str:
        """What is said of a rule that reads it where it is missing: a sentence but its subject."""
        use = self.use or f"reads '{self.name}', {self.meaning}"
        return f"{use}, which {which}"


_DRAWN = EVERYWHERE - {Source.TRACES}
# Traces have the default alone.
_LABELLED = EVERYWHERE - {Source.TRACES}
_MEMBERS = EVERYWHERE - {Source.TRACES, Source.MACHINE}
_NORMAL = Noise("normal", lambda rng, shape: rng.standard_normal(shape))

_ROWS = (
    Input("w", Kind.TENSOR, "the weights", EVERYWHERE, grammar=CORE, own=True),
    Input(
        "g",
        Kind.TENSOR,
        "the gradient of the minibatch loss at w",
        EVERYWHERE,
        grammar=CORE,
        own=True,
    ),
    Input(
        "t",
        Kind.SCALAR,
        "the number of the step, from 1",
        EVERYWHERE,
        known_ahead=True,
        positive=True,
        grammar=CORE,
    ),
    Input(
        "T",
        Kind.SCALAR,
        "the total number of steps",
        EVERYWHERE,
        known_ahead=True,
        positive=True,
        grammar=CORE,
        argument=Argument(
            "total_steps",
            "the steps of the whole training.",
            "jax.typing.ArrayLike",
            "10_000",
        ),
    ),
    Input(
        "B",
        Kind.SCALAR,
        "the number of examples in a minibatch",
        frozenset({Source.EXPORT}),
        known_ahead=True,
        positive=True,
        argument=Argument(
            "batch_size", "the examples in a minibatch.", "jax.typing.ArrayLike", "32"
        ),
    ),
    Input(
        "loss",
        Kind.SCALAR,
        "the minibatch loss at w",
        EVERYWHERE - {Source.TRACES},
        grammar=CORE,
        own=True,
        argument=Argument(
            "value", "the loss of the minibatch", "jax.typing.ArrayLike", "loss", of_update=True
        ),
    ),
    Input(
        "role",
        Kind.LAYER,
        "1 for tensors of the minimizing player of a game and -1 for the other's",
        _LABELLED,
        default=1.0,
        known_ahead=True,
        grammar=ORACLE,
        argument=Argument(
            "roles",
            "in a game, 1 for each parameter of the minimizing player and -1 for those of the"
            " other, in a tree like the parameters; None if all minimize.",
            "Any",
            "roles",
        ),
        labels=(1.0, -1.0),
    ),
    Input(
        "group",
        Kind.LAYER,
        "0 for tensors of hidden layers, 1 for embeddings, 2 for the layer of the outputs",
        _LABELLED,
        default=0.0,
        known_ahead=True,
        grammar=ORACLE,
        argument=Argument(
            "groups",
            "0 for each parameter of a hidden layer, 1 for embeddings and 2 for the layer of the"
            " outputs, in a tree like the parameters; None if all are hidden.",
            "Any",
            "groups",
        ),
        labels=(0.0, 1.0, 2.0),
    ),
    # The residual A w - b of that system is g.
    Input(
        "A",
        Kind.ROW_GRAM,
        "the matrix of a linear system A w = b",
        frozenset({Source.EXPORT}),
        use="solves linear systems A w = b",
        known_ahead=True,
        argument=Argument(
            "A",
            "for each parameter the square matrix of its linear system, in a tree like the"
            " parameters.",
            "Any",
            "matrices",
        ),
    ),
    Input(
        "normal",
        Kind.TENSOR,
        "standard normal noise",
        _DRAWN,
        grammar=ORACLE,
        noise=_NORMAL,
    ),
    Input(
        "uniform",
        Kind.TENSOR,
        "uniform noise between 0 and 1",
        _DRAWN,
        grammar=ORACLE,
        noise=Noise("uniform", lambda rng, shape: rng.uniform(size=shape)),
    ),
    Input(
        "rademacher",
        Kind.TENSOR,
        "noise that is 1 or -1",
        _DRAWN,
        grammar=ORACLE,
        noise=Noise("rademacher", lambda rng, shape: 2.0 * (rng.uniform(size=shape) < 0.5) - 1.0),
    ),
    # What members have; see `members`.
    Input(
        "own_normal",
        Kind.TENSOR,
        "standard normal noise of the member's own",
        _MEMBERS,
        noise=_NORMAL,
        own=True,
        of_members=True,
    ),
    Input(
        "member",
        Kind.SCALAR,
        "the number of the member, from 0",
        _MEMBERS,
        known_ahead=True,
        own=True,
        of_members=True,
    ),
    Input(
        "members",
        Kind.SCALAR,
        "the number of members",
        _MEMBERS,
        known_ahead=True,
        positive=True,
        of_members=True,
    ),
    Input(
        "share",
        Kind.SCALAR,
        "the member's part of all data",
        _MEMBERS,
        own=True,
        of_members=True,
        argument=Argument(
            "share",
            "the member's part of all data",
            "jax.typing.ArrayLike",
            "share",
            of_update=True,
        ),
    ),
    Input(
        "arrived",
        Kind.SCALAR,
        "1 if what the member sends arrives in this step, else 0",
        _MEMBERS,
        own=True,
        of_members=True,
        argument=Argument(
            "arrived",
            "1 if what the member sends arrives in this step, else 0",
            "jax.typing.ArrayLike",
            "arrived",
            of_update=True,
        ),
    ),
    Input(
        "feedback",
        Kind.SCALAR,
        "what the member is told in this step",
        frozenset({Source.EXPORT}),
        own=True,
        of_members=True,
        argument=Argument(
            "feedback",
            "what the member is told in this step",
            "jax.typing.ArrayLike",
            "feedback",
            of_update=True,
        ),
    ),
    Input(
        "fisher",
        Kind.TENSOR,
        "the diagonal Fisher information at w",
        frozenset({Source.EXPORT}),
        own=True,
        argument=Argument(
            "fisher",
            "the diagonal Fisher information, in a tree like the parameters",
            "Any",
            "fisher",
            of_update=True,
        ),
    ),
)

INPUTS: Mapping[str, Input] = MappingProxyType({row.name: row for row in _ROWS})
KINDS: Mapping[str, Kind] = MappingProxyType({row.name: row.kind for row in _ROWS})
# What a task may label its tensors with, by functions of these names.
LABELS: tuple[str, ...] = tuple(row.name for row in _ROWS if row.labels)
# They stay in a signature though nothing reads them: they are how a rule is called.
ALWAYS = ("w", "g")


def given(source: Source, kind: Kind | None = None) -> tuple[str, ...]:
    """The inputs that a source has, of some kind or of all."""
    return tuple(
        row.name for row in _ROWS if source in row.given_by and (kind is None or row.kind is kind)
    )


def arguments(program: Program, *, of_update: bool = False) -> list[tuple[Input, Argument]]:
    """What the user of an exported Optax rule gives it, required arguments first."""
    rows = [INPUTS[name] for name in program.inputs]
    found = [
        (row, row.argument)
        for row in rows
        if row.argument is not None and row.argument.of_update is of_update
    ]
    return sorted(found, key=lambda pair: pair[0].default is not None)


def noise_of(program: Program) -> dict[str, Noise]:
    """The noise that a program reads, by the name of the input."""
    rows = (INPUTS[name] for name in program.inputs)
    return {row.name: row.noise for row in rows if row.noise is not None}


def labels_for(name: str, count: int, first: int = 1) -> tuple[float, ...]:
    """One label for each of `count` tensors, in turn, to try rules on."""
    accepted = INPUTS[name].labels
    return tuple(accepted[(first + i) % len(accepted)] for i in range(count))


def in_order(names: Container[str]) -> tuple[str, ...]:
    """Those inputs that are among some names, in the order of the table."""
    return tuple(name for name in INPUTS if name in names)


def refusal(program: Program, source: Source) -> str | None:
    """Why a rule cannot run where a source gives inputs and oracles: a sentence but its subject.

    None where it can: each of its inputs is given, or has a default, and so is each oracle, and
    there are members if it combines what they hold.
    """
    if program.is_schedule and source is not Source.EXPORT:
        return "is a schedule, which other rules multiply learning rates by, and trains nothing"
    lacks = [
        row.lack(source.value)
        for row in asked_of_others(program)
        if source not in (row.asks or row.combination).given_by
    ]
    return missing(program, given(source), source.value) or next(iter(lacks), None)


def missing(program: Program, available: Container[str], which: str) -> str | None:
    """The same where the inputs of some names are available; `which` is the sentence's end."""
    for name in program.inputs:
        row = INPUTS[name]
        if name not in available and row.default is None:
            return row.lack(which)
    return None
