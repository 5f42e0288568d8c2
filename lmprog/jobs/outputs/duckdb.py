"""A table in a DuckDB database."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import JobError
from . import Lines
from .arrow import arrow_schema, batches, import_arrow
from .columns import columns


class DuckDB:
    def __init__(self, path: Path, table: str) -> None:
        import_arrow()
        self.path, self.table = path, table
        self.name = '"' + table.replace('"', '""') + '"'

    @contextmanager
    def _open(self, read_only: bool = False) -> Iterator[Any]:
        try:
            import duckdb
        except ModuleNotFoundError as error:
            raise JobError(f"a DuckDB table as output needs the extra lmprog[jobs]: {error}") from None
        try:
            with duckdb.connect(str(self.path), read_only=read_only, config={"threads": 1}) as connection:
                yield connection
        except duckdb.Error as error:
            raise JobError(f"cannot use {self.path}: {error}") from None

    def exists(self) -> bool:
        if not self.path.exists():
            return False
        query = "SELECT 1 FROM duckdb_tables() WHERE table_name = ?"
        with self._open(read_only=True) as db:
            return bool(db.execute(query, [self.table]).fetchone())

    def write(self, lines: Lines, schema: Any) -> str:
        found = columns(lines, schema)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._open() as db:
            db.execute("BEGIN")
            db.register("batch", arrow_schema(found).empty_table())
            db.execute(f"CREATE OR REPLACE TABLE {self.name} AS SELECT 0::BIGINT AS number, * FROM batch")
            done = 0
            for batch in batches(found, lines):
                db.register("batch", import_arrow().Table.from_batches([batch]))
                db.execute(f"INSERT INTO {self.name} SELECT ? + row_number() OVER (), * FROM batch", [done])
                done += batch.num_rows
            db.execute("COMMIT")
        return self.mark()

    def mark(self) -> str:
        digest = hashlib.sha256()
        with self._open(read_only=True) as db:
            rows = db.execute(f"SELECT * FROM {self.name} ORDER BY number")
            while some := rows.fetchmany(256):
                digest.update(repr(some).encode(errors="surrogatepass"))
        return digest.hexdigest()
