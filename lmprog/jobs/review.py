"""A file for people: the values of a job, the most doubtful first, with what they were read from.

Each row has `id`, `field` (a JSON pointer), `value`, `confidence`, `note` (why the value was withheld or is doubted),
`start` and `end` of the evidence, `context`, and `right`: null, to be made true or false; or else the right value is
added as `truth`. `lmprog calibrate --review` learns from rows that were filled in. In CSV, value and truth are JSON.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from .documents import Document
from .labels import value_at

AROUND = 80  # characters on either side of evidence
HEAD = 240  # characters of a document, where nothing better is known
COLUMNS = ("id", "field", "value", "confidence", "note", "start", "end", "context", "right", "truth")


def rows(records: Iterable[Mapping[str, Any]], docs: Iterable[Document]) -> list[dict[str, Any]]:
    """Of all values with a confidence. Values that are equally sure stay in their order."""
    every = [row for record, doc in zip(records, docs, strict=True) for row in _of(record, doc.text)]
    return sorted(every, key=lambda row: row["confidence"])


def _of(record: Mapping[str, Any], text: str) -> Iterator[dict[str, Any]]:
    notes = {**record.get("abstained", {}), **record.get("doubted", {})}
    for pointer, confidence in record.get("confidence", {}).items():
        place = record.get("evidence", {}).get(pointer)
        around = text[:HEAD]
        if place is not None and "document" not in place:
            around = text[max(0, place["start"] - AROUND) : place["end"] + AROUND]
        yield {
            "id": record["id"],
            "field": pointer,
            "value": value_at(record["data"], pointer),
            "confidence": confidence,
            "note": notes.get(pointer),
            "start": place and place["start"],
            "end": place and place["end"],
            "context": around,
            "right": None,
        }


def write_review(path: str | Path, records: Iterable[Mapping[str, Any]], docs: Iterable[Document]) -> None:
    """Write the file, as CSV if its name says so, else as JSONL. Raises OSError."""
    found = rows(records, docs)
    as_csv = Path(path).suffix.lower() == ".csv"
    Path(path).write_text(_csv(found) if as_csv else _jsonl(found), encoding="utf-8", newline="")


def _jsonl(found: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in found)


def _csv(found: list[dict[str, Any]]) -> str:
    file = io.StringIO()
    writer = csv.DictWriter(file, COLUMNS)
    writer.writeheader()
    for row in found:
        writer.writerow({**row, "value": json.dumps(row["value"], ensure_ascii=False)})
    return file.getvalue()
