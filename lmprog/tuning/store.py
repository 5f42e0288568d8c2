"""What a search keeps: each row's score as soon as it is there, so that nothing is lost or paid for twice.

An SQLite file with three tables: `about` says which search it is of, `kept` holds what was proposed, `outcomes` every
row that was run, by the values that the slots had. A search that is resumed goes through the same steps again and finds
their outcomes here. One process at a time has the file open; a commit is on disk when it returns.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import TuningError

VERSION = 1
APPLICATION = 0x6C6D746E  # "lmtn", in the header of the file
TABLES = (
    f"PRAGMA application_id = {APPLICATION}",
    f"PRAGMA user_version = {VERSION}",
    "CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE kept (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE outcomes (slots TEXT, row INTEGER, score REAL, tokens INTEGER, error TEXT, detail TEXT, "
    "seconds REAL, PRIMARY KEY (slots, row)) WITHOUT ROWID",
)


@dataclass(frozen=True)
class Outcome:
    """One row of the data under one choice of values.

    tokens   of the prompt and the values
    error    why it failed; its score is then 0
    detail   what else a method needs, as JSON can say it
    seconds  what the search had taken when this was kept
    """

    row: int
    score: float
    tokens: int = 0
    error: str = ""
    detail: Any = None
    seconds: float = 0.0


class Store:
    """path: None keeps everything in memory. Raises TuningError from every method."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        with self._typed():
            self._db = sqlite3.connect(":memory:" if path is None else path, 0.2, isolation_level=None)
        try:
            self._prepare()
        except BaseException:
            self._db.close()
            raise
        self._before, self._began = float(self._get("about", "seconds") or 0.0), time.monotonic()

    def _prepare(self) -> None:
        with self._typed():
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._db.execute("BEGIN EXCLUSIVE")
            if not self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                for statement in TABLES:
                    self._db.execute(statement)
            self._db.execute("COMMIT")
            marks = [self._db.execute(f"PRAGMA {n}").fetchone()[0] for n in ("application_id", "user_version")]
            if marks != [APPLICATION, VERSION]:
                raise TuningError(f"{self.path} is no state of a search of this version")
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")

    @property
    def seconds(self) -> float:
        """Spent on the search, in all its sessions."""
        return self._before + time.monotonic() - self._began

    def claim(self, parts: Mapping[str, str]) -> None:
        """Say what the search is of. Raises TuningError where the file is of another, naming what differs."""
        known = self._get("about", "parts")
        if known is None:
            self._set("about", "parts", dict(parts))
        elif other := [name for name in parts if known.get(name) != parts[name]]:
            raise TuningError(f"{self.path} is the state of a search with another {' and '.join(other)}")

    def kept(self, name: str) -> Any:
        """What was kept under this name; None: nothing yet."""
        return self._get("kept", name)

    def keep(self, name: str, value: Any) -> Any:
        """The value as it will be found again: what JSON does not know is kept as text."""
        self._set("kept", name, value)
        return self.kept(name)

    def outcomes(self, slots: str) -> dict[int, Outcome]:
        """By row, of one choice of values (`space.key`)."""
        with self._typed():
            query = "SELECT row, score, tokens, error, detail, seconds FROM outcomes WHERE slots = ?"
            rows = self._db.execute(query, (slots,)).fetchall()
        return {r[0]: Outcome(r[0], r[1], r[2], r[3], json.loads(r[4]), r[5]) for r in rows}

    def add(self, slots: str, outcomes: Iterable[Outcome]) -> list[Outcome]:
        """Keep them; as they are kept, with the time."""
        stamped = [replace(outcome, seconds=self.seconds) for outcome in outcomes]
        values = [(slots, o.row, o.score, o.tokens, o.error, json.dumps(o.detail), o.seconds) for o in stamped]
        with self._typed():
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany("INSERT OR IGNORE INTO outcomes VALUES (?, ?, ?, ?, ?, ?, ?)", values)
            self._db.execute("INSERT OR REPLACE INTO about VALUES ('seconds', ?)", (json.dumps(self.seconds),))
            self._db.execute("COMMIT")
        return stamped

    def close(self) -> None:
        self._db.close()

    def _get(self, table: str, name: str) -> Any:
        with self._typed():
            rows = self._db.execute(f"SELECT value FROM {table} WHERE name = ?", (name,)).fetchall()
        return json.loads(rows[0][0]) if rows else None

    def _set(self, table: str, name: str, value: Any) -> None:
        with self._typed():
            self._db.execute(f"INSERT OR REPLACE INTO {table} VALUES (?, ?)", (name, json.dumps(value, default=str)))

    @contextmanager
    def _typed(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            if getattr(self, "_db", None) is not None and self._db.in_transaction:
                self._db.execute("ROLLBACK")
            if getattr(error, "sqlite_errorname", "").startswith("SQLITE_BUSY"):
                raise TuningError(f"another process is at work on {self.path}") from None
            raise TuningError(f"cannot use {self.path} as the state of a search: {error}") from None
