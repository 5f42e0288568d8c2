"""The lazily built automaton of one grammar: states are interned derivatives, numbered in the order of their discovery.

Rows of the transition table are filled one byte class at a time, when a walk first asks. A transition into a state
from which no accepted end can be reached is dead, so every state that exists is alive.
"""

from __future__ import annotations

from ._walk import Dfa
from .byteset import Dag
from .derive import derive, minlen, nullable, segment, segments
from .expr import EMPTY, INF, Expr, Kind, _cat, repeat
from .slices import covers_plain, plain_edges

DEAD, MIXED = -1, -3
_PLAIN = plain_edges()


class Automaton:
    """Not thread-safe: the constraint that owns it holds a lock."""

    def __init__(self) -> None:
        self.exprs: list[Expr] = []
        self.dfa = Dfa(self._expand)
        self._numbers: dict[int, int] = {}
        self._plain: dict[int, int] = {}

    def state(self, e: Expr) -> int:
        """The state of an expression (DEAD when it accepts nothing)."""
        number = self._numbers.get(e.uid)
        if number is not None:
            return number
        if e is EMPTY or minlen(e) >= INF:
            return DEAD
        number = self._numbers[e.uid] = self.dfa.add()
        self.exprs.append(e)
        return number

    def _expand(self, state: int, byte: int) -> None:
        e = self.exprs[state]
        low, high = segment(e, byte)
        self.dfa.set(state, low, high, self.state(derive(e, low)))

    def run(self, state: int, data: bytes) -> int:
        """The state after `data`, or DEAD."""
        return self.dfa.run(state, data)

    def after_plain(self, state: int) -> int:
        """The one state to which every plain code point leads (see slices.py); DEAD, or MIXED when they differ."""
        found = self._plain.get(state)
        if found is None:
            shorter = _one_less(self.exprs[state])
            found = self.dfa.common(state, _PLAIN) if shorter is None else self.state(shorter)
            self._plain[state] = found
        return found

    def accepting(self, state: int) -> bool:
        return nullable(self.exprs[state])

    def minlen(self, state: int) -> int:
        """The least number of bytes to an accepting state."""
        return minlen(self.exprs[state])

    def lower(self, state: int) -> int:
        """A lower bound of `minlen` that also holds where `follow` may end a value early."""
        e = self.exprs[state]
        return 1 if e.kind is Kind.HOLE and e.args[2] else minlen(e)

    def only_byte(self, state: int) -> int | None:
        """The one byte that may come next; None when there are several or none."""
        only: int | None = None
        for low, high in segments(self.exprs[state]):
            if self.dfa.run(state, bytes((low,))) != DEAD:
                if only is not None or high - low > 1:
                    return None
                only = low
        return only

    def shortest(self, state: int) -> bytes:
        """A shortest accepted completion."""
        out = bytearray()
        while left := self.minlen(state):
            state, byte = next(
                (after, low)
                for low, _ in segments(self.exprs[state])
                if (after := self.dfa.run(state, bytes((low,)))) != DEAD and self.minlen(after) < left
            )
            out.append(byte)
        return bytes(out)

    def ended(self, state: int) -> bool:
        """The value is complete and nothing can continue it (what is left of a hole's `follow` is not part of it)."""
        e = self.exprs[state]
        if not nullable(e):
            return False
        if e.kind is Kind.HOLE:
            value, _, positions = e.args
            if value is EMPTY:
                return True
            return not positions and self._barren(self.state(value))
        return self._barren(state)

    def _barren(self, state: int) -> bool:
        return all(self.dfa.run(state, bytes((low,))) == DEAD for low, _ in segments(self.exprs[state]))


def _one_less(e: Expr) -> Expr | None:
    """What a plain code point leaves of a counted class followed by something that is not plain; None if unsure."""
    head, tail = e.args if e.kind is Kind.CAT else (e, None)
    if head.kind is not Kind.REPEAT or head.args[0].kind is not Kind.LEAF or not covers_plain(head.args[0].args[0]):
        return None
    body, low, high = head.args
    fewer = repeat(body, max(low - 1, 0), high - 1 if high > 0 else None)
    if tail is None:
        return fewer
    return _cat(fewer, tail) if low > 0 or _starts_otherwise(tail) else None


def _starts_otherwise(e: Expr) -> bool:
    """Surely no plain code point can come first."""
    while e.kind is Kind.CAT and not nullable(e.args[0]):
        e = e.args[0]
    if e.kind is Kind.TEXT:
        return e.args[0][:1] in b'"\\'
    return e.kind is Kind.LEAF and _first_bytes(e.args[0]) <= {0x22, 0x5C}


def _first_bytes(dag: Dag) -> set[int]:
    return {byte for low, high, _ in dag.edges for byte in range(low, high + 1)}
