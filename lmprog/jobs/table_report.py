"""The tables of a finished job beside the truth: figures, and a page with the worst of them."""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table as Grid

from ..rendering import resource, template
from .errors import JobError
from .same import Same
from .tables import EXACT, Count, Match, TableScore, compare
from .truth import Truths, read_records

WORST = 200  # tables on the page
ROWS = 100  # rows of each
LONG = 200  # characters of a cell


@dataclass(frozen=True)
class Settings:
    """How tables are compared: see `compare`."""

    same: Same = EXACT
    keys: tuple[str, ...] = ()
    ordered: bool = False
    at: str = ""

    def match(self, given: Any, wanted: Any) -> Match:
        return compare(given, wanted, self.same, self.keys, self.ordered, self.at)


@dataclass(frozen=True)
class Report:
    """`worst` are the documents with the lowest F1 of cells, worst first; `unknown` records have no truth."""

    score: TableScore
    worst: list[tuple[str | int, Match]]
    unknown: int
    settings: Settings

    def levels(self) -> dict[str, Count]:
        score = self.score
        return {"cells": score.cells, "rows": score.rows, "tables": score.tables, "header": score.header}

    def json(self) -> str:
        score = self.score
        figures = {
            "documents": score.documents,
            "without truth": self.unknown,
            "mean_f1": score.mean_f1,
            **{name: measures(count) for name, count in self.levels().items()},
            "columns": {name: measures(count) for name, count in score.columns.items()},
            "invented columns": score.invented,
            "missing columns": score.missing,
        }
        return json.dumps(figures, indent=2, ensure_ascii=False) + "\n"


def measures(count: Count) -> dict[str, float]:
    return {"precision": count.precision, "recall": count.recall, "f1": count.f1, **vars(count)}


def evaluated(out: Path, truths: Truths, settings: Settings) -> Report:
    """Raises JobError when the output cannot be read or none of its records has a truth."""
    score, unknown = TableScore(), 0

    def matches() -> Iterator[tuple[float, int, str | int, Match]]:
        nonlocal unknown
        for n, record in enumerate(read_records(out)):
            if record["id"] not in truths:
                unknown += 1
                continue
            match = settings.match(record["data"], truths[record["id"]])
            score.add(match)
            yield match.cells.f1, n, record["id"], match

    worst = heapq.nsmallest(WORST, matches())
    if not score.documents:
        raise JobError(f"no record of {out} has a truth: ids must be the same")
    return Report(score, [(name, match) for *_, name, match in worst], unknown, settings)


def shown(report: Report) -> Grid:
    """The figures, for a terminal."""
    grid = Grid(title=title(report), title_justify="left")
    for name in ("", "precision", "recall", "F1", "right", "given", "wanted"):
        grid.add_column(name, justify="right" if name else "left")
    for name, count in report.levels().items():
        grid.add_row(name, *figures(count))
    grid.add_section()
    for name, count in report.score.columns.items():
        grid.add_row(f"column {name}", *figures(count))
    return grid


def title(report: Report) -> str:
    unknown = f", {report.unknown} records without truth" if report.unknown else ""
    return f"{report.score.documents} tables, mean F1 {report.score.mean_f1:.1%}{unknown}"


def figures(count: Count) -> list[str]:
    shares = (count.precision, count.recall, count.f1)
    return [*(f"{share:.1%}" for share in shares), *map(str, (count.right, count.given, count.wanted))]


def page(report: Report) -> str:
    """Figures and the worst tables, cell by cell; a file that needs no network."""
    score = report.score
    rows = [(name, *figures(count)) for name, count in report.levels().items()]
    columns = [(name, *figures(count)) for name, count in score.columns.items()]
    header = [
        *((n, "invented", k) for n, k in score.invented.items()),
        *((n, "missing", k) for n, k in score.missing.items()),
    ]
    return template("tables.html.j2").render(
        title=title(report),
        levels=rows,
        columns=columns,
        header=sorted(header, key=lambda item: (-item[2], item[0])),
        tables=[(name, match, figures(match.cells), _lines(match)) for name, match in report.worst],
        omitted=max(0, score.documents - len(report.worst)),
        rows=ROWS,
        style=resource("run.css") + resource("tables.css"),
    )


def _lines(match: Match) -> list[tuple[str, list[tuple[str, str, str]]]]:
    """Rows in the order of the truth, then the invented ones: kind, and kind, given and wanted of each cell."""
    given = match.given or ()
    partner = {j: (i, right) for (i, j), right in zip(match.pairs, match.right, strict=True)}
    lines = []
    for j, row in enumerate(match.wanted):
        i, right = partner.get(j, (None, frozenset[str]()))
        ours = {} if i is None else given[i]
        lines.append(("missing" if i is None else "", [_cell(c, ours, row, c in right) for c in match.columns]))
    taken = {i for i, _ in match.pairs}
    lines += [
        ("invented", [_cell(c, row, {}, False) for c in match.columns]) for i, row in enumerate(given) if i not in taken
    ]
    return lines[:ROWS]


def _cell(column: str, ours: Mapping[str, Any], theirs: Mapping[str, Any], right: bool) -> tuple[str, str, str]:
    given, wanted = _said(ours.get(column)), _said(theirs.get(column))
    kind = "right" if right else "wrong" if given or wanted else ""
    return kind, given, wanted


def _said(value: Any) -> str:
    text = "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONG else f"{text[: LONG - 1]}…"
