"""Edits on the way from a draft to a language: which places there are, what leads from one to the next, for how much.

A place is a pair (state of the automaton, bytes of the draft that are used up). An edit inserts, deletes or replaces a
byte.
"""

from __future__ import annotations

from collections.abc import Iterator

from .algebra import algebra
from .automaton import DEAD, Automaton
from .byteset import END, Dag
from .expr import Expr

Place = tuple[int, int]
_ONE = [Dag.of([(byte, byte, END)]) for byte in range(256)]


class Edits:
    """Not thread-safe. `start`: the state before any byte, DEAD where the language is empty."""

    def __init__(self, expr: Expr, draft: bytes) -> None:
        self.algebra, root = algebra(expr)
        self.automaton = Automaton(self.algebra)
        self.draft, self.start = draft, self.automaton.state(root)
        self._by_state: dict[int, tuple[dict[int, Dag], list[int]]] = {}

    def bound(self, place: Place) -> int:
        """Insertions that a place needs at least."""
        return max(0, self.automaton.minlen(place[0]) - (len(self.draft) - place[1]))

    def ends(self, place: Place) -> bool:
        return place[1] == len(self.draft) and self.automaton.accepting(place[0])

    def edges(self, place: Place) -> Iterator[tuple[Place, int, Dag | None]]:
        """Places that one byte leads to, for how many edits, and the bytes that may be written; None: nothing is."""
        state, at = place
        ways, by_byte = self._moves(state)
        left = at < len(self.draft)
        if left:
            byte = self.draft[at]
            yield (state, at + 1), 1, None
            if by_byte[byte] != DEAD:
                yield (by_byte[byte], at + 1), 0, _ONE[byte]
        for after, some in ways.items():
            yield (after, at), 1, some
            if left:
                yield (after, at + 1), 1, some

    def _moves(self, state: int) -> tuple[dict[int, Dag], list[int]]:
        """The states that follow, each with the bytes that lead there; and the state behind each byte."""
        found = self._by_state.get(state)
        if found is None:
            by_byte, low = list[int](), 0
            ranges: dict[int, list[tuple[int, int, Dag]]] = {}
            while low < 256:
                _, high, number = self.algebra.source.expand(self.automaton.dfa.expr(state), low)
                after = DEAD if number < 0 else self.automaton.dfa.number(number)
                by_byte += [after] * (high - low)
                if after != DEAD:
                    ranges.setdefault(after, []).append((low, high - 1, END))
                low = high
            found = self._by_state[state] = {after: Dag.of(some) for after, some in ranges.items()}, by_byte
        return found
