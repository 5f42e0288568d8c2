"""Parquet files and tables: types by the schema, in place at once, and the same again when a job is resumed."""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lmprog.jobs import JobError, extract
from lmprog.jobs.outputs import output
from lmprog.jobs.outputs.columns import columns, kind
from lmprog.jobs.state import state_path
from lmprog.testing import RandomModel

ITEM = {"type": "object", "properties": {"name": {"type": "string"}, "price": {"type": ["number", "null"]}}}
TREE = {"type": "object", "properties": {"leaf": {"type": "string"}, "left": {"$ref": "#/$defs/tree"}}}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "vendor": {"type": "string", "maxLength": 5},
        "paid": {"type": "boolean"},
        "count": {"type": "integer", "minimum": 0, "maximum": 99},
        "total": {"anyOf": [{"type": "number"}, {"type": "null"}]},
        "kind": {"enum": ["a", "b"]},
        "items": {"type": "array", "items": {"$ref": "#/$defs/item"}},
        "any": {"type": ["string", "integer"]},
        "ID": {"type": "string"},
    },
    "$defs": {"item": ITEM, "tree": TREE},
}
TEA = {"name": "tea", "price": 1}


def record(n: int, **data: Any) -> dict[str, Any]:
    return {"id": n, "data": data, "error": None, "usage": {"prompt_tokens": n, "output_tokens": 2}}


RECORDS = [
    record(
        1, vendor="Acme", paid=True, count=2, total=3.5, kind="a", items=[{"name": "tea", "price": 1}], any=7, ID="x"
    ),
    record(2, vendor="ä", paid=False, count=0, total=None, kind="b", items=[], any="s") | {"chunks": 3},
    {"id": "c", "data": None, "error": {"type": "InputError", "message": "no"}, "usage": None},
]


def lines(records: list[dict[str, Any]] = RECORDS) -> Iterator[bytes]:
    return (json.dumps(record).encode() + b"\n" for record in records)


KINDS = [
    ({"type": "string"}, "string"),
    ({"type": ["integer", "null"]}, "integer"),
    ({"enum": ["a", 1]}, "json"),
    ({"const": True}, "boolean"),
    ({"type": "array", "items": {"type": "number"}}, ("number",)),
    ({"type": "array"}, "json"),
    (ITEM, {"name": "string", "price": "number"}),
    ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, "json"),
    ({"oneOf": [{"type": "string"}, {"type": "null"}]}, "string"),
    ({"$ref": "#/$defs/item"}, {"name": "string", "price": "number"}),
    ({"$ref": "#/$defs/tree"}, {"leaf": "string", "left": "json"}),
    ({"$ref": "https://example.org/x"}, "json"),
    (True, "json"),
]


@pytest.mark.parametrize(("schema", "expected"), KINDS, ids=[json.dumps(schema)[:40] for schema, _ in KINDS])
def test_what_kind_a_schema_is_of(schema: Any, expected: Any) -> None:
    assert expected == kind(schema, SCHEMA)


def test_parquet(tmp_path: Path) -> None:
    out = output(tmp_path / "out.parquet")
    mark = out.write(lines, SCHEMA)
    table = pq.read_table(tmp_path / "out.parquet")
    item = pa.struct([("name", pa.string()), ("price", pa.float64())])

    assert ["id", *SCHEMA["properties"], "error", "usage", "details"] == [
        n.replace("data.", "") for n in table.column_names
    ]
    assert [pa.string(), pa.bool_(), pa.int64(), pa.float64(), pa.string(), pa.list_(item), pa.string()] == [
        table.schema.field(name).type for name in list(SCHEMA["properties"])[:-1]
    ]
    rows = table.to_pylist()
    assert ["1", "2", "c"] == [row["id"] for row in rows]
    assert [{"name": "tea", "price": 1.0}] == rows[0]["items"]
    assert ["7", '"s"', None] == [row["any"] for row in rows]
    assert ["x", None, None] == [row["data.ID"] for row in rows]
    assert {"chunks": 3} == json.loads(rows[1]["details"])
    assert "InputError" == json.loads(rows[2]["error"])["type"]
    assert mark == out.mark() == out.write(lines, SCHEMA)


def test_values_that_do_not_fit_are_json(tmp_path: Path) -> None:
    records = [record(1, vendor="\ud800", count=10**30, total=2**60, items=[{"name": "x", "more": 1}])]
    found = columns(lambda: lines(records), SCHEMA).kinds
    output(tmp_path / "out.parquet").write(lambda: lines(records), SCHEMA)
    (row,) = pq.read_table(tmp_path / "out.parquet").to_pylist()

    assert ["json"] * 4 == [found[name] for name in ("vendor", "count", "total", "items")]
    assert records[0]["data"] == {key: json.loads(row[key]) for key in records[0]["data"]}


@pytest.mark.parametrize("schema", [{"enum": ["a", "b"]}, {"type": "array", "items": {"type": "integer"}}])
def test_a_schema_without_properties(tmp_path: Path, schema: Any) -> None:
    values = ["a", "b", "a"] if "enum" in schema else [[1, 2], [], [3]]
    records = [{"id": n, "data": value, "error": None, "usage": None} for n, value in enumerate(values)]
    output(tmp_path / "out.parquet").write(lambda: lines(records), schema)

    assert values == pq.read_table(tmp_path / "out.parquet")["data"].to_pylist()


def rows_of(path: Path, query: str) -> list[Any]:
    if path.suffix == ".duckdb":
        with duckdb.connect(str(path)) as db:
            return db.execute(query).fetchall()
    with sqlite3.connect(path) as base:
        found = base.execute(query).fetchall()
    base.close()
    return found


@pytest.mark.parametrize("name", ["a.duckdb", "a.sqlite"])
def test_tables(tmp_path: Path, name: str) -> None:
    path, out = tmp_path / name, output(tmp_path / f"{name}#my table")
    assert not out.exists()
    rows_of(path, "CREATE TABLE other AS SELECT 1 AS x")
    assert not out.exists()
    mark = out.write(lines, SCHEMA)

    assert out.exists()
    assert mark == out.mark() == out.write(lines, SCHEMA)
    query = 'SELECT number, id, vendor, paid, "count", total, "data.ID" FROM "my table" ORDER BY number'
    assert [
        (1, "1", "Acme", True, 2, 3.5, "x"),
        (2, "2", "ä", False, 0, None, None),
        (3, "c", None, None, None, None, None),
    ] == rows_of(path, query)
    assert [(1,)] == rows_of(path, "SELECT x FROM other")
    rows_of(path, 'DELETE FROM "my table" WHERE number = 2 RETURNING 1')
    assert mark != out.mark()


def test_lists_in_tables(tmp_path: Path) -> None:
    output(tmp_path / "a.duckdb").write(lines, SCHEMA)
    output(tmp_path / "a.sqlite").write(lines, SCHEMA)
    duck = rows_of(tmp_path / "a.duckdb", "SELECT items[1].price FROM records WHERE number = 1")
    lite = rows_of(tmp_path / "a.sqlite", "SELECT items ->> '$[0].price' FROM records WHERE number = 1")

    assert [(1.0,)] == duck == lite


DOCS = [f"document {n}" for n in range(3000)]
SMALL = {"properties": {"word": {"enum": ["a", "b"]}, "n": {"type": "integer", "minimum": 0, "maximum": 9}}}


@pytest.mark.parametrize("name", ["out.parquet", "out.duckdb#mine", "out.sqlite"])
def test_a_job_writes_it_and_leaves_it_alone(tmp_path: Path, name: str) -> None:
    out = tmp_path / name
    docs = DOCS[:50]
    done = extract(RandomModel(1), docs, SMALL, out=out)
    mark = output(out).mark()
    model = RandomModel(1)

    assert done == extract(model, docs, SMALL, out=out)
    assert 0 == model.engine.stats.requests
    with pytest.raises(JobError, match="exists and was made with another input"):
        extract(model, docs[1:], SMALL, out=out)
    state_path(out).unlink()
    with pytest.raises(JobError, match="exists and is no output of this job"):
        extract(model, docs, SMALL, out=out)
    extract(RandomModel(1), docs, SMALL, out=out, overwrite=True)
    assert mark == output(out).mark()


@pytest.mark.parametrize("name", ["a.duckdb", "a.sqlite"])
def test_a_file_that_is_no_database(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("my notes\n" * 1000)
    with pytest.raises(JobError, match="cannot use"):
        extract(RandomModel(1), DOCS[:3], SMALL, out=tmp_path / name)
    assert (tmp_path / name).read_text() == "my notes\n" * 1000
