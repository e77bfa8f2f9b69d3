"""The references agree with each other, before any program is compared with them."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

from . import second_derivations, second_together
from .by_name import NUMPY, RULES, SECOND
from .compare import max_difference
from .coverage import COVERAGE, Check, numpy_trajectory, trajectory_difference
from .golden import FOLDER, load_golden
from .make_golden import live_references
from .optax_references import OPTAX
from .problems import SHAPES, problem
from .settings import OMITTED

CHECKS = [check for checks in COVERAGE.values() for check in checks[1:]]


def _name(check: Check) -> str:
    return f"{check.rule}-{check.source}-{check.hyper.get('split', '')}".replace(" ", "_")


@pytest.mark.parametrize("check", CHECKS, ids=_name)
def test_reference_agrees_with_numpy(check: Check) -> None:
    params, trajectory = numpy_trajectory(check)
    assert check.difference(trajectory) <= check.tolerance
    moved = max_difference([params], [trajectory[-1]])
    assert moved > 1e-2, "the comparison says little where the weights hardly move"


def test_live_packages_agree_with_numpy() -> None:
    cases = list(live_references())
    if not cases:
        pytest.skip("torch is not installed")
    from .torch_runner import run_case

    for case in cases:
        params, grads = problem(case.names)
        live = run_case(case, params, grads)
        ours = NUMPY[case.rule](params, grads, **case.full_hyper)
        assert trajectory_difference(ours, live) <= case.tolerance, (case.rule, case.source)


def test_every_rule_has_two_references() -> None:
    assert RULES.keys() == COVERAGE.keys() >= OPTAX.keys()
    functions = dict(inspect.getmembers(second_derivations, inspect.isfunction))
    functions |= dict(inspect.getmembers(second_together, inspect.isfunction))
    assert {name for name in functions if not name.startswith("_")} == SECOND.keys()
    assert not OMITTED.keys() & RULES.keys()
    assert [rule for rule, checks in COVERAGE.items() if len(checks) < 2] == []


@pytest.mark.parametrize("rule", RULES)
def test_numpy_reference_is_pure_and_finite(rule: str) -> None:
    setting = RULES[rule]
    params, grads = problem(setting.tensors)
    trajectory = NUMPY[rule](params, grads, **setting.hyper)
    again, grads_again = problem(setting.tensors)
    assert max_difference([params, *grads], [again, *grads_again]) == 0.0
    assert len(trajectory) == len(grads)
    for model in trajectory:
        assert {name: x.shape for name, x in model.items()} == {
            name: SHAPES[name] for name in setting.tensors
        }
        assert all(x.dtype == np.float64 and np.isfinite(x).all() for x in model.values())


def _changed(name: str, value: Any) -> Any:
    if name == "eps2":
        return 10.0
    if name == "eps" or value == 0.0:
        return 1e-2
    return value + 1 if isinstance(value, int) else 0.9 * value


TUNABLE = [
    (rule, name)
    for rule, setting in RULES.items()
    for name, value in setting.hyper.items()
    if isinstance(value, int | float)
]


@pytest.mark.parametrize(("rule", "name"), TUNABLE)
def test_every_hyperparameter_shows_in_the_trajectory(rule: str, name: str) -> None:
    setting = RULES[rule]
    params, grads = problem(setting.tensors)
    hyper = {**setting.hyper, name: _changed(name, setting.hyper[name])}
    ours = NUMPY[rule](params, grads, **setting.hyper)
    assert trajectory_difference(ours, NUMPY[rule](params, grads, **hyper)) > 1e-8


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        ("optimistic_omd", {"radius": float("inf")}),
        ("optimistic_omd", {"radius": 1.0}),
        ("gpa_adamw", {"wd": 0.1}),
        ("layerwise_clipping", {"split": "dimension"}),
        ("layerwise_clipping", {"clip": 1e6}),
        ("sor", {"omega": 0.7}),
        ("rapp", {"k": 4, "alpha": 0.5}),
    ],
)
def test_second_derivations_agree_elsewhere_too(rule: str, change: dict[str, Any]) -> None:
    setting = RULES[rule]
    params, grads = problem(setting.tensors, seed=1)
    hyper = {**setting.hyper, **change}
    ours = NUMPY[rule](params, grads, **hyper)
    assert trajectory_difference(ours, SECOND[rule](params, grads, **hyper)) <= 1e-11


def test_sor_solves_its_system() -> None:
    setting = RULES["sor"]
    params, grads = problem(setting.tensors, steps=200)
    (x,) = NUMPY["sor"](params, grads, **setting.hyper)[-1].values()
    assert np.allclose(setting.hyper["a"] @ x, setting.hyper["b"], atol=1e-12)


def test_lookahead_is_diloco_without_outer_momentum() -> None:
    hyper = {**RULES["diloco_adamw"].hyper, "mu": 0.0}
    alpha = hyper.pop("outer_lr")
    params, grads = problem()
    diloco = NUMPY["diloco_adamw"](params, grads, outer_lr=alpha, **hyper)
    del hyper["mu"]
    lookahead = NUMPY["lookahead_adamw"](params, grads, alpha=alpha, **hyper)
    assert max_difference(diloco, lookahead) <= 1e-14


def test_difference_notices_what_it_should() -> None:
    params, _ = problem(("vector",))
    other = {"vector": params["vector"] + 1e-9}
    assert max_difference([params], [other]) == pytest.approx(1e-9)
    nan = {"vector": np.full(5, np.nan)}
    assert max_difference([nan], [nan]) == float("inf")
    with pytest.raises(ValueError, match="steps"):
        max_difference([params], [params, params])
    with pytest.raises(ValueError, match="tensors"):
        max_difference([params], [{"tall": params["vector"]}])
    with pytest.raises(ValueError, match="shape"):
        max_difference([params], [{"vector": params["vector"][None]}])


def test_golden_files_are_small_and_complete() -> None:
    assert sum(path.stat().st_size for path in FOLDER.glob("*.json")) < 1_500_000
    for entry in load_golden():
        assert entry.version
        assert (entry.version == "repository") == bool(entry.commit)
