"""Labels: which values of an output are right, by the truth or by those who looked at them."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .calibration import kind
from .errors import JobError
from .same import Same

SAME = Same().key
MISSING = object()
Verdicts = Mapping[tuple[str, str], Mapping[str, Any]]  # reviewed rows by id (as text) and pointer


@dataclass(frozen=True)
class Label:
    """A value with its raw confidence, and whether it is right. `field` is its `kind`."""

    doc: str | int
    field: str
    confidence: float
    right: bool


def labels_of(record: Mapping[str, Any], truth: Any, verdicts: Verdicts) -> Iterator[Label]:
    """The labels of a record; `truth` is MISSING where there is none.

    What was said of a value by hand counts before the truth, and what is unknown is left out. The items of lists are
    compared place by place. A value that the truth lacks is wrong, but fields at the top that it lacks are unknown.
    """
    for pointer, confidence in record.get("confidence", {}).items():
        value = value_at(record["data"], pointer)
        right = _said(verdicts.get((str(record["id"]), pointer)), value)
        if right is None:
            right = is_right(value, truth, pointer)
        if right is not None:
            yield Label(record["id"], kind(pointer), confidence, right)


def _said(row: Mapping[str, Any] | None, value: Any) -> bool | None:
    if row is None:
        return None
    if "truth" in row:
        return SAME(row["truth"]) == SAME(value)
    return row["right"] if SAME(row["value"]) == SAME(value) else None  # it was said of another value


def is_right(value: Any, truth: Any, pointer: str) -> bool | None:
    """Whether a value is that of the truth; None where nothing is known of it (see `labels_of`)."""
    top = pointer.split("/")[1:2]
    if truth is MISSING or (isinstance(truth, dict) and top and value_at(truth, f"/{top[0]}") is MISSING):
        return None
    true = value_at(truth, pointer)
    return true is not MISSING and SAME(true) == SAME(value)


def value_at(value: Any, pointer: str) -> Any:
    """What a JSON pointer leads to; MISSING when it leads nowhere."""
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and key in value:
            value = value[key]
        elif isinstance(value, list) and key.isdigit() and int(key) < len(value):
            value = value[int(key)]
        else:
            return MISSING
    return value


def read_verdicts(path: Path) -> Verdicts:
    """The rows of a review file (see review.py) that somebody has looked at: `right` is true or false, or `truth` is
    there. In CSV `value` and `truth` are JSON. Raises JobError."""
    try:
        rows = list(_csv(path) if path.suffix.lower() == ".csv" else _lines(path))
        done = [row for row in rows if "truth" in row or row.get("right") is not None]
        return {(str(row["id"]), row["field"]): row for row in done}
    except OSError as error:
        raise JobError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise JobError(f"{path} is no review file: {error!r}") from error


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:  # which end at \n only: JSON may hold other line breaks
        yield from (json.loads(line) for line in lines if line.strip())


def _csv(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file):
            read = {name: json.loads(row[name].lower()) for name in ("right",) if row[name].strip()}
            read |= {name: json.loads(row[name]) for name in ("value", "truth") if row[name].strip()}
            yield {"id": row["id"], "field": row["field"], **read}
