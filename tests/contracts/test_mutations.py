"""What every mutation keeps, and that a further one is one file."""

from __future__ import annotations

import dataclasses
import random
from contextlib import closing
from pathlib import Path

import pytest
from asking import ask, init, tell
from evoptax.dsl.errors import ProgramError
from evoptax.dsl.syntax import check, format_program, parse
from evoptax.known_algorithms.catalogue import get_known
from evoptax.search.config.files import config_from_dict
from evoptax.search.config.settings import SearchConfig
from evoptax.search.mutation import operators as folder
from evoptax.search.mutation.base import Mutation, Space, mutations, usual_weights
from evoptax.search.mutation.mutate import mutate
from evoptax.search.store.ledger import create
from evoptax.search.store.runs import stored_config

PARENTS = [
    get_known(name).program for name in ("sgd", "adamw", "lion", "lars", "schedule_free_sgd")
]
DRAWS = 60
SPACE = Space(donors=(get_known("adabelief").program,), mates=(get_known("adan").program,))


@pytest.fixture(params=mutations(), ids=lambda mutation: mutation.name)
def mutation(request: pytest.FixtureRequest) -> Mutation:
    found: Mutation = request.param
    return found


def test_it_gives_well_formed_children(mutation: Mutation) -> None:
    children = 0
    for parent in PARENTS:
        before = format_program(parent)
        for seed in range(DRAWS):
            draft = mutation.apply(parent, random.Random(seed), SPACE)
            if draft is None:
                continue
            try:
                check(draft.program)
            except ProgramError:
                continue
            children += 1
            assert parse(format_program(draft.program)) == draft.program
            words = draft.describe()
            assert words.isprintable() and 0 < len(words) < 200
        assert format_program(parent) == before
    assert children > len(PARENTS) * DRAWS / 10


def test_it_depends_on_its_random_numbers_alone(mutation: Mutation) -> None:
    for parent in PARENTS:
        for seed in range(DRAWS):
            first, second = (mutation.apply(parent, random.Random(seed), SPACE) for _ in "ab")
            assert (first and first.program) == (second and second.program)


def test_it_can_be_the_only_one(mutation: Mutation) -> None:
    space = dataclasses.replace(SPACE, weights={mutation.name: 1.0})
    assert [m.name for m in space.drawn_mutations[0]] == [mutation.name]
    assert any(mutate(parent, random.Random(1), space) for parent in PARENTS)


def test_it_is_in_the_configuration(mutation: Mutation) -> None:
    assert SearchConfig().evolution.weights[mutation.name] == mutation.weight > 0
    config = config_from_dict({"evolution": {"weights": {mutation.name: 0}}})
    left = [m.name for m in config.evolution.space.drawn_mutations[0]]
    assert left == [m.name for m in mutations() if m.name != mutation.name]


def test_what_is_drawn_does_not_depend_on_the_order_in_which_weights_are_written() -> None:
    forth, back = Space(), Space()
    back = dataclasses.replace(
        back,
        weights=dict(reversed(forth.weights.items())),
        primitives=dict(reversed(forth.primitives.items())),
    )
    for seed in range(DRAWS):
        children = [mutate(PARENTS[1], random.Random(seed), space) for space in (forth, back)]
        assert children[0] == children[1]


def test_primitives_of_weight_0_are_not_written() -> None:
    space = Space(primitives={"tanh": 1.0, "add": 2.0})
    written = set()
    for seed in range(300):
        mutated = mutate(PARENTS[0], random.Random(seed), space)
        assert mutated is not None
        written |= set(format_program(mutated.program).replace("(", " ").split()) & {"tanh", "sqrt"}
    assert written == {"tanh"}


def test_a_run_keeps_its_own_weights(tmp_path: Path) -> None:
    """What is added later to the tables is not drawn in a run that was started before."""
    few = {"evolution": {"weights": {"insert": 2.0}, "primitives": {"add": 1.0}}}
    with closing(create(tmp_path / "new.sqlite", {"config": few})) as new:
        evolution = stored_config(new).evolution
        assert (evolution.weights, evolution.primitives) == ({"insert": 2.0}, {"add": 1.0})
    # One that was started before they were part of the configuration.
    before = {"evolution": {"batch": 3}}
    with closing(create(tmp_path / "old.sqlite", {"config": before})) as old:
        assert stored_config(old).evolution.weights == usual_weights()


TOY = """
from evoptax.dsl.program import Call, Program
from evoptax.search.mutation.base import Draft, Mutation, changed


def swap(program, rng, space):
    result = program.result
    if type(result) is not Call or len(result.args) != 2:
        return None
    swapped = Call(result.primitive, result.args[::-1])
    return Draft(changed(program, swapped, result=swapped), lambda: "swap the result", swapped)


MUTATIONS = (Mutation("swap", 1.0, swap),)
"""


def test_a_further_mutation_is_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "swapping.py").write_text(TOY)
    monkeypatch.setattr(folder, "__path__", [*folder.__path__, str(tmp_path)])
    (toy,) = (m for m in mutations() if m.name == "swap")
    test_it_gives_well_formed_children(toy)
    test_it_depends_on_its_random_numbers_alone(toy)
    test_it_can_be_the_only_one(toy)
    test_it_is_in_the_configuration(toy)
    # A search draws it.
    weights = dict.fromkeys(usual_weights(), 0.0) | {"swap": 1.0}
    settings = config_from_dict({"evolution": {"weights": weights}}).evolution
    state = init(0, settings, [get_known("adamw").program])
    state = tell(state, {0: 0.0})
    batch, _ = ask(state, 1)
    assert batch and all("swap the result" in proposal.change for proposal in batch)
