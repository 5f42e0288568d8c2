"""What a text has a number of: code points, words, sentences, occurrences; and sets of such numbers.

Conditions on the same quantity are merged as sets of numbers first, so that `3 <= len(x) < 5000 and len(x) != 7` is
two counted repeats and no product of automata.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from .expr import ANY_CHAR, Expr, alt, both, chars, complement, concat, repeat
from .unicode_sets import Ranges, invert, of, python_class
from .where_machines import Condition, occurrences

Number = int | float


@dataclass(frozen=True, slots=True)
class Numbers:
    """A set of whole numbers >= 0 as sorted, disjoint inclusive ranges (None: no upper end)."""

    ranges: tuple[tuple[int, int | None], ...]

    @classmethod
    def of(cls, numbers: list[int]) -> Numbers:
        return cls(_merged([(n, n) for n in numbers if n >= 0]))

    @classmethod
    def compared(cls, op: str, bound: Number) -> Numbers:
        """All n with `n op bound`."""
        below, above = math.ceil(bound) - 1, math.floor(bound) + 1  # nearest on either side
        whole = [math.floor(bound)] if bound == math.floor(bound) else []
        match op:
            case "<":
                return cls.between(0, below)
            case "<=":
                return cls.between(0, math.floor(bound))
            case ">":
                return cls.between(above, None)
            case ">=":
                return cls.between(math.ceil(bound), None)
            case "==":
                return cls.of(whole)
            case _:
                return ~cls.of(whole)

    @classmethod
    def between(cls, low: int, high: int | None) -> Numbers:
        return cls(() if high is not None and high < max(low, 0) else ((max(low, 0), high),))

    def __invert__(self) -> Numbers:
        out: list[tuple[int, int | None]] = []
        at: int | None = 0
        for low, high in self.ranges:
            if at is not None and at < low:
                out.append((at, low - 1))
            at = None if high is None else high + 1
        return Numbers(tuple(out) if at is None else (*out, (at, None)))

    def __or__(self, other: Numbers) -> Numbers:
        return Numbers(_merged([*self.ranges, *other.ranges]))

    def __and__(self, other: Numbers) -> Numbers:
        return ~(~self | ~other)


def _merged(ranges: list[tuple[int, int | None]]) -> tuple[tuple[int, int | None], ...]:
    out: list[tuple[int, int | None]] = []
    for low, high in sorted(ranges, key=operator.itemgetter(0)):
        last = out[-1] if out else (0, -2)
        if last[1] is None:
            break
        if out and low <= last[1] + 1:
            out[-1] = (last[0], None if high is None else max(last[1], high))
        else:
            out.append((low, high))
    return tuple(out)


@dataclass(frozen=True, slots=True)
class Quantity:
    """Something of which every text has a number; `texts(low, high)` are those that have so many."""

    name: str
    texts: Callable[[int, int | None], Expr]

    def within(self, numbers: Numbers) -> Condition:
        return Condition(*[alt(*[self.texts(*r) for r in n.ranges]) for n in (numbers, ~numbers)])


LENGTH = Quantity("len", lambda low, high: repeat(ANY_CHAR, low, high))


def _spaces() -> tuple[Expr, Expr, Ranges]:
    """Any white space, at least one, and the code points of words."""
    space = python_class("s")
    return repeat(chars(space), 0), repeat(chars(space), 1), invert(space)


@lru_cache(maxsize=64)
def _words(low: int, high: int | None) -> Expr:
    any_space, space, letters = _spaces()
    word = repeat(chars(letters), 1)
    if high == 0:
        return any_space
    more = repeat(concat(space, word), max(low, 1) - 1, None if high is None else high - 1)
    some = concat(any_space, word, more, any_space)
    return some if low else alt(any_space, some)


WORDS = Quantity("words", _words)

ENDS = ".!?…。！？"  # what ends a sentence
CLOSING = "\"')]}»”’」』"  # what may stand between that and the white space


@lru_cache(maxsize=64)
def _sentences(low: int, high: int | None) -> Expr:
    any_space, space, letters = _spaces()
    if high == 0:
        return any_space
    ends, closing = of(map(ord, ENDS)), of(map(ord, CLOSING))
    last = concat(repeat(chars(letters), 0), chars(ends), repeat(chars(closing), 0))
    other = both(repeat(chars(letters), 1), complement(last))
    full = concat(repeat(concat(other, space), 0), last)
    cut = concat(other, repeat(concat(space, other), 0))
    before = repeat(concat(full, space), max(low, 1) - 1, None if high is None else high - 1)
    some = concat(any_space, before, alt(full, cut), any_space)
    return some if low else alt(any_space, some)


SENTENCES = Quantity("sentences", _sentences)


@lru_cache(maxsize=256)
def occurrences_of(needle: str) -> Quantity:
    """Occurrences that do not overlap, as `str.count` counts them."""
    first, none = occurrences(needle)
    return Quantity(f"count {needle}", lambda low, high: concat(repeat(first, low, high), none))
