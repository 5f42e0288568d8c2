"""Records as rows of typed columns.

A column for `id`, for each top-level property of the schema (`data` when the schema is not of an object with
properties), and for `error`, `usage` and `details` (all else that a record says), the last three as JSON. Properties
whose name is taken get the prefix "data.". The type of a column follows from the schema; where the schema leaves it
open, or some value does not fit (an integer of 30 digits), the column holds JSON as text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..files import json_line
from . import Lines

RESERVED = {"number", "id", "error", "usage", "details"}
EXACT = 2**53  # integers that a double holds exactly
Kind = str | tuple["Kind"] | dict[str, "Kind"]  # a scalar's name or "json"; a list of a kind; an object of kinds


@dataclass(frozen=True)
class Column:
    """`key` is the property that it holds, None for all of `data`."""

    name: str
    key: str | None
    kind: Kind


@dataclass(frozen=True)
class Columns:
    """The columns of a job's table."""

    data: tuple[Column, ...]

    @property
    def kinds(self) -> dict[str, Kind]:
        rest: dict[str, Kind] = {"error": "json", "usage": "json", "details": "json"}
        return {"id": "string", **{column.name: column.kind for column in self.data}, **rest}

    def rows(self, lines: Lines) -> Iterator[list[Any]]:
        """A cell for each of `kinds`."""
        for record in map(json.loads, lines()):
            details = {key: value for key, value in record.items() if key not in ("id", "data", "error", "usage")}
            values = [cell(_value(record["data"], column), column.kind) for column in self.data]
            rest = [cell(value, "json") for value in (record["error"], record["usage"], details or None)]
            yield [str(record["id"]), *values, *rest]


def columns(lines: Lines, schema: Any) -> Columns:
    """The columns for these records: by the schema, as far as the values fit."""
    found = _by_schema(schema)
    misfits: set[str] = set()
    for record in map(json.loads, lines()):
        for column in found:
            if column.name not in misfits and not fits(_value(record["data"], column), column.kind):
                misfits.add(column.name)
    return Columns(tuple(Column(c.name, c.key, "json" if c.name in misfits else c.kind) for c in found))


def _by_schema(schema: Any) -> list[Column]:
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    if not properties:
        return [Column("data", None, kind(schema, schema))]
    taken, found = set(RESERVED), []
    for key, part in properties.items():
        name = key
        while name.lower() in taken:  # databases do not tell A from a
            name = f"data.{name}"
        taken.add(name.lower())
        found.append(Column(name, key, kind(part, schema)))
    return found


def _value(data: Any, column: Column) -> Any:
    if column.key is None:
        return data
    return data.get(column.key) if isinstance(data, Mapping) else None


def kind(schema: Any, root: Any, within: frozenset[str] = frozenset()) -> Kind:
    """What the values of a schema are; "json" where they are of several kinds, open, or recursive.

    within    the references that were followed to come here
    """
    if not isinstance(schema, Mapping):
        return "json"
    if (place := schema.get("$ref")) is not None:
        return "json" if place in within else kind(_lookup(place, root), root, within | {place})
    if isinstance(schema.get("enum"), list) or "const" in schema:
        return _kind_of(schema.get("enum", [schema.get("const")]))
    for union in ("anyOf", "oneOf"):
        if isinstance(schema.get(union), list):
            kinds = [kind(part, root, within) for part in schema[union] if part != {"type": "null"}]
            return kinds[0] if kinds and all(each == kinds[0] for each in kinds) else "json"
    types = schema.get("type")
    names = [name for name in (types if isinstance(types, list) else [types]) if name != "null"]
    if len(names) != 1:
        return "json"
    if names == ["array"] and isinstance(schema.get("items"), Mapping) and "prefixItems" not in schema:
        return (kind(schema["items"], root, within),)
    if names == ["object"] and schema.get("properties"):
        return {name: kind(part, root, within) for name, part in schema["properties"].items()}
    return names[0] if names[0] in ("string", "integer", "number", "boolean") else "json"


def _kind_of(values: list[Any]) -> Kind:
    kinds = {{str: "string", bool: "boolean", int: "integer", float: "number"}.get(type(v), "json") for v in values}
    return kinds.pop() if len(kinds) == 1 else "json"


def _lookup(place: Any, root: Any) -> Any:
    """What a reference within the schema leads to; None for others."""
    if not isinstance(place, str) or not place.startswith("#/"):
        return None
    for step in place[2:].split("/"):
        root = root.get(step) if isinstance(root, Mapping) else None
    return root


def fits(value: Any, kind: Kind) -> bool:
    if value is None or kind == "json":
        return True
    if isinstance(kind, tuple):
        return isinstance(value, list) and all([fits(item, kind[0]) for item in value])
    if isinstance(kind, dict):
        known = isinstance(value, dict) and value.keys() <= kind.keys()
        return known and all([fits(item, kind[name]) for name, item in value.items()])
    if isinstance(value, bool) or kind == "boolean":
        return isinstance(value, bool) and kind == "boolean"
    if kind == "string":
        return isinstance(value, str) and _is_utf8(value)
    if kind == "integer":
        return isinstance(value, int) and -(2**63) <= value < 2**63
    return isinstance(value, float) or (isinstance(value, int) and abs(value) <= EXACT)


def _is_utf8(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= c <= "\udfff" for c in text)


def cell(value: Any, kind: Kind) -> Any:
    """What stands in the column: JSON as text where the kind says so, also deep within."""
    if value is None:
        return None
    if kind == "json":
        return json_line(value).decode().rstrip("\n")
    if isinstance(kind, tuple):
        return [cell(item, kind[0]) for item in value]
    if isinstance(kind, dict):
        return {name: cell(value.get(name), part) for name, part in kind.items()}
    return float(value) if kind == "number" else value
