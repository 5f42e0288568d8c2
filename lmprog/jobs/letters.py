"""Dead letters: the documents that failed, as they stood, with their errors and attempts, beside the output.

    {"id": ..., "text": ..., "error": {...}, "attempts": [...]}

They are an input again, once whatever failed is mended: text and truth have the names that they had. A record that
could not be read has `input`, what stood there, in place of the text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .database import Database
from .documents import Document, Fields, Source
from .files import json_line, put_in_place
from .trying import failures

FAILED = "SELECT number, result, attempts FROM records WHERE state = 'failed' ORDER BY number"


def letters_path(out: Path) -> Path:
    """For out.jsonl it is out.dead.jsonl."""
    return out.with_name(f"{out.stem if out.suffix == '.jsonl' else out.name}.dead.jsonl")


def write_letters(out: Path, db: Database, source: Source) -> None:
    """Write those of all records that failed so far; no file when there are none."""
    path = letters_path(out)
    if db.rows(f"{FAILED} LIMIT 1"):
        put_in_place(path, map(json_line, letters(db, source)))
    else:
        path.unlink(missing_ok=True)


def letters(db: Database, source: Source) -> Iterator[dict[str, Any]]:
    rows = db.each(FAILED)
    number, result, attempts = next(rows)
    for n, row in enumerate(source.rows()):
        if n == number:
            yield letter(row(), source.fields, json.loads(result)["error"], failures(attempts))
            number, result, attempts = next(rows, (None, None, None))


def letter(doc: Document, fields: Fields, error: dict[str, Any], before: list[dict[str, Any]]) -> dict[str, Any]:
    said = {fields.id: doc.id, fields.text: doc.text, fields.truth: doc.truth}
    if doc.problem is not None:
        said = {fields.id: doc.id, "input": doc.text}
    elif doc.truth is None:
        del said[fields.truth]
    return {**said, "error": error, "attempts": before}
