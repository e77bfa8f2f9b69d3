"""Ask and tell: pure, repeatable, and the same trace on every machine."""

from __future__ import annotations

import json
import math
import random
import sys
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from statistics import median
from types import FrameType

import pytest
from asking import ask, init, next_round, should_ask, tell
from evoptax.dsl.algebra import terms
from evoptax.dsl.algebra.canonical import program_digest
from evoptax.dsl.program import Call, Program, subexpressions
from evoptax.dsl.syntax import check, format_program, parse
from evoptax.known_algorithms.catalogue import KNOWN, get_known
from evoptax.search.config.settings import Evolution
from evoptax.search.mutation.mutate import mutate
from evoptax.search.store.records import Proposal, Status
from evoptax.search.strategies.randomness import derive
from evoptax.search.strategies.regularized import BATCHES_IN_FLIGHT, round_is_over
from evoptax.search.strategies.state import Batch, SearchState

SETTINGS = Evolution(population=30, tournament=3, batch=5, round=0)
GOLDEN = Path(__file__).parent / "golden" / "search_trace.json"


def _start(seed: int = 0, settings: Evolution = SETTINGS) -> SearchState:
    return init(seed, settings, [get_known("adamw").program, get_known("sgd").program])


def _made_up_fitness(digest: str) -> float:
    """A fitness that needs no training and is the same everywhere; some candidates diverge."""
    value = int.from_bytes(blake2b(digest.encode(), digest_size=4).digest(), "big") / 2**32
    return math.inf if value > 0.9 else value


def _fitness(batch: Batch) -> dict[int, float]:
    return {p.ordinal: _made_up_fitness(p.digest) for p in batch if p.status.is_trained}


def _after_one_trial(proposal: Proposal) -> float:
    """What counts: the mean of what came out and of what its parent's fitness made expect."""
    value = _made_up_fitness(proposal.digest)
    return (value + proposal.expected) / 2 if math.isfinite(proposal.expected) else value


def _run(state: SearchState, rounds: int, harder: float = 0.0) -> tuple[SearchState, list[dict]]:
    """Tells this many batches, with as many in flight as the search keeps.

    In every second round all fitness is higher by `harder`.
    """
    trace = []
    for _ in range(rounds):
        while should_ask(state):
            _, state = ask(state)
        if round_is_over(state):
            state = next_round(state)
        batch = state.pending[0]
        more = harder * (state.round % 2)
        state = tell(state, {o: value + more for o, value in _fitness(batch).items()})
        for p in batch:
            trace.append(
                {
                    "ordinal": p.ordinal,
                    "parent": p.parent,
                    "change": p.change,
                    "digest": p.digest,
                    "status": p.status.value,
                    "reason": p.reason,
                    "duplicate_of": p.duplicate_of,
                }
            )
    return state, trace


def test_golden_trace() -> None:
    """Node by node. To renew after an intended change: EVOPTAX_RENEW_GOLDEN=1 pytest …"""
    import os

    _, trace = _run(_start(settings=replace(SETTINGS, round=20, islands=2)), 12)
    if os.environ.get("EVOPTAX_RENEW_GOLDEN"):
        GOLDEN.parent.mkdir(exist_ok=True)
        lines = ",\n".join(json.dumps(node, ensure_ascii=False) for node in trace)
        GOLDEN.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    for node, expected in zip(trace, golden, strict=True):
        assert node == expected
    statuses = {node["status"] for node in trace}
    assert statuses == {"new", "again", "duplicate", "rejected"}


def _content(state: SearchState) -> tuple:
    known = {p.digest for batch in state.pending for p in batch}
    known |= {i.digest for i in state.population}
    candidates = {digest: state.history.candidate(digest) for digest in known}
    fitness = {i.digest: state.history.fitness(i.candidate) for i in state.population}
    return state.islands, state.next_ordinal, state.pending, candidates, fitness, state.trained


def test_ask_and_tell_do_not_change_their_arguments() -> None:
    state, _ = _run(_start(), 3)
    before = _content(state)
    first, asked = ask(state)
    second, again = ask(state)
    assert first == second
    after_ask = _content(asked)
    assert after_ask == _content(again)
    oldest = asked.pending[0]
    told = tell(asked, dict.fromkeys(_fitness(oldest), 0.5))
    after_tell = _content(told)
    # Another future of the same state, in which everything turns out differently.
    other, _ = _run(tell(asked, dict.fromkeys(_fitness(oldest), 0.25)), 10)
    assert other.trained > told.trained
    assert (_content(state), _content(asked), _content(told)) == (before, after_ask, after_tell)
    ahead, _ = _run(told, 3)
    assert _content(ahead) == _content(_run(told, 3)[0])


def test_batches_are_told_in_the_order_in_which_they_were_asked() -> None:
    state, _ = _run(_start(), 2)
    assert len(state.pending) == BATCHES_IN_FLIGHT - 1
    first, state = ask(state)
    second, state = ask(state)
    assert state.pending[-2:] == (first, second)
    assert [p.ordinal for p in (*first, *second)] == list(
        range(first[0].ordinal, state.next_ordinal)
    )
    digests = [p.digest for p in (*first, *second) if p.status is Status.NEW]
    assert len(set(digests)) == len(digests), "a later batch knows the earlier one's candidates"
    while state.pending:
        waiting = state.pending
        state = tell(state, _fitness(waiting[0]))
        assert state.pending == waiting[1:]
    for proposal in (*first, *second):
        if proposal.status is Status.NEW:
            assert proposal.candidate is not None
            assert state.history.fitness(proposal.candidate) == _after_one_trial(proposal)
    with pytest.raises(ValueError, match="nothing is pending"):
        tell(state, {})


def test_duplicate_of_a_pending_candidate_gets_its_fitness() -> None:
    """Found by asking far ahead: most late proposals then repeat what is still pending."""
    state, _ = _run(_start(), 1)
    for _ in range(20):
        _, state = ask(state)
    pending = [p for batch in state.pending for p in batch]
    new = {p.ordinal: p for p in pending if p.status is Status.NEW}
    duplicates = [p for p in pending if p.status is Status.DUPLICATE and p.duplicate_of in new]
    assert duplicates
    while state.pending:
        state = tell(state, _fitness(state.pending[0]))
    living = {i.ordinal: i for i in state.population}
    for p in duplicates:
        duplicate_of = new[p.duplicate_of]
        assert p.candidate == duplicate_of.candidate == state.history.candidate(p.digest)
        if p.ordinal in living:
            assert living[p.ordinal].fitness == _after_one_trial(duplicate_of)


def test_nothing_is_bred_before_the_starters_are_told() -> None:
    state = _start()
    assert not should_ask(state)
    with pytest.raises(ValueError, match="before the starters or survivors are told"):
        ask(state)


def test_tell_wants_exactly_what_was_asked() -> None:
    state = _start()
    with pytest.raises(ValueError, match="asked for the fitness of"):
        tell(state, {})
    with pytest.raises(ValueError, match="asked for the fitness of"):
        tell(state, {0: 0.0, 1: 0.0, 2: 0.0})


def test_seeds_give_different_searches() -> None:
    assert _run(_start(0), 4)[1] != _run(_start(1), 4)[1]


def test_population_ages_and_fitness_is_shared_by_duplicates() -> None:
    state, trace = _run(_start(), 12)
    assert len(state.population) == SETTINGS.population
    ordinals = [individual.ordinal for individual in state.population]
    assert ordinals == sorted(ordinals)
    living = [n["ordinal"] for n in trace if n["status"] != "rejected"]
    assert ordinals == living[-SETTINGS.population :]
    parents = {n["ordinal"]: n["parent"] for n in trace}
    fitness = {}
    for node in trace:
        if node["status"] == "rejected":
            continue
        first = node["ordinal"] if node["status"] == "new" else node["duplicate_of"]
        value = _made_up_fitness(trace[first]["digest"])
        expected = fitness.get(parents[first], math.nan)
        fitness[node["ordinal"]] = (value + expected) / 2 if math.isfinite(expected) else value
    for individual in state.population:
        assert individual.fitness == fitness[individual.ordinal]
    assert state.trained == sum(n["status"] == "new" for n in trace)


def test_no_living_program_is_too_large() -> None:
    """Dead code makes duplicates, which take no training but must not grow either."""
    largest = get_known("adamw").program.size + 2
    settings = Evolution(population=30, batch=5, max_size=largest, round=0)
    state, trace = _run(init(0, settings, [get_known("adamw").program]), 60)
    assert max(individual.program.size for individual in state.population) == largest
    assert "too large" in {node["reason"] for node in trace}


def test_survivors_of_a_round_are_tried_again_and_the_mean_counts() -> None:
    settings = replace(SETTINGS, round=40, islands=2)
    state, _ = _run(_start(settings=settings), 1)
    while not round_is_over(state):
        state, _ = _run(state, 1) if state.pending else (ask(state)[1], [])
    before = [sorted(island, key=lambda i: i.fitness) for island in state.islands]
    state = next_round(state)
    (survivors,) = state.pending
    assert state.round == 1
    assert not should_ask(state)
    assert {p.status for p in survivors} <= {Status.AGAIN, Status.DUPLICATE}
    best = {island[0].candidate for island in before}
    assert best <= {p.candidate for p in survivors}
    count = len(survivors)
    assert count <= settings.population // 2 + settings.islands
    again = [p for p in survivors if p.status is Status.AGAIN]
    old = {p.candidate: state.fitness(p.candidate) for p in survivors}
    new = {p.candidate: old[p.candidate] + 0.05 + 0.01 * (-1) ** i for i, p in enumerate(again)}
    state = tell(state, {p.ordinal: new[p.candidate] for p in again})
    harder = median(new[p.candidate] - old[p.candidate] for p in again)
    for individual in state.population:
        earlier = old[individual.candidate] + harder
        # What was expected, and the first trial, count as two.
        assert individual.fitness == pytest.approx((2 * earlier + new[individual.candidate]) / 3)
    assert len(state.population) == count
    assert should_ask(state)


def test_that_a_round_is_harder_than_others_changes_nothing() -> None:
    """All of a round's fitness may be higher; nobody is preferred for that."""
    start = _start(settings=replace(SETTINGS, round=20, islands=2))
    state, trace = _run(start, 30, harder=0.03125)
    assert state.round >= 4
    assert trace == _run(start, 30)[1]


def test_a_search_starts_afresh_from_what_it_is_told_to() -> None:
    settings = replace(SETTINGS, round=30)
    state, _ = _run(_start(settings=settings), 1)
    while not round_is_over(state):
        state, _ = _run(state, 1)
    state = next_round(state, state.starters[:1])
    assert [p.candidate for p in state.pending[0]] == [state.starters[0].candidate]
    state = tell(state, {p.ordinal: 0.0 for p in state.pending[0]})
    batch, _ = ask(state)
    assert {p.parent for p in batch} == {state.population[0].ordinal}


def test_random_search_breeds_from_the_start_alone_and_tuning_changes_constants_alone() -> None:
    starters = {0, 1}
    state, trace = _run(_start(settings=replace(SETTINGS, strategy="random")), 6)
    assert {node["parent"] for node in trace} <= {None, *starters}
    state, _ = _run(_start(settings=replace(SETTINGS, strategy="tune")), 12)

    def shape(program: Program) -> list[str]:
        nodes = [e for root in program.expressions() for e in subexpressions(root)]
        return [e.primitive if isinstance(e, Call) else type(e).__name__ for e in nodes]

    shapes = {tuple(shape(get_known(name).program)) for name in ("adamw", "sgd")}
    assert {tuple(shape(i.program)) for i in state.population} <= shapes


def test_without_a_cache_what_comes_up_again_is_trained_again() -> None:
    _, trace = _run(_start(settings=replace(SETTINGS, cache=False)), 20)
    statuses = {node["status"] for node in trace}
    assert statuses == {"new", "again", "rejected"}


def test_inputs_that_are_not_to_be_read_are_not() -> None:
    settings = replace(SETTINGS, inputs=("w", "g"))
    state, _ = _run(_start(settings=settings), 30)
    assert not {"T", "loss"} & {name for i in state.population for name in i.program.inputs}


def test_most_limits_the_new_candidates() -> None:
    state, _ = _run(_start(), 1)
    proposals, _ = ask(state, most=2)
    assert sum(p.status is Status.NEW for p in proposals) == 2


def test_draws_depend_on_seed_ordinal_and_purpose_alone() -> None:
    draws = {derive(s, o, p).random() for s in (0, 1) for o in (0, 1) for p in ("a", "b")}
    assert len(draws) == 8
    assert derive(3, 7, "x").random() == derive(3, 7, "x").random()


@pytest.mark.parametrize("name", ["adamw", "lion", "amsgrad", "sgd"])
def test_mutations_are_well_formed_and_described(name: str) -> None:
    rng = random.Random(name)
    program = get_known(name).program
    same = changes = 0
    for step in range(300):
        mutated = mutate(program, rng)
        assert mutated is not None
        check(mutated.program)
        assert parse(format_program(mutated.program)) == mutated.program
        assert mutated.change
        same += mutated.program == program
        changes += program_digest(mutated.program) != program_digest(program)
        program = get_known(name).program if step % 10 == 0 else mutated.program
    assert same < 10
    assert changes > 120, "most mutations do something"


def test_mutations_reach_every_searched_primitive() -> None:
    from evoptax.dsl.primitives import PRIMITIVES

    rng = random.Random(0)
    program = get_known("adamw").program
    reached = set()
    for _ in range(40_000):
        mutated = mutate(program, rng)
        assert mutated is not None
        for root in mutated.program.expressions():
            reached |= {e.primitive for e in subexpressions(root) if isinstance(e, Call)}
    assert reached == {name for name, row in PRIMITIVES.items() if row.grammar == "core"}


def test_breeding_takes_few_steps_of_the_interpreter() -> None:
    """Calls of Python functions for each child that is mutated, checked and hashed.

    Counted instead of timed, so that a busy machine changes nothing; `benchmarks/mutation.py`
    times. Each call takes some 0.1 microseconds, and a child may take 200.
    """
    rng = random.Random(0)
    population = [get_known("adamw").program]
    calls = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    for warm in (True, False):
        sys.setprofile(None if warm else count)
        try:
            for _ in range(400):
                mutated = mutate(rng.choice(population[-100:]), rng)
                assert mutated is not None
                program_digest(mutated.program)
                if mutated.program.size <= 20:
                    population.append(mutated.program)
        finally:
            sys.setprofile(None)
    assert calls / 400 < 700


def test_digests_do_not_depend_on_what_was_hashed_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Terms are shared between programs through tables; emptying those changes no digest."""
    rng = random.Random(0)
    programs = [rule.program for rule in KNOWN.values()]
    programs += [m.program for p in programs if (m := mutate(p, rng)) is not None]
    digests = [program_digest(p) for p in programs]
    monkeypatch.setattr(terms, "TABLE_SIZE", 1)
    assert [program_digest(p) for p in reversed(programs)] == digests[::-1]
