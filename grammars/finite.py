"""The texts of a language that has few of them."""

from __future__ import annotations

from functools import lru_cache

from .algebra import algebra
from .expr import INF, Expr

STEPS = 1 << 14  # of the automaton, before a language counts as large


@lru_cache(maxsize=1024)
def texts(e: Expr, limit: int = 256) -> tuple[str, ...] | None:
    """All texts of `e`; None when there are more than `limit`, or when to find them would take long.

    >>> from lmprog.grammars import regex
    >>> texts(regex("a(b|c)?").expr)
    ('a', 'ab', 'ac')
    >>> texts(regex("[a-z]*").expr)
    """
    source, first = algebra(e)
    expand, minlen = source.source.expand, source.minlen
    found: list[bytes] = []
    todo = [(first, b"")]
    for _ in range(STEPS):
        if not todo:
            return tuple([data.decode() for data in found])
        h, data = todo.pop()
        found += [data] if source.nullable(h) else []
        more: list[tuple[int, bytes]] = []
        low = 0
        while low < 256 and len(found) + len(todo) + len(more) <= limit:
            _, high, after = expand(h, low)
            if after >= 0 and minlen(after) < INF:
                more += [(after, data + bytes((byte,))) for byte in range(low, high)]
            low = high
        if len(found) + len(todo) + len(more) > limit:
            return None
        todo += reversed(more)
    return None
