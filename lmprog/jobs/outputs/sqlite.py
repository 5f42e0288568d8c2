"""A table in an SQLite database; lists and objects as JSON."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from ..errors import JobError
from . import Lines
from .columns import Kind, columns

TYPES = {"integer": "INTEGER", "number": "REAL", "boolean": "INTEGER"}


class SQLite:
    def __init__(self, path: Path, table: str) -> None:
        self.path, self.table = path, table

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self.path, isolation_level=None)) as db:
                yield db
        except sqlite3.Error as error:
            raise JobError(f"cannot use {self.path}: {error}") from error

    def exists(self) -> bool:
        if not self.path.exists():
            return False
        with self._open() as db:
            return bool(db.execute("SELECT 1 FROM sqlite_master WHERE name = ?", [self.table]).fetchone())

    def write(self, lines: Lines, schema: Any) -> str:
        found = columns(lines, schema)
        kinds = found.kinds.items()
        typed = [
            f"{quoted(name)} {TYPES.get(kind, 'TEXT') if isinstance(kind, str) else 'TEXT'}" for name, kind in kinds
        ]
        places = ", ".join("?" * (1 + len(kinds)))
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._open() as db:
            db.execute("PRAGMA synchronous = FULL")
            db.execute("BEGIN IMMEDIATE")
            db.execute(f"DROP TABLE IF EXISTS {quoted(self.table)}")
            db.execute(f"CREATE TABLE {quoted(self.table)} (number INTEGER PRIMARY KEY, {', '.join(typed)})")
            rows = ([number, *map(_flat, row)] for number, row in enumerate(found.rows(lines), 1))
            db.executemany(f"INSERT INTO {quoted(self.table)} VALUES ({places})", rows)
            db.execute("COMMIT")
        return self.mark()

    def mark(self) -> str:
        digest = hashlib.sha256()
        with self._open() as db:
            for row in db.execute(f"SELECT * FROM {quoted(self.table)} ORDER BY number"):
                digest.update(repr(row).encode(errors="surrogatepass"))
        return digest.hexdigest()


def _type(kind: Kind) -> str:
    return TYPES.get(kind, "TEXT") if isinstance(kind, str) else "TEXT"


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _flat(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value
