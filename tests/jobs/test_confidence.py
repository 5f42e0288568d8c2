import json
import math
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmprog.jobs import extract
from lmprog.jobs.leaves import data, leaves, tree, weigh
from lmprog.testing import RandomModel, TableModel

SCHEMA = {
    "properties": {
        "name": {"type": "string", "maxLength": 6},
        "age": {"type": "integer", "minimum": 0, "maximum": 999},
        "tags": {"type": "array", "items": {"enum": ["math", "poem", None, True]}, "maxItems": 3},
    },
    "required": ["name", "age", "tags"],
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda part: st.lists(part, max_size=4) | st.dictionaries(st.text(), part, max_size=4),
    max_leaves=12,
)


def at(value: Any, pointer: str) -> Any:
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        value = value[int(key)] if isinstance(value, list) else value[key]
    return value


@given(JSON, st.booleans())
def test_every_leaf_is_found_where_it_stands(value: Any, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, separators=(",", ":"))
    raw, found = text.encode(errors="surrogatepass"), tree(text)

    assert value == data(found)
    for pointer, leaf in leaves(found):
        spelled = raw[leaf.start : leaf.end]
        assert leaf.value == at(value, pointer)
        number = type(leaf.value) in (int, float)
        assert leaf.value == json.loads(spelled[:-1] if number and pointer else spelled)
        assert spelled[-1:] in (b",", b"]", b"}") or not (number and pointer)


@given(JSON, st.randoms(use_true_random=False))
def test_a_token_counts_for_every_leaf_that_it_touches(value: Any, rng: Any) -> None:
    text = json.dumps(value, separators=(",", ":"))
    cuts = sorted({0, len(text), *(rng.randrange(len(text) + 1) for _ in range(8))})
    lengths = [b - a for a, b in pairwise(cuts)]
    chances = [rng.randint(1, 1000) / 1000 for _ in lengths]
    owner = [i for i, length in enumerate(lengths) for _ in range(length)]
    found = tree(text)
    weigh(found, lengths, [math.log(chance) for chance in chances])

    for _, leaf in leaves(found):
        assert leaf.confidence == pytest.approx(math.prod(chances[i] for i in {*owner[leaf.start : leaf.end]}))


def test_confidence_is_the_probability_of_the_value() -> None:
    """The likeliest of the texts that the schema allows, with probabilities known by hand."""
    spelling = ["[1", "2", ",", "]", '"a"', '"b"', "[", "1"]
    steps = {"": ("[1", 0.75), "[1": ("2", 0.5), "[12": (",", 0.5), "[12,": ('"b"', 0.9), '[12,"b"': ("]", 0.6)}
    tokens = [*spelling, *sorted(set("\n JSON:-r"))]

    def next_probs(ids: tuple[int, ...]) -> list[float]:
        written = "".join(tokens[i] for i in ids).split("JSON:\n")[-1]
        token, share = steps[written]
        rest = (1 - share) / (len(spelling) - 1)
        return [share if t == token else rest if t in spelling else 0.0 for t in [*tokens, None]]

    items = [{"enum": [1, 12, 2]}, {"enum": ["a", "b"]}]
    schema = {"type": "array", "prefixItems": items, "items": False, "minItems": 2}
    record = extract(TableModel(tokens, next_probs), ["r"], schema, instructions="r", confidence=True).records[0]

    assert [12, "b"] == record.data
    # the share of the token among those that may stand there: "[1" and "[", "2" and ",", one of a kind, "a" and "b"
    first, second, third = (share / (share + (1 - share) / 7) for share in (0.75, 0.5, 0.9))
    assert record.confidence is not None
    assert first * second == pytest.approx(record.confidence["/0"], rel=1e-3)
    assert third == pytest.approx(record.confidence["/1"], rel=1e-3)


def test_records_have_it_when_asked_for() -> None:
    docs = [f"document {n}" for n in range(20)]
    plain = extract(RandomModel(1), docs, SCHEMA)
    done = extract(RandomModel(1), docs, SCHEMA, confidence=True)

    assert [r.data for r in plain.records] == [r.data for r in done.records]
    assert {None} == {record.confidence for record in plain.records}
    for record in done.records:
        assert record.confidence is not None
        assert [pointer for pointer, _ in leaves_of(record.data)] == list(record.confidence)
        assert all(0 < value <= 1 for value in record.confidence.values())
        assert at(record.data, "/age") == record.data["age"]


def leaves_of(value: Any) -> list[tuple[str, Any]]:
    return [(pointer, leaf.value) for pointer, leaf in leaves(tree(json.dumps(value, separators=(",", ":"))))]


def test_texts_are_looked_up() -> None:
    docs = ["math is hard", "a poem, and a poem", "aftermath", "tale"]
    done = extract(RandomModel(1), docs, {"enum": ["math", "poem", "tale"]}, evidence=True)

    for text, record in zip(docs, done.records, strict=True):
        wanted = text.split().count(record.data) == 1
        assert (record.evidence is not None) == wanted
        if record.evidence:
            start = text.index(record.data)
            end = start + len(record.data)
            assert {"": {"start": start, "end": end, "text": record.data, "found": True}} == record.evidence
