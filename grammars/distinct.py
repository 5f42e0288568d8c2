"""Sequences of items that differ from each other: a state remembers the items that it has seen, and forbids them.

Which items are equal is a matter of their bytes. The memory is what was written so far, so it is bounded by the text;
no automaton has it from the start, but a lazily built one needs it only where it goes.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from . import dependent
from . import derive as d
from .errors import InvalidConstraint, UnsupportedConstraint
from .expr import EMPTY, EPS, INF, Expr, alt, both, complement, concat, options, unique

MOST_NEEDED = 10_000  # items that a sequence must have at least


@dataclass(frozen=True, eq=False, slots=True)
class Items:
    """words: the shortest items, as many as are needed at first, in order of their length."""

    item: Expr
    sep: Expr
    words: tuple[bytes, ...]

    def after(self, low: int, high: int, used: frozenset[bytes]) -> Expr:
        left = both(self.item, complement(options(used))) if used else self.item
        return unique(self, low, high, used, left, b"")


@lru_cache(maxsize=256)
def distinct(item: Expr, sep: Expr, low: int = 0, high: int | None = None) -> Expr:
    """`low` to `high` (None: any number) texts of `item`, no two the same, with `sep` between them.

    Raises InvalidConstraint for wrong bounds, UnsupportedConstraint when thousands of items are needed.
    """
    if low < 0 or (high is not None and high < low):
        raise InvalidConstraint(f"a repeat needs 0 <= low <= high, not {low}, {high}")
    if high == 0:
        return EPS
    if low > MOST_NEEDED:
        raise UnsupportedConstraint(f"more than {MOST_NEEDED:,} items that all differ are not supported")
    d.solve(item)
    d.solve(sep)
    words = tuple(itertools.islice(shortest(item), low)) if low > 1 else ()
    some = (
        EMPTY if len(words) < low > 1 else Items(item, sep, words).after(low, -1 if high is None else high, frozenset())
    )
    return some if low else alt(EPS, some)


def shortest(e: Expr) -> Iterator[bytes]:
    """The texts of `e` in order of their length."""
    tick = itertools.count()
    queue = [(d.minlen(e), next(tick), e, b"")]
    while queue and queue[0][0] < INF:
        size, _, state, so_far = heapq.heappop(queue)
        if d.nullable(state) and size == len(so_far):
            yield so_far
        for low, high in d.segments(state):
            after = d.derive(state, low)
            if after is not EMPTY and d.minlen(after) < INF:
                for byte in range(low, high):
                    longer = so_far + bytes((byte,))
                    heapq.heappush(queue, (len(longer) + d.minlen(after), -next(tick), after, longer))


def _rest(e: Expr) -> Expr:
    """What may follow when the item ends here."""
    items, low, high, used, _, so_far = e.args
    return concat(items.sep, items.after(max(low - 1, 0), max(high - 1, -1), used | {so_far}))


def nullable(e: Expr, of: Callable[[Expr], bool]) -> bool:
    return of(e.args[4]) and (e.args[1] <= 1 or of(_rest(e)))


def cuts(e: Expr) -> int:
    current = e.args[4]
    return dependent.remembered(current) | (d.cuts(_rest(e)) if d.nullable(current) else 0)


def derive(e: Expr, byte: int) -> Expr:
    items, low, high, used, current, so_far = e.args
    inside = unique(items, low, high, used, d.derive(current, byte), so_far + bytes((byte,)))
    return alt(inside, d.derive(_rest(e), byte)) if d.nullable(current) else inside


def minlen(e: Expr) -> int:
    """This item and the shortest ones that are left, none twice.

    When this item can become one of the `more` shortest, those and the next one are written; else it comes on top.
    """
    items, low, _, used, current, so_far = e.args
    more: int = max(low - 1, 0)
    least = d.minlen(current)
    if not more or least >= INF:
        return least
    left = [word for word in items.words if word not in used]
    seps = more * d.minlen(items.sep)
    if any(word.startswith(so_far) for word in left[:more]):
        return min(INF, sum(map(len, left[: more + 1])) - len(so_far) + seps)
    return min(INF, least + sum(map(len, left[:more])) + seps)
