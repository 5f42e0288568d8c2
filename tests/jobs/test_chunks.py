import json
import random
import re
from itertools import pairwise
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmprog.jobs import Chunks, extract
from lmprog.jobs.chunks import pieces
from lmprog.jobs.leaves import Leaf, data
from lmprog.jobs.merge import merge
from lmprog.runtime.request import Request, Result
from lmprog.testing import RandomModel, Scripted

MODEL = RandomModel(1)
TEXTS = st.text(
    st.sampled_from(" \n.\r\t,aZé日🙂e\u0301\u2028") | st.characters(exclude_categories=["Cs"]), max_size=400
)


def tokens(text: str) -> list[int]:
    return MODEL.vocab.encode(text.encode())


def size(token: int) -> int:
    return len(MODEL.vocab.token_bytes[token] or b"")


@given(TEXTS, st.integers(8, 60), st.integers(0, 4))
def test_pieces_cover_the_text_within_the_bound(text: str, most: int, overlap: int) -> None:
    spans = pieces(text, most, overlap, tokens, size)

    assert spans == pieces(text, most, overlap, tokens, size)
    assert (0, len(text)) == (spans[0][0], spans[-1][1])
    for start, end in spans:
        assert len(tokens(text[start:end])) <= most
    for (start, end), (later, last) in pairwise(spans):
        assert start < later <= end < last


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("one two three four.\n\nfive six seven eight", "one two three four.\n\n"),
        ("one two three four.\nfive six seven eight", "one two three four.\n"),
        ("one two three four. five six seven eight", "one two three four. "),
        ("one two three of 3.5 million and more", "one two three of 3.5 "),
        ("1111222233334444555566667777888899990000", "1111222233334444555566667"),
    ],
)
def test_where_pieces_end(text: str, first: str) -> None:
    start, end = pieces(text, 25, 0, lambda text: list(text.encode()), lambda _: 1)[0]

    assert first == text[start:end]


def leaf(value: Any, confidence: float = 1.0, place: tuple[int, int] | None = None) -> Leaf:
    return Leaf(value, confidence=confidence, place=place)


@pytest.mark.parametrize(
    ("answers", "merged"),
    [
        ([leaf(None, 0.9), leaf(3, 0.1)], 3),
        ([leaf(3, 0.4), leaf(4, 0.6), leaf(5, 0.6)], 4),
        ([{"a": leaf(1)}, {"a": leaf(None), "b": leaf(2)}], {"a": 1, "b": 2}),
        ([leaf(None), {"a": leaf(1)}, leaf(None)], {"a": 1}),
        ([leaf(None), leaf(None)], None),
        ([[leaf(1), leaf(2)], [leaf(2), leaf(3)]], [1, 2, 3]),
        ([[leaf(7), leaf(7)], [leaf(7)], []], [7, 7]),
        ([[leaf("x", 1, (3, 4))], [leaf("x", 1, (3, 4))]], ["x"]),
        ([[leaf("x", 1, (3, 4))], [leaf("x", 1, (9, 10))]], ["x", "x"]),
        (
            [
                [{"name": leaf("x", 1, (3, 4)), "age": leaf(1, 0.2)}],
                [{"name": leaf("x", 1, (3, 4)), "age": leaf(2, 0.5)}],
            ],
            [{"name": "x", "age": 2}],
        ),
        ([[[leaf(1)]], [[leaf(1)], [leaf(2)]]], [[1], [2]]),
    ],
)
def test_merging(answers: list[Any], merged: Any) -> None:
    assert merged == data(merge(answers))


BILLS = {
    "type": "object",
    "properties": {
        "company": {"type": ["string", "null"], "maxLength": 40},
        "bills": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"number": {"type": "string", "maxLength": 8}, "euros": {"type": "integer"}},
                "required": ["number", "euros"],
            },
        },
    },
    "required": ["company", "bills"],
}


class Reader(Scripted):
    """Reads bills out of the document at the end of its prompt."""

    def _answer(self, request: Request) -> Result:
        text = self.vocab.decode(request.ids).decode()
        company = re.search(r"Company: (\w+)", text)
        bills = re.findall(r"Bill (\w+) is for (\d+) euros\.", text)
        answer = {
            "company": company and company[1],
            "bills": [{"number": number, "euros": int(euros)} for number, euros in bills],
        }
        self.prompts.append(text)
        return self._walk(request, "the answer", json.dumps(answer, separators=(",", ":")).encode())


def long_document(seed: int) -> tuple[str, list[dict[str, Any]]]:
    """100 kB with forty bills and one company."""
    rng = random.Random(seed)
    bills = [{"number": f"B{i}", "euros": rng.randrange(1000)} for i in range(40)]
    lines = [" ".join(rng.choice(["lorem", "ipsum", "3.5", "dolor"]) for _ in range(12)) + "." for _ in range(1400)]
    at = sorted(rng.sample(range(len(lines)), 40))
    for place, bill in zip(at, bills, strict=True):
        lines[place] = f"Bill {bill['number']} is for {bill['euros']} euros."
    lines.insert(rng.randrange(len(lines)), "Company: Acme")
    return "\n".join(lines), bills


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("chunks", [Chunks(), Chunks(4000, 1000), Chunks(9000, 0)])
def test_a_document_longer_than_the_context(seed: int, chunks: Chunks) -> None:
    text, bills = long_document(seed)
    done = extract(Reader([], context=20_000), [text], BILLS, max_tokens=4000, chunks=chunks, evidence=True)
    record = done.records[0]

    assert len(text) > 85_000
    assert record.error is None
    assert {"company": "Acme", "bills": bills} == record.data
    assert jsonschema_rs.is_valid(BILLS, record.data)
    assert record.chunks is not None
    assert record.chunks >= len(text) // min(16_000, chunks.tokens or 16_000)
    assert record.evidence is not None
    place = record.evidence["/company"]
    assert "Acme" == text[place["start"] : place["end"]]
    assert record.confidence is None


def test_answers_that_cannot_be_merged() -> None:
    text, _ = long_document(0)
    few = json.loads(json.dumps(BILLS))
    few["properties"]["bills"]["maxItems"] = 12
    record = extract(Reader([], context=20_000), [text], few, max_tokens=4000).records[0]

    assert record.error is not None
    assert "MergeError" == record.error["type"]
    assert "pieces make no answer together" in record.error["message"]
    assert "B39" in record.error["answer"]


def test_merged_answers_of_a_model_that_makes_noise_are_valid() -> None:
    schema = {
        "properties": {
            "kind": {"enum": ["math", "poem", None]},
            "rows": {"type": "array", "items": {"type": "array", "items": {"type": "integer"}, "maxItems": 2}},
            "some": {"type": "object", "properties": {"a": {"type": "boolean"}, "b": {"enum": [1, "x"]}}},
        },
        "required": ["kind", "rows"],
    }
    docs = [f"word{n} " * 400 for n in range(8)]
    done = extract(RandomModel(1), docs, schema, chunks=Chunks(200, 20), max_tokens=60, confidence=True)

    for record in done.records:
        assert record.error is None
        assert jsonschema_rs.is_valid(schema, record.data)
        assert record.chunks is not None
        assert record.chunks > 5
        assert record.confidence is not None
        assert record.data["kind"] is None or "/kind" in record.confidence


def test_what_fits_is_read_in_one_piece() -> None:
    docs = ["a short one", "and another"]
    schema = {"enum": ["math", "poem"]}

    plain = extract(RandomModel(1), docs, schema).records
    assert [(r.data, r.chunks) for r in plain] == [
        (r.data, r.chunks) for r in extract(RandomModel(1), docs, schema, chunks=Chunks(64)).records
    ]
