"""Every setting has a range: what lies outside is refused by name, from wherever it comes."""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from evoptax.cli.main import main
from evoptax.dsl.errors import UserError
from evoptax.search.config.files import (
    config_from_dict,
    config_to_dict,
    config_to_toml,
    load_config,
)
from evoptax.search.config.presets import ABLATIONS, DESIGNS, PRESETS, preset
from evoptax.search.config.ranges import NumberOrName, Range, Rising, Weights, accepted_by, shown
from evoptax.search.config.settings import STAGES, SearchConfig
from evoptax.search.store.ledger import create
from evoptax.search.store.runs import stored_config


def _fields(table: Any = None, path: str = "") -> Iterator[tuple[str, type, str, Any]]:
    """Every field that is no table: its path, the table's class, its name and default."""
    table = SearchConfig() if table is None else table
    for field in dataclasses.fields(table):
        value = getattr(table, field.name)
        if dataclasses.is_dataclass(value):
            yield from _fields(value, f"{path}{field.name}.")
        else:
            yield path + field.name, type(table), field.name, value


FIELDS = {path: (table, name, default) for path, table, name, default in _fields()}
VALUES: dict[str, Any] = {
    "nan": math.nan,
    "inf": math.inf,
    "minus inf": -math.inf,
    "minus one": -1,
    "huge": 10**30,
    "endless": 10**5000,
    "tiny": 1e-320,
    "text": "text",
    "no text": "",
    "switch": True,
    "nothing": None,
    "list": [1],
    "list of nan": [math.nan],
    "list of nothing": [None],
    "names": ["a"],
    "names twice": ["a", "a"],
    "no name": [""],
    "table": {"a": 1},
    "half": 0.5,
}
# Values of `VALUES` that a field accepts; all others are refused.
ACCEPTED = {
    "traces": {"text", "no text"},
    "baseline": {"text"},  # whether there is such a rule is looked up by the command
    "start": {"names"},
    "rivals": {"names"},
    "budget.seconds": {"nothing", "half", "tiny"},
    "budget.candidates": {"nothing"},
    "funnel.opponent_trials": {"nothing"},
    "evolution.survivors": {"half", "tiny"},
    "evolution.cache": {"switch"},
    "evolution.gates": {"switch"},
    "funnel.pruned": {"switch"},
    "funnel.promote_within": {"minus one", "half", "tiny"},
    "funnel.most_gain": {"half", "tiny"},
    "funnel.early_stopping": {"half", "tiny"},
}
for _stage in STAGES:
    ACCEPTED[f"funnel.{_stage}.tasks"] = {"names"}
    ACCEPTED[f"funnel.{_stage}.learning_rates"] = {"list"}
CASES = [(path, name) for path in FIELDS for name in VALUES]


def _nested(path: str, value: Any) -> dict[str, Any]:
    *tables, name = path.split(".")
    data = {name: value}
    for table in reversed(tables):
        data = {table: data}
    return data


def _at(config: SearchConfig, path: str) -> Any:
    for name in path.split("."):
        config = getattr(config, name)
    return config


@pytest.mark.parametrize(("path", "name"), CASES, ids=[f"{p}-{n}" for p, n in CASES])
def test_a_value_is_accepted_or_refused_by_name(path: str, name: str) -> None:
    data = _nested(path, VALUES[name])
    if name in ACCEPTED.get(path, ()):
        found = _at(config_from_dict(data), path)
        assert found == (tuple(VALUES[name]) if isinstance(VALUES[name], list) else VALUES[name])
        return
    with pytest.raises(UserError) as refused:
        config_from_dict(data, where="here")
    message = str(refused.value)
    assert message.startswith(f"here: {path} ")
    assert "accepted: " in message
    assert len(message) < 300
    accepted = accepted_by(FIELDS[path][0]).get(FIELDS[path][1])
    if isinstance(accepted, Range):
        assert str(accepted) in message


NUMBERS = {p: accepted_by(t)[n] for p, (t, n, _) in FIELDS.items() if n in accepted_by(t)}
NUMBERS = {path: found for path, found in NUMBERS.items() if isinstance(found, Range)}


def test_every_number_has_a_range_and_every_text_is_checked() -> None:
    for path, (table, name, _) in FIELDS.items():
        kind = str(get_type_hints(table)[name])
        if "int" in kind or "float" in kind:
            found = accepted_by(table)[name]
            assert isinstance(found, Range | Rising | Weights | NumberOrName), path
        elif "str" in kind and path != "traces":
            assert name in accepted_by(table), path


@pytest.mark.parametrize("path", NUMBERS)
def test_the_ends_of_a_range_are_accepted_and_no_more(path: str) -> None:
    found = NUMBERS[path]
    whole = "int" in str(get_type_hints(FIELDS[path][0])[FIELDS[path][1]])
    kind = int if whole else float
    room = {"evolution": {"population": 100_000}} if path != "evolution.population" else {}

    def given(value: float) -> Any:
        config = config_from_dict(room) if room else None
        return _at(config_from_dict(_nested(path, kind(value)), config), path)

    assert given(found.most) == found.most
    assert config_from_dict(_nested(path, FIELDS[path][2])) == SearchConfig()
    beyond = [found.most + 1 if whole else math.nextafter(found.most, math.inf)]
    beyond.append(found.least - 1 if whole else math.nextafter(found.least, -math.inf))
    if found.above:
        beyond.append(found.least)
    else:
        assert given(found.least) == found.least
    for value in beyond:
        with pytest.raises(UserError, match=path):
            given(value)


RATES = {
    "zero": [0.0, 0.1],
    "negative": [-1.0],
    "nan": [0.1, math.nan],
    "too large": [1e308],
    "too small": [1e-320],
    "falling": [0.1, 0.01],
    "twice": [0.1, 0.1],
    "too many": [1e-3 * i for i in range(1, 102)],
}


@pytest.mark.parametrize("name", RATES)
def test_learning_rates_rise_within_a_range(name: str) -> None:
    with pytest.raises(UserError, match=r"funnel.proxy.learning_rates has .*; accepted: "):
        config_from_dict({"funnel": {"proxy": {"learning_rates": RATES[name]}}})


TOGETHER = {
    "islands of one": ({"evolution": {"islands": 501}}, "evolution.islands is 501"),
    "task in both": (
        {"funnel": {"screen": {"tasks": ["a"]}, "proxy": {"tasks": ["b", "a"]}}},
        "funnel.proxy.tasks has 'a', which funnel.screen.tasks has too",
    ),
    "unknown input": ({"evolution": {"inputs": ["q"]}}, "accepted: w, g"),
    "misspelt strategy": ({"evolution": {"strategy": "randon"}}, "did you mean 'random'"),
    "distillation of nothing": (
        {"evolution": {"strategy": "distillation"}},
        "evolution.strategy is 'distillation', which needs traces",
    ),
    "traces that none reads": (
        {"traces": "a.npz", "evolution": {"strategy": "evolution"}},
        "traces is 'a.npz', and evolution.strategy is 'evolution', which reads none",
    ),
    "misspelt schedule": ({"funnel": {"target": {"schedule": "cosin"}}}, "mean 'cosine'"),
    "no start": ({"start": []}, "start is empty"),
}


@pytest.mark.parametrize("name", TOGETHER)
def test_values_that_do_not_go_together(name: str) -> None:
    data, expected = TOGETHER[name]
    with pytest.raises(UserError, match=expected):
        config_from_dict(data)


def test_traces_are_read_by_the_strategy_that_reads_traces() -> None:
    config = config_from_dict({"traces": "a.npz"})
    assert config.evolution.strategy == "distillation"
    assert not config.is_trained and config.tasks == ()
    assert config_from_dict(config_to_dict(config)) == config
    assert config_from_dict({"traces": "a.npz"}, preset("distill")).budget.seconds == 600
    for name in ("distill", "random"):
        with pytest.raises(UserError, match=r"evolution\.strategy is"):
            given = {} if name == "distill" else {"traces": "a.npz"}
            config_from_dict(given, preset(name))


@pytest.mark.parametrize("name", [*PRESETS, *ABLATIONS, *DESIGNS])
def test_presets_are_accepted_and_written_as_they_are(name: str, tmp_path: Path) -> None:
    config = {**PRESETS, **ABLATIONS, **DESIGNS}[name]
    assert config_from_dict(config_to_dict(config)) == config
    (path := tmp_path / "config.toml").write_text(config_to_toml(config))
    assert load_config(path, SearchConfig()) == config


def _digits(count: int) -> str:
    return "1" * count


FILES = {
    "nested lists": ("x = " + "[" * 50_000 + "]" * 50_000, "nested too deep"),
    "nested tables": ("x = " + "{a=" * 50_000 + "1" + "}" * 50_000, "nested too deep"),
    "long key": ("seed" + ".a" * 5_000 + " = 1", "seed is {'a'"),
    "long seed": (f"seed = {_digits(5001)}", "more than 4,300 digits"),
    "long seed in base 16": (f"seed = 0x{_digits(5001)}", "seed is a number of 6,021 digits"),
    "nan": ("[evolution]\nmutations = nan", "evolution.mutations is nan"),
    "inf": ("[evolution]\nmutations = inf", "evolution.mutations is inf"),
    "no time": ("[budget]\nseconds = 0", "budget.seconds is 0.0; accepted: above 0"),
    "seeds": ("[funnel.target]\nseeds = 1000000000", "seeds is 1,000,000,000; accepted: 1 to"),
    "islands": ("[evolution]\nislands = 1000000", "islands is 1,000,000; accepted: 1 to"),
    "rates": ("[funnel.screen]\nlearning_rates = [1e308, 1e-320]", "learning_rates has 1e+308"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_refused_in_one_sentence(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, expected = FILES[name]
    (path := tmp_path / "c.toml").write_text(text)
    assert main(["search", str(path), "--runs-dir", str(tmp_path / "runs")]) == 2
    error = capsys.readouterr().err
    assert expected in error
    assert error.count("\n") == 1
    assert len(error) < 500
    assert not (tmp_path / "runs").exists()


SEARCH = ["search", "--preset", "quick"]
EVALUATE = ["evaluate", "adamw"]
RESUME = ["resume", "nothing"]
OPTIONS = {
    "--seed": (SEARCH, "0 to 9,223,372,036,854,775,807"),
    "--workers": (SEARCH, "0 to 1,024"),
    "--budget.seconds": (SEARCH, "above 0, at most 1,000,000,000"),
    "--budget.candidates": (SEARCH, "1 to 1,000,000,000"),
    "--seeds": (EVALUATE, "1 to 1,000"),
    "evaluate --workers": (EVALUATE, "0 to 1,024"),
    "resume --workers": (RESUME, "0 to 1,024"),
    "resume --budget.seconds": (RESUME, "above 0, at most 1,000,000,000"),
    "resume --budget.candidates": (RESUME, "1 to 1,000,000,000"),
}
GIVEN = ["abc", "", "nan", "inf", "-inf", "-1", "1e30", "1" * 31, "1" * 5001, "0x1", "True", "1,5"]


@pytest.mark.parametrize("given", GIVEN, ids=[shown(text) for text in GIVEN])
@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_is_refused_in_one_sentence(
    name: str, given: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command, expected = OPTIONS[name]
    option = name.split()[-1]
    assert main([*command, f"{option}={given}", "--runs-dir", str(tmp_path / "runs")]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"evoptax: {option} is ")
    assert f"accepted: {expected}" in error or f", {expected}" in error
    assert error.count("\n") == 1
    assert len(error) < 300
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("option", ["--budget.seconds", "--seeds", "--budget.candidates"])
def test_zero_is_refused_where_it_means_nothing(
    option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*OPTIONS[option][0], option, "0"]) == 2
    assert f"{option} is 0" in capsys.readouterr().err


@pytest.mark.parametrize(
    "given", [{"seed": -1}, {"budget": {"seconds": math.nan}}, {"evolution": {"mutations": None}}]
)
def test_the_configuration_in_a_ledger_is_checked_too(
    given: dict[str, Any], tmp_path: Path
) -> None:
    with closing(create(tmp_path / "ledger.sqlite")) as opened:
        opened.set_fact("config", config_to_dict(SearchConfig()) | given)
        with pytest.raises(UserError, match=f"damaged: fact 'config': {next(iter(given))}"):
            stored_config(opened)


def test_every_value_can_be_shown() -> None:
    deep: list[Any] = []
    for _ in range(2 * sys.getrecursionlimit()):
        deep = [deep]
    values = [10**29, -(10**29), 10**5000, math.nan, "x" * 10**6, "\x1b[31m", deep, b"x" * 10**6]
    for value in values:
        text = shown(value)
        assert len(text) < 120
        assert text.isprintable()
