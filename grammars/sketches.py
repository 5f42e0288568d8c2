"""Tokens of states whose future depends on a text that is being written (dependent.py).

There every token leads to a state of its own. Two rows of states without dependence, which many states share, tell of
nearly all tokens that they are alive, or dead; the others, which end one such text and reach into the next, are tried.
Tokens that lead to one state of the narrow sketch lead to states that differ in their past only: one stands for all.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from .automaton import DEAD, Automaton
from .vocabulary import Vocabulary

State = int
Mask = npt.NDArray[np.int32]
KEPT = 1024  # rows of sketches
TRIED = 64  # tokens of one group that are looked at one by one


@dataclass(frozen=True, slots=True)
class Sketch:
    """Tokens alive in `narrow` and dead in `but` are alive; those dead in `wide` are dead.

    slack: how much longer the way to an end may be than from the narrow state; steady: it does not depend.
    """

    narrow: State
    but: State
    wide: State
    slack: int
    steady: bool


class Sketches:
    """The sketches of one automaton; not thread-safe."""

    def __init__(self, automaton: Automaton, vocab: Vocabulary) -> None:
        self.automaton, self.vocab = automaton, vocab
        self._found: dict[State, Sketch | None] = {}
        self._plain = lru_cache(maxsize=KEPT)(self._new_plain)
        self.between = lru_cache(maxsize=KEPT)(self._new_between)
        self.groups = lru_cache(maxsize=16)(self._new_groups)

    def of(self, s: State) -> Sketch | None:
        """None where the state is an ordinary one, or the vocabulary cannot spell every text."""
        if s not in self._found:
            parts = self.automaton.algebra.sketch(self.automaton.dfa.expr(s)) if self.vocab.complete else None
            self._found[s] = None if parts is None else self._sketch(*parts)
        return self._found[s]

    def _sketch(self, narrow: int, but: int, wide: int, slack: int, steady: bool) -> Sketch:
        state = self.automaton.state
        return Sketch(state(narrow), state(but), state(wide), slack, steady)

    def row(self, s: State, sketch: Sketch) -> tuple[Mask, int, dict[State, list[int]]]:
        """The mask, the most bytes that are needed after a token, and the tokens that were tried, by their ends."""
        mask, need = self._plain(sketch.narrow)
        mask = mask.copy()
        ends: dict[State, list[int]] = {}
        mask &= ~self._plain(sketch.but)[0]
        for token in self.between(sketch):
            end = self.end(s, token)
            if end != DEAD:
                ends.setdefault(end, []).append(token)
                mask[token >> 5] |= np.uint32(1 << (token & 31)).view(np.int32)
        return mask, max([need + sketch.slack, *map(self.automaton.minlen, ends)]), ends

    def _new_plain(self, s: State) -> tuple[Mask, int]:
        mask = np.zeros(self.vocab.words, np.int32)
        if s == DEAD:
            return mask, 0
        return mask, self.vocab.slices.row(self.automaton.dfa, s, mask, 0)[2]

    def _new_between(self, sketch: Sketch) -> list[int]:
        """The tokens that must be tried."""
        narrow, but, wide = (self._plain(s)[0] for s in (sketch.narrow, sketch.but, sketch.wide))
        return [int(token) for token in tokens_of(wide & ~(narrow & ~but))]

    def _new_groups(self, sketch: Sketch) -> list[Mask]:
        """The other tokens by their ends in the narrow sketch."""
        reached = np.full(self.vocab.size, DEAD, np.int32)
        self.vocab.trie.walk(self.automaton.dfa, sketch.narrow, reached)
        reached[self.between(sketch)] = DEAD
        order = np.argsort(reached, kind="stable").astype(np.int32)
        starts = np.flatnonzero(np.diff(reached[order])) + 1
        groups = np.split(order, starts)
        return [group for group in groups if reached[group[0]] != DEAD]

    def end(self, s: State, token: int) -> State:
        return self.automaton.run(s, self.vocab.token_bytes[token] or b"")

    def ends(self, s: State, sketch: Sketch) -> list[State]:
        """One state for each group of tokens."""
        return [*self.row(s, sketch)[2], *[self.end(s, int(group[0])) for group in self.groups(sketch)]]


def tokens_of(mask: Mask) -> Mask:
    """The ids whose bits are set."""
    words = np.flatnonzero(mask)
    bits = np.unpackbits(mask[words].view(np.uint8).reshape(-1, 4), axis=1, bitorder="little")
    at, bit = np.nonzero(bits)
    return (words[at] * 32 + bit).astype(np.int32)
