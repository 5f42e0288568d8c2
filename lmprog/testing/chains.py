"""Markov chains under regular constraints: an exact oracle, independent of grammars and engine.

    chain = MarkovChain(["a", "b", "ab"], first, then)
    twice = Automaton(edges, start, accept)                  # of characters; may be ambiguous
    found = chain.constrained(twice, length=6)
    found.normaliser, found.marginals(), found.prob(ids), found.sample(rng)

The automaton's subset construction runs along with the chain, so every text goes one way, however many an ambiguous
automaton has for it: nothing is counted twice.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .models import TableModel

Floats = NDArray[np.float64]
Set = frozenset[int]


@dataclass(frozen=True)
class Automaton:
    """Nondeterministic, over characters: `edges` {(state, character): states}."""

    edges: Mapping[tuple[int, str], Iterable[int]]
    start: Iterable[int]
    accept: Iterable[int]

    def begin(self) -> Set:
        return frozenset(self.start)

    def after(self, states: Set, text: str) -> Set:
        """All states that the text may lead to; none: it leads nowhere."""
        for char in text:
            states = frozenset([to for state in states for to in self.edges.get((state, char), ())])
        return states

    def accepts(self, states: Set) -> bool:
        return not states.isdisjoint(self.accept)


class MarkovChain:
    """`first` [V + 1] and `then` [V, V + 1]: the distribution of the first token, and of what comes behind each; the
    last column is the end of the text."""

    def __init__(self, tokens: Sequence[str], first: Sequence[float], then: Sequence[Sequence[float]]) -> None:
        self.tokens = list(tokens)
        self.first, self.then = np.asarray(first, np.float64), np.asarray(then, np.float64)

    def next(self, last: int | None) -> Floats:
        """[V + 1]"""
        found: Floats = self.first if last is None else self.then[last]
        return found

    def model(self) -> TableModel:
        return TableModel(self.tokens, lambda ids: self.next(ids[-1] if ids else None).tolist())

    def constrained(self, automaton: Automaton, length: int) -> ConstrainedChain:
        """Given that the text ends after at most `length` tokens, and that the automaton accepts it."""
        return ConstrainedChain(self, automaton, length)


@dataclass(frozen=True)
class ConstrainedChain:
    """`normaliser`: the probability of the condition."""

    chain: MarkovChain
    automaton: Automaton
    length: int
    normaliser: float = field(init=False)

    def __post_init__(self) -> None:
        completes = lru_cache(None)(self._completes)
        object.__setattr__(self, "_known", completes)
        object.__setattr__(self, "normaliser", completes(None, self.automaton.begin(), self.length))

    def _completes(self, last: int | None, states: Set, left: int) -> float:
        """The probability of an accepted end within as many tokens."""
        row = self.chain.next(last)
        total = float(row[-1]) if self.automaton.accepts(states) else 0.0
        return total + sum([p * rest for _, _, p, rest in self._ways(last, states, left)])

    def _ways(self, last: int | None, states: Set, left: int) -> list[tuple[int, Set, float, float]]:
        """Tokens that may come: where each leads, its probability, and that of an accepted end behind it."""
        found = []
        for token, text in enumerate(self.chain.tokens if left else ()):
            if after := self.automaton.after(states, text):
                rest = self._known(token, after, left - 1)  # type: ignore[attr-defined]
                found.append((token, after, float(self.chain.next(last)[token]), rest))
        return found

    def step(self, ids: Sequence[int]) -> Floats:
        """[V + 1]: the distribution of what comes behind `ids`, under the condition."""
        states = self.automaton.after(self.automaton.begin(), "".join([self.chain.tokens[i] for i in ids]))
        last = ids[-1] if ids else None
        row = np.zeros(len(self.chain.tokens) + 1)
        for token, _, p, rest in self._ways(last, states, self.length - len(ids)):
            row[token] = p * rest
        row[-1] = self.chain.next(last)[-1] if self.automaton.accepts(states) else 0.0
        found: Floats = row / row.sum()
        return found

    def prob(self, ids: Sequence[int]) -> float:
        """Of the text of these tokens, and its end."""
        found = 1.0
        for n, token in enumerate([*ids, len(self.chain.tokens)]):
            found *= float(self.step(ids[:n])[token])
            if not found:
                break
        return found

    def marginals(self) -> Floats:
        """[length + 1, V + 1]: how probable each token is at each place; the last column: the text has ended."""
        size = len(self.chain.tokens)
        found = np.zeros((self.length + 1, size + 1))
        ways: dict[tuple[int | None, Set], float] = {(None, self.automaton.begin()): 1.0}
        ended = 0.0
        for place in range(self.length + 1):
            after: dict[tuple[int | None, Set], float] = {}
            left = self.length - place
            for (last, states), mass in ways.items():
                total = self._known(last, states, left)  # type: ignore[attr-defined]
                for token, to, p, rest in self._ways(last, states, left):
                    share = mass * p * rest / total
                    found[place, token] += share
                    if share:
                        after[token, to] = after.get((token, to), 0.0) + share
                if self.automaton.accepts(states):
                    ended += mass * float(self.chain.next(last)[-1]) / total
            found[place, -1] = ended
            ways = after
        return found

    def sample(self, rng: random.Random) -> tuple[int, ...]:
        ids: tuple[int, ...] = ()
        while True:
            (token,) = rng.choices(range(len(self.chain.tokens) + 1), self.step(ids).tolist())
            if token == len(self.chain.tokens):
                return ids
            ids = (*ids, token)
