"""The league of documented rules: a small one is played, killed, and played to its end."""

from __future__ import annotations

import importlib
import json
import math
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
# SGD has no constants to tune, so it takes no time.
SMALL = ["--rules", "sgd", "--tasks", "quadratic", "--proxies", "quadratic"]
SMALL += ["--trials", "9", "--seeds", "2", "--workers", "in_process"]


@pytest.fixture
def league(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """benchmarks/league.py, which keeps what it finds in a folder of the test's."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    monkeypatch.setenv("EVOPTAX_CACHE_DIR", str(tmp_path / "cache"))
    page = importlib.import_module("league_page")
    monkeypatch.setattr(page, "KEPT", tmp_path / "league.json")
    monkeypatch.setattr(page, "DOCS", tmp_path / "league.md")
    return importlib.import_module("league")


def test_a_league_goes_on_where_it_was_killed(
    league: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [*SMALL, "--folder", str(tmp_path), "--write"]
    league.main(command)
    out = capsys.readouterr().out
    assert all(
        f"{rule}, {stage}: " in out for rule in ("adamw", "sgd") for stage in ("tune", "cost")
    )
    assert "h left" in out
    whole = json.loads((tmp_path / "league.json").read_text())
    assert list(whole["rules"]) == ["adamw", "sgd"]
    assert whole["rules"]["adamw"]["state"] == 2 and whole["rules"]["sgd"]["state"] == 0
    assert whole["rules"]["sgd"]["groups"]["proxy"]["loss"][0] > 0  # worse than AdamW

    results = tmp_path / "results.jsonl"
    results.write_text(results.read_text()[:-40])  # torn, as by a kill
    league.main(command)
    out = capsys.readouterr().out
    assert "sgd, cost: " in out and out.count(" s each; ") == 1  # this alone was measured again
    again = json.loads((tmp_path / "league.json").read_text())
    for found in (whole, again):
        for rule in found["rules"].values():
            assert rule.pop("milliseconds") > 0  # timed again
    assert again == whole
    league.main(["--docs"])
    page = (tmp_path / "league.md").read_text()
    assert page.index("| `adamw` | baseline |") < page.index("| `sgd` | +")
    # Another number of seeds is measured, the tuned constants are known.
    forecast = league.forecast_of(
        league.Plan(("adamw", "sgd"), ("quadratic",), ("quadratic",), 9, 3, 2, "in_process"),
        league.Results(results),
    )
    assert forecast.left == pytest.approx(2 * forecast.of("proxy"))


def _figures(ratios: dict[str, list[float | None]]) -> dict[str, Any]:
    """Figures of as many rules as there are ratios of each task, the last of which is a target."""
    *proxies, target = ratios
    rules = {
        f"rule{i}": {
            "tasks": {t: {"ratio": [values[i], None, None]} for t, values in ratios.items()}
        }
        for i in range(len(ratios[target]))
    }
    return {"tiers": {"proxy": proxies, "target": [target]}, "proxies": proxies[:2], "rules": rules}


def test_proxies_are_judged_by_ranks(league: ModuleType) -> None:
    page = league.league_page
    noise = np.random.default_rng(0).normal(size=20)
    target: list[float | None] = [0.1 * i for i in range(19)]
    found = page.prediction(
        _figures(
            {
                "good": [*(math.exp(x) for x in target if x is not None), None],
                "bad": [*(-x for x in target if x is not None), -9.0],
                "blind": list(noise),
                "truth": [*target, None],  # the last rule diverged
            }
        )
    )
    assert found["good"]["target"] == [1.0, 1.0, 1.0]
    assert found["bad"]["target"][0] == -1.0
    mean, low, high = found["blind"]["target"]
    assert low < 0 < high and low < mean < high
    assert set(found) - {"good", "bad", "blind"} == {
        "the 2 that constants were tuned on",
        "all together",
    }
    lines = page.prediction_table({"prediction": found})
    assert lines[0] == "| proxy | target | target, better half |"
    assert lines[2] == "| good | +1.00 (+1.00 to +1.00) | +1.00 (+1.00 to +1.00) |"
    assert lines[3].startswith("| bad | −1.00")


def test_a_proxy_on_which_all_are_equal_says_nothing(league: ModuleType) -> None:
    found = league.league_page.rank_correlation([1.0] * 5, [1.0, 2.0, 3.0, 4.0, 5.0])
    assert math.isnan(found.mean)
