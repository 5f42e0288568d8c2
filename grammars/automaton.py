"""The lazily built automaton of one grammar: states are interned derivatives, numbered in the order of their discovery.

Rows of the transition table are filled one byte class at a time, when a walk first asks. A transition into a state
from which no accepted end can be reached is dead, so every state that exists is alive.
"""

from __future__ import annotations

from ._native import Dfa
from .algebra import Algebra
from .expr import INF

DEAD = -1


class Automaton:
    """Not thread-safe: the constraint that owns it holds a lock."""

    def __init__(self, algebra: Algebra) -> None:
        self.algebra = algebra
        self.dfa = Dfa(algebra.source, algebra.classes)
        self._nearer: dict[int, tuple[int, int]] = {}  # the first step of a shortest completion

    def __len__(self) -> int:
        return len(self.dfa)

    def state(self, h: int) -> int:
        """The state of an expression (DEAD when it accepts nothing)."""
        return DEAD if self.algebra.minlen(h) >= INF else self.dfa.number(h)

    def run(self, state: int, data: bytes) -> int:
        """The state after `data`, or DEAD."""
        return self.dfa.run(state, data)

    def accepting(self, state: int) -> bool:
        return self.algebra.nullable(self.dfa.expr(state))

    def minlen(self, state: int) -> int:
        """The least number of bytes to an accepting state."""
        return self.algebra.minlen(self.dfa.expr(state))

    def lower(self, state: int) -> int:
        """A lower bound of `minlen` that also holds where `follow` may end a value early."""
        parts = self.algebra.parts(self.dfa.expr(state))
        return self.minlen(state) if parts is None or not parts[2] else 1

    def only_byte(self, state: int) -> int | None:
        """The one byte that may come next; None when there are several or none."""
        byte = self.algebra.only(self.dfa.expr(state))
        return None if byte < 0 else byte

    def shortest(self, state: int) -> bytes:
        """A shortest accepted completion."""
        out = bytearray()
        while self.minlen(state):
            found = self._nearer.get(state)
            if found is None:
                found = self._nearer[state] = self._find_nearer(state, self.minlen(state))
            byte, state = found
            out.append(byte)
        return bytes(out)

    def _find_nearer(self, state: int, left: int) -> tuple[int, int]:
        low = 0
        while True:
            _, high, after = self.algebra.source.expand(self.dfa.expr(state), low)
            if after >= 0 and self.algebra.minlen(after) < left:
                return low, self.dfa.number(after)
            low = high

    def ended(self, state: int) -> bool:
        """The value is complete and nothing can continue it (what is left of a hole's `follow` is not part of it)."""
        h = self.dfa.expr(state)
        if not self.algebra.nullable(h):
            return False
        parts = self.algebra.parts(h)
        if parts is None:
            return self.algebra.only(h) == -1
        value, _, positions = parts
        return value < 0 or (not positions and self.algebra.only(value) == -1)

    def followed(self, state: int) -> int:
        """How many bytes of `follow` lie behind the end of the value, at a state where it may end."""
        parts = self.algebra.parts(self.dfa.expr(state))
        if parts is None or not parts[2]:
            return 0
        value, follow, positions = parts
        return follow if follow in positions else positions[0] if value < 0 else 0
