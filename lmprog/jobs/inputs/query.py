"""The rows of a DuckDB query."""

from __future__ import annotations

from contextlib import closing
from functools import partial
from pathlib import Path

from ..documents import Fields, Rows
from ..errors import JobError
from .rows import from_columns, needs_extra, no_text_column

BATCH = 256


def from_query(database: str, query: str, fields: Fields) -> Rows:
    """The rows in the order in which one thread finds them, so that they come in the same order each time.

    database    a DuckDB file, which is not written to, or ":memory:"
    """
    try:
        import duckdb
    except ModuleNotFoundError as error:
        raise needs_extra("reading by a DuckDB query", error) from None
    if database != ":memory:" and not Path(database).is_file():
        raise JobError(f"there is no database at {database}")
    try:
        with closing(duckdb.connect(database, read_only=database != ":memory:", config={"threads": 1})) as connection:
            rows = connection.execute(query)
            names = [column[0] for column in rows.description or ()]
            if fields.text not in names:
                raise no_text_column("the query", fields, names)
            n = 0
            while batch := rows.fetchmany(BATCH):
                for values in batch:
                    n += 1
                    row = dict(zip(names, values, strict=True))
                    yield partial(from_columns, row, n, fields, f"the query, row {n}: ")
    except duckdb.Error as error:
        raise JobError(f"the query fails: {error}") from None
