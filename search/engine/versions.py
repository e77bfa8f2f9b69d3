"""What a run's numbers were computed with, and whether that has changed since it was started."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from ...dsl.files import printable
from ..execution.base import Executor
from ..store.ledger import Ledger

FACT = "versions"
_LIBRARIES = ("evoptax", "jax", "jaxlib", "numpy")


def present_versions(workers: Executor) -> dict[str, str]:
    """The libraries' versions, the kind of processor, and what JAX trains on, by name."""
    found = {name: version(name) for name in _LIBRARIES}
    backend = workers.submit({"do": "backend"}, "asking what JAX trains on").result()
    return {**found, "processor": platform.machine(), "backend": backend}


def keep_versions(opened: Ledger, workers: Executor) -> None:
    """Stores them with a run that has not begun, once."""
    if opened.fact(FACT) is None and not any(opened.counts().values()):
        opened.set_fact(FACT, present_versions(workers))


def changed_versions(opened: Ledger, workers: Executor) -> str:
    """What a run was started with and what it goes on with, in a line; empty if all is as it was.

    What an older version of evoptax did not store counts as unchanged.
    """
    stored: Any = opened.fact(FACT)
    if not isinstance(stored, Mapping):
        return ""
    present = present_versions(workers)
    changed = [name for name in present if stored.get(name, present[name]) != present[name]]
    if not changed:
        return ""
    before, now = (
        ", ".join(f"{name} {versions[name]}" for name in changed) for versions in (stored, present)
    )
    line = f"this run was started with {before}, and goes on with {now}"
    return printable(f"{' '.join(line.split())}: its numbers may differ from here on")
