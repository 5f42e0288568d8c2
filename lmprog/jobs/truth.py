"""The truth that a finished output is compared with."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from .documents import Document
from .errors import JobError
from .score import Score, score

Truths = Mapping[str | int, Any]


def read_truths(path: Path, field: str) -> Truths:
    """Answers by id, from a JSONL file of objects with `id` and `field`, or with `id` and `data` as in an output."""
    try:
        with path.open(encoding="utf-8") as lines:
            rows = [json.loads(line) for line in lines if line.strip()]
        return {row["id"]: row[field] if field in row else row["data"] for row in rows}
    except OSError as error:
        raise JobError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise JobError(f"{path} is not JSONL of objects with id and {field!r} or 'data': {error}") from error


def score_lines(lines: Iterable[bytes], docs: Iterable[Document], truths: Truths | None = None) -> Score | None:
    """Compare records with the truth in their documents, or with `truths`; None when there is none."""
    return score(_pairs(lines, docs, truths))


def _pairs(lines: Iterable[bytes], docs: Iterable[Document], truths: Truths | None) -> Iterator[tuple[Any, Any]]:
    for line, doc in zip(lines, docs, strict=True):
        yield json.loads(line)["data"], doc.truth if truths is None else truths.get(doc.id)


def read_records(out: Path) -> Iterator[dict[str, Any]]:
    """The records of an output; `error` is None where it is not said. Raises JobError for what is no record."""
    try:
        with out.open(encoding="utf-8") as lines:
            for n, line in enumerate(lines, 1):
                record = json.loads(line)
                if not isinstance(record, dict) or not {"id", "data"} <= record.keys():
                    raise JobError(f"{out}, line {n} is no record with id and data")
                yield {"error": None, **record}
    except OSError as error:
        raise JobError(f"cannot read {out}: {error.strerror}") from error
    except ValueError as error:
        raise JobError(f"{out} is not JSONL: {error}") from error
