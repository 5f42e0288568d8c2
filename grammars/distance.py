"""The least number of tokens from a state to an accepting one.

Bounds decide almost always: a text of n bytes takes at most n tokens (when every byte is a token), a shortest text
at most as many as its greedy spelling, and any text at least n / longest. Where they do not, everything that tokens can
reach from the state is explored and one sweep back from the accepting states gives all distances at once. Where that is
too much (deep counters, recursion), `within` errs on the safe side: it may call a value too long that would just fit,
never the other way round.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

from .automaton import Automaton
from .errors import UnsupportedConstraint
from .expr import INF
from .vocabulary import Vocabulary

EXPLORED = 2000  # states explored for a constraint whose vocabulary spells everything; once, then
AGAIN = 100  # so many for each further state that the bounds do not decide
LIMIT = 20_000  # and when the exact distance is asked for
SPELT = 100_000  # bytes of the longest text that is spelt: it takes a state for each


class Distances:
    """Distances of one automaton, memoised. `ends(s)`: the states that one token leads to."""

    def __init__(self, automaton: Automaton, vocab: Vocabulary, ends: Callable[[int], list[int]]) -> None:
        self._automaton, self._vocab, self._ends = automaton, vocab, ends
        self._known: dict[int, int] = {}
        self._spelt: dict[int, int] = {}
        self._least: dict[int, int] = {}
        self._hard: set[int] = set()
        self._allowance = EXPLORED

    def infinite(self, s: int) -> bool:
        """Whether no accepting state can be spelt (never with a vocabulary that has every byte)."""
        return not self._vocab.complete and self.exact(s) >= INF

    def within(self, s: int, tokens: int) -> bool:
        """Whether an accepting state is at most `tokens` away. After any token that was chosen so, there is a next."""
        if self.below(s) > tokens:
            return False
        if self.above(s, tokens) <= tokens:
            return True
        if s in self._known or s in self._hard:
            return False
        if not self._vocab.complete:
            return self.exact(s) <= tokens
        allowance, self._allowance = self._allowance, AGAIN
        if self._explore(s, allowance):
            return self._known[s] <= tokens
        found = self._search(s, tokens, allowance)
        if found is None:
            self._hard.add(s)
        return found is not None and found <= tokens

    def below(self, s: int) -> int:
        """A lower bound."""
        known = self._known.get(s)
        if known is not None:
            return known
        if self._automaton.accepting(s):
            return 0
        return max(self._least.get(s, 1), -(-self._automaton.lower(s) // self._vocab.longest))

    def above(self, s: int, enough: int) -> int:
        """An upper bound; the cheaper one when it is at most `enough`."""
        known = self._known.get(s)
        if known is not None:
            return known
        if not self._vocab.complete:
            return INF
        length = self._automaton.minlen(s)
        if length <= enough or length > SPELT:
            return length
        if s not in self._spelt:
            self._spell(s)
        return self._spelt[s]

    def _spell(self, s: int) -> None:
        """A greedy spelling of a shortest text bounds the distance of every state on its way."""
        data = self._automaton.shortest(s)
        ids = self._vocab.longest_match(data)
        for left, token in zip(range(len(ids), 0, -1), ids, strict=True):
            self._spelt[s] = min(left, self._spelt.get(s, left))
            s = self._automaton.run(s, self._vocab.token_bytes[token] or b"")
        self._spelt.setdefault(s, 0)

    def exact(self, s: int) -> int:
        """The distance; INF when there is none. Raises UnsupportedConstraint when the search grows too large."""
        found = self._known.get(s)
        if found is None and (found := self._search(s, INF, LIMIT)) is None:
            raise UnsupportedConstraint("the shortest completion in tokens cannot be found in reasonable time")
        return found

    def estimate(self, s: int) -> int:
        """The distance, or an upper bound where it is not known; for messages."""
        return self._known.get(s, self.above(s, 0))

    def _explore(self, start: int, limit: int) -> bool:
        """Make all distances known that can be reached from `start`, unless those are more than `limit` states."""
        before: dict[int, list[int]] = {start: []}
        todo = [start]
        for s in todo:
            if len(before) > limit:
                return False
            if s in self._known:
                continue
            for end in self._ends(s):
                if end not in before:
                    before[end] = []
                    todo.append(end)
                before[end].append(s)
        self._sweep(before)
        return True

    def _sweep(self, before: dict[int, list[int]]) -> None:
        """Breadth-first, backwards, from the accepting states and those whose distance is known."""
        layers: dict[int, list[int]] = {}
        for s in before:
            at = 0 if self._automaton.accepting(s) else self._known.get(s, INF)
            if at < INF:
                layers.setdefault(at, []).append(s)
        found: dict[int, int] = {}
        distance = 0
        while layers:
            layer = [s for s in layers.pop(distance, []) if found.setdefault(s, distance) == distance]
            for s in layer:
                nearer = [p for p in before[s] if p not in found]
                if nearer:
                    layers.setdefault(distance + 1, []).extend(nearer)
            distance += 1
        for s in before:
            self._known[s] = found.get(s, INF)

    def _search(self, start: int, most: int, limit: int) -> int | None:
        """A*, where all that `start` reaches is too much to explore: its distance, or a lower bound over `most`; None
        when it takes more than `limit` states to find."""
        cost, parent = {start: 0}, {start: start}
        queue = [(self.below(start), 0, start)]
        done: set[int] = set()
        while queue and queue[0][0] <= most:
            bound, g, s = heapq.heappop(queue)
            if s in done:
                continue
            done.add(s)
            if self._automaton.accepting(s) or s in self._known:
                self._remember(start, s, bound, parent)
                return min(bound, INF)
            if len(done) > limit:
                return None
            for end in self._ends(s):
                if cost.get(end, INF) > g + 1:
                    cost[end], parent[end] = g + 1, s
                    heapq.heappush(queue, (min(INF, g + 1 + self.below(end)), g + 1, end))
        if queue:
            self._least[start] = queue[0][0]
            return self._least[start]
        for dead in done:
            self._known[dead] = INF
        return INF

    def _remember(self, start: int, end: int, total: int, parent: dict[int, int]) -> None:
        path = [end]
        while path[-1] != start:
            path.append(parent[path[-1]])
        for used, s in enumerate(reversed(path)):
            self._known[s] = min(INF, total - used) if total < INF else INF
