"""A small alphabet for a regex: one letter for all the characters that it treats alike.

Expressions over letters are as good as those over UTF-8, and far smaller: `\\w` is one byte, not a graph of hundreds
of them. Letters are bytes, so all of derive.py works on them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from functools import lru_cache

from .byteset import END, Dag
from .derive import derive, nullable, segments
from .errors import UnsupportedConstraint
from .expr import ALL, EMPTY, Expr, Kind, Ref, _leaf, alt, both, chars, complement, concat, ref, repeat
from .regex_compile import Alphabet
from .unicode_sets import Ranges, contains, union

MOST_STATES = 10_000  # of conditions that are compared with each other

_SCALARS: Ranges = ((0, 0xD7FF), (0xE000, 0x10FFFF))


@lru_cache(maxsize=1 << 12)
def _chars(ranges: Ranges) -> Expr:
    return chars(ranges)


class Classes:
    """Letter i stands for the characters `ranges[i]`; every character has a letter."""

    def __init__(self, sets: Iterable[Ranges]) -> None:
        distinct = list(dict.fromkeys(sets))
        self._edges = sorted({edge for s in [*distinct, _SCALARS] for low, high in s for edge in (low, high + 1)})
        groups: dict[tuple[bool, ...], list[tuple[int, int]]] = {}
        runs = [(low, after - 1) for low, after in zip(self._edges, self._edges[1:], strict=False)]
        for low, high in runs:
            if contains(_SCALARS, low):
                groups.setdefault(tuple([contains(s, low) for s in distinct]), []).append((low, high))
        if len(groups) > 256:
            raise UnsupportedConstraint("more than 256 classes of characters")
        self.ranges = [union(group) for group in groups.values()]
        self._letters = {run: i for i, group in enumerate(groups.values()) for run, _ in group}
        self._masks: dict[Ranges, int] = {}
        self._real: dict[Expr, Expr] = {}
        self.alphabet = Alphabet(lambda s: self.leaf(self.mask(s)), self._options, ALL)

    def letter(self, char: str) -> int:
        return self._letters[self._edges[bisect_right(self._edges, ord(char)) - 1]]

    def mask(self, ranges: Ranges) -> int:
        """The letters of a set, as bits; the set is one of those that the classes are made from, or joins of them."""
        if ranges not in self._masks:
            self._masks[ranges] = sum([1 << i for i, own in enumerate(self.ranges) if contains(ranges, own[0][0])])
        return self._masks[ranges]

    def leaf(self, mask: int) -> Expr:
        """One letter of a set."""
        edges = [(i, i, END) for i in range(len(self.ranges)) if mask >> i & 1]
        return _leaf(Dag.of(edges)) if edges else EMPTY

    def chars(self, mask: int) -> Expr:
        """One character of a set of letters."""
        return _chars(union(*[ranges for i, ranges in enumerate(self.ranges) if mask >> i & 1]))

    def _options(self, words: list[str]) -> Expr:
        return alt(*[concat(*[self.leaf(1 << self.letter(char)) for char in word]) for word in words])

    def real(self, e: Expr) -> Expr:
        """An expression over letters, over UTF-8."""
        if e not in self._real:
            if isinstance(e, Ref):
                rule = self._real[e] = ref(e.name)
                rule.define(self.real(e.resolved()))
            else:
                self._real[e] = self._spelled(e)
        return self._real[e]

    def _spelled(self, e: Expr) -> Expr:
        match e.kind:
            case Kind.LEAF if e.args[0].edges:
                return self.chars(sum([1 << i for low, high, _ in e.args[0].edges for i in range(low, high + 1)]))
            case Kind.CAT:
                return concat(*map(self.real, e.args))
            case Kind.ALT:
                return alt(*map(self.real, e.args))
            case Kind.AND:
                return both(*map(self.real, e.args))
            case Kind.NOT:
                return complement(self.real(e.args[0]))
            case Kind.REPEAT:
                return repeat(self.real(e.args[0]), e.args[1], None if e.args[2] < 0 else e.args[2])
        return e

    # -- equal languages

    def canonical(self, exprs: Iterable[Expr]) -> dict[Expr, Expr]:
        """For expressions over letters, one and the same for those with equal languages: Moore's (1956) partition of
        their derivatives. `ALL` and `EMPTY` stand for themselves; past a limit expressions count as different."""
        found = list(dict.fromkeys([ALL, EMPTY, *exprs]))
        starts, numbers = list(found), {e: i for i, e in enumerate(found)}
        rows: list[list[int]] = []
        for e in found:
            row = [0] * len(self.ranges)
            for low, high in segments(e):
                if low < len(row):
                    after = derive(e, low)
                    if after not in numbers:
                        numbers[after] = len(found)
                        found.append(after)
                    row[low:high] = [numbers[after]] * (min(high, len(row)) - low)
            rows.append(row)
            if len(found) > MOST_STATES:
                return {e: e for e in starts}
        block = _blocks([nullable(e) for e in found], rows)
        chosen: dict[int, Expr] = {}
        return {e: chosen.setdefault(block[i], e) for i, e in enumerate(starts)}


def _blocks(final: list[bool], rows: list[list[int]]) -> list[int]:
    """States with the same number accept the same."""
    block, count = [int(f) for f in final], 0
    while True:
        keys: dict[object, int] = {}
        block = [
            keys.setdefault((b, *[block[to] for to in row]), len(keys)) for b, row in zip(block, rows, strict=True)
        ]
        if len(keys) == count:
            return block
        count = len(keys)
