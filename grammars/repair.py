"""Error-correcting recognition: the texts of a language that are the fewest edits away from a given one.

An edit inserts, deletes or replaces a byte. The places of a repair are pairs (state of the automaton, bytes of the
draft that are used up), and the least-edit texts are the shortest paths from the first to an accepting state behind
the last byte (Wagner 1974, "Order-n correction for regular languages"), here by A* over the lazily built automaton: at
a place at least as many bytes must be inserted as its shortest completion is longer than what is left of the draft. The
graph of all shortest paths has no cycle, and is written as a grammar.
"""

from __future__ import annotations

import heapq
from typing import NamedTuple

from .automaton import DEAD
from .edits import Edits, Place
from .errors import EmptyLanguage, UnsupportedConstraint
from .expr import EMPTY, EPS, Expr, _leaf, alt, concat
from .grammar import Grammar

MOST = 200_000  # places that are looked at


class Repair(NamedTuple):
    """`grammar`: exactly the texts that are `edits` away from the draft; none of the language is nearer."""

    grammar: Grammar
    edits: int


def repair(grammar: Grammar, draft: str, most: int = MOST) -> Repair:
    """The texts of `grammar` nearest to `draft`; edits are counted in bytes of UTF-8.

    Raises EmptyLanguage when there are no texts, UnsupportedConstraint when more than `most` places would have to be
    looked at: the draft is too far away.

    >>> from lmprog.grammars import regex
    >>> found = repair(regex("[0-9]{3}-[0-9]{2}"), "12-345")
    >>> found.edits, found.grammar.matches("123-45"), found.grammar.matches("120-34")
    (2, True, False)
    """
    return _Search(grammar.expr, draft.encode(), most).repair(grammar)


class _Search:
    def __init__(self, expr: Expr, draft: bytes, most: int) -> None:
        self.edits, self.most = Edits(expr, draft), most
        self.cost: dict[Place, int] = {}
        self.done: set[Place] = set()

    def repair(self, grammar: Grammar) -> Repair:
        start = self.edits.start, 0
        if start[0] == DEAD:
            raise EmptyLanguage("the constraint accepts no text at all")
        edits = self._explore(start)
        return Repair(Grammar(self._written(edits)[start], grammar.parser), edits)

    def _explore(self, start: Place) -> int:
        """Look at all places on shortest paths; their number of edits."""
        self.cost[start] = 0
        queue = [(self.edits.bound(start), 0, start)]
        least = -1
        while queue and (least < 0 or queue[0][0] <= least):
            _, _, place = heapq.heappop(queue)
            if place in self.done:
                continue
            if len(self.done) == self.most:
                raise UnsupportedConstraint(
                    f"the draft is too far from the language: its nearest texts are more than {self.most} places away"
                )
            self.done.add(place)
            if least < 0 and self.edits.ends(place):
                least = self.cost[place]
            for after, price, _ in self.edits.edges(place):
                cost = self.cost[place] + price
                if cost < self.cost.get(after, cost + 1):
                    self.cost[after] = cost
                    heapq.heappush(queue, (cost + self.edits.bound(after), -after[1], after))
        return least

    def _written(self, edits: int) -> dict[Place, Expr]:
        """What is written from each place to the end, along shortest paths: those that end with `edits`."""
        written: dict[Place, Expr] = {}
        for place in sorted(self.done, key=lambda place: (-self.cost[place], -place[1])):
            ways = [EPS] if self.edits.ends(place) and self.cost[place] == edits else []
            for after, price, some in self.edits.edges(place):
                rest = written.get(after, EMPTY)
                if rest is not EMPTY and self.cost[after] == self.cost[place] + price:
                    ways.append(rest if some is None else concat(_leaf(some), rest))
            written[place] = alt(*ways) if ways else EMPTY
        return written
