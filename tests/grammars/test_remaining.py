"""Edits still to come, against all texts of small languages."""

from __future__ import annotations

import random

import numpy as np
import pytest

from lmprog.decoders.nearness import _extended, _first, distance, foreign
from lmprog.grammars import Grammar, json_schema, regex
from lmprog.grammars.remaining import Remaining
from lmprog.grammars.repair import repair


def texts(pattern: str, alphabet: str, most: int) -> list[str]:
    grammar, found, begun = regex(pattern), list[str](), [""]
    while begun:
        text = begun.pop()
        if grammar.matches(text):
            found.append(text)
        if len(text) < most:
            begun += [text + letter for letter in alphabet]
    return found


@pytest.mark.parametrize("pattern", ["(ab|ba){1,3}", "a?(b{2}|c[ab]c){0,2}a", "c[ab]{0,3}c,", "(a|bc)*"])
@pytest.mark.parametrize("cut", [False, True])
def test_against_all_texts(pattern: str, cut: bool) -> None:
    """Of a language cut at 7 letters; the drafts are short enough that no longer text is nearer. Where a search is cut
    short, the answer is none too great."""
    chance = random.Random(pattern)
    all_of = texts(pattern, "abc,", 7)
    for _ in range(6):
        draft = "".join(chance.choices("abc,", k=chance.randrange(4)))
        remaining = Remaining(regex(pattern).expr, draft.encode(), *([2] if cut else []))
        begun = {text[:i] for text in chance.sample(all_of, min(12, len(all_of))) for i in range(4)}
        for text in sorted(begun):
            row = _extended(_first(draft.encode()), draft.encode(), text.encode())
            state = remaining.after(remaining.start, text.encode())
            least = min([distance(draft, whole) for whole in all_of if whole.startswith(text)])
            assert remaining.least(state, row) == least if not cut else remaining.least(state, row) <= least
            assert cut or _through(text, remaining, state, row, draft, all_of) == least


def _through(text: str, remaining: Remaining, state: int, row: object, draft: str, all_of: list[str]) -> int:
    """The edits of the nearest text by the way that it shows."""
    way = text + remaining.way(state, row, 99).decode()  # type: ignore[arg-type]
    assert way in all_of
    return distance(draft, way)


def test_a_schema(schema: Grammar) -> None:
    chance = random.Random(0)
    draft = '{name: Bob, age: "30"}'
    remaining, data = Remaining(schema.expr, draft.encode()), draft.encode()
    nearest = repair(schema, draft)
    row, state = _first(data), remaining.start
    assert nearest.edits == remaining.least(state, row)
    way = remaining.way(state, row, 99)
    assert nearest.grammar.matches(way.decode())
    for byte in way:
        row, state = _extended(row, data, bytes((byte,))), remaining.after(state, bytes((byte,)))
        assert nearest.edits == remaining.least(state, row)
    for _ in range(20):  # somewhere else in the same text
        cut = chance.randrange(len(way))
        said = way[:cut] + b"1"
        state = remaining.after(remaining.start, way[:cut])
        if remaining.after(state, b"1") != state:
            longer = _extended(_first(data), data, said)
            assert nearest.edits <= remaining.least(remaining.after(state, b"1"), longer)


@pytest.fixture
def schema() -> Grammar:
    fields = {"name": {"type": "string"}, "age": {"type": "integer"}}
    return json_schema({"type": "object", "properties": fields, "required": [*fields], "additionalProperties": False})


def test_what_leads_no_further_is_left_out() -> None:
    remaining = Remaining(regex("ab").expr, b"ab")

    assert remaining.after(remaining.start, b"ab\nrest") == remaining.after(remaining.start, b"ab")


def test_foreign_tokens() -> None:
    chance = random.Random(1)
    draft = b"the moon is"
    tokens = [bytes(chance.choices(b"the mon isxyz", k=chance.randrange(7))) for _ in range(300)]
    pieces = {draft[i:j] for i in range(len(draft)) for j in range(i, len(draft) + 1)}
    exact = [min([distance(piece.decode(), token.decode()) for piece in pieces]) for token in tokens]
    guesses = foreign([*tokens, None], draft)

    assert (guesses[:-1] <= 2 * np.array(exact)).all()
    assert guesses[-1] == 0
    strange = [bytes(chance.choices(b"ABCxyz", k=chance.randrange(1, 7))) for _ in range(50)]
    assert foreign(strange, draft).tolist() == [len(token) for token in strange]
    assert foreign([b"moon", b"moXon", b"mon i", b"sith"], draft).tolist() == [0, 2, 0, 2]
