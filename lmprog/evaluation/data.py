"""The rows of an evaluation: from a list or a file, and what of each the program takes."""

from __future__ import annotations

import csv
import inspect
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import EvaluationError
from ..programs import Program
from .metrics import EXPECTED

Data = Iterable[Mapping[str, Any]] | str | Path


def read(data: Data) -> list[dict[str, Any]]:
    """The rows, as dicts. Raises EvaluationError for what is none, naming the row or the line; OSError."""
    if isinstance(data, str | Path):
        path = Path(data)
        if path.suffix not in (".jsonl", ".csv"):
            raise EvaluationError(f"data are rows or a .jsonl or .csv file, not {str(data)!r}")
        return _csv(path) if path.suffix == ".csv" else _jsonl(path)
    rows = [_row(row, f"row {n}") for n, row in enumerate(data)]
    if not rows:
        raise EvaluationError("there are no rows to evaluate on")
    return rows


def _row(row: Any, place: str) -> dict[str, Any]:
    if not isinstance(row, Mapping) or not all(isinstance(key, str) for key in row):
        raise EvaluationError(f"{place} is not a dict of arguments and labels by name: {row!r:.200}")
    return dict(row)


def _jsonl(path: Path) -> list[dict[str, Any]]:
    rows = []
    with path.open(encoding="utf-8-sig") as lines:
        try:
            for n, line in enumerate(lines, 1):
                if line.strip():
                    rows.append(_row(json.loads(line), f"{path}, line {n}"))
        except UnicodeDecodeError:
            raise EvaluationError(f"{path} is not UTF-8") from None
        except ValueError as error:
            raise EvaluationError(f"{path}, line {n} is not JSON: {error}") from None
    return _some(rows, path)


def _csv(path: Path) -> list[dict[str, Any]]:
    rows = []
    with path.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.DictReader(lines, strict=True)
        try:
            for row in reader:
                if None in row or None in row.values():
                    raise EvaluationError(f"{path}, line {reader.line_num} does not have the columns of the header")
                rows.append(dict(row))
        except UnicodeDecodeError:
            raise EvaluationError(f"{path} is not UTF-8") from None
        except csv.Error as error:
            raise EvaluationError(f"{path}, line {reader.line_num}: {error}") from None
    return _some(rows, path)


def _some(rows: list[dict[str, Any]], path: Path) -> list[dict[str, Any]]:
    if not rows:
        raise EvaluationError(f"{path} has no rows")
    return rows


def chosen(rows: Sequence[int] | None, total: int) -> list[int]:
    """Which rows: all, or those given. Raises EvaluationError where there is no such row, or one is named twice."""
    if rows is None:
        return list(range(total))
    some = [int(row) for row in rows]
    if not some or len({*some}) < len(some) or min(some) < 0 or max(some) >= total:
        raise EvaluationError(f"rows= names some of the rows 0 to {total - 1}, each once, not {some!r:.200}")
    return some


def arguments(program: Program[..., Any], row: Mapping[str, Any], place: str) -> dict[str, Any]:
    """What of a row the program takes: what its parameters name; all but `expected` where it takes any names.

    Raises EvaluationError when that is not enough.
    """
    signature = inspect.signature(program.function)
    parameters = [*signature.parameters.values()][1:]
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return {name: value for name, value in row.items() if name != EXPECTED}
    names = {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    own = {name: value for name, value in row.items() if name in names}
    try:
        signature.bind(None, **own)
    except TypeError as error:
        there = ", ".join(row) or "nothing"
        raise EvaluationError(f"{place} does not fit {program.__name__}: {error}; it has {there}") from None
    return own
