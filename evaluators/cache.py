"""The user's cache folder: JAX's compiled functions, and the scores of known rules."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import platformdirs


def cache_folder() -> Path:
    """`$EVOPTAX_CACHE_DIR`, or the platform's cache folder for evoptax. Not created here."""
    override = os.environ.get("EVOPTAX_CACHE_DIR")
    return Path(override) if override else Path(platformdirs.user_cache_dir("evoptax"))


def enable_compilation_cache() -> None:
    """Keeps JAX's compiled functions between runs, so that a second start takes seconds.

    A folder that the user has chosen through JAX's own setting is left alone.
    """
    import jax

    if getattr(jax.config, "jax_compilation_cache_dir", None) is None:
        jax.config.update("jax_compilation_cache_dir", str(cache_folder() / "jax"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


class ScoreStore:
    """Scores by key in one SQLite file. If the folder is not writable, nothing is stored."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or cache_folder() / "scores.sqlite"

    def _connect(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self._path, timeout=30)
        connection.execute("create table if not exists scores (key text primary key, score text)")
        return connection

    def get(self, key: str) -> str | None:
        """The stored score, or None."""
        try:
            with self._connect() as connection:
                row = connection.execute("select score from scores where key = ?", [key])
                found = row.fetchone()
        except (OSError, sqlite3.Error):
            return None
        return found[0] if found else None

    def put(self, key: str, value: str) -> None:
        """Stores a score, unless the key has one already."""
        try:
            with self._connect() as connection:
                connection.execute("insert or ignore into scores values (?, ?)", [key, value])
        except (OSError, sqlite3.Error):
            return
