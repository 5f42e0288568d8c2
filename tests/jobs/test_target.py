import datetime
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, Field, field_validator

from lmprog.errors import InvalidConstraint, UnsupportedConstraint
from lmprog.jobs import JobError, OutputError
from lmprog.jobs.layout import compact, layout
from lmprog.jobs.target import closed, target


class Person(BaseModel):
    """Somebody."""

    name: str = Field(max_length=20)
    born: datetime.date

    @field_validator("name")
    @classmethod
    def not_nobody(cls, name: str) -> str:
        if name == "nobody":
            raise ValueError("nobody is no name")
        return name


@dataclass
class Point:
    x: int
    y: int


def test_a_type_reads_its_own_values() -> None:
    goal = target(Person)

    assert ["name", "born"] == goal.fields
    assert Person(name="Ann", born=datetime.date(2001, 2, 3)) == goal.read('{"name":"Ann","born":"2001-02-03"}')
    assert Point(1, 2) == target(Point).read('{"x":1,"y":2}')
    assert target(Point).grammar.matches('{"x":1,"y":2}')
    assert not target(Point).grammar.matches('{"x":1,"y":2,"z":3}')


def test_what_the_mask_cannot_know_is_checked_afterwards() -> None:
    with pytest.raises(OutputError, match=r"Value error, nobody is no name \(at /name\)"):
        target(Person).read('{"name":"nobody","born":"2001-02-03"}')
    with pytest.raises(OutputError, match=r"less than the minimum of 3 \(at /a~1b/0\)"):
        target({"properties": {"a/b": {"items": {"minimum": 3, "type": "integer"}}}}).read('{"a/b": [1]}')


def test_the_same_schema_by_every_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code = "from __future__ import annotations\nfrom pydantic import BaseModel\nclass A(BaseModel):\n    x: int\n"
    Path("shapes_of_a.py").write_text(code + "class B:\n    A = A\n")
    Path("a.json").write_text('{"properties": {"x": {"type": "integer"}}, "required": ["x"]}')

    assert target("shapes_of_a:A").schema == target("shapes_of_a.py:A").schema == target("shapes_of_a.py:B.A").schema
    assert {"x": 3} == target("a.json").read('{"x":3}')
    assert 3 == target(str(tmp_path / "shapes_of_a.py:A")).read('{"x":3}').x


BAD = [
    ("no.json", "there is no schema at no.json"),
    ("no_such_module:A", "cannot import no_such_module: ModuleNotFoundError"),
    ("broken.py:A", "cannot import broken.py: ZeroDivisionError: division by zero"),
    ("json:Nothing", "json has no 'Nothing'"),
    ("math:pi", "3.141592653589793 is no type with a JSON Schema"),
    ("broken.json", "broken.json is not a JSON Schema file: Expecting ':' delimiter: line 2 column 10"),
    ("list.json", "list.json is not a JSON Schema file: a schema is an object, true or false"),
]


@pytest.mark.parametrize(("spec", "message"), BAD, ids=[spec for spec, _ in BAD])
def test_what_is_no_schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: str, message: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("broken.py").write_text("1 / 0\n")
    Path("list.json").write_text("[1]")
    Path("broken.json").write_text('{\n  "type" "object"}')
    with pytest.raises(JobError) as caught:
        target(spec)

    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("schema", "kind", "where"),
    [
        ({"properties": {"a": {"type": "integr"}}}, InvalidConstraint, "/properties/a/type"),
        ({"properties": {"a": {"$ref": "#/$defs/x"}}}, InvalidConstraint, "/properties/a/$ref"),
        ({"properties": {"a": {"pattern": "("}}}, InvalidConstraint, "/properties/a/pattern"),
        ({"properties": {"a": {"minLength": -1}}}, InvalidConstraint, "/properties/a/minLength"),
        ({"properties": {"a": {"$ref": "https://example.org/x.json"}}}, UnsupportedConstraint, "/properties/a/$ref"),
    ],
)
def test_a_broken_schema_names_the_place(schema: Any, kind: type[Exception], where: str) -> None:
    with pytest.raises(kind) as caught:
        target(schema)

    assert where in str(caught.value)


INNER: dict[str, Any] = {"properties": {"x": {}}}
TYPED = {**INNER, "type": "object"}
SHUT = {**TYPED, "additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (INNER, SHUT),
        ({"items": INNER}, {"items": SHUT}),
        ({"properties": {"a": INNER}, "$defs": {"b": INNER}},
         {"properties": {"a": SHUT}, "$defs": {"b": SHUT}, "type": "object", "additionalProperties": False}),
        ({**INNER, "additionalProperties": {}}, {**TYPED, "additionalProperties": {}}),
        ({**INNER, "patternProperties": {"^y": {}}}, {**TYPED, "patternProperties": {"^y": {}}}),
        ({**INNER, "allOf": [INNER]}, {**INNER, "allOf": [INNER]}),
        ({**INNER, "$ref": "#/$defs/b"}, {**INNER, "$ref": "#/$defs/b"}),
        ({"oneOf": [INNER]}, {"oneOf": [INNER]}),
        ({"type": "object"}, {"type": "object"}),
        (True, True),
    ],
)  # fmt: skip
def test_only_plain_objects_are_closed(schema: Any, expected: Any) -> None:
    assert expected == closed(schema)


def test_prompt_has_all_that_is_shared_first() -> None:
    schema = {"description": "A thing.", "properties": {"b": {"description": "how big"}, "a": {}}}
    prompt = layout(schema, [(" one \n", {"a": 1, "b": "ä", "c": 2})])

    assert "one\n\nJSON:\n" + '{"b":"ä","a":1,"c":2}' in prompt.prefix
    assert "- b: how big\n" in prompt.prefix
    assert "A thing." in prompt.prefix
    assert "two\n\nJSON:\n" == prompt.suffix("two")
    assert layout(schema, [], "Do it.").prefix.startswith("Do it.\n")


def test_compact_json_is_what_the_grammar_writes() -> None:
    answer = {"y": 2, "x": -1}

    assert target(Point).grammar.matches(compact(answer, target(Point).schema))
    assert answer == json.loads(compact(answer))
