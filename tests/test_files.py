"""Files that are replaced whole, and text made safe for a terminal."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from evoptax.dsl import files
from evoptax.dsl.errors import UserError
from evoptax.dsl.files import printable, replace_text


def test_a_file_is_replaced_and_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "rule.py"
    replace_text(path, "one")
    path.chmod(0o600)
    replace_text(path, "two")
    assert path.read_text() == "two"
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["rule.py"]


def test_a_new_file_has_the_mode_that_open_gives(tmp_path: Path) -> None:
    replace_text(tmp_path / "a", "")
    (tmp_path / "b").write_text("")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("one")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    replace_text(tmp_path / "link", "two")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "two"


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_text_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    path = tmp_path / "rule.py"
    path.write_text("old")

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, failing, full)
    with pytest.raises(UserError, match=r"cannot write '.*rule.py': No space left on device"):
        replace_text(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["rule.py"]


def test_a_device_is_written_to_as_it_is() -> None:
    replace_text(Path("/dev/null"), "text")
    assert Path("/dev/null").is_char_device()
    with pytest.raises(UserError, match="cannot write '/dev/full'"):
        replace_text(Path("/dev/full"), "text")


def test_a_vanished_folder_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot write '.*gone/rule.py': No such file"):
        replace_text(tmp_path / "gone" / "rule.py", "text")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb\tc é ∇", "a\nb\tc é ∇"),
        ("\x1b[31m", r"\x1b[31m"),
        ("a\rb\x00", r"a\rb\x00"),
        ("\x9b2J", r"\x9b2J"),
        ("\udcff", r"\udcff"),
        ("\u202egnp", r"\u202egnp"),
    ],
)
def test_control_characters_are_written_out(text: str, shown: str) -> None:
    assert printable(text) == shown
