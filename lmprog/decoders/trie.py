"""What has been learnt of a hole's values: a trie of tokens with bounds on how much of the model's probability is left.

Of each node the future mass is wanted, the probability that what the model writes from here on makes a value. That of
a node that has not been seen is at most 1; when its row is known, at most the mass of the tokens that may come
(grammar-aligned decoding: Park et al. 2024, "Grammar-Aligned Decoding", whose expected future grammaticality this is);
and as draws go deeper the bounds of the nodes above follow: the sum over tokens of probability × bound. Bounds only
fall, and never below the truth. Values that were found give a bound from below in the same way.

Drawing each token by probability × bound, a value x comes with the probability

    q(x) = worth(x) / (root's bound × kept(x)),    kept(x) = product over the nodes of (new bound / bound drawn with)

so a draw that is kept with the probability kept(x) is exact, whatever is known (Rejection), and one that is always kept
comes closer with every draw (ASAp). `root's bound × kept(x)` is an unbiased estimate of the whole mass.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..runtime.request import Finish
from ..runtime.routine import Routine
from .places import Floats, Places, Row, Spot, drawn

NARROW = 1024  # rows of at most so many tokens are kept
NODE = 400  # bytes, about
SLACK = 1e-12  # what rounding may take from a bound, relative


class Node:
    """bound, low   of the future mass; `end`: the same of a value that ends here, 1 until it is known to fail, then 0
    sure   the value that ends here is known to pass
    """

    __slots__ = ("bound", "end", "kids", "low", "row", "spot", "sure")

    def __init__(self, spot: Spot) -> None:
        self.spot = spot
        self.bound, self.low, self.end, self.sure = 1.0, 0.0, 1.0, False
        self.kids: dict[int, Node] = {}
        self.row: Row | None = None

    def masses(self, row: Row) -> Floats:
        """What each token of the row, and then the end, may come to: probability × bound."""
        masses: Floats = np.exp(np.append(row.weights, row.end))
        for token, kid in self.kids.items():
            masses[np.searchsorted(row.tokens, token)] *= kid.bound
        masses[-1] *= self.end
        return masses

    def settle(self, row: Row) -> None:
        """Bounds from those of the nodes below."""
        self.bound = min(self.bound, float(self.masses(row).sum()) * (1 + SLACK))
        known = [math.exp(row.weights[np.searchsorted(row.tokens, t)]) * kid.low for t, kid in self.kids.items()]
        low = math.fsum(known) + (math.exp(row.end) if self.sure else 0.0)
        self.low = min(self.bound, max(self.low, low * (1 - SLACK)))


class Drawn(NamedTuple):
    """A draw: where it ended and how (None: at nothing that counts), its tokens' log-probabilities (over temperature)
    under the model and as drawn, the root's bound before, and what share of such draws a rejection keeps."""

    spot: Spot
    finish: Finish | None
    logprobs: list[float]
    masked: list[float]
    bound: float
    kept: float


class Trie:
    """Of one hole at one place. Any thread may use it."""

    def __init__(self, start: Spot, limit: int) -> None:
        self.root = Node(start)
        self.size, self.limit = NODE, limit
        self.draws, self.mass = 0, 0.0  # how many there were; the sum of their estimates of the whole mass
        self.lock = threading.Lock()

    def draw(self, places: Places, rng: np.random.Generator, early: bool) -> Routine[Drawn]:
        """One value, and what comes of it for the bounds. early: break off as soon as it is not to be kept."""
        path: list[tuple[Node, Row]] = []
        logprobs: list[float] = []
        masked: list[float] = []
        node, kept, used, top = self.root, 1.0, self.root.bound, self.root.bound
        finish: Finish | None = None
        while finish is None and kept > 0:
            finish = self._over(node, places)
            if finish is not None:
                kept *= node.end
                break
            row = node.row or (yield from places.rows([node.spot]))[0]
            with self.lock:
                self._learn(node, row)
                masses = node.masses(row)
            path.append((node, row))
            kept *= min(1.0, float(masses.sum()) / used) if used > 0 else 0.0
            if kept == 0 or (early and rng.random() >= kept):
                kept = 0.0
                break
            kept = 1.0 if early else kept
            at = drawn(masses.cumsum(), rng.random())
            if at == len(row.tokens):
                finish = "length" if node.spot.left <= 0 else "stop"
                kept *= self._ends(node, places)
                break
            logprobs.append(float(row.weights[at]))
            masked.append(float(np.log(masses[at] / masses.sum())))
            node = self._kid(node, int(row.tokens[at]), places)
            used = float(masses[at]) / math.exp(row.weights[at])  # its bound as it was: another draw may lower it now
        self._settle(path, top * kept)
        return Drawn(node.spot, finish if kept > 0 else None, logprobs, masked, top, kept)

    def _over(self, node: Node, places: Places) -> Finish | None:
        finish = places.over(node.spot)
        if finish is not None:
            node.bound = node.low = self._ends(node, places)
        return finish

    def _ends(self, node: Node, places: Places) -> float:
        """A value ends at a node: 1 if it passes the hole's condition, else 0."""
        if not node.sure and node.end:
            passes = places.problem.passes(places.problem.text(node.spot.ids, node.spot.state))
            node.end, node.sure = float(passes), passes
        return node.end

    def _kid(self, node: Node, token: int, places: Places) -> Node:
        with self.lock:
            kid = node.kids.get(token)
            if kid is None:
                spot = places.after(node.spot, token)
                assert spot is not None
                kid = Node(spot)
                if self.size < self.limit:
                    node.kids[token] = kid
                    self.size += NODE
        return kid

    def _learn(self, node: Node, row: Row) -> None:
        if node.row is None and len(row.tokens) <= NARROW and self.size < self.limit:
            node.row = row
            self.size += 12 * len(row.tokens)

    def _settle(self, path: Sequence[tuple[Node, Row]], estimate: float) -> None:
        with self.lock:
            self.draws, self.mass = self.draws + 1, self.mass + estimate
            for node, row in reversed(path):
                node.settle(row)


@dataclass
class Memory:
    """The tries of a decoder, the last used last; those that were not used for longest go when all of them together
    take more than `limit` bytes."""

    limit: int

    def __post_init__(self) -> None:
        self._tries: OrderedDict[Hashable, Trie] = OrderedDict()
        self._lock = threading.Lock()

    def trie(self, places: Places) -> Trie:
        """That of the same hole behind the same text."""
        problem, request = places.problem, places.problem.request
        hole, settings = problem.hole, (request.max_tokens, request.open_end, places.temperature)
        ends = problem.prefix, problem.follow, hole.stop, hole.check, places.whole
        key = problem.model, problem.constraint, problem.state, tuple(request.ids), settings, ends
        with self._lock:
            found = self._tries.pop(key, None) or Trie(places.start, self.limit)
            taken = sum([trie.size for trie in self._tries.values()]) + found.size
            while taken > self.limit and self._tries:
                taken -= self._tries.popitem(last=False)[1].size
            self._tries[key] = found
        return found

    def __deepcopy__(self, memo: object) -> Memory:
        return self

    def __reduce__(self) -> tuple[type[Memory], tuple[int]]:
        return Memory, (self.limit,)
