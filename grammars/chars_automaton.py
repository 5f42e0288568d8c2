"""From automata over bytes to automata over characters: what a text of code points may be, state by state."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import TypeVar

from .algebra import algebra
from .errors import UnsupportedConstraint
from .expr import INF, Expr
from .unicode_sets import Ranges, union

S = TypeVar("S", bound=Hashable)
Moves = Callable[[S], Iterable[tuple[int, int, S]]]  # (low byte, high byte, next state), both bytes included

# Leading bytes, how many bytes follow them, and the bits of the code point that they hold.
LEADS = ((0x00, 0x7F, 0, 0x7F), (0xC2, 0xDF, 1, 0x1F), (0xE0, 0xEF, 2, 0x0F), (0xF0, 0xF4, 3, 0x07))


def code_points(moves: Moves[S], state: S) -> list[tuple[Ranges, S]]:
    """Which code points lead from a state to which others, one entry for each of these, in order of code points."""
    found: dict[S, list[tuple[int, int]]] = {}
    for low, high, after in moves(state):
        for first, last, left, bits in LEADS:
            if max(low, first) <= min(high, last):
                for span, end in _characters(moves, after, max(low, first) & bits, min(high, last) & bits, left):
                    found.setdefault(end, []).append(span)
    joined = [(_valid(ranges), after) for after, ranges in found.items()]
    return sorted([(ranges, after) for ranges, after in joined if ranges], key=lambda entry: entry[0])


def _characters(moves: Moves[S], state: S, low: int, high: int, left: int) -> Iterator[tuple[tuple[int, int], S]]:
    """The code points whose first bits are low..high and that have `left` more bytes."""
    if left == 0:
        yield (low, high), state
        return
    for first, last, after in moves(state):
        a, b = max(first, 0x80) & 0x3F, min(last, 0xBF) & 0x3F
        if first > 0xBF or last < 0x80:
            continue
        if (a, b) == (0, 0x3F):
            yield from _characters(moves, after, low << 6, high << 6 | 0x3F, left - 1)
        else:
            for lead in range(low, high + 1):
                yield from _characters(moves, after, lead << 6 | a, lead << 6 | b, left - 1)


def _valid(ranges: list[tuple[int, int]]) -> Ranges:
    """Sorted, without surrogates and what lies beyond the last code point."""
    kept = [
        (max(low, floor), min(high, top)) for low, high in ranges for floor, top in ((0, 0xD7FF), (0xE000, 0x10FFFF))
    ]
    return union([(low, high) for low, high in kept if low <= high])


class CharsAutomaton:
    """The deterministic automaton of an expression over characters: state 0 is the first; every state is alive.

    moves   of each state (code points, next state)
    final   of each state whether the text may end there

    Raises UnsupportedConstraint when there are more than `limit` states, which a recursive rule always has.
    """

    def __init__(self, e: Expr, limit: int, what: str = "this") -> None:
        self._side, start = algebra(e)
        self.moves: list[list[tuple[Ranges, int]]] = []
        self.final: list[bool] = []
        if self._side.minlen(start) >= INF:
            return
        numbers = {start: 0}
        todo = [start]
        for h in todo:  # grows while it is gone through
            moves = code_points(self._expand, h)
            for _, after in moves:
                if after not in numbers:
                    numbers[after] = len(todo)
                    todo.append(after)
            if len(todo) > limit:
                raise UnsupportedConstraint(f"{what} takes more than {limit} states to write down")
            self.moves.append([(ranges, numbers[after]) for ranges, after in moves])
            self.final.append(self._side.nullable(h))

        self._prune()

    def _prune(self) -> None:
        """Without states from which only broken UTF-8 leads to an end."""
        before: dict[int, list[int]] = {}
        for s, ways in enumerate(self.moves):
            for _, after in ways:
                before.setdefault(after, []).append(s)
        alive = {s for s, final in enumerate(self.final) if final}
        todo = [*alive]
        while todo:
            todo += (new := set(before.get(todo.pop(), ())) - alive)
            alive |= new
        kept = {s: n for n, s in enumerate(sorted(alive))} if 0 in alive else {}
        self.moves = [[(ranges, kept[t]) for ranges, t in self.moves[s] if t in kept] for s in kept]
        self.final = [self.final[s] for s in kept]

    def _expand(self, h: int) -> Iterator[tuple[int, int, int]]:
        low = 0
        while low < 256:
            _, high, after = self._side.source.expand(h, low)
            if after >= 0:
                yield low, high - 1, after
            low = high
