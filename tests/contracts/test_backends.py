"""What every backend keeps, and that a further one is one file."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import evoptax
import numpy as np
import pytest
from evoptax.cli.main import main
from evoptax.dsl.errors import UserError
from evoptax.dsl.program import Program
from evoptax.dsl.syntax import parse
from evoptax.evaluators.backends import kinds as folder
from evoptax.evaluators.backends.base import Backend, TrainingResult, backends, open_backend
from evoptax.evaluators.backends.problems import Problems
from evoptax.evaluators.fidelity import Fidelity
from evoptax.evaluators.protocol import PREFIX, Protocol
from evoptax.evaluators.scores.evaluate import Evaluator
from evoptax.evaluators.task import load_task_file
from evoptax.evaluators.tasks import get_task
from evoptax.known_algorithms.catalogue import get_known
from evoptax.search.config.files import config_from_dict, config_to_toml
from small_search import settings, write_task

RATES = (1e-3, 1e-2, 1e-1)
RULES = ("adamw", "lion", "muon", "schedule_free_adamw", "lamb")
EXPLODES = parse("def f(w, g, *, lr=1e-3):\n    return 1e30 * w * w * w\n")
SCALED = parse("def f(w, g, *, lr=1e-3, scale=1.0):\n    return lr * scale * g\n")


@pytest.fixture(scope="module")
def problems() -> Problems:
    return Problems(get_task("quadratic"))


@pytest.fixture(scope="module", params=backends())
def name(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture(scope="module")
def backend(name: str, problems: Problems) -> Backend:
    return open_backend(name, problems)


def _known(*names: str) -> list[Program]:
    return [get_known(name).program for name in names]


def _one(backend: Backend, program: Program, fidelity: Fidelity, **how: object) -> TrainingResult:
    (found,) = backend.train([program], fidelity, **how)  # type: ignore[arg-type]
    return found


def test_it_trains_as_the_compiled_path(backend: Backend, problems: Problems) -> None:
    fidelity = Fidelity(RATES, (0, 1), steps=20, schedule="cosine")
    found = backend.train(_known(*RULES), fidelity)
    expected = open_backend("fused", problems).train(_known(*RULES), fidelity)
    assert len(found) == len(RULES)
    for own, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(own.score, other.score, rtol=2e-4)
    assert len({float(result.score[0, 1]) for result in found}) == len(RULES)


def test_shapes(backend: Backend) -> None:
    found = _one(backend, SCALED, Fidelity(RATES, (3, 4), steps=21, checkpoints=4))
    assert found.score.shape == found.diverged.shape == (2, 3)
    assert found.curve.shape == (2, 3, 4)
    assert list(found.curve_steps) == [5, 10, 15, 21]
    assert found.steps == 21
    np.testing.assert_array_equal(found.curve[..., -1], found.score)


def test_a_result_does_not_depend_on_the_other_rules_and_repeats(backend: Backend) -> None:
    fidelity = Fidelity(RATES, (0,), steps=10)
    together = backend.train(_known("adamw", "lion"), fidelity)
    for program, found in zip(_known("adamw", "lion"), together, strict=True):
        np.testing.assert_array_equal(_one(backend, program, fidelity).score, found.score)
    assert backend.train([], fidelity) == []


def test_seeds_are_independent(backend: Backend) -> None:
    both = _one(backend, SCALED, Fidelity(RATES, (5, 6), steps=10)).score
    alone = _one(backend, SCALED, Fidelity(RATES, (6,), steps=10)).score
    np.testing.assert_array_equal(both[1], alone[0])
    assert not np.array_equal(both[0], both[1])


def test_divergence_is_an_outcome(backend: Backend) -> None:
    found = _one(backend, EXPLODES, Fidelity(RATES, (0,), steps=40, checkpoints=4))
    assert found.diverged.all() and np.isinf(found.score).all() and np.isinf(found.curve).any()
    assert found.curve.shape == (1, 3, 4), "it counts as diverged at all later checkpoints"
    assert found.steps < 40


def test_it_stops_where_it_is_told(backend: Backend) -> None:
    asked: list[tuple[int, int]] = []

    def stop(seed: int, steps: int, scores: np.ndarray) -> bool:
        assert scores.shape == (3,)
        asked.append((seed, steps))
        return steps >= 10

    fidelity = Fidelity(RATES, (7,), steps=20, checkpoints=4)
    found = _one(backend, SCALED, fidelity, stop=stop)
    assert asked == [(7, 5), (7, 10)]
    assert found.steps == 10 and list(found.curve_steps) == [5, 10]
    whole = _one(backend, SCALED, fidelity)
    np.testing.assert_allclose(found.curve, whole.curve[..., :2], rtol=1e-6)


def test_hyperparameters_are_per_learning_rate(backend: Backend) -> None:
    values = {"scale": (1.0, 0.5, 0.25)}
    fidelity = Fidelity(RATES, (0,), steps=10)
    found = _one(backend, SCALED, fidelity, hyperparameters=values).score
    for place, scale in enumerate(values["scale"]):
        own = _one(backend, SCALED.with_defaults(scale=scale), fidelity).score
        np.testing.assert_allclose(found[0, place], own[0, place], rtol=1e-5)


def test_the_protocol_is_what_a_rule_would_do_itself(backend: Backend) -> None:
    fidelity = Fidelity(RATES, (0,), steps=20)
    plain = _one(backend, SCALED, fidelity).score
    pairs = (
        (Protocol(clip=2.0), "lr * scale * clip_by_global_norm(g, 2.0)"),
        (Protocol(warmup=0.5), "lr * scale * minimum(t / 10.0, 1.0) * g"),
    )
    for protocol, text in pairs:
        itself = parse(f"def f(w, g, t, *, lr=1e-3, scale=1.0):\n    return {text}\n")
        found = _one(backend, SCALED, fidelity.under(protocol)).score
        np.testing.assert_allclose(found, _one(backend, itself, fidelity).score, rtol=1e-5)
        assert not np.allclose(found, plain, rtol=1e-3)
    # One value for each learning rate, beside other hyperparameters.
    clips = {f"{PREFIX}clip": (math.inf, 2.0, 0.5), "scale": (1.0, 1.0, 1.0)}
    each = _one(backend, SCALED, fidelity, hyperparameters=clips).score
    np.testing.assert_allclose(each[0, 0], plain[0, 0], rtol=1e-6)
    for place, clip in enumerate((2.0, 0.5), 1):
        alone = _one(backend, SCALED, fidelity.under(Protocol(clip=clip))).score
        np.testing.assert_allclose(each[0, place], alone[0, place], rtol=1e-5)
    # A decaying schedule that ends where it began is a constant one.
    flat = replace(fidelity, schedule="cosine").under(Protocol(final_rate=1.0))
    np.testing.assert_array_equal(_one(backend, SCALED, flat).score, plain)
    usual = _one(backend, SCALED, fidelity.under(Protocol())).score
    np.testing.assert_array_equal(usual, plain)


def test_what_it_refuses_it_refuses_in_a_sentence(backend: Backend) -> None:
    for name in ("adamw", "sor"):
        program = get_known(name).program
        refusal = backend.refusal(program)
        assert "\n" not in refusal
        if refusal:
            with pytest.raises(UserError) as caught:
                _one(backend, program, Fidelity(RATES, steps=2))
            assert str(caught.value) == refusal
        else:
            assert _one(backend, program, Fidelity(RATES, steps=2)).steps == 2
    assert not backend.refusal(get_known("adamw").program)


def test_progress_is_told_at_checkpoints(name: str, problems: Problems) -> None:
    told: list[None] = []
    found = open_backend(name, problems, lambda: told.append(None))
    found.train([SCALED], Fidelity(RATES, (0, 1), steps=10, checkpoints=5))
    assert len(told) == 10


def test_command_line_and_api_take_it(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = write_task(tmp_path)
    options = ["--backend", name, "--workers", "in_process"]
    assert main(["evaluate", "sgd", "--tasks", task, "--seeds", "1", *options]) == 0
    assert "sgd" in capsys.readouterr().out
    found = evoptax.evaluate("sgd", task, seeds=1, backend=name, workers="in_process")
    assert {rule for rule, _ in found.scores} == {"sgd", "adamw"}
    config = tmp_path / "small.toml"
    config.write_text(config_to_toml(config_from_dict(settings(task, candidates=6))))
    where = ["--name", "small", "--runs-dir", str(tmp_path)]
    assert main(["search", str(config), *where, *options]) == 0
    assert f'backend = "{name}"' in (tmp_path / "small" / "config.toml").read_text()


@pytest.mark.parametrize("command", [["evaluate", "adamw"], ["search", "--preset", "quick"]])
def test_a_backend_that_there_is_not_is_refused(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--backend", "mashine"]) == 2
    error = capsys.readouterr().err
    assert "machine" in error and "fused" in error and len(error.splitlines()) == 1


TOY = """
from evoptax.evaluators.backends.kinds.machine import BACKEND as Machine


class Counting(Machine):
    trained = 0

    def train(self, programs, fidelity, **how):
        Counting.trained += len(programs)
        return super().train(programs, fidelity, **how)


BACKEND = Counting
"""


def test_a_further_backend_is_one_file(
    problems: Problems,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "toys").mkdir()
    (tmp_path / "toys" / "counting.py").write_text(TOY)
    monkeypatch.setattr(folder, "__path__", [*folder.__path__, str(tmp_path / "toys")])
    assert "counting" in backends()
    toy = open_backend("counting", problems)
    test_it_trains_as_the_compiled_path(toy, problems)
    test_shapes(toy)
    test_a_result_does_not_depend_on_the_other_rules_and_repeats(toy)
    test_seeds_are_independent(toy)
    test_divergence_is_an_outcome(toy)
    test_it_stops_where_it_is_told(toy)
    test_hyperparameters_are_per_learning_rate(toy)
    test_the_protocol_is_what_a_rule_would_do_itself(toy)
    test_what_it_refuses_it_refuses_in_a_sentence(toy)
    test_progress_is_told_at_checkpoints("counting", problems)
    trained = type(toy).trained  # type: ignore[attr-defined]
    assert trained > 10
    test_command_line_and_api_take_it("counting", tmp_path, capsys)
    assert type(toy).trained > trained  # type: ignore[attr-defined]
    own = Evaluator({"own": load_task_file(write_task(tmp_path))})
    assert own.score(SCALED, "own", Fidelity(RATES), "counting").value < np.inf
