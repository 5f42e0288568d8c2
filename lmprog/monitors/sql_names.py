"""Table and column names of a live database schema, in SQL."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..errors import HoleError
from ..grammars import Grammar
from .database import Database, query
from .sql_rest import Schema, sql_rest


@dataclass(frozen=True)
class SqlNames:
    """Every name in the SQL is a table or a column of the database, and they belong together.

    A column belongs to a table of the same query, unqualified where only one of them has it; `table.column` and, for
    aliases that the text before the hole defines, `alias.column` are names of that table. The statement may begin in
    the hole, and then has its tables, or before it. Names are written as in the schema, in double quotes where SQL
    wants them. Inside of a hole queries have at most one join (none when the schema has more than 200 pairs of tables),
    no subqueries and no aliases of tables; where words and operators may stand is checked, but not parentheses.

    database   a connection (sqlite3, DuckDB, or another with an information_schema), or the path of an SQLite file; its
               schema is read when the hole is reached
    tables     only these

    Raises HoleError for tables that are not there, and when a connection cannot be used on the program's thread.
    """

    database: Database
    tables: tuple[str, ...] | None = None
    schema: Schema | None = field(default=None, repr=False)

    triggers = ""

    def fresh(self) -> SqlNames:
        return replace(self, schema=read_schema(self.database, self.tables))

    def start(self, prompt: str) -> str | None:
        return prompt

    def advance(self, state: str | None, text: str) -> str | None:
        """None: something has been written, and what was said at the beginning holds for all of it."""
        return None if text else state

    def allow(self, state: str | None) -> Grammar | None:
        if state is None:
            return None
        schema = read_schema(self.database, self.tables) if self.schema is None else self.schema
        return sql_rest(schema, state)

    def final(self, state: str | None) -> bool:
        return True


def read_schema(database: Database, tables: Iterable[str] | None) -> Schema:
    """Tables and views with their columns."""
    if isinstance(database, str | Path | sqlite3.Connection):
        rows = query(
            database,
            "SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c "
            "WHERE m.type IN ('table', 'view') AND m.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY m.name, c.cid",
        )
    else:
        rows = query(
            database,
            "SELECT table_name, column_name FROM information_schema.columns "
            "WHERE table_schema NOT IN ('information_schema', 'pg_catalog') ORDER BY table_name, ordinal_position",
        )
    found: dict[str, list[str]] = {}
    for table, column in rows:
        found.setdefault(table, []).append(column)
    if missing := [name for name in tables or () if name not in found]:
        raise HoleError(f"the database has no table {missing[0]!r}: it has {', '.join(found) or 'none'}")
    return tuple((name, tuple(found[name])) for name in (tables or found))
