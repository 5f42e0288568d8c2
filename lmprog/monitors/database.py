"""What is in a database: values of a query, and the names of its schema."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from ..errors import HoleError
from ..grammars import Grammar, choices


class Connection(Protocol):
    """A connection of Python's DB-API, such as sqlite3's or DuckDB's."""

    def cursor(self) -> Any: ...


Database = Connection | str | Path


def query(database: Database, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """The rows of a query. `database`: a connection, or the path of an SQLite file, which is opened to read only."""
    try:
        if isinstance(database, str | Path):
            with closing(sqlite3.connect(f"{Path(database).absolute().as_uri()}?mode=ro", uri=True)) as own:
                return [tuple(row) for row in own.execute(sql, parameters).fetchall()]
        with closing(database.cursor()) as cursor:
            cursor.execute(sql, list(parameters))
            return [tuple(row) for row in cursor.fetchall()]
    except sqlite3.ProgrammingError as error:
        if "thread" not in str(error):
            raise
        raise HoleError(
            "this SQLite connection belongs to another thread: open it with check_same_thread=False, or give the "
            "monitor the path of the file"
        ) from error


@dataclass(frozen=True)
class DatabaseValues:
    """The value of the hole is one of a query's: the texts of its first column, without NULL.

    The query runs when the hole is reached, so that the values are those of that moment. `database` is a connection
    (sqlite3, DuckDB, or any other of Python's DB-API), or the path of an SQLite file. With `gen(int, monitor=...)` and
    the like the value is read as that type.

    Raises HoleError when a connection cannot be used on the program's thread, and whatever the database raises.
    """

    database: Database
    sql: str
    parameters: tuple[Any, ...] = ()
    values: tuple[str, ...] | None = field(default=None, repr=False)

    triggers = ""

    def fresh(self) -> DatabaseValues:
        rows = query(self.database, self.sql, self.parameters)
        return replace(self, values=tuple(dict.fromkeys(str(row[0]) for row in rows if row[0] is not None)))

    def start(self, prompt: str) -> bool:
        return True

    def advance(self, state: bool, text: str) -> bool:
        """Whether nothing has been written yet."""
        return state and not text

    def allow(self, state: bool) -> Grammar | Sequence[str] | None:
        if not state:
            return None
        values = self.fresh().values if self.values is None else self.values
        return choices(values) if values else []

    def final(self, state: bool) -> bool:
        return True
