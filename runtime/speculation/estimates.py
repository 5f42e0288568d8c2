"""What drafting is worth: how often drafted tokens are right, and how long steps take. Both are measured."""

from __future__ import annotations

import math
from collections.abc import Hashable

import numpy as np

TRUST = 4.0  # observations that what is known of other requests counts for, in a request of its own
MEMORY = 400.0  # observations after which the old ones count half
FIRST = 8.0  # observations that a drafter's first guess counts for
FORGET = 0.98  # of the weight of a step, with each later one
ROW = 0.04  # of a step's fixed cost: what a row costs, as long as that is not known
FAR, LEAST_ERROR = 3.0, 0.05  # times the usual error, of the expected time: errors beyond both are cut
LARGEST = 256  # tokens of a step up to which its time says something about drafts


class Tally:
    """How often something was right."""

    __slots__ = ("hits", "tries")

    def __init__(self, hits: float = 0.0, tries: float = 0.0) -> None:
        self.hits, self.tries = hits, tries

    def add(self, hit: bool) -> None:
        if self.tries >= MEMORY:
            self.hits, self.tries = self.hits / 2, self.tries / 2
        self.hits += hit
        self.tries += 1

    def rate(self, prior: float, weight: float) -> float:
        return (self.hits + prior * weight) / (self.tries + weight)


class Rates:
    """How often nodes of each kind are right: over all requests and, where enough is known, in each.

    A key names a drafter, one of its kinds of nodes, and whatever else makes a difference.
    """

    def __init__(self) -> None:
        self._all: dict[Hashable, Tally] = {}
        self._of: dict[Hashable, dict[Hashable, Tally]] = {}

    def rate(self, request: Hashable, key: Hashable, first: float) -> float:
        """The chance that a node of this kind is right in this request, given that the way there is."""
        everywhere = self._all.get(key)
        known = first if everywhere is None else everywhere.rate(first, FIRST)
        here = self._of.get(request, {}).get(key)
        return known if here is None else here.rate(known, TRUST)

    def add(self, request: Hashable, key: Hashable, hit: bool) -> None:
        self._all.setdefault(key, Tally()).add(hit)
        self._of.setdefault(request, {}).setdefault(key, Tally()).add(hit)

    def ended(self, request: Hashable) -> None:
        self._of.pop(request, None)


class StepCosts:
    """The time of a step: fixed + tokens * row + wide * head, fitted to the steps seen, the later the more.

    wide   rows of full logits; on a large vocabulary they are the dearest part

    Until both sizes have varied, a row and a head are taken to cost a small part of the fixed time each. A time far
    from what was expected, as of a step that had to wait for another process, counts as if it were less far.
    """

    def __init__(self) -> None:
        guesses = np.array([[-ROW, 1.0, 0.0], [-ROW, 0.0, 1.0]])
        self._prior = guesses.T @ guesses
        self._squares = np.zeros((3, 3))
        self._times = np.zeros(3)
        self._costs: tuple[float, float, float] | None = None
        self._error = math.inf  # by which times are off, usually

    def observe(self, tokens: int, wide: int, seconds: float) -> None:
        if tokens > LARGEST:
            return
        if self._costs is not None:
            seconds = self._tamed(seconds, self.step(tokens, wide))
        x = np.array([1.0, tokens, wide])
        self._squares = FORGET * self._squares + np.outer(x, x)
        self._times = FORGET * self._times + x * seconds
        fixed, row, head = np.linalg.solve(self._squares + self._prior, self._times).tolist()
        fixed = max(fixed, 1e-3 * seconds)
        self._costs = fixed, max(row, 1e-3 * fixed), max(head, 0.0)

    def _tamed(self, seconds: float, expected: float) -> float:
        error = seconds - expected
        if self._error == math.inf:
            self._error = abs(error)
        most = max(FAR * self._error, LEAST_ERROR * expected)
        error = min(max(error, -most), most)
        self._error = 0.9 * self._error + 0.1 * abs(error)
        return expected + error

    def step(self, tokens: int, wide: int) -> float:
        """Seconds; 1 for a step that costs nothing but its fixed part as long as nothing is known."""
        fixed, row, head = self._costs or (1.0, ROW, ROW)
        return fixed + tokens * row + wide * head
