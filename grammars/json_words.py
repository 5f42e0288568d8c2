"""How many values an expression of JSON texts has at least, and how long their texts are."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from .derive import solve
from .distinct import shortest
from .errors import InvalidConstraint, UnsupportedConstraint
from .expr import INF, Expr
from .json_equal import Value, read

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
