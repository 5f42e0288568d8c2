"""A few texts of a language, as examples of its values."""

from __future__ import annotations

from .algebra import Algebra, algebra
from .errors import UnsupportedConstraint
from .expr import INF, Expr

LONGEST = 200  # bytes
FURTHER, ASCII = 4, 128
LIKED = b"a1 "  # bytes that are taken where they can be


def shortest(expr: Expr, count: int = 3) -> list[str]:
    """Up to `count` texts, each the shortest, or as good as, of those that begin as it does; and a longer one.

    >>> from lmprog.grammars import regex
    >>> shortest(regex("no|x[0-9]*|[a-c]{3}").expr)
    ['aaa', 'no', 'x', 'x9999']
    """
    try:
        side, first = algebra(expr)
        found = [b""] if side.nullable(first) else []
        for low, high, after in _ways(side, first)[:count]:
            data = _to_end(side, after, bytes((_byte(low, high),)))
            found += [data] if data is not None else []
        longer = _to_end(side, *_further(side, first))
    except UnsupportedConstraint:
        return []
    found = found[:count] + ([longer] if longer is not None else [])
    return [data.decode() for data in dict.fromkeys(found)]


def _further(side: Algebra, h: int) -> tuple[int, bytes]:
    """Some bytes on a way that goes on for long, the highest ones, and where they lead."""
    data = b""
    while len(data) <= FURTHER and (ways := _ways(side, h)):
        _, high, h = max(ways, key=lambda way: (len(_ways(side, way[2])) > 0, way[1] <= ASCII, way[1]))
        data += bytes((high - 1,))
    return h, data


def _to_end(side: Algebra, h: int, data: bytes) -> bytes | None:
    while not side.nullable(h):
        if len(data) == LONGEST:
            return None
        low, high, h = min(_ways(side, h), key=lambda way: side.minlen(way[2]))
        data += bytes((_byte(low, high),))
    return data


def _ways(side: Algebra, h: int) -> list[tuple[int, int, int]]:
    found, low = [], 0
    while low < 256:
        first, low, after = side.source.expand(h, low)
        if after >= 0 and side.minlen(after) < INF:
            found.append((first, low, after))
    return found


def _byte(low: int, high: int) -> int:
    return next((byte for byte in LIKED if low <= byte < high), low)
