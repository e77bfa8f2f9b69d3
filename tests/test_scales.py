"""Longer and wider tasks: their names, and how far a comparison holds on them."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import evoptax
import jax
import pytest
from evoptax.cli.main import main
from evoptax.dsl.errors import UserError
from evoptax.evaluators.task_names import Scale, split_scale
from evoptax.evaluators.tasks import get_task, list_tasks, task_info, tier_of
from evoptax.evaluators.tasks.baselines import baseline_of
from evoptax.search.config.seeds import RATES
from evoptax.search.config.stages import scaled_from, scaled_grid
from evoptax.search.store.outcome import read_outcome
from evoptax.search.store.runs import Run
from small_search import SMALL, write_task


@pytest.mark.parametrize(
    ("name", "base", "scale"),
    [
        ("text_lstm", "text_lstm", Scale()),
        ("text_lstm@16steps", "text_lstm", Scale(steps=16)),
        ("text_lstm@4width", "text_lstm", Scale(width=4)),
        ("text_lstm@4steps@2width", "text_lstm", Scale(4, 2)),
        ("me@home/a.py:task@4steps", "me@home/a.py:task", Scale(steps=4)),
        ("text_lstm@0steps", "text_lstm@0steps", Scale()),
        ("text_lstm@4width@4steps", "text_lstm@4width", Scale(steps=4)),
    ],
)
def test_names(name: str, base: str, scale: Scale) -> None:
    assert split_scale(name) == (base, scale)


def test_a_longer_task_has_more_steps_and_is_the_same_otherwise() -> None:
    task, longer = get_task("digits_mlp"), get_task("digits_mlp@4steps")
    assert longer.steps == 4 * task.steps == task_info("digits_mlp@4steps").steps
    assert (longer.tier, longer.version) == (task.tier, task.version)
    assert tier_of("text_lstm@4width") == "validation"
    known, guess = baseline_of("digits_mlp"), baseline_of("digits_mlp@4steps@2width")
    assert known is not None and guess is not None
    assert guess.milliseconds == pytest.approx(16 * known.milliseconds)


@pytest.mark.parametrize("name", [info.name for info in list_tasks()])
def test_networks_can_be_made_wider(name: str) -> None:
    key = jax.random.key(0)
    try:
        wider = get_task(f"{name}@4width")
    except UserError as error:
        assert "cannot be made wider" in str(error)
        assert task_info(name).family in ("synthetic", "tabular", "factorization", "federated")
        return

    def loss() -> jax.Array:
        problem = wider.draw(key)
        return wider.loss(wider.init(key, problem), wider.batch(key, problem))

    assert jax.eval_shape(loss).shape == ()
    shapes = jax.eval_shape(lambda: wider.init(key, wider.draw(key)))
    weights = sum(leaf.size for leaf in jax.tree.leaves(shapes))
    assert 3 * task_info(name).weights < weights < 16 * task_info(name).weights


def test_one_target_has_a_million_weights_when_it_is_wider() -> None:
    task, key = get_task("text_transformer_large@4width"), jax.random.key(0)
    shapes = jax.eval_shape(lambda: task.init(key, task.draw(key)))
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) > 1_000_000


def test_rates_on_a_longer_task_lie_around_that_of_the_task() -> None:
    assert scaled_grid(0.01) == (0.003, 0.01, 0.03)
    assert scaled_from(["a", "a@4steps", "b@4steps"]) == {"a@4steps": "a"}


def test_evaluate_says_how_far_it_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = write_task(tmp_path)
    tasks = f"quadratic,quadratic@2steps,{own},{own}@2steps"
    how = ["--tasks", tasks, "--seeds", "2", "--rate-seeds", "1", "--workers", "in_process"]
    assert main(["evaluate", "momentum", *how, "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["tasks"] == ["quadratic", own] and found["rate_seeds"] == 1
    (scale,) = found["scales"]
    assert (scale["steps"], scale["width"]) == (2, 1)
    assert scale["tasks"] == ["quadratic@2steps", f"{own}@2steps"]
    by_rule = {line["rule"]: line for line in scale["rules"]}
    assert by_rule["adamw"]["log_ratio"] == 0 and by_rule["momentum"]["log_ratio"] != 0
    # A longer run ends lower; a step costs one number of state for momentum, two for AdamW.
    for rule in found["rules"]:
        longer = by_rule[rule["rule"]]["tasks"]["quadratic@2steps"]
        assert longer["loss"] < rule["tasks"]["quadratic"]["loss"]
    costs = {rule["rule"]: rule["cost"] for rule in found["rules"]}
    assert {name: cost["state"] / cost["weights"] for name, cost in costs.items()} == {
        "momentum": 1,
        "adamw": 2,
    }
    assert main(["evaluate", "momentum", *how]) == 0
    text = capsys.readouterr().out
    assert "2 tasks × 2 seeds" in text  # longer ones are no part of the comparison
    assert "How far it holds" in text and "2× steps" in text and "state per weight" in text


def test_learning_rates_may_be_chosen_by_other_seeds() -> None:
    found = evoptax.evaluate("momentum", "quadratic", seeds=3, rate_seeds=2, workers="in_process")
    whole = evoptax.evaluate("momentum", "quadratic", seeds=3, workers="in_process")
    score, same = found.scores["adamw", "quadratic"], whole.scores["adamw", "quadratic"]
    assert score.seeds == same.seeds == (0, 1, 2) and score.seeds[-1] < RATES
    assert len(score.learning_rates) == 1 and len(same.learning_rates) > 1
    place = same.learning_rates.index(score.learning_rate)
    # As many rates are compiled as are trained, so rounding differs.
    assert score.by_seed == pytest.approx([row[place] for row in same.scores], rel=1e-4)


def test_mistakes_are_sentences(tmp_path: Path) -> None:
    own = write_task(tmp_path)
    for task, words in (
        ("quadratic@4width", "quadratic cannot be made wider"),
        ("quadratik@4steps", "quadratic"),
        ("quadratic@4times", "text_lstm@4steps"),
        (f"{own}@4width", "only built-in tasks can be made wider"),
        (f"{own}@9999steps@2width", "only built-in tasks can be made wider"),
    ):
        with pytest.raises(UserError, match=words) as caught:
            evoptax.evaluate("adamw", task, seeds=1, workers="in_process")
        assert "\n" not in str(caught.value)


def test_a_search_reports_how_far_its_rule_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    funnel = {
        **SMALL["funnel"],
        "target": {"tasks": ["deep_linear"], "learning_rates": [1e-2]},
        "scaled": {"tasks": ["deep_linear@2steps"], "seeds": 2},
    }
    where = {"workers": "in_process", "budget": {"candidates": 24}}
    evoptax.discover({**SMALL, "funnel": funnel}, name="far", rivals=["lion"], **where)  # type: ignore[arg-type]
    with closing(Run(tmp_path / "runs" / "far").read()) as opened:
        outcome = read_outcome(opened)
    assert outcome is not None
    names = [(row.rule, row.task, row.seeds) for row in outcome.scaled]
    assert ("lion", "deep_linear@2steps", 2) in names
    assert {over.tier for over in outcome.scaled_overall} == {"2× steps"}
    assert outcome.costs["adamw"].per_weight == 2
    page = (tmp_path / "runs" / "far" / "report.html").read_text(encoding="utf-8")
    assert "How far it holds" in page and "deep_linear, 2× steps" in page
    assert main(["show", "far"]) == 0
    assert "How far it holds" in capsys.readouterr().out
