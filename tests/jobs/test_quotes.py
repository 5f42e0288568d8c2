import dataclasses
import json
import pickle
import random
from typing import Any

import jsonschema_rs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from lmprog.grammars import json_schema
from lmprog.grammars.errors import InvalidConstraint, UnsupportedConstraint
from lmprog.grammars.json_schema import quoting_schema
from lmprog.grammars.quote_fields import OUTSIDE, ROOM, Frame, QuoteFields
from lmprog.grammars.standing import Standing
from lmprog.jobs import Chunks, Quote, extract
from lmprog.runtime.sampling import Sampling
from lmprog.testing import RandomModel

MODEL = RandomModel(1)
QUOTE = {"type": "string", "x-quote": True}
SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "who": {**QUOTE, "maxLength": 12},
        "why": {**QUOTE, "minLength": 3, "maxLength": 9},
        "all": {"type": "array", "items": {"anyOf": [{"type": "null"}, {**QUOTE, "maxLength": 5}]}, "maxItems": 3},
        "age": {"type": "integer", "minimum": 0, "maximum": 99},
    },
    "required": ["who", "why", "all", "age"],
}
NASTY = st.text(
    st.sampled_from('ab "\\\n\r\t/é日🙂e\u0301\u2028\x00\x1f\x7f👩\u200d') | st.characters(exclude_categories=["Cs"]),
    min_size=3,
    max_size=60,
)


def check(text: str, record: Any) -> None:
    assert record.error is None, record.error
    assert jsonschema_rs.is_valid(SCHEMA, record.data)
    quotes = {"/who": record.data["who"], "/why": record.data["why"]}
    quotes |= {f"/all/{i}": item for i, item in enumerate(record.data["all"]) if item is not None}
    assert set(quotes) == set(record.evidence)
    for pointer, quote in quotes.items():
        place = record.evidence[pointer]
        assert {"start", "end", "text"} == set(place)
        assert quote == place["text"] == text[place["start"] : place["end"]]
        assert place["start"] == text.find(quote)


@settings(max_examples=60, deadline=None)
@given(NASTY, st.integers(0, 1000))
def test_every_quote_is_where_it_is_said_to_be(text: str, seed: int) -> None:
    sampling = Sampling(temperature=1.0, seed=seed)

    check(text, extract(MODEL, [text], SCHEMA, sampling=sampling, max_tokens=100).records[0])


def test_quotes_of_long_documents_read_in_pieces() -> None:
    texts = ["".join(random.Random(n).choices('ab "\\\n🙂é', k=3000)) for n in range(3)]
    schema = {"type": "object", "properties": {"all": {"type": "array", "items": QUOTE}}, "required": ["all"]}
    done = extract(MODEL, texts, schema, chunks=Chunks(300, 30), max_tokens=60)
    for text, record in zip(texts, done.records, strict=True):
        assert (record.chunks or 0) > 5
        assert len(record.data["all"]) == len(record.evidence or {})
        for i, quote in enumerate(record.data["all"]):
            place = (record.evidence or {})[f"/all/{i}"]
            assert quote == place["text"] == text[place["start"] : place["end"]]


@settings(deadline=None)
@given(NASTY, st.integers(1, 30), st.integers(0, 5))
def test_which_tokens_stand_in_a_text(text: str, longest: int, step: int) -> None:
    data, tokens = text.encode(), {**MODEL.vocab.ids, b'ab "\\ab a': 7777, "日🙂日🙂日".encode(): 8888}
    places = np.arange(0, len(data), step + 1, dtype=np.int32)
    wanted = {
        number
        for token, number in tokens.items()
        if len(token) <= max(longest, 8) and any(data.startswith(token, at) for at in places.tolist())
    }

    assert sorted(wanted) == Standing(tokens, longest).somewhere(data, places).tolist()


def fields(schema: Any, source: str) -> QuoteFields:
    return QuoteFields(Frame(*quoting_schema(schema), MODEL.vocab), source)


def accepts(c: QuoteFields, ids: list[int]) -> bool:
    state: int | None = c.start()
    for token in ids:
        state = c.advance(state, token) if state is not None else None
    return state is not None and c.accepting(state)


@settings(deadline=None)
@given(
    st.text('ab\n"é🙂', min_size=2, max_size=7), st.integers(0, 3), st.integers(0, 3), st.text('ab\n"é🙂', max_size=4)
)
def test_the_language_is_that_of_the_substrings(source: str, low: int, more: int, other: str) -> None:
    if max(low, 1) > len(source) or max(low, 1) > low + more:
        return
    c = fields({**QUOTE, "minLength": low, "maxLength": low + more}, source)
    texts = {source[i:j] for i in range(len(source)) for j in range(i, len(source) + 1)} | {other}

    for text in texts:
        spelt = json.dumps(text, ensure_ascii=False).encode()
        wanted = text in source and max(low, 1) <= len(text) <= low + more
        assert wanted == accepts(c, list(spelt))  # by tokens of single bytes
        inside = MODEL.vocab.longest_match(spelt[1:-1])
        assert wanted == accepts(c, [*MODEL.vocab.ids[b'"'] * np.ones(1, int), *inside, MODEL.vocab.ids[b'"']])


@settings(max_examples=15, deadline=None)
@given(NASTY, st.integers(0, 1 << 30), st.integers(0, 30))
def test_masks_say_what_may_come_and_can_be_completed(source: str, seed: int, spare: int) -> None:
    c, rng = fields(SCHEMA, source), random.Random(seed)
    state = c.start()
    budget = c.distance(state) + spare
    while not c.finished(state):
        row = c.mask(state, budget=budget)
        bits = np.unpackbits(row.view(np.uint8), bitorder="little")[: MODEL.vocab.size]
        allowed = np.flatnonzero(bits)
        narrow = c.allowed(state, limit=10_000, budget=budget)
        assert narrow is None or np.array_equal(np.sort(narrow), allowed)
        for token in rng.sample(range(MODEL.vocab.size), 20):
            after = c.advance(state, token)
            assert bool(bits[token]) <= (after is not None)
            kept = ROOM if c._places[state].kind == OUTSIDE != c._places[after or 0].kind else 0  # free for a quote
            assert after is None or bits[token] or not c.fits(after, budget - 1 - kept)
        after = c.advance(state, int(rng.choice(allowed)))
        assert after is not None
        state, budget = after, budget - 1
        assert c.fits(state, budget)


def test_answers_are_complete_within_little() -> None:
    texts = ['Anna is 7, and Bo said: "well, I don\'t know"\n' * 3] * 8
    c = fields(SCHEMA, texts[0])
    least = c.distance(c.start())
    for record in extract(MODEL, texts, SCHEMA, max_tokens=least, sampling=Sampling(temperature=2.0, seed=3)).records:
        check(texts[0], record)


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"type": "array", "items": QUOTE, "uniqueItems": True}, "uniqueItems"),
        ({**QUOTE, "pattern": "^a"}, "minLength and maxLength, and nothing else"),
        ({"not": QUOTE, "type": "string"}, "nothing else"),
        ({"anyOf": [QUOTE, {"enum": ["a"]}]}, "nothing else"),
        ({"anyOf": [{"properties": {"a": QUOTE}, "type": "object"}, {"properties": {"a": {"const": "b"}}}]}, "both"),
    ],
)
def test_what_cannot_be_enforced_is_refused(schema: Any, said: str) -> None:
    with pytest.raises(UnsupportedConstraint, match=said):
        accepts(fields(schema, "abc"), list(b'{"a":"a"}'))


def test_quotes_need_a_text() -> None:
    with pytest.raises(UnsupportedConstraint, match=r"give json_schema a corpus, or run a job.*/properties/a/x-quote"):
        json_schema({"properties": {"a": QUOTE}})
    with pytest.raises(InvalidConstraint, match="x-quote must be true or false"):
        json_schema({"x-quote": "yes"})
    record = extract(MODEL, ["", "ab"], {**QUOTE, "minLength": 3}).records[0]
    assert record.error is not None
    assert "EmptyLanguage" == record.error["type"]


class Person(BaseModel):
    name: Quote = Field(max_length=8)
    said: list[Quote] = Field(max_length=2)


@dataclasses.dataclass
class Thing:
    name: Quote
    count: int


@pytest.mark.parametrize("schema", [Person, Thing])
def test_types(schema: Any) -> None:
    texts = ['Bo "the cat" \\ 🙂 said\r\nnothing', "x"]
    for text, record in zip(texts, extract(MODEL, texts, schema, max_tokens=60).records, strict=True):
        assert isinstance(record.data, schema)
        for quote in [record.data.name, *(record.data.said if schema is Person else [])]:
            assert isinstance(quote, Quote)
            assert quote == text[quote.start : quote.end]
            assert len(quote) <= 8 or schema is Thing
            assert (quote.start, quote.end) == (lambda q: (q.start, q.end))(pickle.loads(pickle.dumps(quote)))


def test_a_quote_without_a_document() -> None:
    person = Person.model_validate({"name": "Bo", "said": []})

    assert ("Bo", None, None) == (person.name, person.name.start, person.name.end)
    assert {"name": "Bo", "said": []} == person.model_dump()


@pytest.mark.parametrize("required", [[], ["long"]])
@pytest.mark.parametrize("text", ["", "abc", "abcdefgh", "🙂" * 7])
def test_null_or_nothing_where_the_text_is_too_short(text: str, required: list[str]) -> None:
    long = {"anyOf": [{"type": "null"}, {**QUOTE, "minLength": 8}]} if required else {**QUOTE, "minLength": 8}
    short = {"type": "array", "items": {**QUOTE, "maxLength": 2}, "maxItems": 2}
    schema = {"properties": {"long": long, "short": short}, "required": required, "additionalProperties": False}
    for seed in range(4):
        sampling = Sampling(temperature=1.0, seed=seed)
        record = extract(MODEL, [text], schema, sampling=sampling, max_tokens=100).records[0]
        assert record.error is None, record.error
        assert jsonschema_rs.is_valid(schema, record.data)
        assert record.data.get("long") in (None, text if len(text) == 8 else None)
        assert all(quote in text for quote in record.data.get("short", []))


def test_no_quote_and_no_other_way_is_an_error() -> None:
    schema = {"properties": {"a": {**QUOTE, "minLength": 4}}, "required": ["a"]}
    short, enough = extract(MODEL, ["abc", "abcd"], schema, max_tokens=60).records

    assert short.error is not None
    assert "the text has no quote of 4 characters, or none of so few tokens" == short.error["message"]
    assert {"a": "abcd"} == enough.data
