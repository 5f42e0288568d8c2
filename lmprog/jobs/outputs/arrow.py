"""Records as Arrow batches, which Parquet and DuckDB take."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from ..errors import JobError
from . import Lines
from .columns import Columns, Kind

BATCH = 1024


def import_arrow() -> Any:
    try:
        import pyarrow
    except ModuleNotFoundError as error:
        raise JobError(f"an output of this kind needs the extra lmprog[jobs]: {error}") from None
    return pyarrow


def arrow_schema(columns: Columns) -> Any:
    return import_arrow().schema([(name, arrow_type(kind)) for name, kind in columns.kinds.items()])


def arrow_type(kind: Kind) -> Any:
    pa = import_arrow()
    if isinstance(kind, tuple):
        return pa.list_(arrow_type(kind[0]))
    if isinstance(kind, dict):
        return pa.struct([(name, arrow_type(part)) for name, part in kind.items()])
    scalars = {"integer": pa.int64(), "number": pa.float64(), "boolean": pa.bool_()}
    return scalars.get(kind, pa.string())


def batches(columns: Columns, lines: Lines) -> Iterator[Any]:
    pa, schema, rows = import_arrow(), arrow_schema(columns), columns.rows(lines)
    while some := list(islice(rows, BATCH)):
        arrays = [pa.array(values, field.type) for values, field in zip(zip(*some, strict=True), schema, strict=True)]
        yield pa.record_batch(arrays, schema=schema)
