"""Writers of the kinds of output that a job gives. Each puts the whole output in place at once, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

Lines = Callable[[], Iterator[bytes]]  # the records as JSON, in order, as often as they are asked for


class Output(Protocol):
    """Where the records of a job go. Raises JobError when that fails; what was there is then still there."""

    def exists(self) -> bool: ...
    def write(self, lines: Lines, schema: Any) -> str:
        """Put the records in place; gives the mark of what is there now."""

    def mark(self) -> str:
        """Tells this output from a changed one."""


def output(out: Path) -> Output:
    """By its name: NAME.parquet, NAME.duckdb#TABLE, NAME.sqlite#TABLE (without one: "records"), else JSONL."""
    base, _, table = out.name.partition("#")
    path, suffix = out.with_name(base), Path(base).suffix.lower()
    if suffix == ".duckdb":
        from .duckdb import DuckDB

        return DuckDB(path, table or "records")
    if suffix in (".sqlite", ".sqlite3", ".db"):
        from .sqlite import SQLite

        return SQLite(path, table or "records")
    if suffix == ".parquet":
        from .parquet import Parquet

        return Parquet(out)
    from .jsonl import JSONL

    return JSONL(out)
