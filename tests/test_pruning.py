"""Simplification by effect, and the known rule that a program is or comes nearest to."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

import pytest
from evoptax.cli.main import main
from evoptax.dsl.algebra.reductions import reductions, with_plain_rate
from evoptax.dsl.algebra.simplifier import rank, simplify
from evoptax.dsl.syntax import format_program, parse
from evoptax.evaluators.task_names import split_scale
from evoptax.known_algorithms.catalogue import KNOWN
from evoptax.known_algorithms.nearest import nearest_known
from evoptax.known_algorithms.raw import raw_program
from evoptax.search.config.presets import PRESETS
from evoptax.search.config.pruning_tasks import tasks_for
from evoptax.search.execution.executors.processes.workers import Workers
from evoptax.search.execution.jobs import Memory, Trials
from evoptax.search.selection.pruning import prune

PRUNED_LION = """\
def rule(w, g, v=0, *, lr=1e-3):
    u = sign(lerp(g, v, 0.9))
    v = lerp(g, v, 0.998219)
    return 2e-4 * lr * (u + 0.4602 * w)
"""


def test_what_has_no_effect_goes_and_what_matters_stays() -> None:
    raw = simplify(raw_program("lion_program4"))
    tasks = ("teacher_student", "cancer_logistic")
    with Workers(tasks) as workers:
        steps = list(
            prune(raw, tasks, Trials(workers, Memory(), lambda: False), seeds=3, most_steps=60)
        )
    text = format_program(steps[-1].after)
    assert "arcsin" not in text and "clip" not in text, text
    assert "sign" in text, text  # without it, steps would be as small as gradients are
    before = raw
    for step in steps:
        assert rank(step.after) < rank(before)
        assert step.effect is None or step.effect.mean <= 0.01
        before = step.after


@pytest.mark.slow
def test_lions_raw_program_becomes_lion(capsys: pytest.CaptureFixture[str]) -> None:
    """What a user types; five minutes on two cores at most."""
    assert main(["simplify", "lion_program4"]) == 0
    said = capsys.readouterr()
    assert nearest_known(parse(said.out)).constants is not None
    assert "lion with" in said.err and "validation loss" in said.err


def test_tasks_that_a_rule_was_selected_on_are_not_used() -> None:
    first = tasks_for()
    assert len(first) == 3
    assert not set(tasks_for(first)) & set(first) and tasks_for(first)


def test_a_search_prunes_by_tasks_that_neither_chose_the_rule_nor_judge_it() -> None:
    for name, config in PRESETS.items():
        tasks = replace(config, funnel=replace(config.funnel, pruned=True)).pruning_tasks
        used = {split_scale(task)[0] for task in config.tasks}
        assert len(tasks) == 3 and not used.intersection(tasks), name
        assert {*config.loaded_tasks} == {*config.tasks, *config.pruning_tasks}
        assert config.funnel.pruned == bool(config.pruning_tasks)


def test_reductions_are_rules_that_lack_one_thing() -> None:
    program = parse(PRUNED_LION)
    found = dict(reductions(program))
    assert "sign(lerp(g, v, 0.9)) → lerp(g, v, 0.9)" in found
    assert "u + 0.4602 * w → u" in found and "0.998219 → 0.998" in found
    # What ignores the gradient or the learning rate is no rule.
    assert "u + 0.4602 * w → 0.4602 * w" not in found
    assert program not in found.values()


def test_the_learning_rate_takes_a_factor_in() -> None:
    found = with_plain_rate(parse(PRUNED_LION))
    assert found is not None
    factor, plain = found
    assert factor == 2e-4 and plain.defaults["lr"] == 2e-7
    assert "return lr * (" in format_program(plain)
    assert with_plain_rate(KNOWN["lion"].program) is None
    assert with_plain_rate(raw_program("lion_program4")) is None  # clip reads lr as it is


def test_an_instance_of_a_known_rule_is_named_with_its_constants() -> None:
    found = nearest_known(parse(PRUNED_LION))
    assert found.name == "lion" and found.distance == 0
    assert found.constants == {"lr": "2e-4 * lr", "b1": "0.9", "b2": "0.99822", "wd": "0.4602"}
    assert str(found) == "lion with lr = 2e-4 * lr, b1 = 0.9, b2 = 0.99822, wd = 0.4602"
    without = nearest_known(parse(PRUNED_LION.replace("(u + 0.4602 * w)", "u")))
    assert without.name == "lion" and (without.constants or {})["wd"] == "0"


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "lion", "adabelief", "schedule_free_sgd"])
def test_a_known_rule_under_other_names_is_found(name: str) -> None:
    program = simplify(dataclasses.replace(KNOWN[name].program, name="other"))
    found = nearest_known(program)
    assert found.name == name and found.distance == 0


def test_the_nearest_rule_is_named_with_its_distance() -> None:
    found = nearest_known(parse(PRUNED_LION.replace("u = sign(", "u = tanh(")))
    assert found.name == "lion" and found.constants is None
    assert 0 < found.distance < 1 and f"{found.distance:.2f}" in str(found)


def test_a_rule_that_differs_in_constants_alone_is_not_said_to_be_the_rule() -> None:
    adamw = format_program(KNOWN["adamw"].program)
    found = nearest_known(parse(adamw.replace("(1 - b1**t)", "(1.5352 - b1**t)")))
    assert str(found) == "nearest known rule: adamw, the same operations on other constants"
