"""How many values an expression of JSON texts has at least, and how long their texts are."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from .derive import derive, minlen, segments, solve
from .distinct import shortest
from .errors import ConstraintError, InvalidConstraint, UnsupportedConstraint
from .expr import EMPTY, INF, Expr
from .json_equal import Value, read

LONGEST_WALK = 300  # states
MANY_WAYS = 8
SPELLINGS = 20  # texts that are read for one more value, on average


class Words:
    def __init__(self) -> None:
        self._lengths: dict[int, list[int]] = {}
        self._seen: dict[int, set[Value]] = {}
        self._texts: dict[int, Iterator[bytes]] = {}

    def length(self, expr: Expr, n: int) -> int:
        """The length of the n-th shortest text, from 0 and counting one for each value; INF where none is known."""
        lengths = self._lengths.setdefault(expr.uid, [])
        try:
            if len(lengths) <= n and expr.uid not in self._texts:
                solve(expr)
                self._texts[expr.uid], self._seen[expr.uid] = shortest(expr), set()
            for text in islice(self._texts.get(expr.uid, iter(())), 0 if n < len(lengths) else SPELLINGS * (n + 1)):
                value = read(text)
                if value not in self._seen[expr.uid]:
                    self._seen[expr.uid].add(value)
                    lengths.append(len(text))
                    if len(lengths) > n:
                        break
        except UnsupportedConstraint:  # it takes too long to find the next one
            self._texts[expr.uid] = iter(())
        except InvalidConstraint:  # a rule is not written yet
            pass
        return lengths[n] if n < len(lengths) else INF


def endless(e: Expr) -> bool:
    """True only if the JSON texts have infinitely many values.

    A walk along the widest ways that comes back to a state by many different bytes is within a string or a number.
    """
    seen: dict[int, int] = {}
    widths: list[int] = []
    while e.uid not in seen and len(seen) < LONGEST_WALK:
        seen[e.uid] = len(seen)
        ways = sorted(segments(e), key=lambda way: (way[0] in b" \t\n\r", way[0] - way[1]))
        alive = ((high - low, derive(e, low)) for low, high in ways)
        width, e = next(((width, x) for width, x in alive if minlen(x) < INF), (0, EMPTY))
        widths.append(width)
    return max(widths[seen[e.uid] :], default=0) >= MANY_WAYS if e.uid in seen else False


class Endless:
    """The same, remembered; False as long as rules are not written yet."""

    def __init__(self) -> None:
        self._known: dict[int, bool] = {}

    def __call__(self, e: Expr) -> bool:
        try:
            if e.uid not in self._known:
                self._known[e.uid] = endless(e)
        except ConstraintError:
            return False
        return self._known[e.uid]
