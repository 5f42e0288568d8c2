"""The SQLite file of a job: its tables, transactions, and SQLite's errors as ours.

job        what is said of the job as a whole: parts, total, stage ("running", "finished"), ... as JSON
records    a row for each record that was ever begun; a record without one is free, as is one that is
             leased   to a worker that is gone
             waiting  until `ready` (a retry, or given back by a worker that stopped)
           and never again, once it is `done` or `failed`
workers    who works, or did; all leases of a worker hold until `expires`, or until its process is gone
places     where the documents of a watched input are, by number
tally      records by the type of their error, "" for those without

In WAL mode a commit with synchronous=FULL is on disk when it returns; one with NORMAL is whole or absent after a power
cut, never half there. WAL needs shared memory: all workers on a job run on one machine.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import JobError
from .files import full

VERSION = 1
APPLICATION = 0x6C6D7067  # "lmpg", in the header of the file
BUSY = 60.0  # seconds that a transaction waits for another process's
TABLES = """
CREATE TABLE job (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE records (
    number INTEGER PRIMARY KEY, state TEXT NOT NULL, owner TEXT, ready REAL, attempts TEXT, result BLOB
);
CREATE INDEX unfinished ON records (state) WHERE state IN ('leased', 'waiting');
CREATE TABLE workers (
    id TEXT PRIMARY KEY, host TEXT, pid INTEGER, born TEXT, expires REAL, figures TEXT
) WITHOUT ROWID;
CREATE TABLE places (number INTEGER PRIMARY KEY, place TEXT UNIQUE NOT NULL);
CREATE TABLE tally (outcome TEXT PRIMARY KEY, n INTEGER NOT NULL) WITHOUT ROWID;
"""
NO_ROOM = {"SQLITE_FULL", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_SHMSIZE"}
BROKEN = {"SQLITE_NOTADB", "SQLITE_CORRUPT"}


class Locked(JobError):
    """Another process keeps the state locked."""


class Foreign(JobError):
    """The file is not the state of a job."""


class Database:
    """A connection that the threads of a process share. Raises JobError from every method.

    path    None: in memory
    """

    def __init__(self, path: Path | None, *, create: bool = True) -> None:
        self.path = path
        self._lock = threading.RLock()
        with self._typed():
            place = ":memory:" if path is None else f"{path.absolute().as_uri()}?mode={'rwc' if create else 'rw'}"
            self._db = sqlite3.connect(place, BUSY, isolation_level=None, check_same_thread=False, uri=path is not None)
        try:
            self._prepare(create)
        except BaseException:
            self._db.close()
            raise

    def _prepare(self, create: bool) -> None:
        """Make the tables, or see that they are ours; what is not ours is left as it is."""
        if not self._empty():
            self._check()
        patience = time.monotonic() + BUSY
        while self.rows("PRAGMA journal_mode")[0][0] not in ("wal", "memory"):
            try:
                self.rows("PRAGMA journal_mode = WAL")
            except Locked:  # this statement does not wait itself
                if time.monotonic() > patience:
                    raise
                time.sleep(0.02)
        if create and self._empty():
            with self.write():
                if self._empty():
                    self._create()
        self._check()

    def _check(self) -> None:
        marks = [self.rows(f"PRAGMA {name}")[0][0] for name in ("application_id", "user_version")]
        if marks != [APPLICATION, VERSION]:
            raise foreign(self.path)

    def _empty(self) -> bool:
        return self.rows("SELECT count(*) FROM sqlite_master") == [(0,)]

    def _create(self) -> None:
        self._db.execute(f"PRAGMA application_id = {APPLICATION}")
        self._db.execute(f"PRAGMA user_version = {VERSION}")
        for statement in TABLES.strip().split(";\n"):
            self._db.execute(statement.rstrip(";"))

    @contextmanager
    def write(self, durable: bool = True) -> Iterator[None]:
        """A transaction, alone among all processes. Once it is over it is on disk, if `durable`."""
        with self._lock, self._typed():
            self._db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # SQLite itself has rolled back after some errors
                    self._db.execute("ROLLBACK")
                raise

    def execute(self, statement: str, values: Iterable[Any] = ()) -> int:
        """Within `write`: the number of rows that it changed."""
        return self._db.execute(statement, tuple(values)).rowcount

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._lock, self._typed():
            return self._db.execute(query, values).fetchall()

    def each(self, query: str, *values: Any) -> Iterator[tuple[Any, ...]]:
        """One row after another, without holding them all."""
        with self._typed():
            yield from self._db.execute(query, values)

    def get(self, name: str, default: Any = None) -> Any:
        """What the table `job` says."""
        rows = self.rows("SELECT value FROM job WHERE name = ?", name)
        return json.loads(rows[0][0]) if rows else default

    def set(self, **values: Any) -> None:
        """Within `write`."""
        rows = [(name, json.dumps(value)) for name, value in values.items()]
        self._db.executemany("INSERT OR REPLACE INTO job VALUES (?, ?)", rows)

    def clear(self) -> None:
        """Within `write`."""
        for table in ("job", "records", "workers", "places", "tally"):
            self._db.execute(f"DELETE FROM {table}")

    def close(self) -> None:
        with self._lock:
            self._db.close()

    @contextmanager
    def _typed(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._error(error) from error

    def _error(self, error: sqlite3.Error) -> JobError:
        name = getattr(error, "sqlite_errorname", "")
        if name in NO_ROOM:
            return full(self.path or Path(":memory:"))
        if name in BROKEN:
            return foreign(self.path)
        if name.startswith("SQLITE_BUSY"):
            return Locked(f"another process keeps {self.path} locked")
        hint = " (SQLite needs to write in its folder)" if name == "SQLITE_CANTOPEN" else ""
        return JobError(f"cannot use {self.path}: {error}{hint}")


def lines(db: Database) -> Iterator[bytes]:
    """The records that are done, in the order of the input."""
    return (line for (line,) in db.each("SELECT result FROM records WHERE result IS NOT NULL ORDER BY number"))


def foreign(path: Path | None) -> Foreign:
    return Foreign(f"{path} is not the state of a job of this version: --overwrite replaces it")
