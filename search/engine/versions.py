"""Versions of libraries and hardware that a run's numbers depend on, stored and compared."""

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
    """Library versions, processor architecture and JAX backend, by name."""
    found = {name: version(name) for name in _LIBRARIES}
    backend = workers.submit({"do": "backend"}, "asking what JAX trains on").result()
    return {**found, "processor": platform.machine(), "backend": backend}


def keep_versions(opened: Ledger, workers: Executor) -> None:
    """Stores the present versions with a run that has no candidates yet."""
    if opened.fact(FACT) is None and not any(opened.counts().values()):
        opened.set_fact(FACT, present_versions(workers))


def changed_versions(opened: Ledger, workers: Executor) -> str:
    """One line with the versions that changed since the run was started; empty if none did.

    A version that an older evoptax did not store counts as unchanged.
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
    line = f"this run was started with {before}, and continues with {now}"
    return printable(f"{' '.join(line.split())}: its numbers may differ from here on")
