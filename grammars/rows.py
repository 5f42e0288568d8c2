"""Mask rows: which tokens a state allows, with and without a budget.

A row is computed once per state: plain text in bulk (slices.py), the rest by walking the vocabulary's trie through the
automaton. Under a tight budget the tokens are taken out after which no complete value fits any more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ._native import Trie, try_tokens
from .automaton import DEAD, Automaton
from .distance import Distances
from .errors import BudgetError
from .slices import LONGEST, Plain
from .vocabulary import Vocabulary

State = int
Mask = npt.NDArray[np.int32]

NARROW = 1024  # a state that allows at most this many tokens keeps their ids
SLICED = 4096  # least size of a vocabulary whose plain tokens are taken in bulk
KEPT = 4096  # rows kept per constraint (4 * V / 32 bytes each)


@dataclass(slots=True)
class Row:
    """What is known about the tokens of a state."""

    mask: Mask
    ids: Mask | None  # sorted, when there are at most NARROW
    need: int  # so many tokens always suffice after any of the allowed ones
    ends: list[State]  # the states that they lead to


class Rows:
    """The rows of one constraint; not thread-safe but for `known`."""

    def __init__(self, automaton: Automaton, vocab: Vocabulary) -> None:
        self.automaton, self.vocab = automaton, vocab
        self.distances = Distances(automaton, vocab, self._ends)
        self._rows: dict[State, Row] = {}
        self._tight: dict[tuple[State, int], Row] = {}

    def __len__(self) -> int:
        return len(self._rows) + len(self._tight)

    def known(self, s: State, budget: int | None) -> Row | None:
        """The row, if it has been computed before."""
        row = self._rows.get(s)
        if row is None or budget is None or row.need < budget:
            return row
        return self._tight.get((s, budget))

    def row(self, s: State, budget: int | None) -> Row:
        """Raises BudgetError when no token fits and the value may not end."""
        row = self._rows.get(s) or self._new(s)
        if budget is None or row.need < budget:
            return row
        return self._tight.get((s, budget)) or self._new_tight(s, row, budget)

    def ids(self, row: Row) -> Mask:
        """The allowed ids, however many."""
        return self._unpacked(row.mask) if row.ids is None else row.ids

    def _new(self, s: State) -> Row:
        mask = np.zeros(self.vocab.words, np.int32)
        if self.vocab.complete and self.vocab.size >= SLICED:
            ids, ends = self._plain(s, mask) or self._walk(self.vocab.trie, s, mask)
        else:
            ids, ends = self._walk(self.vocab.trie, s, mask)
            alive = [end for end in ends if not self.distances.infinite(end)]
            if len(alive) < len(ends):
                mask, ids, ends = *self._only(s, set(alive)), alive
        need = max((self.automaton.minlen(end) for end in ends), default=0)
        return _keep(self._rows, s, self._finish(s, mask, ids, need, ends), KEPT)

    def _walk(self, trie: Trie, s: State, mask: Mask) -> tuple[Mask | None, list[State]]:
        _, packed, ends = trie.walk(self.automaton.dfa, s, mask, None, NARROW)
        return None if packed is None else np.frombuffer(packed, np.int32), ends

    def _plain(self, s: State, mask: Mask) -> tuple[Mask | None, list[State]] | None:
        """The row with the plain tokens taken in bulk (see slices.py); None where they are not treated alike."""
        slices, first = self.vocab.slices, self.automaton.plain(s)
        found = self._chain(s, first)
        others = None if found is None else slices.having(found[1])
        if found is None or others is None:
            return None
        chain = found[0]
        ids, ends = self._walk(slices.rest, s, mask)
        reached = {*ends, *try_tokens(self.automaton.dfa, s, self.vocab.token_bytes, others, mask)}
        if chain:
            mask |= slices.upto(first.alive, len(chain))
            lengths = slices.lengths(first.alive)
            reached |= {end for n, end in enumerate(chain, 1) if n in lengths}
        if chain or len(others):
            ids = self._unpacked(mask) if np.bitwise_count(mask).sum() <= NARROW else None
        return ids, list(reached)

    def _chain(self, s: State, first: Plain) -> tuple[list[State], int] | None:
        """The states after 1, 2, … code points of the groups alive at `s`, and the groups that do not fit in; None when
        those groups part ways later."""
        at, here, chain, other = s, first, list[State](), first.other
        while here.target != DEAD and len(chain) < LONGEST:
            chain.append(here.target)
            if here.target == at:  # and so on for ever
                return chain + [at] * (LONGEST - len(chain)), other
            at, here = here.target, self.automaton.plain(here.target)
            other |= first.dead & ~here.dead
            if first.alive & ~here.dead == 0:
                break
            if first.alive & ~here.alive:
                return None
        return chain, other

    def _new_tight(self, s: State, row: Row, budget: int) -> Row:
        """The row without the tokens after which no complete value fits in `budget - 1` more."""
        keep = [end for end in row.ends if self.distances.within(end, budget - 1)]
        if not keep and not self.automaton.accepting(s):
            needed = self.distances.estimate(s)
            raise BudgetError(f"no complete value fits in {budget} more tokens; about {needed} are needed")
        if len(keep) == len(row.ends):
            return _keep(self._tight, (s, budget), row, KEPT)
        mask, ids = self._only(s, set(keep))
        return _keep(self._tight, (s, budget), self._finish(s, mask, ids, 0, keep), KEPT // 8)

    def _only(self, s: State, ends: set[int]) -> tuple[Mask, Mask | None]:
        """The mask of the tokens that lead from `s` to one of `ends`."""
        reached = np.full(self.vocab.size, DEAD, np.int32)
        self.vocab.trie.walk(self.automaton.dfa, s, None, reached, 0)
        good = np.isin(reached, list(ends)) if ends else np.zeros(self.vocab.size, np.bool_)
        bits = np.zeros(self.vocab.words * 32, np.bool_)
        bits[: self.vocab.size] = good
        mask = np.packbits(bits, bitorder="little").view(np.int32)
        return mask, np.flatnonzero(good).astype(np.int32) if np.count_nonzero(good) <= NARROW else None

    def _finish(self, s: State, mask: Mask, ids: Mask | None, need: int, ends: list[int]) -> Row:
        if self.automaton.accepting(s):
            mask |= self.vocab.eos_row
            if ids is not None:
                ids = np.concatenate([ids, np.fromiter(self.vocab.eos, np.int32)])
        if ids is not None:
            ids = np.sort(ids)
            ids.flags.writeable = False
        mask.flags.writeable = False
        return Row(mask, ids, need, ends)

    def _ends(self, s: State) -> list[State]:
        row = self._rows.get(s)
        if row is not None:
            return row.ends
        return self.vocab.trie.walk(self.automaton.dfa, s, None, None, 0)[2]

    def _unpacked(self, mask: Mask) -> Mask:
        bits = np.unpackbits(mask.view(np.uint8), bitorder="little")
        return np.flatnonzero(bits[: self.vocab.size]).astype(np.int32)


def _keep(table: dict[Any, Row], key: Any, row: Row, limit: int) -> Row:
    """Store, dropping the oldest beyond `limit`."""
    while len(table) >= limit:
        table.pop(next(iter(table)), None)
    table[key] = row
    return row
