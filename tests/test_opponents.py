"""Fair opponents: a rule is better than AdamW if it is better than AdamW with tuned constants.

Two rules are planted in a finished evolution, and the real end of a search judges them: one is
AdamW with other constants, the other is better by structure.
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from evoptax.cli.summary import print_outcome
from evoptax.dsl.algebra.canonical import program_digest
from evoptax.dsl.program import Program
from evoptax.dsl.syntax import parse
from evoptax.known_algorithms.catalogue import get_known
from evoptax.search.config.files import config_from_dict
from evoptax.search.execution.executors.in_process import InProcess
from evoptax.search.execution.jobs import Trials
from evoptax.search.report.facts import read_facts
from evoptax.search.report.report import conclusion_of, report_html
from evoptax.search.selection.finals import decide
from evoptax.search.store.ledger import open_to_write
from evoptax.search.store.outcome import Outcome
from evoptax.search.store.records import Proposal, Status
from evoptax.search.store.runs import Run, create_run
from pages import words

# With noisy gradients and a learning rate that does not decay, a mean of the last weights is far
# better than the last, whatever the constants are. In calm tasks with decay, short memories win.
TASKS = """
import jax
import jax.numpy as jnp


class Noisy:
    steps = 60

    def __init__(self, least, noise):
        self.curvature, self.noise = jnp.logspace(least, 0, 40), noise

    def init(self, key):
        return jax.random.normal(key, (40,))

    def batch(self, key):
        return self.noise * jax.random.normal(key, (40,))

    def loss(self, w, batch):
        return jnp.sum(0.5 * self.curvature * w**2 + batch * w)

    def score(self, w):
        return jnp.sum(0.5 * self.curvature * w**2) + 1e-3


noisy, noisy_unseen, noisy_further = Noisy(-0.7, 0.5), Noisy(-0.8, 0.7), Noisy(-0.6, 0.4)
calm, calm_unseen, calm_further = Noisy(-2.0, 0.02), Noisy(-2.2, 0.03), Noisy(-1.8, 0.01)
"""
AVERAGED = parse(
    "def averaged(w, g, t, m=0, v=0, a=w, *, lr=1e-3, b1=0.9, b2=0.999, eps=1e-8, c=0.9):\n"
    "    m = lerp(g, m, b1)\n"
    "    v = lerp(square(g), v, b2)\n"
    "    u = lr * m / (1 - b1**t) / (sqrt(v / (1 - b2**t)) + eps)\n"
    "    a = lerp(w - u, a, c)\n"
    "    eval_w = a\n"
    "    return u\n"
)
FASTER = get_known("adamw").program.with_defaults(b1=0.6, b2=0.8)


@pytest.fixture(scope="module")
def executor(tmp_path_factory: pytest.TempPathFactory) -> InProcess:
    path = tmp_path_factory.mktemp("tasks") / "noise.py"
    path.write_text(TASKS, encoding="utf-8")
    names = ("noisy", "noisy_unseen", "noisy_further", "calm", "calm_unseen", "calm_further")
    return InProcess([f"{path}:{name}" for name in names])


def _planted(
    folder: Path, executor: InProcess, program: Program, kind: str, schedule: str, **funnel: Any
) -> tuple[Run, Any]:
    """A run whose evolution has ended with two candidates, AdamW and the planted rule."""
    screen, *target = [task for task in executor.versions() if f":{kind}" in task]
    rates = {"learning_rates": [0.03, 0.1, 0.3], "schedule": schedule}
    config = config_from_dict(
        {
            "rivals": ["sgd"],
            "budget": {"candidates": 2},
            "funnel": {
                "screen": {"tasks": [screen], **rates},
                "proxy": {"tasks": []},
                "validation": {"tasks": []},
                "target": {"tasks": target, "seeds": 6, **rates},
                **funnel,
            },
        }
    )
    run = create_run(folder, kind, config)
    with closing(open_to_write(run.ledger_path)) as opened:
        opened.start_session()
        for ordinal, rule in enumerate((get_known("adamw").program, program)):
            parent, change = (0, "planted") if ordinal else (None, "start: adamw")
            digest = program_digest(rule)
            opened.propose([Proposal(ordinal, parent, change, rule, digest, Status.NEW, "", None)])
        opened.commit_fitness({0: 0.0, 1: -0.1})
    return run, config


def _decided(run: Run, config: Any, executor: InProcess) -> Outcome:
    with closing(open_to_write(run.ledger_path)) as opened:
        baseline = get_known("adamw").program
        trials = Trials(executor, opened, lambda: False, baseline)
        return decide(config, opened, trials, (), lambda phase, detail: None)


def _sentence(run: Run) -> str:
    """What report, page and terminal say first."""
    sentence = conclusion_of(read_facts(run)).sentence
    assert sentence in words(report_html(run))
    return sentence


def test_adamw_with_other_constants_is_not_better_than_adamw(
    tmp_path: Path, executor: InProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    run, config = _planted(tmp_path, executor, FASTER, "calm", "cosine", opponent_trials=90)
    outcome = _decided(run, config, executor)
    adamw, sgd = outcome.opponents
    assert (adamw.rule, adamw.most) == ("adamw", 90) and 45 <= adamw.trials <= 90
    assert parse(adamw.program).defaults["b1"] < 0.8 and adamw.changes
    assert (sgd.trials, parse(sgd.program)) == (0, get_known("sgd").program)
    default, tuned = (
        next(o for o in outcome.overall if o.against == "adamw" and o.tuned == is_tuned)
        for is_tuned in (False, True)
    )
    assert default.mean < -0.3 and default.p < 0.01, "it does win against the default constants"
    sentence = _sentence(run)
    assert "beats AdamW" not in sentence
    assert "is better only than AdamW with default constants (" in sentence
    assert tuned.mean > default.mean / 3
    print_outcome(outcome, read_facts(run))
    told = capsys.readouterr().out
    assert sentence in told and "adamw, tuned" in told and adamw.changes[0] in told


def test_a_better_structure_is_better_than_adamw(tmp_path: Path, executor: InProcess) -> None:
    run, config = _planted(tmp_path, executor, AVERAGED, "noisy", "constant", opponent_trials=45)
    outcome = _decided(run, config, executor)
    sentence = _sentence(run)
    assert "beats AdamW (" in sentence and ", each with tuned constants" in sentence
    assert "AdamW with tuned constants" in words(report_html(run))
    # Stopped before it was finished, it goes on with the opponents that it has.
    with sqlite3.connect(run.ledger_path) as db:
        db.execute("delete from facts where key = 'outcome'")
        kept = db.execute("select count(*) from facts where key like 'opponent %'").fetchone()
    assert kept == (2,)
    assert _decided(run, config, executor) == outcome


def test_opponents_that_are_not_tuned_are_called_so(tmp_path: Path, executor: InProcess) -> None:
    run, config = _planted(tmp_path, executor, FASTER, "calm", "cosine", opponent_trials=0)
    assert _decided(run, config, executor).opponents == ()
    sentence = _sentence(run)
    assert re.search(r"beats AdamW \(.*\).*, each with default constants", sentence)
    caveats = " ".join(conclusion_of(read_facts(run)).caveats)
    assert "Its opponents were not tuned" in caveats


def test_by_default_they_get_as_many_trials_as_there_were_candidates(
    tmp_path: Path, executor: InProcess
) -> None:
    run, config = _planted(tmp_path, executor, FASTER, "calm", "cosine")
    assert config.funnel.opponent_trials is None
    assert {o.most for o in _decided(run, config, executor).opponents} == {2}
