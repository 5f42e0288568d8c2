"""Grammars written down as GBNF and as regular expressions: read back they are the same language.

The readers are independent of the writers: `gbnf` (our parser of llama.cpp's notation) and Python's `re`.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Callable

import pytest

from lmprog.grammars import (
    EmptyLanguage,
    Grammar,
    UnsupportedConstraint,
    any_text,
    choices,
    compile,
    from_type,
    gbnf,
    json_schema,
    quote,
    regex,
    restrict,
    to_gbnf,
    to_regex,
)

from .expressions import ALPHABET, solved
from .walks import BYTES, accepts, mutated, walk

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 12, "pattern": "^[A-Z]"},
        "age": {"type": "integer", "minimum": 0, "maximum": 130},
        "tags": {"type": "array", "items": {"enum": ["a", "bé"]}, "maxItems": 3},
    },
    "required": ["name"],
    "additionalProperties": False,
}
TREE = {"$ref": "#/$defs/t", "$defs": {"t": {"type": "array", "items": {"$ref": "#/$defs/t"}}}}
REGULAR = {
    "class": regex("[a-z é-]{1,5}!?"),
    "counters": regex("(ab{2,3}){2,}c*"),
    "words": choices(["cat", "category", "dog", "déjà vu", '"\\]^-[']),
    "look-around": regex(r"(?!00)[0-9]{2}(?<=[13579])"),
    "numbers": from_type(int, ge=-7, le=123),
    "where": restrict(any_text(), "len(x) < 6 and 'a' in x and not endswith(x, 'b')"),
    "free text": any_text().except_(any_text() + "\nE" + any_text()),
    "quote": quote("to bé, or not"),
    "schema": json_schema(PERSON, whitespace="compact"),
    "date": from_type(str, pattern="^[^\n]{0,3}$"),
}


def texts(grammar: Grammar, rng: random.Random, count: int = 30) -> list[str]:
    """Texts of the language, and near misses."""
    constraint = compile(grammar, BYTES)
    least = constraint.distance(constraint.start())
    found = [walk(constraint, rng, least + rng.randrange(1, 30)) for _ in range(count)]
    return [*found, *[mutated(text, ALPHABET + '-9"\n\U0001f642', rng) for text in found]]


def same(grammar: Grammar, matches: Callable[[str], object], seed: object) -> None:
    constraint = compile(grammar, BYTES)
    for text in texts(grammar, random.Random(f"{seed}")):
        assert accepts(constraint, text) == bool(matches(text)), text


@pytest.mark.parametrize("name", REGULAR)
def test_gbnf_is_the_same_language(name: str) -> None:
    written = to_gbnf(REGULAR[name])

    back = compile(gbnf(written), BYTES)
    same(REGULAR[name], lambda text: accepts(back, text), name)
    same(gbnf(written), REGULAR[name].matches, name)


@pytest.mark.parametrize("name", REGULAR)
def test_regex_is_the_same_language(name: str) -> None:
    pattern = re.compile(to_regex(REGULAR[name]))

    same(REGULAR[name], pattern.fullmatch, name)
    same(regex(pattern.pattern), REGULAR[name].matches, name)


def test_random_expressions() -> None:
    """On all short words; what cannot be written down is refused, and that is not often."""
    words = ["".join(w) for n in range(5) for w in itertools.product(ALPHABET, repeat=n)]
    refused = {"gbnf": 0, "regex": 0}
    for seed in range(80):
        grammar = Grammar(solved(f"notation {seed}"))
        accepted = [word for word in words if grammar.matches(word)]
        try:
            back = gbnf(to_gbnf(grammar))
            assert accepted == [word for word in words if back.matches(word)]
        except EmptyLanguage:
            assert not accepted
            continue
        except UnsupportedConstraint:
            refused["gbnf"] += 1
        try:
            pattern = re.compile(to_regex(grammar))
            assert accepted == [word for word in words if pattern.fullmatch(word)]
        except UnsupportedConstraint:
            refused["regex"] += 1
    assert refused["gbnf"] <= 8
    assert refused["regex"] <= 30


def test_recursion() -> None:
    back = gbnf(to_gbnf(json_schema(TREE, whitespace="compact")))

    assert [back.matches(text) for text in ("[]", "[[],[[]]]", "[[]", "[[],]")] == [True, True, False, False]
    with pytest.raises(UnsupportedConstraint, match="not regular"):
        to_regex(json_schema(TREE, whitespace="compact"))


def test_what_has_no_notation_is_refused() -> None:
    with pytest.raises(UnsupportedConstraint, match=r"an intersection .* takes more than \d+ states"):
        to_gbnf(regex("(a|b)*a(a|b){12}") & ~regex("b{3}.*"))
    with pytest.raises(UnsupportedConstraint, match="a repeat of 5000, where the notation takes 2000"):
        to_gbnf(regex("a{,5000}"), most_repeats=2000)
    with pytest.raises(EmptyLanguage):
        to_gbnf(regex("a") & regex("b"))


def test_characters_with_a_meaning_are_escaped() -> None:
    nasty = "".join(map(chr, range(128))) + "é\u2028\ud7ff\ue000\U0001f642\U0010ffff"
    word, letters = choices([nasty]), regex(f"[{re.escape(nasty)}]{{3}}")

    assert gbnf(to_gbnf(word)).matches(nasty)
    assert re.compile(to_regex(word)).fullmatch(nasty)
    for one in nasty:
        assert gbnf(to_gbnf(letters)).matches(one * 3), one
        assert re.compile(to_regex(letters)).fullmatch(one * 3), one
    assert not gbnf(to_gbnf(letters)).matches("èèè")
