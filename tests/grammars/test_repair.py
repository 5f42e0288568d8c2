"""Least-edit texts against brute force over small languages, with an edit distance of its own."""

from __future__ import annotations

import itertools
import random
from functools import lru_cache

import pytest

from lmprog.grammars import EmptyLanguage, Grammar, UnsupportedConstraint, json_schema, regex
from lmprog.grammars.repair import repair

LANGUAGES = ["(ab|c)*", "a{2,4}b?", "[abc]{3}", "(?!a)[abc]{1,3}", "ab|abc|cc", "(a|b(a|c)*b)c", "(aa)*(b|cc)", ".*c"]


@lru_cache(None)
def edits(a: bytes, b: bytes) -> int:
    """By the definition, recursively."""
    if not a or not b:
        return len(a) + len(b)
    return min(edits(a[1:], b) + 1, edits(a, b[1:]) + 1, edits(a[1:], b[1:]) + (a[0] != b[0]))


TEXTS = ["".join(letters) for n in range(7) for letters in itertools.product("abc", repeat=n)]


@pytest.mark.parametrize("pattern", LANGUAGES)
def test_they_are_all_the_nearest_and_no_others(pattern: str) -> None:
    grammar, rng = regex(pattern), random.Random(pattern)
    texts = [text for text in TEXTS if grammar.matches(text)]
    for _ in range(8):
        draft = "".join(rng.choices("abc", k=rng.randrange(4)))
        distances = {text: edits(draft.encode(), text.encode()) for text in texts}
        found = repair(grammar, draft)

        assert min(distances.values()) == found.edits
        nearest = {text for text, distance in distances.items() if distance == found.edits}
        assert nearest == {text for text in TEXTS if found.grammar.matches(text)}


def test_texts_beyond_ascii_count_by_bytes_and_stay_whole() -> None:
    found = repair(regex("[é-ü]+"), "aé")

    assert 1 == found.edits
    assert ["é"] == [text for text in ("é", "éé", "aé", "ü") if found.grammar.matches(text)]
    assert 2 == repair(regex("日本"), "日x本y").edits


def test_json_and_its_value() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    grammar = json_schema({**schema, "additionalProperties": False}, whitespace="compact")
    found = repair(grammar, '{"n": "12"')

    assert 3 == found.edits  # the blank, a quote, and the other one for the brace
    assert found.grammar.matches('{"n":12}')
    assert {"n": 12} == found.grammar.parse('{"n":12}')


def test_long_drafts() -> None:
    found = repair(regex('"[^"]*"'), '"' + "moon " * 400)

    assert 1 == found.edits
    assert found.grammar.matches('"' + "moon " * 400 + '"')


def test_what_cannot_be_done_is_said() -> None:
    with pytest.raises(UnsupportedConstraint, match="too far"):
        repair(regex("(ab)*"), "c" * 50, most=100)
    with pytest.raises(EmptyLanguage):
        repair(Grammar(regex("a").expr) & regex("b"), "a")
