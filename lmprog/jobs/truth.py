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
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
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
