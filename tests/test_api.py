"""The Python API: rules and runs, as a notebook uses them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import evoptax
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from evoptax.dsl.errors import UserError
from evoptax.dsl.syntax import parse
from evoptax.known_algorithms.catalogue import KNOWN, get_known
from small_ledger import HOSTILE, finish, make_run
from small_search import SMALL

COMMAND = str(Path(sys.executable).with_name("evoptax"))
TEXT = '''def mine(w, g, *, lr=0.1):
    """Mine."""
    return lr * sign(g)
'''


def test_import_takes_no_time() -> None:
    """Nothing but the standard library is imported before something is used."""
    code = (
        "import sys, time; start = time.perf_counter(); import evoptax;"
        "seconds = time.perf_counter() - start;"
        "known = {name.split('.')[0] for name in sys.modules};"
        "assert not known & {'jax', 'numpy', 'optax', 'networkx', 'cattrs'}, known;"
        "assert evoptax.__version__[0].isdigit();"
        "assert seconds < 0.05, seconds"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_names_are_listed_and_others_refused() -> None:
    assert set(dir(evoptax)) >= {"Rule", "rule", "Run", "run", "__version__"}
    with pytest.raises(AttributeError, match=r"it has:.*rule"):
        evoptax.ruel  # noqa: B018


def test_the_module_is_the_command() -> None:
    for arguments in (["--help"], ["known", "lion"]):
        outputs = [
            subprocess.run(
                [*command, *arguments], capture_output=True, text=True, check=True
            ).stdout
            for command in ([sys.executable, "-m", "evoptax"], [COMMAND])
        ]
        assert outputs[0] == outputs[1] != ""
    failed = subprocess.run([sys.executable, "-m", "evoptax", "nothing"], capture_output=True)
    assert failed.returncode == 2


def test_a_rule_from_everywhere(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(TEXT)
    finish(make_run(tmp_path, name="trial"))
    assert evoptax.rule("lion").program == get_known("lion").program
    assert evoptax.rule(TEXT).text == TEXT == str(evoptax.rule(TEXT))
    assert evoptax.rule(tmp_path / "mine.py") == evoptax.rule(TEXT) == evoptax.rule(parse(TEXT))
    assert evoptax.rule(evoptax.rule("lion")) == evoptax.rule("lion")
    assert evoptax.rule("trial:0", runs_dir=tmp_path).name == "adamw"
    assert evoptax.rule("trial:best", runs_dir=tmp_path).name.startswith("evolved_")
    with pytest.raises(UserError, match="did you mean 'lion'"):
        evoptax.rule("loin")


@pytest.mark.parametrize("name", ["adamw", "lion", "schedule_free_sgd"])
def test_a_rule_trains(name: str) -> None:
    optimizer = evoptax.rule(name).optax(learning_rate=optax.constant_schedule(0.05))
    w = jnp.ones(3)
    state = optimizer.init(w)
    for _ in range(100):
        updates, state = optimizer.update(w, state, w)
        w = optax.apply_updates(w, updates)
    assert float(jnp.max(jnp.abs(w))) < 0.3


def test_a_rule_is_its_export() -> None:
    found = evoptax.rule("adamw").optax(1e-2, b1=0.8)
    expected = optax.adamw(1e-2, b1=0.8, weight_decay=1e-2)
    w, g = jnp.arange(4.0), jnp.ones(4)
    first, second = (o.update(g, o.init(w), w)[0] for o in (found, expected))
    np.testing.assert_allclose(first, second, rtol=1e-6)
    assert isinstance(jax.tree.leaves(found.init(w))[0], jax.Array)
    with pytest.raises(UserError, match="b3"):
        evoptax.rule("adamw").optax(b3=1)


def test_hyperparameters() -> None:
    rule = evoptax.rule("adamw").with_hyperparameters(b1=0.5)
    assert rule.hyperparameters == evoptax.rule("adamw").hyperparameters | {"b1": 0.5}
    with pytest.raises(UserError, match="no hyperparameter 'beta'"):
        rule.with_hyperparameters(beta=1)


def test_formats() -> None:
    assert "def lion(" in evoptax.rule("lion").export("optax")
    with pytest.raises(UserError, match="there is no format 'optx'; did you mean 'optax'"):
        evoptax.rule("lion").export("optx")


def test_a_rule_shows_itself() -> None:
    for name in KNOWN:
        latex = evoptax.rule(name)._repr_latex_()
        assert latex.startswith("$$") and latex.endswith("$$")
    rule = evoptax.rule(TEXT.replace("Mine.", HOSTILE.replace("\\", "")))
    assert "<script>" not in rule._repr_html_()


def test_a_run(tmp_path: Path) -> None:
    made = make_run(tmp_path, name="trial")
    run = evoptax.run("trial", runs_dir=tmp_path)
    assert run.best.text.startswith("def ")  # so far
    assert "rejected" in run._repr_html_()
    outcome = finish(made)
    assert run.best.name == f"evolved_{outcome.ordinal}"
    assert run.rule(0).name == "adamw"
    rows = run.candidates()
    assert [row["ordinal"] for row in rows] == list(range(len(rows)))
    assert {"parent", "program", "status", "fitness"} <= rows[0].keys()
    graph = run.lineage()
    assert set(graph.nodes) == {row["ordinal"] for row in rows}
    assert outcome.ordinal in run.lineage(outcome.ordinal)
    assert run.best.text.splitlines()[0] in run._repr_html_()
    with pytest.raises(UserError, match="no run"):
        evoptax.run("another", runs_dir=tmp_path)


class Bowl:
    """A task as an object, as it stands in a notebook's cell."""

    steps = 20

    def __init__(self, curvature: float) -> None:
        self.curvature = curvature

    def init(self, key: jax.Array) -> dict[str, jax.Array]:
        return {"w": jax.random.normal(key, (6,))}

    def batch(self, key: jax.Array) -> jax.Array:
        return 0.1 * jax.random.normal(key, (6,))

    def loss(self, params: dict[str, jax.Array], batch: jax.Array) -> jax.Array:
        return jnp.sum(0.5 * self.curvature * params["w"] ** 2 + batch * params["w"])

    def score(self, params: dict[str, jax.Array]) -> jax.Array:
        return jnp.sum(0.5 * self.curvature * params["w"] ** 2) + 1e-3


def test_a_search_on_an_object(tmp_path: Path) -> None:
    notes: list[str] = []
    seen: list[str] = []
    found = evoptax.discover(
        SMALL,
        name="mine",
        tasks=[Bowl(1.0)],
        budget={"candidates": 12},
        seed=3,
        runs_dir=tmp_path,
        started=lambda run: seen.append(run.name),
        report=lambda progress: seen.append(progress.phase),
        note=notes.append,
    )
    assert found == evoptax.run("mine", runs_dir=tmp_path)
    assert found.is_finished and seen[0] == "mine" and "searching" in seen
    assert len([row for row in found.candidates() if row["status"] == "new"]) == 12
    assert {p.name for p in found.folder.iterdir()} >= {
        "ledger.sqlite",
        "config.toml",
        "report.html",
        "best_rule.py",
        "best_rule_optax.py",
    }
    assert found.best.optax(learning_rate=1e-2).init({"w": jnp.zeros(6)}) is not None
    # With a larger budget it goes on, where the object is given again.
    more = evoptax.resume(
        "mine", tasks=[Bowl(1.0)], budget={"candidates": 16}, runs_dir=tmp_path, note=notes.append
    )
    assert len([row for row in more.candidates() if row["status"] == "new"]) == 16


def test_a_search_is_stopped_and_goes_on(tmp_path: Path) -> None:
    where = {"runs_dir": tmp_path, "workers": "in_process"}
    asked: list[None] = []

    def should_stop() -> bool:
        asked.append(None)
        return len(asked) > 6

    how = {"name": "mine", "tasks": "quadratic", "budget": {"candidates": 8}}
    stopped = evoptax.discover(SMALL, **how, **where, should_stop=should_stop)  # type: ignore[arg-type]
    assert not stopped.is_finished
    assert evoptax.resume("mine", **where).is_finished  # type: ignore[arg-type]


def test_evaluation() -> None:
    mine = evoptax.rule("lion").with_hyperparameters(b1=0.8)
    found = evoptax.evaluate(["sgd", mine], [Bowl(1.0)], against="adamw", seeds=2)
    assert {rule for rule, _ in found.scores} == {"sgd", "lion", "adamw"}
    assert found.tasks == ["Bowl"] and found.baseline == "adamw"
    # Another object of the same name is another task.
    steeper = evoptax.evaluate("sgd", [Bowl(100.0)], seeds=2)
    assert steeper.scores["sgd", "Bowl"].value != found.scores["sgd", "Bowl"].value


def test_tuning() -> None:
    momentum = evoptax.rule("momentum").with_hyperparameters(mu=0.05)
    found = evoptax.tune(momentum, [Bowl(1.0)], trials=18, seeds=3)
    assert found.runs > 0 and found.rule.name == "momentum"
    assert {change.name for change in found.changes} <= {"mu"}
    assert (found.effect.mean < 0) == bool(found.changes)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: evoptax.discover(), "preset or a configuration"),
        (lambda: evoptax.discover(preset="quik"), "quick"),
        (lambda: evoptax.discover(preset="quick", sed=1), "seed"),
        (lambda: evoptax.evaluate("adamw", [Bowl]), r"Bowl\(\)"),
        (lambda: evoptax.evaluate("adamw", [object()]), "no 'init'"),
        (lambda: evoptax.evaluate("adamw", "quadratik"), "quadratic"),
        (lambda: evoptax.evaluate([], "quadratic"), "no rule"),
        (lambda: evoptax.evaluate("adamw", [Bowl(1.0)], workers=2), "in this process"),
        (lambda: evoptax.evaluate(["adamw", TEXT.replace("mine", "adamw")], "quadratic"), "two"),
        (lambda: evoptax.tune("adamw", []), "no task"),
    ],
)
def test_mistakes_are_sentences(call, words: str, tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())
