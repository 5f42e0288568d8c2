"""Rows that take plain text in bulk are the same as those of a full walk."""

from __future__ import annotations

import random

import numpy as np
import pytest

from lmprog.grammars import Vocabulary, json_schema, regex
from lmprog.grammars.algebra import Reference
from lmprog.grammars.constraint import Automatic
from lmprog.grammars.expr import ANY_TEXT, Expr, both, chars, concat, hole, options, repeat, text
from lmprog.grammars.sketches import tokens_of

PLAIN = chars([(0x20, 0x21), (0x23, 0x5B), (0x5D, 0x10FFFF)])
QUOTED = concat(text('"'), repeat(PLAIN, 2, 9), text('"'))
CASES = {
    "string": concat(text('"'), repeat(PLAIN, 0, None), text('"')),
    "counted string": QUOTED,
    "counted to the end": repeat(PLAIN, 1, 30),
    "any text": ANY_TEXT,
    "letters": repeat(chars([(97, 122), (0xE9, 0xE9)]), 1, None),
    "must hold": both(repeat(PLAIN, 2, 7), concat(ANY_TEXT, text("oo"), ANY_TEXT)),
    "lines": repeat(concat(repeat(chars([(0x20, 0x10FFFF)]), 0, 5), text("\n")), 1, None),
    "all but a sign": concat(repeat(chars([(0x20, 0x2B), (0x2D, 0x10FFFF)]), 0, None), text(",")),
    "not at first": concat(chars([(97, 122)]), repeat(chars([(97, 122), (0x20, 0x20)]), 0, None)),
    "counted letters": concat(repeat(chars([(97, 122), (0x80, 0x10FFFF)]), 1, 6), text(" "), repeat(PLAIN, 0, 3)),
    "half of a group": repeat(chars([(97, 103), (0x20, 0x20)]), 0, None),
    "parts that differ later": concat(repeat(PLAIN, 3, 3), repeat(chars([(97, 122)]), 0, None)),
    "hole": hole(ANY_TEXT, b"\nend"),
    "hole that plain text may end": hole(ANY_TEXT, b"end"),
    "options": concat(options(["good", "gold", "go"]), QUOTED),
    "counted words": both(regex(r"(\S+\s+){0,9}\S+").expr, repeat(PLAIN, 0, 60)),
    "words": regex(r"\w+( \w+)*").expr,
    "capitals first": regex(r"([A-Z][a-z]*[ ,])*").expr,
    "never ox": regex(r"((?!do).)*").expr,
    "beyond ASCII": regex(r"[^\x00-\x7f日]{2,}").expr,
    "an object": json_schema(
        {
            "properties": {"good": {}, "goal": {"maxLength": 4}, "ago": {}, "é": {}},
            "patternProperties": {"^o": {"type": "string"}},
        }
    ).expr,
}


def big_vocabulary() -> Vocabulary:
    rng = random.Random(0)
    pieces = [*"abcdefgo ,xA1", "é", "日", "😀", '"', "\\", "\n", "\t", "oo", "nd"]
    tokens: list[bytes | None] = [bytes((i,)) for i in range(256)]
    starts = ["", "", " ", " ", " ", "g", "日"]  # some starts have many tokens below, as blanks have
    words = {(rng.choice(starts) + "".join(rng.choices(pieces, k=rng.randrange(1, 22)))).encode() for _ in range(9000)}
    cut = {w[:-1] for w in words if w[-1] >= 0x80}
    return Vocabulary([*tokens, *sorted(words | cut), None], {256 + len(words | cut)})


VOCAB = big_vocabulary()


def full_row(c: Automatic, s: int) -> tuple[np.ndarray, set[int]]:
    reached = np.full(VOCAB.words * 32, -1, np.int32)
    ends = VOCAB.trie.walk(c._automaton.dfa, s, reached)
    mask = np.packbits(reached >= 0, bitorder="little").view(np.int32)
    return mask | VOCAB.eos_row if c.accepting(s) else mask, set(ends)


def reference(expr: Expr) -> Automatic:
    algebra = Reference()
    return Automatic(algebra, algebra.enter(expr), VOCAB)


@pytest.mark.parametrize("name", CASES)
def test_rows_equal_the_full_walk(name: str) -> None:
    check(Automatic.of(CASES[name], VOCAB), name)


@pytest.mark.parametrize("name", ["string", "counted letters", "options", "counted words"])
def test_rows_of_the_reference(name: str) -> None:
    check(reference(CASES[name]), name)


def check(c: Automatic, name: str) -> None:
    rng = random.Random(name)
    for _ in range(8):
        s = c.start()
        for _ in range(8):
            mask, ends = full_row(c, s)
            row = c._row(s, None)

            assert np.array_equal(row.mask, mask)
            assert set(row.ends) == ends
            if row.ids is not None:
                assert np.array_equal(row.ids, tokens_of(mask))
            steps = [int(i) for i in tokens_of(mask) if i not in VOCAB.eos]
            if not steps:
                break
            s = c.advance(s, rng.choice(steps)) or 0
