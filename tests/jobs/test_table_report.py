import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from lmprog.jobs import JobError, extract
from lmprog.jobs.labels import read_verdicts
from lmprog.jobs.same import Same
from lmprog.jobs.table_report import WORST, Settings, evaluated, page
from lmprog.jobs.truth import read_truths
from lmprog.testing import RandomModel

from .conftest import Run

HOSTILE = "</td></table><script>alert(1)</script><b onmouseover='x'>\u202eevil"


class Row(BaseModel):
    name: str
    age: int | None


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("\n".join(map(json.dumps, rows)) + "\n")
    return path


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    truth = [{"id": n, "truth": [{"name": f"n{n}", "age": n}, {"name": HOSTILE, "age": None}]} for n in range(3)]
    data: list[Any] = [truth[0]["truth"], [{"name": "n1", "age": 7}], None]
    out = [{"id": n, "data": given, "error": None} for n, given in enumerate(data)]
    return write(tmp_path / "out.jsonl", out), write(tmp_path / "truth.jsonl", truth)


def test_figures(lmprog: Run, files: tuple[Path, Path], tmp_path: Path) -> None:
    out, truth = files
    done = lmprog("eval", "tables", out, "--truth", truth, "--json", "e.json", "--html", "e.html")
    figures = json.loads((tmp_path / "e.json").read_text())

    assert 0 == done.returncode, done.stderr
    assert "3 tables" in done.stdout
    assert {"precision": 4 / 5, "recall": 4 / 9, "f1": 8 / 14, "right": 4, "given": 5, "wanted": 9} == figures["cells"]
    assert {"precision": 2 / 3, "recall": 2 / 6, "f1": 4 / 9, "right": 2, "given": 3, "wanted": 6} == figures["rows"]
    assert {"precision": 1 / 2, "recall": 1 / 3, "f1": 2 / 5, "right": 1, "given": 2, "wanted": 3} == figures["tables"]
    assert 1 == figures["columns"]["age"]["right"]
    assert "<!DOCTYPE html>" in (tmp_path / "e.html").read_text()


def test_options(lmprog: Run, files: tuple[Path, Path], tmp_path: Path) -> None:
    out, truth = files
    lmprog("eval", "tables", out, "--truth", truth, "--absolute", 6, "--key", "name", "--json", "e.json")

    assert 5 == json.loads((tmp_path / "e.json").read_text())["cells"]["right"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"id": 9, "data": []}], "no record of .* has a truth"),
        ([{"id": 0}], "line 1 is no record"),
    ],
)
def test_refused(lmprog: Run, files: tuple[Path, Path], rows: Any, message: str) -> None:
    out = write(files[0], rows)
    done = lmprog("eval", "tables", out, "--truth", files[1])

    assert 2 == done.returncode
    assert 1 == len(done.stderr.splitlines())
    with pytest.raises(JobError, match=message):
        evaluated(out, {0: []}, Settings())


class Cells(HTMLParser):
    """The rows of the tables of cells, as (class, text) of each cell; and all elements."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.rows: list[list[list[str]]] = []
        self.inside = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        kind = dict(attrs).get("class") or ""
        self.inside = tag == "td" and bool(self.rows)
        if tag == "tr" and kind.startswith("rows"):
            self.rows.append([[kind, ""]])
        elif self.inside:
            self.rows[-1].append([kind, ""])

    def handle_data(self, data: str) -> None:
        if self.rows and "section" in self.elements:
            self.rows[-1][-1][1] += data


def test_the_page_shows_every_cell_and_runs_nothing(files: tuple[Path, Path]) -> None:
    truths: dict[str | int, Any] = {
        n: json.loads(line)["truth"] for n, line in enumerate(files[1].read_text().splitlines())
    }
    html = page(evaluated(files[0], truths, Settings(Same("loose"))))
    cells = Cells(html)

    assert {"script", "b", "img"}.isdisjoint(cells.elements)
    assert 3 == cells.elements.count("section")
    assert "\u202e" not in html
    kinds = [[kind for kind, _ in row] for row in cells.rows]
    failed, partial = [["rows missing", "wrong", "wrong"]], [["rows ", "right", "wrong"]]
    missing = [["rows missing", "wrong", ""]]
    assert [*failed, *missing, *partial, *missing] == kinds[:4]
    assert "7 1" == cells.rows[2][2][1].strip()


def test_a_page_of_many_tables_is_bounded(tmp_path: Path) -> None:
    rows = [{"id": n, "data": [{"a": "x" * 5000}] * 150} for n in range(WORST + 50)]
    report = evaluated(write(tmp_path / "out.jsonl", rows), {n: [{"a": "y"}] for n in range(WORST + 50)}, Settings())
    html = page(report)

    assert WORST == len(report.worst)
    assert "50 better tables are not shown" in html
    assert "51 more rows are not shown" in html  # 150 and the one that is missing
    assert len(html) < 10_000_000


@pytest.mark.parametrize("schema", [list[Row], {"type": "array", "items": Row.model_json_schema(), "maxItems": 5}])
def test_a_job_gives_tables(schema: Any) -> None:
    """Text to table, from a type and from a JSON Schema; the model is one that also leaves them empty."""
    done = extract(RandomModel(3), [f"document {n}" for n in range(40)], schema, max_tokens=120)
    tables = [record.data for record in done.records]
    rows = [dict(row) for table in tables for row in table]

    assert all(isinstance(table, list) for table in tables)
    assert [] in tables
    assert {"name", "age"} == {name for row in rows for name in row}
    assert {type(None), int} == {type(row["age"]) for row in rows}


def test_line_breaks_inside_of_values(tmp_path: Path) -> None:
    """JSON may hold U+2028 and its like as they are; only a line feed ends a line of JSONL."""
    row = {"id": 1, "truth": [{"a": "x\u2028y\x85z"}], "data": [{"a": "x\u2028y\x85z"}], "error": None}
    path = tmp_path / "both.jsonl"
    path.write_text(json.dumps(row, ensure_ascii=False) + "\n", encoding="utf-8")

    assert 1 == evaluated(path, read_truths(path, "truth"), Settings()).score.tables.right
    path.write_text(json.dumps({**row, "field": "/0/a", "right": True}, ensure_ascii=False) + "\n", encoding="utf-8")
    assert {("1", "/0/a")} == set(read_verdicts(path))
