"""JSON Schema keyword by keyword: what is accepted, what is refused and where, in every draft, style and order."""

import itertools
import json
from typing import Any

import pytest

from lmprog.grammars import EmptyLanguage, InvalidConstraint, UnsupportedConstraint, Vocabulary, compile, json_schema
from lmprog.grammars.derive import minlen
from lmprog.grammars.rows import State

BYTES = Vocabulary([*[bytes([i]) for i in range(256)], None], eos={256})
OBJECT = {"type": "object"}

TABLE: list[tuple[Any, list[str], list[str]]] = [
    (True, ["1", '"x"', "[null]", '{"a": {}}'], ["", "nul", "01", "[1,]", "'x'"]),
    ({"type": ["string", "null"]}, ['""', "null"], ["0", "[]", "true"]),
    ({"type": "integer"}, ["0", "-3", "5.0", "1e3", "1.5E1", "1e308"], ["0.5", "1e-1", "1e309", "+1", ".5", "01"]),
    ({"type": "number"}, ["0.5", "-0", "1.7976931348623157e308", "12e-3"], ["1.8e308", "1e400", "1.", "NaN"]),
    ({"minimum": 2, "exclusiveMaximum": 5}, ["2", "4.999", '"x"', "2e0"], ["1.9", "5", "5.0", "-2"]),
    ({"type": "number", "multipleOf": 0.25}, ["0.75", "-1.50", "0", "10"], ["0.3", "1.1", "0.255"]),
    ({"multipleOf": 1.5}, ["42592799839593759423", "1.50000000000000000000"], ["4259279983959375942.0", "1.4"]),
    ({"enum": [1, "a", None, [1, {"k": 2}]]}, ["1", "1.0", '"\\u0061"', "null", '[1,{"k":2.0}]'], ["2", '"A"', "[1]"]),
    ({"const": {"a": 1, "b": 2}}, ['{"a": 1, "b": 2}', '{"b": 2, "a": 1}'], ['{"a": 1}', '{"a": 1, "b": 2, "c": 3}']),
    ({"type": "string", "minLength": 2, "maxLength": 3}, ['"é\\n"', '"\\ud83d\\ude00a"', '"abc"'], ['"a"', '"abcd"']),
    ({"type": "string", "pattern": "^a.c$"}, ['"abc"', '"a\\u0062c"', '"aéc"'], ['"ac"', '"xabc"', '"a\\nc"']),
    ({"type": "string", "format": "date"}, ['"2024-02-29"'], ['"2023-02-29"', '"2024-2-9"']),
    ({"items": {"type": "null"}}, ["[]", "[null, null]", "{}"], ["[1]", "[null, 1]"]),
    ({"prefixItems": [{"type": "null"}], "items": False}, ["[]", "[null]"], ["[1]", "[null, null]"]),
    ({"type": "array", "minItems": 1, "maxItems": 2}, ["[1]", "[1, 2]"], ["[]", "[1, 2, 3]"]),
    ({"type": "array", "contains": {"const": 1}, "maxContains": 2}, ["[0, 1]", "[1, 1]"], ["[]", "[0]", "[1, 1, 1]"]),
    ({"type": "array", "contains": True, "minContains": 2}, ["[0, 1]"], ["[0]"]),
    ({"items": {"enum": [1, "a", True]}, "uniqueItems": True}, ["[1, true]", "[]"], ["[1, 1.0]", '["a", "\\u0061"]']),
    (
        {"type": "array", "uniqueItems": True},
        ['["a", "b", 1]', "[[], {}]"],
        ["[1, 1.0]", '["a", "\\u0061"]', "[[], []]"],
    ),
    ({"type": "object", "minProperties": 2}, ['{"a": 1, "b": 1}'], ['{"a": 1}', '{"a": 1, "a": 2}']),
    ({"properties": {"a": {"type": "null"}}}, ["{}", '{"a": null}', '{"b": 1}', "3"], ['{"a": 1}', '{"\\u0061": 1}']),
    ({"type": "object", "required": ["a"]}, ['{"a": 1}', '{"a": 1, "b": 2}'], ["{}", '{"b": 1}']),
    ({"patternProperties": {"^x": False}}, ['{"a": 1}'], ['{"x": 1}', '{"xy": 1}', '{"\\u0078": 1}']),
    ({"properties": {"a": True}, "additionalProperties": False}, ['{"a": 1}', "{}"], ['{"b": 1}', '{"a": 1, "b": 2}']),
    ({"propertyNames": {"maxLength": 1}}, ['{"a": 1}'], ['{"ab": 1}']),
    ({"type": "object", "minProperties": 1, "maxProperties": 2}, ['{"a": 1}'], ["{}", '{"a": 1, "b": 2, "c": 3}']),
    ({"dependentRequired": {"a": ["b"]}}, ["{}", '{"b": 1}', '{"a": 1, "b": 2}'], ['{"a": 1}']),
    ({"dependentSchemas": {"a": {"maxProperties": 1}}}, ['{"a": 1}', '{"b": 1, "c": 2}'], ['{"a": 1, "b": 2}']),
    ({"allOf": [{"type": "number"}, {"minimum": 1}]}, ["1"], ["0", '"x"']),
    ({"anyOf": [{"type": "null"}, {"const": 1}]}, ["null", "1"], ["2"]),
    ({"oneOf": [{"multipleOf": 2}, {"multipleOf": 3}]}, ["2", "3"], ["6", "1"]),
    ({"not": {"type": ["number", "object"]}}, ["null", "[]"], ["1", "{}"]),
    ({"if": {"const": 1}, "then": False, "else": {"type": "number"}}, ["2"], ["1", '"x"']),
    ({"allOf": [{"properties": {"a": True}}], "unevaluatedProperties": False}, ['{"a": 1}'], ['{"b": 1}']),
    ({"prefixItems": [True], "unevaluatedItems": {"type": "null"}}, ["[1]", "[1, null]"], ["[1, 2]"]),
    ({"contains": {"const": 1}, "unevaluatedItems": False}, ["[1, 1]"], ["[1, 2]"]),
    ({"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"type": "null"}}}, ["null"], ["1"]),
    ({"$ref": "#n", "$defs": {"x": {"$anchor": "n", "type": "null"}}}, ["null"], ["1"]),
    ({"type": "object", "properties": {"next": {"$ref": "#"}}}, ['{"next": {"next": {}}}'], ['{"next": {"next": 1}}']),
]


@pytest.mark.parametrize(("schema", "right", "wrong"), TABLE, ids=lambda case: str(case)[:60])
def test_keywords(schema: Any, right: list[str], wrong: list[str]) -> None:
    grammar = json_schema(schema)

    assert right == [text for text in right + wrong if grammar.matches(text)]


DRAFTS = {
    4: "http://json-schema.org/draft-04/schema#",
    6: "http://json-schema.org/draft-06/schema#",
    7: "http://json-schema.org/draft-07/schema#",
    2019: "https://json-schema.org/draft/2019-09/schema",
    2020: "https://json-schema.org/draft/2020-12/schema",
}


@pytest.mark.parametrize(
    ("schema", "text", "accepting"),
    [
        ({"type": "integer"}, "1.0", {6, 7, 2019, 2020}),
        ({"minimum": 1, "exclusiveMinimum": True}, "1", set()),
        ({"items": [{"type": "null"}], "additionalItems": False}, "[null, 1]", set()),
        ({"prefixItems": [False]}, "[1]", {4, 6, 7, 2019}),
        ({"dependencies": {"a": ["b"]}}, '{"a": 1}', set()),
        ({"if": True, "then": False}, "1", {4, 6}),
        ({"contains": False, "minContains": 0}, "[1]", {2019, 2020}),
        ({"unevaluatedProperties": False}, '{"a": 1}', {4, 6, 7}),
        ({"$ref": "#/$defs/x", "type": "null", "$defs": {"x": {}}}, "1", {4, 6, 7}),
        ({"$recursiveRef": "#", "type": "null"}, "1", set()),
        ({"properties": {"a": {"$recursiveRef": "#"}}, "type": "object"}, '{"a": 1}', {4, 6, 7, 2020}),
        ({"$dynamicRef": "#/$defs/x", "$defs": {"x": {"type": "null"}}}, "1", {4, 6, 7, 2019}),
        ({"definitions": {"x": {"id": "#n", "type": "null"}}, "properties": {"a": {"$ref": "#n"}}}, '{"a": null}', {4}),
    ],
)
def test_drafts(schema: dict[str, Any], text: str, accepting: set[int]) -> None:
    """A reference that leads nowhere and a boolean where a number belongs are errors."""
    found = set()
    for draft, uri in DRAFTS.items():
        try:
            if json_schema({"$schema": uri, **schema}).matches(text):
                found.add(draft)
        except (InvalidConstraint, EmptyLanguage):
            pass

    assert accepting == found


@pytest.mark.parametrize(
    ("schema", "pointer", "reason"),
    [
        ({"properties": {"a/b": {"$ref": "other.json"}}}, "#/properties/a~1b/$ref", "resources={'other.json'"),
        ({"items": {"pattern": "(a)\\1"}}, "#/items/pattern", "back"),
        ({"type": "number", "multipleOf": 123456789}, None, "remainders"),
        ({"type": "array", "not": {"uniqueItems": True}}, None, "must not be distinct"),
        ({"type": "array", "contains": {"type": "null"}, "minContains": 10**5}, None, "items that match"),
    ],
)
def test_refused(schema: Any, pointer: str | None, reason: str) -> None:
    with pytest.raises(UnsupportedConstraint, match=reason.replace("{", "\\{")) as caught:
        json_schema(schema)

    assert pointer == caught.value.where


@pytest.mark.parametrize(
    ("schema", "pointer"),
    [
        ({"type": "strnig"}, "#/type"),
        ({"properties": {"a": {"minLength": -1}}}, "#/properties/a/minLength"),
        ({"anyOf": []}, "#/anyOf"),
        ({"items": 3}, "#/items"),
        ({"$ref": "#/nowhere"}, "#/$ref"),
        ({"$ref": "#"}, "#"),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}, "#/$defs/a"),
        ({"enum": ["\ud800"]}, "#/enum"),
    ],
)
def test_invalid(schema: Any, pointer: str) -> None:
    with pytest.raises(InvalidConstraint) as caught:
        json_schema(schema)

    assert pointer == caught.value.where


@pytest.mark.parametrize(
    "schema",
    [
        False,
        {"type": "string", "minLength": 2, "maxLength": 1},
        {"type": "object", "required": ["a"], "properties": {"a": False}},
        {"allOf": [{"type": "string"}, {"type": "number"}]},
        {"type": "integer", "exclusiveMinimum": 1, "exclusiveMaximum": 2},
        {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]},
    ],
)
def test_nothing_is_valid(schema: Any) -> None:
    with pytest.raises(EmptyLanguage):
        compile(json_schema(schema), BYTES)


# -- spelling


@pytest.mark.parametrize(
    ("style", "accepted"),
    [
        ("compact", {'{"a":[1,"\\n"]}'}),
        ("spaced", {'{"a": [1, "\\n"]}'}),
        ("flexible", {'{"a":[1,"\\n"]}', '{"a": [1, "\\n"]}', '{\n  "a": [\n    1,\n    "\\u000A"\n  ]\n}'}),
    ],
)
def test_whitespace(style: Any, accepted: set[str]) -> None:
    texts = [
        '{"a":[1,"\\n"]}',
        '{"a": [1, "\\n"]}',
        '{\n  "a": [\n    1,\n    "\\u000A"\n  ]\n}',
        '{"a":   [1, "\\n"]}',
    ]
    grammar = json_schema(OBJECT, whitespace=style)

    assert accepted == {text for text in texts if grammar.matches(text)}


@pytest.mark.parametrize("text", ["é", "\U0001f600", '"', "\\", "/", "\n", "\x00", "\x7f", "a"])
def test_escapes(text: str) -> None:
    grammar = json_schema({"const": text})
    spelled = {json.dumps(text), json.dumps(text, ensure_ascii=False), json.dumps(text).replace("/", "\\/")}
    spelled.add('"' + "".join(f"\\u{unit:04X}" for unit in units(text)) + '"')

    assert spelled == {s for s in spelled if grammar.matches(s)}
    assert [json.dumps(text, ensure_ascii=False)] == [
        s for s in spelled if json_schema({"const": text}, whitespace="compact").matches(s)
    ]


def units(text: str) -> list[int]:
    data = text.encode("utf-16-be")
    return [int.from_bytes(data[i : i + 2]) for i in range(0, len(data), 2)]


# -- order


def orders(schema: Any, keys: str, **options: Any) -> set[str]:
    grammar = json_schema(schema, **options)
    texts = {"".join(p): json.dumps(dict.fromkeys(p, 1)) for p in itertools.permutations(keys)}
    return {name for name, text in texts.items() if grammar.matches(text)}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"properties": {"b": True, "a": True}}, {"bac"}),
        ({"properties": {"b": True}, "required": ["c"]}, {"bca", "cba"}),
        ({"allOf": [{"properties": {"b": True, "a": True}}, {"properties": {"c": True}}]}, {"bac", "bca", "cba"}),
        ({"const": {"a": 1, "b": 1, "c": 1}}, {"abc", "acb", "bac", "bca", "cab", "cba"}),
    ],
)
def test_order(schema: Any, expected: set[str]) -> None:
    """Declared keys in their order, others where the schema says nothing; keys left open follow."""
    every = {"".join(p) for p in itertools.permutations("abc")}

    assert expected == orders(schema, "abc")
    assert every == orders(schema, "abc", order="any")


@pytest.mark.parametrize("count", [3, 12])
def test_any_order_of_many(count: int) -> None:
    """States for up to 6 required keys are made at once, those for more as they are needed."""
    names = [f"key{i}" for i in range(count)]
    schema = {"properties": {n: {"type": "integer"} for n in names}, "required": names, "additionalProperties": False}
    grammar = json_schema({**OBJECT, **schema}, order="any", whitespace="compact")
    text = json.dumps(dict.fromkeys(reversed(names), 1), separators=(",", ":"))
    constraint = compile(grammar, BYTES)
    state: State | None = constraint.start()
    for byte in text.encode():
        assert state is not None
        assert constraint.mask(state)[byte // 32] >> (byte % 32) & 1
        state = constraint.advance(state, byte)

    assert state is not None
    assert len(text) == minlen(grammar.expr)
    assert constraint.accepting(state)
    assert not grammar.matches(text.replace("key1", "key0"))


@pytest.mark.parametrize("order", ["schema", "any"])
@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"a": {"type": "integer"}}, "additionalProperties": {"type": "integer"}},
        {"properties": {"a": True, "b": True, "c": True}, "minProperties": 2, "additionalProperties": False},
        {"minProperties": 1, "maxProperties": 2},
        {"properties": {"a": {"not": {"type": "integer"}}}, "required": ["a"]},
        {"oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
        {"if": {"properties": {"a": {"const": 1}}, "required": ["a"]}, "then": {"required": ["b"]}},
        {"not": {"additionalProperties": False}},
        {"additionalProperties": {"type": "string"}, "not": {"additionalProperties": {"type": "integer"}}},
    ],
)
def test_keys_that_recur(schema: Any, order: Any) -> None:
    """The last value of a key counts for `json.loads`; what is accepted is valid then, too."""
    import jsonschema_rs

    grammar, validator = json_schema({**OBJECT, **schema}, order=order), jsonschema_rs.Draft202012Validator(schema)
    members = [f'"{key}": {value}' for key in "abc" for value in ("1", '"x"')]
    texts = [f"{{{', '.join(p)}}}" for n in range(4) for p in itertools.product(members, repeat=n)]
    accepted = [text for text in texts if grammar.matches(text)]

    assert accepted
    assert [] == [text for text in accepted if not validator.is_valid(json.loads(text))]


# -- other documents

TREE = {
    "$id": "http://localhost/tree.json",
    "$dynamicAnchor": "node",
    "type": "object",
    "properties": {"data": True, "children": {"type": "array", "items": {"$dynamicRef": "#node"}}},
}
REMOTE = {
    "http://localhost/tree.json": TREE,
    "http://localhost/integer.json": {"type": "integer"},
    "http://localhost/defs.json": {"$defs": {"n": {"$ref": "integer.json"}, "a": {"$anchor": "here", "type": "null"}}},
    "http://localhost/nested/part.json": {"$defs": {"up": {"$ref": "../integer.json"}}, "$ref": "#/$defs/up"},
    "http://localhost/old.json": {"$schema": DRAFTS[7], "items": [{"type": "null"}], "$ref": "integer.json"},
    "http://localhost/no-validation.json": {
        "$schema": DRAFTS[2020],
        "$id": "http://localhost/no-validation.json",
        "$vocabulary": {
            "https://json-schema.org/draft/2020-12/vocab/core": True,
            "https://json-schema.org/draft/2020-12/vocab/applicator": True,
        },
    },
}


@pytest.mark.parametrize(
    ("schema", "right", "wrong"),
    [
        ({"$ref": "http://localhost/integer.json"}, ["1"], ["null"]),
        ({"$id": "http://localhost/x/", "$ref": "../integer.json"}, ["1"], ["null"]),
        ({"$ref": "http://localhost/defs.json#/$defs/n"}, ["1"], ["null"]),
        ({"$ref": "http://localhost/defs.json#here"}, ["null"], ["1"]),
        ({"$ref": "http://localhost/nested/part.json"}, ["1"], ["null"]),
        ({"$ref": "http://localhost/old.json"}, ["1"], ["[null]"]),
        (
            {"$schema": "http://localhost/no-validation.json", "properties": {"a": False, "b": {"minimum": 9}}},
            ['{"b": 1}'],
            ['{"a": 1}'],
        ),
        (
            {
                "$id": "http://localhost/strict",
                "$dynamicAnchor": "node",
                "$ref": "tree.json",
                "unevaluatedProperties": False,
            },
            ['{"children": [{"data": 1}]}'],
            ['{"children": [{"daat": 1}]}'],
        ),
        (
            {"$ref": "https://json-schema.org/draft/2020-12/meta/unevaluated"},
            ['{"unevaluatedItems": true}', '{"unevaluatedItems": {"unevaluatedItems": false}}', "true"],
            ['{"unevaluatedItems": 1}', '{"unevaluatedItems": {"unevaluatedItems": null}}', "1"],
        ),
    ],
)
def test_resources(schema: Any, right: list[str], wrong: list[str]) -> None:
    grammar = json_schema(schema, resources=REMOTE)

    assert right == [text for text in right + wrong if grammar.matches(text)]


def test_dynamic_scope() -> None:
    """One place, two meanings: it depends on how it was reached."""
    generic = {
        "$id": "list",
        "properties": {"list": {"items": {"$dynamicRef": "#item"}}},
        "$defs": {"any": {"$dynamicAnchor": "item"}},
    }
    numbers = {"$id": "numbers", "$ref": "list", "$defs": {"n": {"$dynamicAnchor": "item", "type": "number"}}}
    texts = {"$id": "texts", "$ref": "list", "$defs": {"t": {"$dynamicAnchor": "item", "type": "string"}}}
    schema = {
        "$id": "http://localhost/main",
        "$defs": {"l": generic, "n": numbers, "t": texts},
        "properties": {"n": {"$ref": "numbers"}, "t": {"$ref": "texts"}, "l": {"$ref": "list"}},
    }
    grammar = json_schema(schema)
    values = [{name: {"list": [item]}} for name in "ntl" for item in (1, "x")]

    assert [0, 3, 4, 5] == [i for i, value in enumerate(values) if grammar.matches(json.dumps(value))]


# -- hostile schemas


def nested(depth: int, wrap: Any, inner: Any) -> Any:
    for _ in range(depth):
        inner = wrap(inner)
    return inner


@pytest.mark.parametrize(
    "schema",
    [
        nested(10_000, lambda s: {"items": s}, {}),
        nested(10_000, lambda s: {"properties": {"a": s}, "required": ["a"]}, {}),
        nested(10_000, lambda s: {"allOf": [s]}, {}),
        nested(10_000, lambda s: {"not": s}, {}),
        {"const": nested(5_000, lambda s: [s], 1)},
        {"oneOf": [{"required": [f"key{i}"]} for i in range(200)]},
        {"$ref": "#/$defs/a", "$defs": {"a": {"allOf": [{"$ref": "#/$defs/a"}]}}, "unevaluatedProperties": False},
        {"type": "array", "contains": {"type": "integer"}, "minContains": 10**6},
    ],
    ids=["items", "properties", "allOf", "not", "const", "oneOf", "loop", "contains"],
)
def test_hostile_schemas_are_refused(schema: Any) -> None:
    with pytest.raises((UnsupportedConstraint, InvalidConstraint)):
        json_schema(schema)


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"enum": [f"word{i}" for i in range(20_000)]}, '"word19999"'),
        ({"enum": list(range(20_000))}, "19999"),
        ({"items": {"type": "integer"}, "minItems": 10**6, "type": ["array", "null"]}, "null"),
        ({"type": "string", "minLength": 2, "maxLength": 10**6}, '"abc"'),
        ({"type": "object", "properties": {f"k{i}": {"type": "null"} for i in range(500)}}, '{"k499": null}'),
        ({"oneOf": [{"properties": {"k": {"const": i}}, "required": ["k"]} for i in range(100)]}, '{"k": 99}'),
        ({"$defs": {f"d{i}": {"anyOf": [{"$ref": f"#/$defs/d{i + 1}"}] * 2} for i in range(50)} | {"d50": {}},
          "$ref": "#/$defs/d0"}, "1"),
    ],
    ids=["texts", "numbers", "minItems", "maxLength", "properties", "oneOf", "references"],
)  # fmt: skip
def test_large_schemas(schema: Any, text: str) -> None:
    constraint = compile(json_schema(schema), BYTES)
    state: State | None = constraint.start()
    for byte in text.encode():
        assert state is not None
        state = constraint.advance(state, byte)

    assert state is not None
    assert constraint.accepting(state)
