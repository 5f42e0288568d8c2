"""A small language whose values have several spellings, and what each is worth, by going through them all."""

from __future__ import annotations

import math

import lmprog as lp
from lmprog.testing.enumerated import Table, sequences

PIECES = ["a", "b", "ab"]
LANGUAGE = lp.regex("a[ab]{0,3}|bb")
BEGINS = lp.regex("(a[ab]{0,3}|b{0,2})").matches


def leaving(text: str, row: list[float]) -> float:
    """The probability that a value ends behind the text: the end, or a token that leaves the language."""
    return row[-1] + sum([row[i] for i, piece in enumerate(PIECES) if not BEGINS(text + piece)])


def worths(table: Table, most: int) -> dict[tuple[int, ...], float]:
    """Of every value of LANGUAGE in every spelling of at most that many tokens: the logarithm of its probability."""
    found = {}
    for ids, chance, row in sequences(table, 3, most):
        text = "".join([PIECES[i] for i in ids])
        if LANGUAGE.matches(text):
            closed = text == "bb" or len(text) == 4
            found[ids] = math.log(chance * (1.0 if closed else leaving(text, row)))
    return found
