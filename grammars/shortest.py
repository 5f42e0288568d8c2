"""A few short texts of a language, as examples of its values."""

from __future__ import annotations

from .algebra import Algebra, algebra
from .errors import UnsupportedConstraint
from .expr import INF, Expr

LONGEST = 200  # bytes
LIKED = b"a1 "  # bytes that are taken where they can be


def shortest(expr: Expr, count: int = 3) -> list[str]:
    """Up to `count` texts, each the shortest, or as good as, of those that begin as it does.

    >>> from lmprog.grammars import regex
    >>> shortest(regex("(x[0-9]*|[a-c]{3}|yes)").expr)
    ['aaa', 'x', 'yes']
    """
    try:
        side, first = algebra(expr)
        found = [b""] if side.nullable(first) else []
        for low, high, after in _ways(side, first)[:count]:
            data = _to_end(side, after, bytes((_byte(low, high),)))
            found += [data] if data is not None else []
    except UnsupportedConstraint:
        return []
    return [data.decode() for data in found[:count]]


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
