"""The SQLite file that runs are kept in: whole or not there, checked when read, made anew when it is damaged.

    runs    key: digest of all that decides a run; data: the run, packed; mark: digest of both
    files   digests of model files by path, size, times, inode

One journal beside it, no shared memory: a folder that can only be read can still be read from. A damaged file is moved
aside, never deleted, as it may be something else that was named by mistake.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
import time
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from ..errors import EvaluationError

T = TypeVar("T")
APPLICATION, VERSION = 0x6C6D6576, 1  # "lmev", in the header of the file
BUSY = 30.0  # seconds that a statement waits for another process's
BATCH, PAUSE = 64, 1.0  # runs, and seconds, after which what was kept is on disk
TABLES = {
    "runs": "(key BLOB PRIMARY KEY, data BLOB NOT NULL, mark BLOB NOT NULL, made REAL NOT NULL, program TEXT NOT NULL, "
    "model TEXT NOT NULL) WITHOUT ROWID",
    "files": "(name TEXT PRIMARY KEY, digest TEXT NOT NULL, mark BLOB NOT NULL) WITHOUT ROWID",
}
BROKEN = {"SQLITE_NOTADB", "SQLITE_CORRUPT", "SQLITE_ERROR", "SQLITE_IOERR_SHORT_READ"}
WRITERS = (1, 2)  # version for writers, byte 18 of the file; SQLite does not write to files of others


class CacheWarning(UserWarning):
    """The cache of evaluations was damaged, or cannot be used; what is evaluated is none the less right."""


class Store:
    """Threads may share one, and processes a file. Trouble is a CacheWarning, once, and then nothing is kept.

    Raises EvaluationError for a file of another program, or a folder that there is not.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._waiting: list[tuple[Any, ...]] = []
        self._since = time.monotonic()
        self._db: sqlite3.Connection | None = None
        self._writes = True
        self.still: Callable[[], bool] = lambda: True  # whether what waits is still to be kept
        self._open()

    def get(self, key: bytes) -> bytes | None:
        """None where there is none, or where it is damaged."""
        found = self._rows("SELECT data, mark FROM runs WHERE key = ?", key)
        if not found:
            return None
        data, mark = found[0]
        if mark != _mark(key, data):
            self._warn(f"a run in {self.path} is damaged: it is run anew")
            return None
        return zlib.decompress(data)

    def put(self, key: bytes, data: bytes, program: str, model: str) -> None:
        packed = zlib.compress(data, 1)
        with self._lock:
            self._waiting.append((key, packed, _mark(key, packed), time.time(), program, model))
            if len(self._waiting) >= BATCH or time.monotonic() - self._since > PAUSE:
                self.flush()

    def known(self, name: str) -> str | None:
        """The digest of a file."""
        found = self._rows("SELECT digest, mark FROM files WHERE name = ?", name)
        right = bool(found) and found[0][1] == _mark(name.encode(), str(found[0][0]).encode())
        return str(found[0][0]) if right else None

    def learn(self, name: str, digest: str) -> None:
        row = name, digest, _mark(name.encode(), digest.encode())
        self._write(lambda db: db.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?)", row))

    def flush(self) -> None:
        """Put what waits on disk."""
        with self._lock:
            rows, self._waiting, self._since = self._waiting, [], time.monotonic()
            if rows and self.still():
                statement = "INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?, ?, ?)"
                self._write(lambda db: db.executemany(statement, rows))

    def summary(self) -> list[tuple[str, str, int, int]]:
        """Program, model, runs and bytes of what is kept."""
        query = "SELECT program, model, count(*), sum(length(data)) FROM runs GROUP BY program, model"
        return [(str(p), str(m), int(n), int(size)) for p, m, n, size in self._rows(f"{query} ORDER BY program, model")]

    def clear(self) -> int:
        """Forget all runs; gives how many there were."""
        count = int((self._rows("SELECT count(*) FROM runs") or [(0,)])[0][0])
        self._write(lambda db: db.execute("DELETE FROM runs"))
        with self._lock:
            if self._db is not None and self._writes:
                self._db.execute("VACUUM")
        return count

    def close(self) -> None:
        self.flush()
        with self._lock:
            if self._db is not None:
                self._db.close()
                self._db = None

    # -- the file ----------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        if self.path.is_dir() or not self.path.parent.is_dir():
            raise EvaluationError(f"the cache is a file in a folder that is there, not {self.path}")
        try:
            self._connect()
        except sqlite3.Error as error:
            self._mend(error)

    def _connect(self) -> None:
        self._db = sqlite3.connect(self.path, BUSY, isolation_level=None, check_same_thread=False)
        tables, marks = self._look(self._db)
        if not tables and marks == [0, 0]:
            with self._transaction(self._db):
                self._create(self._db)
        elif marks != [APPLICATION, VERSION] and tables != {*TABLES}:
            self._db.close()
            raise EvaluationError(f"{self.path} is a database of another program, or version of lmprog: name another")
        elif marks != [APPLICATION, VERSION] or tables != {*TABLES} or self._damaged():
            raise sqlite3.DatabaseError("it is damaged")
        self._db.execute("PRAGMA synchronous = NORMAL")

    def _look(self, db: sqlite3.Connection) -> tuple[set[str], list[int]]:
        """Its tables and marks, as they are at one moment."""
        db.execute("BEGIN")
        tables = {str(name) for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        marks = [int(db.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("application_id", "user_version")]
        db.execute("COMMIT")
        return tables, marks

    def _create(self, db: sqlite3.Connection) -> None:
        db.execute(f"PRAGMA application_id = {APPLICATION}")
        db.execute(f"PRAGMA user_version = {VERSION}")
        for name, columns in TABLES.items():
            db.execute(f"CREATE TABLE IF NOT EXISTS {name} {columns}")

    def _damaged(self) -> bool:
        assert self._db is not None
        with self.path.open("rb") as file:
            if file.read(19)[18:] not in [bytes([version]) for version in WRITERS]:
                return True
        return bool(self._db.execute("PRAGMA quick_check(1)").fetchone() != ("ok",))

    def _mend(self, error: sqlite3.Error) -> None:
        """Go on with a new file in place of a damaged one, or without any."""
        if self._db is not None:
            self._db.close()
            self._db = None
        name = getattr(error, "sqlite_errorname", "")
        if name and name not in BROKEN:
            self._give_up(error)
            return
        try:
            if self._whole():  # another process has mended it
                return
            aside = _aside(self.path)
            self.path.with_name(f"{self.path.name}-journal").unlink(missing_ok=True)
            self._connect()
            self._warn(f"{self.path} was damaged: it is kept as {aside.name}, and a new one begun")
        except (sqlite3.Error, OSError) as trouble:
            self._give_up(trouble)

    def _whole(self) -> bool:
        try:
            self._connect()
        except sqlite3.DatabaseError:
            if self._db is not None:
                self._db.close()
                self._db = None
        return self._db is not None

    def _give_up(self, error: Exception) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None
        self._warn(f"{self.path} cannot be used, and so nothing is kept: {error}")

    def _rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._lock:
            if self._db is None:
                return []
            try:
                return self._db.execute(query, values).fetchall()
            except sqlite3.Error as error:
                self._mend(error)
                return []

    def _write(self, work: Callable[[sqlite3.Connection], object]) -> None:
        with self._lock:
            if self._db is None or not self._writes:
                return
            try:
                with self._transaction(self._db):
                    work(self._db)
            except sqlite3.Error as error:
                if getattr(error, "sqlite_errorname", "") in BROKEN:
                    self._mend(error)
                else:  # what is there can still be read
                    self._writes = False
                    self._warn(f"{self.path} cannot be written, and so nothing more is kept: {error}")

    @contextmanager
    def _transaction(self, db: sqlite3.Connection) -> Iterator[None]:
        db.execute("BEGIN IMMEDIATE")
        try:
            yield
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:  # SQLite itself has rolled back after some errors
                db.execute("ROLLBACK")
            raise

    def _warn(self, text: str) -> None:
        warnings.warn(text, CacheWarning, stacklevel=2)


def _mark(key: bytes, data: bytes) -> bytes:
    return hashlib.blake2b(len(key).to_bytes(8, "little") + key + data, digest_size=16).digest()


def _aside(path: Path) -> Path:
    """Rename it to a name that is free."""
    n = 1
    while (target := path.with_name(f"{path.name}.damaged-{n}")).exists():
        n += 1
    path.rename(target)
    return target
