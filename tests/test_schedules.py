"""Schedules: programs that read neither weights nor gradients."""

from __future__ import annotations

from pathlib import Path

import evoptax
import numpy as np
import optax
import pytest
from evoptax.cli.main import main
from evoptax.dsl.errors import UserError
from evoptax.dsl.export.base import formats
from evoptax.dsl.export.check import check_export
from evoptax.dsl.export.formats.optax.running import load
from evoptax.dsl.syntax import parse
from evoptax.known_algorithms.catalogue import KNOWN, SCHEDULES

TOTAL, BATCH = 20, 100
# Optax's own, or the equation; by the steps taken so far.
REFERENCES = {
    "linear_decay": lambda count: optax.linear_schedule(1.0, 0.0, TOTAL)(count + 1),
    "cosine_decay": lambda count: optax.cosine_decay_schedule(1.0, TOTAL)(count + 1),
    "linear_batch_scaling": lambda count: BATCH / 32,
    "sqrt_batch_scaling": lambda count: np.sqrt(BATCH / 32),
    # 100 / 32 is 3.125, which is rounded up.
    "regime_adaptation": lambda count: 0.1 if count + 1 > 3 * 4 else 1.0,
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_exports_are_optax_schedules_with_the_values_of_their_references(name: str) -> None:
    rule = evoptax.rule(name)
    given = {"T": ("total_steps", TOTAL), "B": ("batch_size", BATCH)}
    arguments = dict(pair for key, pair in given.items() if key in rule.program.inputs)
    if name == "regime_adaptation":
        arguments["milestone"] = 3
    schedule = getattr(load(rule.export("optax")), name)(**arguments)
    found = [float(schedule(count)) for count in range(TOTAL)]
    expected = [float(REFERENCES[name](count)) for count in range(TOTAL)]
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)


def test_optimizers_take_them() -> None:
    schedule = load(evoptax.rule("cosine_decay").export("optax")).cosine_decay(10)
    optimizer = optax.sgd(schedule)
    updates, _ = optimizer.update({"a": np.ones(2)}, optimizer.init({"a": np.ones(2)}))
    np.testing.assert_allclose(updates["a"], -0.5 * (1 + np.cos(0.1 * np.pi)), rtol=1e-6)


@pytest.mark.parametrize("format", formats())
def test_every_format_takes_them(format: str) -> None:
    program = parse("""\
def odd(t, T, B, *, count=2, schedule=0.5):
    count = sigmoid(count + t % 3)
    T = where(t > T / 2, lerp(count, schedule, 0.25), 1)
    return maximum(T, count) * sqrt(B) * 3 / 2
""")
    from evoptax.dsl.export.check import export

    text = export(program, format)
    assert check_export(program, text, format) < 1e-12


def test_rules_call_them() -> None:
    rule = evoptax.rule("""\
def decayed(w, g, t, T, *, lr=0.1):
    s = cosine_decay(t, T)
    return lr * s * g
""")
    assert "cos" in rule.text and "cosine_decay" not in rule.text


def test_what_no_schedule_knows_is_refused() -> None:
    with pytest.raises(UserError, match=r"mine reads 'loss'.*which schedules, which have no w, do"):
        evoptax.rule("def mine(loss):\n    return loss\n").export("optax")
    with pytest.raises(UserError, match="mine reads 'role'"):
        evoptax.rule("def mine(role):\n    return role\n").export("optax")


def test_the_command_line_lists_shows_and_refuses_to_train_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["known"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in SCHEDULES) and not {*SCHEDULES} & {*KNOWN}
    assert main(["known", "sqrt_batch_scaling"]) == 0
    shown = capsys.readouterr().out
    assert "Needs: B, the number of examples in a minibatch." in shown
    assert "s_t &= " in shown and "multiplies the learning rate" in shown
    assert main(["export", "cosine_decay", "--to", "optax"]) == 0
    assert "-> optax.Schedule:" in capsys.readouterr().out
    assert main(["evaluate", "cosine_decay", "--tasks", "quadratic"]) == 2
    assert "is a schedule" in capsys.readouterr().err
