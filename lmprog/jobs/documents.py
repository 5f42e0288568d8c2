"""What a job reads, as numbered documents.

A reader never gives up on a broken record: it yields a Document with a `problem`, which ends as that record's error.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol

from .errors import JobError
from .files import typed

Format = Literal["jsonl", "csv", "lines", "parquet", "file"]
FORMATS: dict[str, Format] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".parquet": "parquet",
}


@dataclass(frozen=True, slots=True)
class Document:
    """One record of the input. `problem` says why it could not be read; `text` is then what stood there."""

    id: str | int
    text: str
    truth: Any = None
    problem: str | None = None
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Fields:
    """The names of the fields (columns) that hold a document's text, its id, and the answer that it should give."""

    text: str = "text"
    id: str = "id"
    truth: str = "truth"


class Row(Protocol):
    """A record that is not parsed yet. One with a `mark` need not be parsed to be told from another."""

    def __call__(self) -> Document: ...


Rows = Iterator[Row]


@dataclass(frozen=True)
class Source:
    """Documents that can be read again and again, in the same order; `digest` is of all that goes into the prompts.

    spool    the file that holds what came in by standard input
    fields   what the fields of its records are called
    """

    name: str
    rows: Callable[[], Rows]
    total: int
    digest: str
    spool: str | None = None
    fields: Fields = field(default_factory=Fields)

    def read(self) -> Iterator[Document]:
        return (row() for row in self.rows())

    def pick(self, wants: Callable[[int], bool]) -> Iterator[tuple[int, Document]]:
        """The documents that are wanted, with their numbers; the others are not parsed.

        Raises JobError when the input has become shorter or longer.
        """
        count = 0
        for count, row in enumerate(self.rows(), 1):
            if count <= self.total and wants(count - 1):
                yield count - 1, row()
        if count != self.total:
            raise JobError(f"{self.name} changed while the job ran: {count} records where there were {self.total}")


def source(
    docs: str | Path | Iterable[Any], fields: Fields, format: Format | None = None, query: str | None = None
) -> Source:
    """The documents of a file, a folder, standard input ("-"), or of texts and mappings in memory.

    A path's format is that of its suffix (.jsonl, .ndjson, .csv, with or without .gz, .parquet; any other file is one
    document) unless `format` says otherwise; standard input is JSONL by default. With a `query` the path is that of a
    DuckDB database, or ":memory:" for a query that names files itself. Raises JobError when nothing is there.
    """
    return replace(_source(docs, fields, format, query), fields=fields)


def _source(docs: str | Path | Iterable[Any], fields: Fields, format: Format | None, query: str | None) -> Source:
    if not isinstance(docs, str | Path):
        from .inputs.rows import from_value

        rows = list(docs)
        return _survey("documents", lambda: (partial(from_value, row, n, fields) for n, row in enumerate(rows, 1)))
    if query is not None:
        from .inputs.query import from_query

        return _survey("the query", lambda: from_query(str(docs), query, fields))
    if str(docs) == "-":
        return _from_stdin(format or "jsonl", fields)
    return _survey(str(docs), _reader(Path(docs), format, fields))


def _reader(path: Path, format: Format | None, fields: Fields, name: str | None = None) -> Callable[[], Rows]:
    from .inputs.files import from_file, from_folder

    if path.is_dir():
        return lambda: from_folder(path)
    if not path.is_file():
        raise JobError(f"there is no input at {path}")
    if format is None and path.suffix == ".duckdb":
        raise JobError(f"{path} is a database: say what to read from it with a query")
    suffix = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
    kind = format or FORMATS.get(suffix.lower(), "file")
    if kind == "file":
        return lambda: iter([from_file(path, path.name)])
    if kind == "parquet":
        from .inputs.parquet import from_parquet

        return lambda: from_parquet(path, fields, name or str(path))
    from .inputs.lines import from_path

    return lambda: from_path(path, kind, fields, name or str(path))


def _from_stdin(format: Format, fields: Fields) -> Source:
    handle, spool = tempfile.mkstemp(prefix="lmprog-stdin-")
    with typed(Path(spool)), open(handle, "wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
    rows = _reader(Path(spool), format, fields, "standard input")
    weakref.finalize(rows, os.unlink, spool)
    return replace(_survey("standard input", rows), spool=spool)


def _survey(name: str, rows: Callable[[], Rows]) -> Source:
    digest, total = hashlib.sha256(), 0
    for total, row in enumerate(rows(), 1):  # noqa: B007  the count is used after the loop
        digest.update(_mark(row))
    return Source(name, rows, total, digest.hexdigest())


def _mark(row: Row) -> bytes:
    mark = getattr(row, "mark", None)
    if mark is not None:
        return bytes(mark())
    doc = row()
    return json.dumps([doc.id, doc.text, doc.problem]).encode()
