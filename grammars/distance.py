"""The least number of tokens from a state to an accepting one.

Bounds decide almost always: a text of n bytes takes at most n tokens (when every byte is a token) and at least
n / longest. In between, A* over the states that tokens lead to; nothing is expanded that the bounds decide.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

from .automaton import Automaton
from .errors import UnsupportedConstraint
from .expr import INF
from .vocabulary import Vocabulary

SEARCH_LIMIT = 20_000


class Distances:
    """Exact distances, memoised. `ends(s)`: the states that one token leads to."""

    def __init__(self, automaton: Automaton, vocab: Vocabulary, ends: Callable[[int], list[int]]) -> None:
        self._automaton, self._vocab, self._ends = automaton, vocab, ends
        self._known: dict[int, int] = {}
        self._spelt: dict[int, int] = {}

    def infinite(self, s: int) -> bool:
        """Whether no accepting state can be spelt (never with a vocabulary that has every byte)."""
        return not self._vocab.complete and self.exact(s) >= INF

    def within(self, s: int, tokens: int) -> bool:
        """Whether an accepting state is at most `tokens` away."""
        if self.below(s) > tokens:
            return False
        return self.above(s, tokens) <= tokens or self.exact(s) <= tokens

    def below(self, s: int) -> int:
        """A lower bound."""
        known = self._known.get(s)
        if known is not None:
            return known
        if self._automaton.accepting(s):
            return 0
        return max(1, -(-self._automaton.lower(s) // self._vocab.longest))

    def above(self, s: int, enough: int) -> int:
        """An upper bound; the cheaper one when it is at most `enough`."""
        known = self._known.get(s)
        if known is not None:
            return known
        if not self._vocab.complete:
            return INF
        length = self._automaton.minlen(s)
        if length <= enough:
            return length
        if s not in self._spelt:
            self._spelt[s] = len(self._vocab.longest_match(self._automaton.shortest(s)))
        return self._spelt[s]

    def exact(self, s: int) -> int:
        """The distance; INF when there is none. Raises UnsupportedConstraint when the search grows too large."""
        known = self._known.get(s)
        return self._search(s) if known is None else known

    def _search(self, start: int) -> int:
        cost, parent = {start: 0}, {start: start}
        queue = [(self.below(start), 0, start)]
        done: set[int] = set()
        while queue:
            bound, g, s = heapq.heappop(queue)
            if s in done:
                continue
            done.add(s)
            if self._automaton.accepting(s) or s in self._known:
                self._remember(start, s, bound, parent)
                return min(bound, INF)
            if len(done) > SEARCH_LIMIT:
                raise UnsupportedConstraint("the shortest completion in tokens cannot be found in reasonable time")
            for end in self._ends(s):
                if cost.get(end, INF) > g + 1:
                    cost[end], parent[end] = g + 1, s
                    heapq.heappush(queue, (min(INF, g + 1 + self.below(end)), g + 1, end))
        for dead in done:
            self._known[dead] = INF
        return INF

    def _remember(self, start: int, end: int, total: int, parent: dict[int, int]) -> None:
        path = [end]
        while path[-1] != start:
            path.append(parent[path[-1]])
        for used, s in enumerate(reversed(path)):
            self._known[s] = min(INF, total - used) if total < INF else INF
