"""Mask rows: which tokens a state allows, with and without a budget.

A row is computed once per state (native/slices.c). Under a tight budget the tokens are taken out after which no
complete value fits any more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .automaton import DEAD, Automaton
from .distance import Distances
from .errors import BudgetError
from .sketches import TRIED, Sketch, Sketches, tokens_of
from .vocabulary import Vocabulary

State = int
Mask = npt.NDArray[np.int32]

NARROW = 1024  # a state that allows at most this many tokens keeps their ids
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
        self.sketches = Sketches(automaton, vocab)
        self._rows: dict[State, Row] = {}
        self._tight: dict[tuple[State, int], Row] = {}
        self._reached: dict[State, list[State]] = {}
        self._scratch: Mask = np.zeros(vocab.words, np.int32)

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
        return tokens_of(row.mask) if row.ids is None else row.ids

    def _new(self, s: State) -> Row:
        sketch = self.sketches.of(s)
        if sketch is not None:
            mask, need, tried = self.sketches.row(s, sketch)
            return _keep(self._rows, s, self._finish(s, mask, self._narrow(mask), need, list(tried)), KEPT)
        mask = np.zeros(self.vocab.words, np.int32)
        packed, ends, need = self.vocab.slices.row(self.automaton.dfa, s, mask, NARROW)
        ids = None if packed is None else np.frombuffer(packed, np.int32)
        if not self.vocab.complete:
            alive = [end for end in ends if not self.distances.infinite(end)]
            if len(alive) < len(ends):
                mask, ids, ends = *self._only(s, set(alive)), alive
        return _keep(self._rows, s, self._finish(s, mask, ids, need, ends), KEPT)

    def _new_tight(self, s: State, row: Row, budget: int) -> Row:
        """The row without the tokens after which no complete value fits in `budget - 1` more."""
        sketch = self.sketches.of(s)
        if sketch is not None:
            return self._tight_sketch(s, sketch, budget)
        keep = [end for end in row.ends if self.distances.within(end, budget - 1)]
        self._refuse(s, budget, not keep)
        if len(keep) == len(row.ends):
            return _keep(self._tight, (s, budget), row, KEPT)
        mask, ids = self._only(s, set(keep))
        return _keep(self._tight, (s, budget), self._finish(s, mask, ids, 0, keep), KEPT // 8)

    def _refuse(self, s: State, budget: int, empty: bool) -> None:
        if empty and not self.automaton.accepting(s):
            needed = self.distances.estimate(s)
            raise BudgetError(f"no complete value fits in {budget} more tokens; about {needed} are needed")

    def _tight_sketch(self, s: State, sketch: Sketch, budget: int) -> Row:
        left = budget - 1
        tried = self.sketches.row(s, sketch)[2]
        good = [token for end, tokens in tried.items() if self.distances.within(end, left) for token in tokens]
        for group in self.sketches.groups(sketch):
            end = self.sketches.end(s, int(group[0]))
            bound = self.distances.above(end, left) if sketch.steady else self.automaton.minlen(end)
            if bound <= left:
                good += group.tolist()
            else:
                few = group[:TRIED].tolist()
                good += [token for token in few if self.distances.within(self.sketches.end(s, token), left)]
        self._refuse(s, budget, not good)
        mask, ids = self._packed(np.array(good, np.int32))
        return _keep(self._tight, (s, budget), self._finish(s, mask, ids, 0, []), KEPT // 8)

    def _only(self, s: State, ends: set[int]) -> tuple[Mask, Mask | None]:
        """The mask of the tokens that lead from `s` to one of `ends`."""
        return self._packed(np.flatnonzero(np.isin(self.reached(s), list(ends))))

    def reached(self, s: State) -> Mask:
        """The state after each token, DEAD where there is none."""
        found = np.full(self.vocab.size, DEAD, np.int32)
        self.vocab.trie.walk(self.automaton.dfa, s, found)
        return found

    def _packed(self, tokens: npt.NDArray[np.integer[Any]]) -> tuple[Mask, Mask | None]:
        bits = np.zeros(self.vocab.words * 32, np.bool_)
        bits[tokens] = True
        mask = np.packbits(bits, bitorder="little").view(np.int32)
        return mask, self._narrow(mask)

    def _narrow(self, mask: Mask) -> Mask | None:
        few = int(np.bitwise_count(mask.view(np.uint32)).sum()) <= NARROW
        return tokens_of(mask) if few else None

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
        sketch = self.sketches.of(s)
        if sketch is not None:
            return self.sketches.ends(s, sketch)
        row = self._rows.get(s)
        if row is not None:
            return row.ends
        found = self._reached.get(s)
        if found is None:
            self._scratch.fill(0)
            found = self._reached[s] = self.vocab.slices.row(self.automaton.dfa, s, self._scratch, 0)[1]
        return found


def _keep(table: dict[Any, Row], key: Any, row: Row, limit: int) -> Row:
    """Store, dropping the oldest beyond `limit`."""
    while len(table) >= limit:
        table.pop(next(iter(table)), None)
    table[key] = row
    return row
