"""What a job reads: JSONL, CSV, a folder of text files, one document a line, or texts in memory.

A reader never gives up on a broken record: it yields a Document with a `problem`, which ends as that record's error.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import shutil
import sys
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Literal

from .errors import JobError
from .files import typed

Format = Literal["jsonl", "csv", "lines"]
Row = Callable[[], "Document"]  # a record that is not parsed yet
Rows = Iterator[Row]
FORMATS: dict[str, Format] = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv"}


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


@dataclass(frozen=True)
class Source:
    """Documents that can be read again and again, in the same order; `digest` is of all that goes into the prompts.

    spool    the file that holds what came in by standard input
    """

    name: str
    rows: Callable[[], Rows]
    total: int
    digest: str
    spool: str | None = None

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


def source(docs: str | Path | Iterable[Any], fields: Fields, format: Format | None = None) -> Source:
    """The documents of a file, a folder, standard input ("-"), or of texts and mappings in memory.

    A path's format is that of its suffix (.jsonl, .ndjson, .csv; any other file is one document) unless `format` says
    otherwise; standard input is JSONL by default. Raises JobError when nothing is there.
    """
    if not isinstance(docs, str | Path):
        rows = list(docs)
        return _survey("documents", lambda: (partial(_from_value, row, n, fields) for n, row in enumerate(rows, 1)))
    if str(docs) == "-":
        return _from_stdin(format or "jsonl", fields)
    path = Path(docs)
    if path.is_dir():
        return _survey(str(path), lambda: _from_folder(path))
    if not path.is_file():
        raise JobError(f"there is no input at {path}")
    kind = format or FORMATS.get(path.suffix.lower())
    if kind is None:
        return _survey(str(path), lambda: iter([partial(_from_file, path, path.name)]))
    return _survey(str(path), lambda: _from_path(path, kind, fields))


def _from_stdin(format: Format, fields: Fields) -> Source:
    handle, spool = tempfile.mkstemp(prefix="lmprog-stdin-")
    with typed(Path(spool)), open(handle, "wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)

    def rows() -> Rows:
        with open(spool, "rb") as file:
            yield from _read(file, format, "standard input", fields)

    weakref.finalize(rows, os.unlink, spool)
    return replace(_survey("standard input", rows), spool=spool)


def _survey(name: str, rows: Callable[[], Rows]) -> Source:
    digest, total = hashlib.sha256(), 0
    for total, row in enumerate(rows(), 1):  # noqa: B007  the count is used after the loop
        doc = row()
        digest.update(json.dumps([doc.id, doc.text, doc.problem]).encode())
    return Source(name, rows, total, digest.hexdigest())


def _from_path(path: Path, kind: Format, fields: Fields) -> Rows:
    try:
        with path.open("rb") as file:
            yield from _read(file, kind, str(path), fields)
    except OSError as error:
        raise JobError(f"cannot read {path}: {error.strerror}") from error


def _read(file: BinaryIO, kind: Format, place: str, fields: Fields) -> Rows:
    if kind == "csv":
        return _from_csv(file, place, fields)
    return _from_lines(file, place, fields, json.loads if kind == "jsonl" else str)


def _from_lines(file: BinaryIO, place: str, fields: Fields, parse: Callable[[str], Any]) -> Rows:
    for n, raw in enumerate(file, 1):
        line = raw.removeprefix(b"\xef\xbb\xbf") if n == 1 else raw
        if line.strip():
            yield partial(_from_line, line, n, place, fields, parse)


def _from_line(line: bytes, n: int, place: str, fields: Fields, parse: Callable[[str], Any]) -> Document:
    try:
        return _from_value(parse(line.decode().rstrip("\r\n")), n, fields, f"{place}, line {n}: ", line)
    except (ValueError, RecursionError) as error:
        return _broken(f"{place}, line {n}: {_reason(error)}", n, line)


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8: byte {error.object[error.start]:#04x} at offset {error.start}"
    if isinstance(error, json.JSONDecodeError):
        return f"not JSON: {error.msg} at column {error.colno}"
    return f"not JSON: {error}"


def _from_csv(file: BinaryIO, place: str, fields: Fields) -> Rows:
    csv.field_size_limit(sys.maxsize)  # the default would cut documents at 128 KiB
    text = io.TextIOWrapper(file, "utf-8-sig", errors="surrogateescape", newline="")
    reader = csv.reader(text, strict=True)
    try:
        yield from _csv_rows(reader, place, fields)
    finally:
        text.detach()


def _csv_rows(reader: Any, place: str, fields: Fields) -> Rows:
    header: list[str] | None = None
    while True:
        start = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            problem = f"{place}, lines {start} to {reader.line_num}: not CSV: {error}"
            yield partial(_broken, problem, start, b"")
            continue
        if header is None:
            header = row
            if fields.text not in header:
                raise JobError(
                    f"{place} has no column {fields.text!r}, only {', '.join(header)}: name one as text field"
                )
        elif len(row) == len(header):
            values = dict(zip(header, row, strict=True))
            yield partial(_from_value, values, start, fields, f"{place}, line {start}: ", row)
        elif row:
            problem = f"{place}, line {start}: {len(row)} columns where the header has {len(header)}"
            yield partial(_broken, problem, start, row)


def _from_folder(folder: Path) -> Rows:
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") for part in name.parts):
            yield partial(_from_file, path, name.as_posix())


def _from_file(path: Path, name: str) -> Document:
    try:
        return Document(name, path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        return Document(name, "", problem=f"{path}: {_reason(error)}")
    except OSError as error:
        return Document(name, "", problem=f"{path}: {error.strerror}")


def _from_value(value: Any, n: int, fields: Fields, place: str = "", raw: Any = None) -> Document:
    """A record as it was parsed: a text, a mapping with the text in it, or a Document."""
    raw = value if raw is None else raw
    if isinstance(value, Document):
        return value
    mapping = {fields.text: value} if isinstance(value, str) else value
    if not isinstance(mapping, Mapping):
        return _broken(f"{place}expected a text or an object with the text in it, not {_kind(value)}", n, raw)
    text, name = mapping.get(fields.text), mapping.get(fields.id)
    if not isinstance(text, str):
        found = "missing" if text is None else f"{_kind(text)}, not text"
        return _broken(f"{place}the field {fields.text!r} is {found}", n, raw)
    if not _is_unicode(text):
        return _broken(f"{place}the text is not valid Unicode", n, raw)
    if not isinstance(name, str | int) or isinstance(name, bool) or not _is_unicode(str(name)):
        name = n
    return Document(name, text, mapping.get(fields.truth), line=n)


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= c <= "\udfff" for c in text) if not text.isascii() else True


def _kind(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", bool: "true or false", type(None): "null", int: "a number"}
    return kinds.get(type(value), type(value).__name__)


def _broken(problem: str, n: int, raw: Any) -> Document:
    text = raw.decode(errors="backslashreplace").rstrip("\r\n") if isinstance(raw, bytes) else str(raw or "")
    return Document(n, text.encode(errors="backslashreplace").decode(), problem=problem, line=n)
