"""Damaged runs: whatever a ledger's file or its rows have become, every command that reads answers
or refuses in one sentence, and the other runs are listed.

A further damage is a line of `FILES` or `CONTENTS`.
"""

from __future__ import annotations

import functools
import json
import os
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from unicodedata import category

import evoptax.cli.simplify as simplify_command
import evoptax.search.selection.finalists as finalists_module
import pytest
from damage import COMMANDS, TRAINING, assert_no_traceback, command_line, run_command
from evoptax.dsl.algebra.canonical import program_digest
from evoptax.dsl.errors import UserError
from evoptax.known_algorithms.catalogue import get_known
from evoptax.search.config.files import config_from_dict
from evoptax.search.report.report import report_html
from evoptax.search.store import ledger
from evoptax.search.store.ledger import SCHEMA
from evoptax.search.store.records import Proposal, Status
from evoptax.search.store.runs import Run
from small_ledger import finish, make_run

# Those that need no training and no export, which compiles; `resume` of a finished run writes its
# files again, and is tried once for each damage.
READING = [name for name in COMMANDS if name not in (*TRAINING, "export optax")]


# Simplifying finalists takes most of the time of what reads an unfinished run.
CONFIG = config_from_dict({"budget": {"candidates": 12}, "funnel": {"finalists": 2}})


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs alike in a folder: `neighbour` stays as it is, `trial` is to be damaged."""
    folder = tmp_path_factory.mktemp("healthy")
    for name in ("trial", "neighbour"):
        finish(make_run(folder, name=name, count=12, rounds=3, config=CONFIG))
        with closing(sqlite3.connect(folder / name / "ledger.sqlite")) as db:
            db.execute("pragma journal_mode = delete")
    return folder


@pytest.fixture(scope="module", autouse=True)
def _simplified_once() -> Iterator[None]:
    """Each program is simplified once, whatever the damage beside it: that took half the time."""
    explain = functools.cache(simplify_command.explain)
    with pytest.MonkeyPatch.context() as patch:
        # Without the time limit of the command, which none of these programs reaches.
        patch.setattr(simplify_command, "explain", lambda program, limit: explain(program))
        for module, name in (
            (simplify_command, "nearest_known"),
            (finalists_module, "simplify"),
        ):
            patch.setattr(module, name, functools.cache(getattr(module, name)))
        yield


@pytest.fixture
def runs_dir(healthy: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(healthy, tmp_path / "runs"))


def check_every_command(runs_dir: Path, names: list[str], *, listed: bool = True) -> set[int]:
    """Runs commands on a damaged run; returns their exit statuses."""
    statuses = set()
    for name in names:
        status, out, err = run_command(command_line(name, "trial", runs_dir))
        assert_no_traceback(status, out, err)
        for text in (out, err):
            controls = [c for c in text if c not in "\n\t" and category(c) == "Cc"]
            assert not controls, name
        if not name.startswith("runs"):
            statuses.add(status)
        elif name == "runs json":
            rows = {row["run"]: row for row in json.loads(out)}
            assert status == 0 and rows["neighbour"]["state"] == "done"
            assert ("trial" in rows) is listed
    try:
        report_html(Run(runs_dir / "trial"))
    except UserError as error:
        assert "\n" not in str(error)
    return statuses


# --- the file ---------------------------------------------------------------------------------


def cut(share: float) -> Callable[[Path], None]:
    """Keeps so much of the file from its start."""
    return lambda path: os.truncate(path, int(path.stat().st_size * share))


def overwritten(start: float, count: int, byte: int = 0) -> Callable[[Path], None]:
    """Overwrites bytes from some share of the file on."""

    def damage(path: Path) -> None:
        data = bytearray(path.read_bytes())
        at = int(len(data) * start)
        data[at : at + count] = bytes([byte]) * len(data[at : at + count])
        path.write_bytes(data)

    return damage


def flipped(seed: int, count: int = 200) -> Callable[[Path], None]:
    """Flips bits at random, behind the header."""

    def damage(path: Path) -> None:
        rng = random.Random(seed)
        data = bytearray(path.read_bytes())
        for _ in range(count):
            data[rng.randrange(100, len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(data)

    return damage


def replaced(content: bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(content) and None


def by_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def by_another_database(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as db:
        db.execute("create table facts (key text, value text)")


def by_a_dangling_link(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.with_name("nowhere"))


def statement(sql: str) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        with closing(sqlite3.connect(path)) as db, db:
            db.execute(sql)

    return damage


def without_its_log(path: Path) -> None:
    """Written to with a log, of which the last part is lost with the process that wrote it."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("pragma journal_mode = wal")
        with db:
            db.execute("update facts set value = 'null' where key = 'outcome'")
        shutil.copy(path, path.with_suffix(".copy"))
    path.with_suffix(".copy").rename(path)


def garbage_in_the_log(path: Path) -> None:
    statement("pragma journal_mode = wal")(path)
    path.with_name(path.name + "-wal").write_bytes(b"garbage " * 1000)


def beside(name: str, content: bytes | None) -> Callable[[Path], None]:
    """Another file of the run's folder replaced, or gone; the ledger is whole."""

    def damage(path: Path) -> None:
        if content is None:
            path.with_name(name).unlink()
        else:
            path.with_name(name).write_bytes(content)

    return damage


def unreadable(path: Path) -> None:
    path.chmod(0)


FILES: dict[str, Callable[[Path], None]] = {
    "cut to nothing": cut(0.0),
    "cut within the header": lambda path: os.truncate(path, 50),
    "cut after the header": lambda path: os.truncate(path, 100),
    "cut after a page": lambda path: os.truncate(path, 4096),
    "cut at a third": cut(0.33),
    "cut near the end": cut(0.97),
    "zeros as the header": overwritten(0.0, 100),
    "zeros as the first page": overwritten(0.0, 4096),
    "zeros in the middle": overwritten(0.4, 20_000),
    "ones near the end": overwritten(0.8, 5000, 255),
    "bits flipped": flipped(1),
    "other bits flipped": flipped(2),
    "many bits flipped": flipped(3, 5000),
    "text": replaced(b"not a database\n" * 100),
    "a pickle": replaced(b"\x80\x04\x95" + bytes(200)),
    "a folder": by_a_folder,
    "another database": by_another_database,
    "another application": statement("pragma application_id = 7"),
    "a newer format": statement(f"pragma user_version = {SCHEMA + 1}"),
    "a dangling link": by_a_dangling_link,
    "no log": without_its_log,
    "garbage in the log": garbage_in_the_log,
    "no permission": unreadable,
    "garbage as config.toml": beside("config.toml", b"\x00\xff[[["),
    "no config.toml": beside("config.toml", None),
}
# These are still whole ledgers, or no ledger at all.
READABLE = ("no log", "garbage in the log", "garbage as config.toml", "no config.toml")
NO_LEDGER = ("a folder", "a dangling link")


@pytest.mark.parametrize("damage", FILES)
def test_a_damaged_file(damage: str, runs_dir: Path) -> None:
    if damage == "no permission" and os.geteuid() == 0:
        pytest.skip("the superuser may read every file")
    FILES[damage](runs_dir / "trial" / "ledger.sqlite")
    statuses = check_every_command(runs_dir, READING, listed=damage not in NO_LEDGER)
    if damage in READABLE:
        assert statuses == {0}
    elif "bits" not in damage:
        assert 2 in statuses


# --- what is in it ----------------------------------------------------------------------------


# SQL with its values; or a fact, and what becomes of it.
Edits = list[tuple[str, Any]]
GONE = object()


def fact(key: str, value: Any) -> Edits:
    """Another value of a fact; a text is stored as it is, all else as JSON."""
    text = value if isinstance(value, str | bytes) else json.dumps(value)
    return [("insert or replace into facts values (?, ?)", [key, text])]


def inside(key: str, *place: Any, value: Any = None) -> Edits:
    """Another value somewhere inside of a fact, or none."""

    def change(stored: Any) -> Any:
        at = stored
        for step in place[:-1]:
            at = at[step]
        if value is GONE:
            del at[place[-1]]
        else:
            at[place[-1]] = value
        return stored

    return [(key, change)]


def column(name: str, value: Any, where: str = "ordinal = 7") -> Edits:
    """Another value in a column of candidates."""
    return [(f"update candidates set {name} = ? where {where}", [value])]


def sql(text: str, *values: Any) -> Edits:
    return [(text, list(values))]


DEEP = "[" * 100_000
HOSTILE = "import os\nos._exit(3)"
CONTROL = 'def evolved(w, g, *, lr=1.0):\n    """\x1b[2J\x07\x9b31m."""\n    return lr * g\n'

# What is edited, and whether every command answers all the same.
CONTENTS: dict[str, tuple[Edits, bool]] = {
    "outcome of wrong type": (fact("outcome", {"ordinal": "x"}), False),
    "outcome a list": (fact("outcome", [1, 2]), False),
    "outcome empty": (fact("outcome", {}), False),
    "outcome no JSON": (fact("outcome", "{"), False),
    "outcome nested deep": (fact("outcome", DEEP), False),
    "outcome a blob": (fact("outcome", b"\xff\xfe"), False),
    "outcome null": (fact("outcome", None), True),
    "outcome lacks a key": (
        inside("outcome", "simplified", value=GONE),
        False,
    ),
    "outcome has a key more": (inside("outcome", "colour", value="red"), False),
    "outcome of no candidate": (inside("outcome", "ordinal", value=999), False),
    "outcome of a negative": (inside("outcome", "ordinal", value=-1), False),
    "outcome of a huge number": (inside("outcome", "ordinal", value=10**30), False),
    "outcome's rule garbage": (inside("outcome", "simplified", value="x = ("), False),
    "outcome's rule hostile": (inside("outcome", "simplified", value=HOSTILE), False),
    "outcome's fitness text": (inside("outcome", "fitness", value="good"), False),
    "finalists garbage": (inside("outcome", "finalists", value="none"), False),
    "a finalist's rule garbage": (inside("outcome", "finalists", 1, "program", value="def"), False),
    "comparison garbage": (inside("outcome", "comparison", 0, value={"rule": 1}), False),
    "comparison empty": (inside("outcome", "comparison", value=[]), True),
    "overall garbage": (inside("outcome", "overall", value=[None]), False),
    "kinship with control characters": (inside("outcome", "kinship", value="\x1b[2J\x07"), True),
    "rounds a table": (fact("rounds", {"a": 1}), False),
    "rounds of text": (fact("rounds", ["a", "b"]), False),
    "rounds lack champions": (inside("rounds", 0, "champions", value=GONE), False),
    "a champion of text": (inside("rounds", 0, "champions", 0, "validation", value="x"), False),
    "no such champion": (inside("rounds", 0, "champions", 0, "ordinal", value=77), False),
    "config null": (fact("config", None), False),
    "config of unknown keys": (inside("config", "colour", value="red"), False),
    "config of wrong types": (inside("config", "evolution", "population", value="many"), False),
    "config a number": (fact("config", 7), False),
    "config gone": (sql("delete from facts where key = 'config'"), False),
    "counts of text": (fact("counts", {"new": "many"}), False),
    "counts of unknown kinds": (fact("counts", {"great": 3}), False),
    "tally garbage": (fact("tally", {"rejected": 3}), False),
    "versions garbage": (fact("versions", [1]), True),
    "an unknown fact": (fact("\x1b[2J", {"a": 1}), True),
    "program garbage": (column("program", "x = ("), False),
    "program empty": (column("program", ""), False),
    "program enormous": (column("program", "def f(w, g):\n" + "    w = w\n" * 100_000), False),
    "program nested deep": (column("program", f"def f(w):\n    return {'-' * 90_000}w\n"), False),
    "program with control characters": (column("program", CONTROL), True),
    "program of NUL": (column("program", "def f(w):\n    return w\x00\n"), False),
    "program a blob": (column("program", b"\xff\x00"), False),
    "program not UTF-8": (sql("update candidates set program = cast(x'ff41' as text)"), False),
    "change with control characters": (column("change", "\x1b[2J\x07"), True),
    "change a blob": (column("change", b"\xff"), False),
    "parent itself": (column("parent", 7), False),
    "parent a later one": (column("parent", 9), False),
    "parent missing": (sql("delete from candidates where ordinal = 0"), False),
    "parent negative": (column("parent", -4), False),
    "parent text": (column("parent", "adam"), False),
    "twin text": (column("twin", "adam"), False),
    "status unknown": (column("status", "great"), False),
    "status a blob": (column("status", b"new"), False),
    "reason with control characters": (column("reason", "\x1b[2J"), True),
    "fitness text": (column("fitness", "good"), False),
    "fitness infinite": (column("fitness", float("-inf")), True),
    "fitness NaN": (column("fitness", float("nan")), True),
    "fitness a blob": (column("fitness", b"\x00"), False),
    "digest a blob": (column("digest", b"\x00"), False),
    "digest garbage": (column("digest", "\x1b[2J"), False),
    "ordinal negative": (column("ordinal", -3), False),
    "scores garbage": (sql("update results set scores = 'x'"), False),
    "scores of text": (sql("""update results set scores = '{"scores": [["a"]]}'"""), False),
    "scores nested deep": (sql("update results set scores = ?", DEEP), False),
    "scores a blob": (sql("update results set scores = x'00ff'"), False),
    "scores a list": (sql("update results set scores = '[1]'"), False),
    "fidelity garbage": (sql("update or ignore results set fidelity = '{}'"), False),
    "no table of results": (sql("drop table results"), False),
    "no table of facts": (sql("drop table facts"), False),
    "no table of candidates": (sql("drop table candidates"), False),
    "no table of sessions": (sql("drop table sessions"), False),
    "a column is gone": (sql("alter table candidates drop column twin"), False),
    "a column more": (sql("alter table candidates add column colour text"), True),
    "seconds text": (sql("update sessions set seconds = 'long'"), False),
    "seconds infinite": (sql("update sessions set seconds = 9e999"), False),
    "seconds a blob": (sql("update sessions set seconds = x'00'"), False),
}  # fmt: skip
# Which candidate `show RUN:NUMBER` is to show, where the damage is in one.
AT = ["show {run}:7", "lineage {run} 7", "export {run}:7 --to json", "simplify {run}:7 --exact"]


def edit(run: Path, edits: Edits) -> None:
    with closing(sqlite3.connect(run / "ledger.sqlite")) as db:
        # As SQLite lets everyone do who edits a file; what our own tables refuse can be made too.
        db.execute("pragma ignore_check_constraints = on")
        with db:
            for text, values in edits:
                if callable(values):
                    ((old,),) = db.execute("select value from facts where key = ?", [text])
                    db.execute(*fact(text, values(json.loads(old)))[0])
                else:
                    db.execute(text, values)


@pytest.mark.parametrize("case", CONTENTS)
def test_edited_contents(case: str, runs_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edits, is_readable = CONTENTS[case]
    edit(runs_dir / "trial", edits)
    for command in AT:
        monkeypatch.setitem(COMMANDS, command, command)
    statuses = check_every_command(runs_dir, [*READING, *AT])
    assert statuses == {0} if is_readable else 2 in statuses


# --- what a search goes on from ---------------------------------------------------------------

GOES_ON = {
    "fitness": column("fitness", "good", "ordinal = 0"),
    "parent": column("parent", 9, "ordinal = 0"),
    "result": sql("update results set scores = '[1]'"),
    "result of text": sql("""update results set scores = replace(scores, '"scores": [[', '[["')"""),
}


@pytest.mark.parametrize("case", GOES_ON)
def test_a_resumed_search_meets_no_damage(case: str, runs_dir: Path) -> None:
    edit(runs_dir / "trial", GOES_ON[case])
    start = get_known("adamw").program
    digest = program_digest(start)
    starter = Proposal(0, None, "start: adamw", start, digest, Status.NEW)
    with closing(ledger.open_to_write(runs_dir / "trial" / "ledger.sqlite")) as opened:
        (_, task, fidelity, path, _), *_ = opened.results()
        with pytest.raises(UserError, match="the ledger of run 'trial' is damaged"):
            opened.propose([starter])
            opened.result(digest, task, 1, fidelity, path)
