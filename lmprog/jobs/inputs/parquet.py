"""Parquet files, a few hundred rows of a row group at a time."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from ..documents import Fields, Rows
from ..errors import JobError
from .rows import broken, from_columns, needs_extra, no_text_column

BATCH = 256


def from_parquet(path: Path, fields: Fields, place: str) -> Rows:
    """The rows of a file; those of a row group that cannot be read are broken records."""
    try:
        import pyarrow
        from pyarrow.parquet import ParquetFile
    except ModuleNotFoundError as error:
        raise needs_extra("reading Parquet", error) from None
    try:
        file = ParquetFile(path)
    except (OSError, pyarrow.ArrowException) as error:
        raise JobError(f"cannot read {place}: {error}") from None
    with file:
        names = file.schema_arrow.names
        if fields.text not in names:
            raise no_text_column(place, fields, names)
        columns = [name for name in names if name in (fields.text, fields.id, fields.truth)]
        n = 0
        for group in range(file.num_row_groups):
            for row in _group(file, group, columns):
                n += 1
                at = f"{place}, row {n}: "
                if isinstance(row, str):
                    yield partial(broken, at + row, n, b"")
                else:
                    yield partial(from_columns, row, n, fields, at)


def _group(file: Any, group: int, columns: list[str]) -> Iterator[dict[str, Any] | str]:
    """The rows; for those that cannot be read, why."""
    left = file.metadata.row_group(group).num_rows
    try:
        for batch in file.iter_batches(BATCH, [group], columns):
            rows = batch.to_pylist()
            left -= len(rows)
            yield from rows
    except (OSError, ValueError) as error:  # Arrow's errors are of these
        for _ in range(left):
            yield f"row group {group} cannot be read: {error}"
