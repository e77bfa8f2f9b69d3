"""How far every rule is from its references, as `benchmarks/parity.py` measured it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FILE = Path(__file__).with_name("parity.json")


@dataclass(frozen=True)
class Match:
    """One rule beside one reference, in float64 on a fixed sequence of gradients.

    Attributes:
      source: the implementation compared with.
      version: its version, or the commit of official code.
      tolerance: the largest absolute difference that counts as agreement.
      provenance: the catalogue's mark for the equation: N (a named implementation agrees), C (read
        from official code), S (a third party's), U (not verified).
      tensors: the shapes compared, by name.
      note: what had to be minded; may be empty.
      differences: the largest absolute difference of a weight, by how the program was run.
    """

    source: str
    version: str
    tolerance: float
    provenance: str
    tensors: tuple[str, ...]
    note: str
    differences: Mapping[str, float]

    @property
    def largest(self) -> float:
        """The largest difference over all ways of running the program."""
        return max(self.differences.values())


@dataclass(frozen=True)
class Parity:
    """The measurements of all rules.

    Attributes:
      steps: how many were compared.
      versions: of what ran the programs, by name.
      rules: by rule.
    """

    steps: int
    versions: Mapping[str, str]
    rules: Mapping[str, tuple[Match, ...]]


@cache
def load_parity(file: Path = FILE) -> Parity:
    """Reads the measurements; without the file there are none."""
    if not file.exists():
        return Parity(0, {}, {})
    data = json.loads(file.read_text(encoding="utf-8"))
    rules = {
        name: tuple(Match(**(m | {"tensors": tuple(m["tensors"])})) for m in matches)
        for name, matches in data["rules"].items()
    }
    return Parity(data["steps"], data["versions"], rules)
