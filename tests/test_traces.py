"""Files of traces: what is written is read back, and what is malformed is refused in a sentence."""

from __future__ import annotations

import io
import os
import random
import re
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evoptax.dsl.errors import UserError
from evoptax.dsl.syntax import parse
from evoptax.known_algorithms.catalogue import get_known
from evoptax.search.strategies.distillation import archive
from evoptax.search.strategies.distillation.recording import KINDS, record, record_rule, streams
from evoptax.search.strategies.distillation.traces import read_traces, relative_error, write_traces

Arrays = dict[str, Any]


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    traces = record_rule(get_known("adam").program, 3)
    write_traces(tmp_path / "adam.npz", traces)
    back = read_traces(tmp_path / "adam.npz")
    assert len(back) == len(traces)
    for one, other in zip(traces, back, strict=True):
        assert one.names == other.names
        for part in ("weights", "gradients", "updates"):
            for a, b in zip(getattr(one, part), getattr(other, part), strict=True):
                assert np.array_equal(a, b) and a.shape == b.shape
        assert np.array_equal(one.lr, other.lr)


def plain() -> Arrays:
    rng = np.random.default_rng(0)
    arrays: Arrays = {"0/lr": np.float64(0.1), "1/lr": np.full(4, 0.2)}
    for index in (0, 1):
        for part in ("weights", "gradients", "updates"):
            arrays[f"{index}/{part}/a"] = rng.normal(size=(4, 3, 2))
            arrays[f"{index}/{part}/b"] = rng.normal(size=4)
    return arrays


def test_the_learning_rate_is_one_number_or_one_for_each_step(tmp_path: Path) -> None:
    np.savez(tmp_path / "plain.npz", **plain())
    first, second = read_traces(tmp_path / "plain.npz")
    assert first.lr.tolist() == [0.1] * 4 and second.lr.tolist() == [0.2] * 4
    assert first.size == 7 and first.steps == 4


def dropped(*keys: str) -> Callable[[Arrays], None]:
    return lambda arrays: [arrays.pop(key) for key in keys] and None


def put(key: str, value: Any) -> Callable[[Arrays], None]:
    return lambda arrays: arrays.__setitem__(key, value)


NAN = np.full((4, 3, 2), np.nan)
MALFORMED: dict[str, tuple[Callable[[Arrays], None], str]] = {
    "no updates": (dropped("0/updates/a"), "0/updates/a"),
    "no learning rate": (dropped("1/lr"), "1/lr"),
    "no gradients": (dropped("1/gradients/a", "1/gradients/b"), "1/gradients"),
    "unknown array": (put("0/losses/a", np.ones(4)), "0/losses/a"),
    "unknown tensor": (put("0/updates/c", np.ones(4)), "0/updates/c"),
    "another shape": (put("0/updates/a", np.ones((4, 2, 3))), r"\(4, 2, 3\).*\(4, 3, 2\)"),
    "other steps": (put("0/gradients/b", np.ones(5)), "0/gradients/b"),
    "no steps axis": (put("0/weights/a", np.float64(1.0)), "0/"),
    "NaN": (put("1/updates/a", NAN), "1/updates/a.*NaN"),
    "words": (put("1/weights/b", np.array(["a"] * 4)), "1/weights/b.*type"),
    "complex": (put("1/weights/b", np.ones(4, complex)), "complex128"),
    "objects": (put("1/weights/b", np.array([{}] * 4, object)), "1/weights/b.*Python objects"),
    "negative rate": (put("0/lr", np.float64(-1.0)), "0/lr.*positive"),
    "rates of 0": (put("0/lr", np.zeros(4)), "0/lr.*not all 0"),
    "one rate of 0": (put("0/lr", np.float64(0)), "0/lr.*not all 0"),
    "no rates": (put("0/lr", np.ones(0)), r"0/lr.*\(0,\)"),
    "rates": (put("0/lr", np.ones(3)), r"0/lr.*\(3,\)"),
    "a gap": (lambda arrays: [arrays.update({k.replace("1/", "2/"): arrays.pop(k)})
                              for k in list(arrays) if k.startswith("1/")] and None,
              "no trace 1"),
}  # fmt: skip


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_files_are_refused_by_name(case: str, tmp_path: Path) -> None:
    change, words = MALFORMED[case]
    arrays = plain()
    change(arrays)
    path = tmp_path / "bad.npz"
    np.savez(path, **arrays)
    with pytest.raises(UserError, match=words) as caught:
        read_traces(path)
    assert "bad.npz" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"nonsense", b"PK\x03\x04 cut off", b"\x80\x04K\x01."])
def test_what_is_no_archive_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bad.npz"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"bad\.npz"):
        read_traces(path)
    with pytest.raises(UserError, match="No such file"):
        read_traces(tmp_path / "none.npz")
    np.save(tmp_path / "one.npy", np.ones(3))
    with pytest.raises(UserError, match="one array"):
        read_traces(tmp_path / "one.npy")


def claiming(shape: tuple[int, ...], dtype: str = "<f8", *, data: bytes = b"") -> bytes:
    """An array as a file, whose header claims a shape and a type."""
    file = io.BytesIO()
    header = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue() + data


# Members of an archive that lie about their size, and how they are packed.
LIES: dict[str, tuple[bytes, int, str]] = {
    "8 TB": (claiming((10**6, 10**6)), zipfile.ZIP_STORED, "claims 8,000,000,000,000 bytes"),
    "8 TB of nothing": (claiming((10**12, 0, 8)), zipfile.ZIP_STORED, "lacks"),
    "more than 64 bits": (claiming((2**40, 2**40)), zipfile.ZIP_DEFLATED, "claims"),
    "a negative shape": (claiming((-1, 4), data=bytes(32)), zipfile.ZIP_STORED, "damaged"),
    "one number more": (claiming((5,), data=bytes(32)), zipfile.ZIP_STORED, "claims 40 bytes"),
    "one number less": (claiming((3,), data=bytes(32)), zipfile.ZIP_STORED, "claims 24 bytes"),
    "long text": (claiming((4,), "<U1000000000"), zipfile.ZIP_DEFLATED, "claims"),
    "objects": (claiming((4,), "|O", data=bytes(32)), zipfile.ZIP_STORED, "Python objects"),
    "no array": (b"not an array", zipfile.ZIP_DEFLATED, "damaged"),
    "a cut header": (claiming((4,))[:50], zipfile.ZIP_STORED, "damaged"),
    "a header of code": (
        claiming((4,)).replace(b"(4,)", b"f()("), zipfile.ZIP_STORED, "damaged"
    ),
    "packed otherwise": (claiming((4,), data=bytes(32)), zipfile.ZIP_LZMA, "damaged"),
}  # fmt: skip


@pytest.mark.parametrize("case", LIES)
def test_what_an_array_claims_is_checked_before_memory_is_taken(case: str, tmp_path: Path) -> None:
    content, packed, words = LIES[case]
    path = tmp_path / "bad.npz"
    with zipfile.ZipFile(path, "w", packed) as file:
        file.writestr("0/lr.npy", content)
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match=words) as caught:
            read_traces(path)
        assert tracemalloc.get_traced_memory()[1] < 10**7
    finally:
        tracemalloc.stop()
    assert "bad.npz" in str(caught.value) and "\n" not in str(caught.value)


def test_an_archive_that_lies_about_its_members_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("0/lr.npy", claiming((10**6, 100)))
        # What it says of itself in the directory, which is all that is read of it at first.
        file.filelist[0].file_size = 8 * 10**8 + len(claiming((10**6, 100)))
    with pytest.raises(UserError, match="claims 800,000,000 bytes"):
        read_traces(path)


def test_more_than_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MOST_BYTES", 100)
    np.savez(tmp_path / "plain.npz", **plain())
    with pytest.raises(UserError, match="accepted: 100 in all"):
        read_traces(tmp_path / "plain.npz")


@pytest.mark.parametrize("place", ["/dev/zero", "pipe", "folder"])
def test_what_is_no_file_is_refused(place: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match="no file"):
        read_traces(tmp_path / place)


def test_bits_flipped_anywhere_are_refused_or_read(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "plain.npz", **plain())
    data = (tmp_path / "plain.npz").read_bytes()
    rng = random.Random(0)
    for _ in range(300):
        damaged = bytearray(data)
        for _ in range(rng.choice((1, 5, 50))):
            damaged[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        (tmp_path / "bad.npz").write_bytes(damaged)
        try:
            read_traces(tmp_path / "bad.npz")
        except UserError as error:
            assert "bad.npz" in str(error)


def test_a_rule_explains_its_own_traces_and_no_others() -> None:
    for name in ("sgd", "adamw", "lion", "lamb", "muon"):
        program = get_known(name).program
        traces = record_rule(program, 0, count=6)
        assert relative_error(program, traces) == 0.0
        assert relative_error(get_known("nesterov").program, traces) > 0.01


def test_what_traces_cannot_say_is_refused() -> None:
    traces = record_rule(get_known("sgd").program, 0, count=1)
    with pytest.raises(UserError, match="reads 'loss'"):
        relative_error(parse("def f(w, g, loss, *, lr=1e-3):\n    return lr * loss * g\n"), traces)
    nan = parse("def f(w, g, *, lr=1e-3):\n    return lr * sqrt(-1 - square(g))\n")
    assert relative_error(nan, traces) == np.inf


def test_streams_differ_widely_and_repeat() -> None:
    first, again, other = streams(0), streams(0), streams(1)
    for a, b, c in zip(first, again, other, strict=True):
        assert all(np.array_equal(x, y) for x, y in zip(a.noise, b.noise, strict=True))
        assert not np.array_equal(a.noise[0], c.noise[0])
    sizes = np.concatenate([np.abs(n).reshape(-1) for s in first for n in s.noise])
    positive = sizes[sizes > 0]
    assert positive.max() / positive.min() > 1e5
    assert (first[KINDS.index("sparse")].noise[0] == 0).any()


def test_a_black_box_moves_its_own_weights() -> None:
    def make(lr: float) -> Any:
        return lambda w: None, lambda g, state, w: ([-lr * x for x in g], state)

    for trace in record(make, 0, count=6):
        for w, u in zip(trace.weights, trace.updates, strict=True):
            assert np.allclose(w[1:], w[:-1] - u[:-1])
    assert relative_error(get_known("sgd").program, record(make, 0)) < 1e-15


def test_the_documented_example_records_optax(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = Path(__file__).resolve().parent.parent / "docs" / "distill.md"
    block = re.search(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None
    monkeypatch.chdir(tmp_path)
    exec(block.group(1), {})
    assert relative_error(get_known("adam").program, read_traces("adam.npz")) < 1e-7
