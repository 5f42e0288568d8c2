"""Files of one record a line, plain or compressed by gzip: JSONL, texts, CSV."""

from __future__ import annotations

import csv
import gzip
import io
import json
import sys
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, cast

from ..documents import Document, Fields, Format, Rows
from ..errors import JobError
from .rows import broken, from_value, no_text_column, reason

BROKEN_GZIP = (EOFError, gzip.BadGzipFile, zlib.error)


def from_path(path: Path, kind: Format, fields: Fields, place: str) -> Rows:
    read = from_csv if kind == "csv" else partial(from_lines, parse=json.loads if kind == "jsonl" else str)
    n = 0
    try:
        with _open(path) as file:
            for row in read(file, place, fields):
                n += 1
                yield row
    except BROKEN_GZIP as error:
        yield partial(broken, f"{place} breaks off behind record {n}: {error}", n + 1, b"")
    except OSError as error:
        raise JobError(f"cannot read {place}: {error.strerror}") from error


def _open(path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


def from_lines(file: BinaryIO, place: str, fields: Fields, parse: Callable[[str], Any]) -> Rows:
    for n, raw in enumerate(file, 1):
        line = raw.removeprefix(b"\xef\xbb\xbf") if n == 1 else raw
        if line.strip():
            yield partial(from_line, line, n, place, fields, parse)


def from_line(line: bytes, n: int, place: str, fields: Fields, parse: Callable[[str], Any]) -> Document:
    try:
        return from_value(parse(line.decode().rstrip("\r\n")), n, fields, f"{place}, line {n}: ", line)
    except (ValueError, RecursionError) as error:
        return broken(f"{place}, line {n}: {reason(error)}", n, line)


def from_csv(file: BinaryIO, place: str, fields: Fields) -> Rows:
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
            yield partial(broken, problem, start, b"")
            continue
        if header is None:
            header = row
            if fields.text not in header:
                raise no_text_column(place, fields, header)
        elif len(row) == len(header):
            values = dict(zip(header, row, strict=True))
            yield partial(from_value, values, start, fields, f"{place}, line {start}: ", row)
        elif row:
            problem = f"{place}, line {start}: {len(row)} columns where the header has {len(header)}"
            yield partial(broken, problem, start, row)
