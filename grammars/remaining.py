"""How many edits are still to come: from a text so far to the nearest text of a language that goes on from it.

Each question is a search by A* as in repair.py, from the place of the text so far behind every beginning of the draft
at once. What a search finds is kept: a place that it looked at is at least as far from the end as the end it found is
beyond that place, so that later searches look at fewer (Koenig and Likhachev 2005, "Adaptive A*"); and those on a
shortest path need not be looked at again.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from .automaton import DEAD
from .edits import Edits, Place
from .expr import Expr

MOST = 1000  # places that one search looks at
Counts = npt.NDArray[np.int64]


class Remaining:
    """Of one draft, of n bytes. Rows, int64 [n + 1], are the edits from every beginning of the draft to a text so far,
    and states those of the language behind that text. Not thread-safe."""

    def __init__(self, expr: Expr, draft: bytes, most: int = MOST) -> None:
        self._edits, self._most, self._n = Edits(expr, draft), most, len(draft)
        self.start = self._edits.start
        self._bounds: dict[int, Counts] = {}
        self._exact: set[Place] = set()

    def after(self, state: int, data: bytes) -> int:
        """The state behind `data`: that of the longest beginning of it that leads on."""
        end = self._edits.automaton.run(state, data)
        if end != DEAD:
            return end
        for byte in data:
            if (after := self._edits.automaton.run(state, bytes((byte,)))) == DEAD:
                break
            state = after
        return state

    def shortest(self, state: int) -> int:
        """The bytes that the language demands from here on, at least."""
        return self._edits.automaton.minlen(state)

    def least(self, state: int, row: Counts) -> int:
        """The edits in all of the nearest text that goes on from here, or fewer where the search was cut short."""
        totals = row + self._bound(state)
        return self._search(state, row, totals) if self._surest(state, totals) is None else int(totals.min())

    def way(self, state: int, row: Counts, most: int) -> bytes:
        """The first bytes, at most so many, of what leads to a nearest text; fewer where no search has found it."""
        self.least(state, row)
        place, found = self._surest(state, row + self._bound(state)), bytearray()
        while place is not None and len(found) < most and not self._edits.ends(place):
            left = self._at(place)
            for after, price, some in self._edits.edges(place):
                if after in self._exact and price + self._at(after) == left:
                    found += b"" if some is None else bytes((some.edges[0][0],))
                    place = after
                    break
            else:
                break
        return bytes(found)

    def _surest(self, state: int, totals: Counts) -> Place | None:
        """A place on a path of the fewest edits, if one is known."""
        places = [(state, int(at)) for at in np.flatnonzero(totals == totals.min())]
        return next((place for place in places if place in self._exact), None)

    def _search(self, state: int, row: Counts, totals: Counts) -> int:
        cost: dict[Place, int] = {(state, i): n for i, n in enumerate(row.tolist())}
        queue = [(n, -i, (state, i)) for i, n in enumerate(totals.tolist())]
        heapq.heapify(queue)
        done: set[Place] = set()
        came: dict[Place, Place] = {}
        while True:
            total, _, place = heapq.heappop(queue)
            if place in done:
                continue
            if place in self._exact or self._edits.ends(place):
                self._exact.update(_path(place, came))
                break
            if len(done) == self._most:
                break
            done.add(place)
            for after, price, _ in self._edits.edges(place):
                n = cost[place] + price
                if n < cost.get(after, n + 1):
                    cost[after], came[after] = n, place
                    heapq.heappush(queue, (n + self._at(after), -after[1], after))
        for state, at in done:
            bounds = self._bound(state)
            bounds[at] = max(bounds[at], total - cost[state, at])
        return int(total)

    def _at(self, place: Place) -> int:
        return int(self._bound(place[0])[place[1]])

    def _bound(self, state: int) -> Counts:
        """The least edits to come behind every beginning of the draft, as far as is known."""
        if (found := self._bounds.get(state)) is None:
            shortest = self._edits.automaton.minlen(state)
            found = self._bounds[state] = np.maximum(0, shortest - np.arange(self._n, -1, -1))
        return found


def _path(place: Place | None, came: dict[Place, Place]) -> Iterator[Place]:
    """From a place back to where a search began."""
    while place is not None:
        yield place
        place = came.get(place)
