"""`evoptax.run` and `Run`: reads a run of a search."""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .dsl.errors import UserError
from .rules import Rule, runs_folder
from .search.store import runs

if TYPE_CHECKING:
    import networkx


@dataclass(frozen=True)
class Run:
    """A run of a search, finished or not. A notebook displays its counts and best rule.

    Attributes:
      folder: the run's folder.
    """

    folder: Path

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name

    @property
    def best(self) -> Rule:
        """The best rule so far. Raises UserError if there is none yet."""
        return Rule(runs.rule_of_run(self._stored, "best"))

    @property
    def is_finished(self) -> bool:
        """Whether its budget is spent and its best rule chosen."""
        from .search.store.outcome import read_outcome

        with closing(self._stored.read()) as opened:
            return read_outcome(opened) is not None

    def rule(self, ordinal: int) -> Rule:
        """A candidate as a rule. Raises UserError if there is none with that number."""
        return Rule(runs.rule_of_run(self._stored, str(ordinal)))

    def candidates(self) -> list[dict[str, Any]]:
        """All candidates as rows, for a data frame: `pandas.DataFrame(run.candidates())`."""
        with closing(self._stored.read()) as opened:
            return [asdict(candidate) for candidate in opened.candidates()]

    def lineage(self, ordinal: int | None = None) -> networkx.DiGraph:
        """The ancestry of all candidates, or of one, as a graph from parents to children.

        See `search.report.lineage.graph.lineage_graph` for the attributes of nodes and edges.
        """
        from .search.report.lineage.graph import lineage_graph

        with closing(self._stored.read()) as opened:
            return lineage_graph(opened, ordinal=ordinal)

    @property
    def _stored(self) -> runs.Run:
        return runs.Run(self.folder)

    def _repr_html_(self) -> str:
        from .search.report.html.page import text

        with closing(self._stored.read()) as opened:
            counts = opened.counts()
        listed = ", ".join(f"{count:,} {status}" for status, count in counts.items())
        try:
            best = self.best._repr_html_()
        except UserError as error:
            best = f"<p>{text(str(error))}</p>"
        return f"<p><b>{text(self.name)}</b>: {listed}</p>{best}"


def run(name: str, *, runs_dir: str | os.PathLike[str] | None = None) -> Run:
    """A run by its name.

    Args:
      name: of the run. runs_dir: the folder of runs; see `rules.runs_folder`.

    Raises:
      UserError: there is no such run.
    """
    return Run(runs.find_run(runs_folder(runs_dir), name).folder)
