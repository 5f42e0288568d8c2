"""Items that differ and open keys that come once: masks against derivatives in Python, texts against jsonschema-rs."""

import json
import random
from typing import Any

import jsonschema_rs
import numpy as np
import pytest

from lmprog.grammars import UnsupportedConstraint, Vocabulary, compile, json_schema
from lmprog.grammars.algebra import Native, Reference
from lmprog.grammars.automaton import DEAD, Automaton
from lmprog.grammars.constraint import Automatic
from lmprog.grammars.store import save

PIECES = [
    b'","',
    b'",',
    b'"]',
    b'", "',
    b'a"',
    b'a","',
    b'","a',
    b'b","a"',
    b'["',
    b"],[",
    b"1,",
    b"1,1",
    b".0,",
    b"[1,",
]
PIECES += [
    b'":',
    b'": ',
    b'":1,"',
    b'":1}',
    b'{"',
    b'{"a',
    b'a":1,"b',
    b"},{",
    b"}]",
    b"\\u006",
    b"1\\u",
    b"aa",
    b"ab",
    b"e0",
]
STRINGS = ["", "a", "b", "aa", '"', "é"]
NUMBERS = [0, 1, 1.0, 2, 10, -1, 0.5]
VALUES: list[Any] = [
    None,
    True,
    1,
    [],
    [1],
    [1.0],
    [[]],
    {},
    {"a": 1},
    {"a": 1.0},
    {"a": 1, "b": "a"},
    {"b": "a", "a": 1},
]
VOCAB = Vocabulary([*[bytes([i]) for i in range(256)], *PIECES, None], {256 + len(PIECES)})
FREE = {"type": ["string", "number"]}
POINT = {"type": "object", "properties": {"x": {"type": "integer"}, "y": {"type": "string"}}, "required": ["x"]}
PAIRS = {"type": "array", "uniqueItems": True, "items": {"type": "string"}, "maxItems": 2}
SCHEMAS: dict[str, dict[str, Any]] = {
    "strings": {"type": "array", "uniqueItems": True, "items": {"type": "string"}},
    "numbers": {"type": "array", "uniqueItems": True, "items": {"type": "number"}, "minItems": 2, "maxItems": 3},
    "integers": {
        "type": "array",
        "uniqueItems": True,
        "items": {"type": "integer", "minimum": 0, "maximum": 30},
        "minItems": 3,
    },
    "mixed": {"type": "array", "uniqueItems": True, "contains": {"const": "a"}, "items": FREE},
    "anything": {"type": "array", "uniqueItems": True},
    "counted": {
        "type": "array",
        "uniqueItems": True,
        "items": FREE,
        "contains": {"type": "string"},
        "minContains": 2,
        "maxContains": 2,
    },
    "prefix": {
        "type": "array",
        "uniqueItems": True,
        "prefixItems": [FREE, {"type": "boolean"}],
        "items": {"type": "string"},
        "minItems": 3,
    },
    "objects": {"type": "array", "uniqueItems": True, "items": POINT},
    "closed": {"type": "array", "uniqueItems": True, "items": {**POINT, "additionalProperties": False}, "minItems": 2},
    "nested": {"type": "array", "uniqueItems": True, "items": PAIRS},
    "many keys": {
        "type": "object",
        "minProperties": 3,
        "maxProperties": 4,
        "additionalProperties": {"type": "integer"},
    },
    "named keys": {
        "type": "object",
        "properties": {"a": {"const": 1}},
        "minProperties": 2,
        "additionalProperties": {"enum": [1, 2]},
    },
    "a key fails": {
        "type": "object",
        "not": {"additionalProperties": {"type": "string"}},
        "additionalProperties": FREE,
    },
    "patterns": {
        "type": "object",
        "minProperties": 2,
        "patternProperties": {"^a": {"const": 1}},
        "additionalProperties": {"const": 2},
    },
}
IN_A_MEMBER = {"type": "object", "properties": {"k": SCHEMAS["strings"], "z": {"type": "null"}}, "required": ["k", "z"]}


def allowed(mask: Any) -> list[int]:
    return np.flatnonzero(np.unpackbits(mask.view(np.uint8), bitorder="little")[: VOCAB.size]).tolist()


def some(r: random.Random, name: str) -> list[Any]:
    """A few items, so that the same ones come again."""
    if name in ("objects", "closed"):
        return [dict([("x", r.choice([1, 2, 1.0])), ("y", r.choice("ab"))][: r.randint(1, 2)]) for _ in range(4)]
    if name == "nested":
        return [r.sample("ab", r.randrange(3)) for _ in range(4)]
    pool: dict[str, list[Any]] = {
        "strings": STRINGS,
        "numbers": NUMBERS,
        "integers": [0, 1, 1.0, 2, 10, 30],
        "anything": [*VALUES, *STRINGS],
    }
    return r.sample(pool.get(name, [*STRINGS, *STRINGS, *NUMBERS]), 4)


def spelt(r: random.Random, x: Any) -> str:
    """In any way, duplicates of keys apart."""
    match x:
        case str():
            return '"' + "".join(r.choice([json.dumps(c)[1:-1], f"\\u{ord(c):04x}"]) for c in x) + '"'
        case list():
            return "[" + ", ".join(spelt(r, y) for y in x) + "]"
        case dict():
            return "{" + ",".join(f"{spelt(r, k)}:{spelt(r, y)}" for k, y in x.items()) + "}"
        case bool() | None:
            return json.dumps(x)
    return r.choice([json.dumps(x), str(float(x))])


@pytest.mark.parametrize("name", SCHEMAS)
def test_verdicts_on_values(name: str) -> None:
    """Values near the border: what is valid and comes in the order of the schema is accepted, what is not never."""
    schema, r = SCHEMAS[name], random.Random(name)
    grammar, oracle = json_schema(schema), jsonschema_rs.validator_for(schema)
    seen = set()
    for _ in range(300):
        if schema["type"] == "array":
            few = some(r, name)
            x: Any = [r.choice(few) for _ in range(r.randrange(5))]
            if name == "prefix":
                x[1:2] = [True]
        else:
            x = {
                k: r.choice([1, 2, "b"])
                for k in ["a", *r.sample(["b", "aa", "c", "d"], r.randrange(5))][r.randrange(2) :]
            }
        expected = oracle.is_valid(x)
        seen.add(expected)

        assert expected == grammar.matches(spelt(r, x)), x

    assert seen == {False, True}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("10", "0.1e2"), ("10", "0.0100E+3"), ("10", "1e1"), ("10", "100.0e-01"), ("0", "-0.0e7"), ("-1.5", "-15e-1"),
        ("1e280", "0.00001e285"), ("1e-5", "0.00001"), ('"a"', '"\\u0061"'), ('"/"', '"\\/"'),
        ("[1, [2]]", "[1.0,[20e-1]]"), ('{"a": {"b": 1}}', '{"a": {"b": 0, "b": 1}}'),
        ('{"a": 1, "b": [2]}', '{"b": [2.0], "\\u0061": 1}'), ('{"a": 1}', '{"a": 2, "a": 1}'),
    ],
)  # fmt: skip
def test_equal_values(first: str, second: str) -> None:
    grammar = json_schema({"type": "array", "uniqueItems": True})

    assert grammar.matches(f"[{first}]")
    assert grammar.matches(f"[{second}]")
    assert grammar.matches(f"[{first}, [{second}]]")
    assert not grammar.matches(f"[{first}, 5, {second}]")
    assert not grammar.matches(f"[{second}, {first}]")


def reference(grammar: Any) -> tuple[Automaton, int]:
    algebra = Reference()
    automaton = Automaton(algebra)
    return automaton, automaton.state(algebra.enter(grammar.expr))


@pytest.mark.parametrize("whitespace", ["compact", "flexible"])
@pytest.mark.parametrize("name", [*SCHEMAS, "in a member"])
def test_masks_are_exact_and_walks_are_valid(name: str, whitespace: Any) -> None:
    """Every token of every mask on the way, against derivatives in Python."""
    schema, r = SCHEMAS.get(name, IN_A_MEMBER), random.Random(f"{name} {whitespace}")
    grammar, oracle = json_schema(schema, whitespace=whitespace), jsonschema_rs.validator_for(schema)
    c = compile(grammar, VOCAB)
    (python, start), likely = reference(grammar), b'",:[]{}ab1'
    assert isinstance(c, Automatic)
    assert isinstance(c._algebra, Native)
    for _ in range(3):
        s, t, out, budget = c.start(), start, b"", 60
        while True:
            ids = allowed(c.mask(s))
            if len(out) < 40:
                alive = [i for i, token in enumerate(VOCAB.token_bytes) if token and python.run(t, token) != DEAD]

                assert [*alive, *VOCAB.eos] if python.accepting(t) else alive == ids, out
            tight = allowed(c.mask(s, budget))

            assert set(tight) <= set(ids)

            good = [i for i in tight if i >= 256 or i in likely] or tight
            token = r.choice(good)
            if token in VOCAB.eos:
                break
            after = c.advance(s, token)
            assert after is not None
            s, out, budget = after, out + (VOCAB.token_bytes[token] or b""), budget - 1
            t = python.run(t, VOCAB.token_bytes[token] or b"")

        assert oracle.is_valid(json.loads(out)), out


@pytest.mark.parametrize("follow", [b"\n", b'", "'])
def test_before_a_text_that_ends_the_value(follow: bytes) -> None:
    grammar = json_schema(SCHEMAS["strings"], whitespace="compact")
    c = compile(grammar, VOCAB)
    for text in ('["a","b"]', '["aa","a","ab"]', "[]"):
        s = c.start(b"> ", follow)
        for token in VOCAB.longest_match(b"> " + text.encode() + follow):
            assert token in allowed(c.mask(s))

            after = c.advance(s, token)
            assert after is not None
            s = after

        assert c.finished(s)
    s = c.start(b"> ", follow)
    for byte in b'> ["a","a':
        s = c.advance(s, byte) or 0

    assert ord('"') not in allowed(c.mask(s))


def test_memory_stays_small_over_many_items() -> None:
    c = compile(json_schema(SCHEMAS["strings"], whitespace="compact"), VOCAB)
    s = c.start()
    for token in VOCAB.longest_match(json.dumps([f"item {i}" for i in range(200)], separators=(",", ":")).encode()):
        assert token in allowed(c.mask(s))

        after = c.advance(s, token)
        assert after is not None
        s = after

    assert c.accepting(s)
    assert len(c._automaton) < 20_000  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "schema",
    [
        {
            "type": "array",
            "uniqueItems": True,
            "minItems": 40,
            "items": {"type": "integer", "minimum": 1, "maximum": 30},
        },
        {"type": "object", "minProperties": 30, "propertyNames": {"pattern": "^[ab]{1,3}$"}},
    ],
)
def test_too_few_values_are_refused(schema: Any) -> None:
    with pytest.raises(UnsupportedConstraint, match=r"few values|more keys"):
        json_schema(schema)


def test_what_is_read_on_the_way_cannot_be_stored(tmp_path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UnsupportedConstraint, match="cannot be stored"):
        save(compile(json_schema(SCHEMAS["strings"]), VOCAB), tmp_path / "c.npz")
