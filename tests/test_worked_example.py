"""The shipped run reads, reports and trains, and the README says of it what it says itself."""

from __future__ import annotations

import re
import runpy
from contextlib import closing
from pathlib import Path

import jax
import jax.numpy as jnp
import optax
import pytest
from evoptax.cli.main import main
from evoptax.dsl.algebra.canonical import program_digest
from evoptax.dsl.syntax import parse
from evoptax.evaluators.formatting import p_value, percent
from evoptax.search.report.report import report_html
from evoptax.search.store.runs import Run, rule_of_run
from pages import words

ROOT = Path(__file__).resolve().parent.parent
HOUR = Run(ROOT / "runs" / "hour")


def test_its_commands_answer(capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["show", "hour"], ["lineage", "hour", "best"], ["runs"]):
        assert main([*command, "--runs-dir", str(ROOT / "runs")]) == 0
    said = capsys.readouterr().out
    assert "evolved_26065" in said and "start: adamw" in said


def test_its_report_has_the_curve_the_funnel_and_the_cache() -> None:
    page = words(report_html(HOUR))
    for part in ("meta-overfitting", "38,773", "Cache hit rate", "unseen target tasks"):
        assert part.lower() in page.lower(), part


def test_what_is_said_of_it_is_what_it_found() -> None:
    with closing(HOUR.read()) as opened:
        by_tier = [row for row in opened.fact("outcome")["overall"] if row["tier"]]
    assert len(by_tier) == 4  # validation and target, AdamW and Lion
    for page in ("README.md", "runs/README.md"):
        text = (ROOT / page).read_text(encoding="utf-8")
        for row in by_tier:
            said = rf"{row['tasks']} unseen {row['tier']} tasks \|.*{percent(row['mean'])}[^|]*"
            interval = f"{percent(row['low'])} to {percent(row['high'])}"
            assert re.search(rf"{said}\({interval}, p = {p_value(row['p'])}\)", text), row


def test_its_rule_is_the_one_in_the_readme_and_trains() -> None:
    rule = rule_of_run(HOUR, "best")
    assert parse((HOUR.folder / "best_rule.py").read_text(encoding="utf-8")) == rule
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    (shown,) = [block for block in blocks if block.startswith(f"def {rule.name}(")]
    assert program_digest(parse(shown)) == program_digest(rule)

    optimizer = runpy.run_path(str(HOUR.folder / "best_rule_optax.py"))[rule.name]
    training = optimizer(optax.cosine_decay_schedule(0.1, 150))
    x = jax.random.normal(jax.random.key(0), (64, 8))
    y = jnp.tanh(x @ jnp.arange(8.0))
    weights = jnp.zeros(8)
    state = training.init(weights)

    def loss(weights: jax.Array) -> jax.Array:
        return jnp.mean((jnp.tanh(x @ weights) - y) ** 2)

    first = loss(weights)
    for _ in range(150):
        updates, state = training.update(jax.grad(loss)(weights), state, weights)
        weights = optax.apply_updates(weights, updates)
    assert loss(weights) < 0.01 * first
