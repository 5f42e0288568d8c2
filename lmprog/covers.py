"""How probable a string is under a model of tokens: the sum over all its covers.

A cover of a string is a sequence of tokens that spell it, of which the last may reach over its end. No two covers of a
string begin one another, so the probability that a text begins with the string is the sum of theirs (Vieira et al.
2024, "From Language Models over Tokens to Language Models over Characters"; Phan et al. 2024, "Exact Byte-Level
Probabilities from Tokenized Language Models"). Nothing is assumed of the tokenizer: the sum is over all sequences of
tokens, whether it would write them or not, as the model, too, gives each of them some probability. (Considered: the
distribution given that the spelling is the tokenizer's own. It needs the probability that the model spells all the
rest of the text so, which nobody can compute.)

Covers of several strings are searched together. A node is a sequence of tokens that is shorter than some of the
strings; asking the model there gives the covers that end with the next token and the nodes one token further on. What
is not looked into is bounded by the probability of its node, so that every sum has a lower and an upper bound, which
meet when no node is left.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from .errors import HoleError
from .grammars import Vocabulary
from .runtime.routine import Routine
from .scoring import Asker, Floats

TOGETHER = 32  # nodes looked into in a step, at most ...
AHEAD = math.log(1e4)  # ... and none that matters so much less than the most important one


@dataclass(frozen=True)
class Exact:
    """How far a sum over spellings goes.

    window   bytes: so much of the text's end is taken as a string; what is before keeps the tokens that it has
    rows     places, at most, at which the model is asked. Where there are more, the sum is a pair of bounds
    within   enough when the bounds of every sum are as near as that, relatively

    Raises HoleError for numbers out of range.
    """

    window: int = 32
    rows: int = 1024
    within: float = 1e-9

    def __post_init__(self) -> None:
        if self.window < 0 or self.rows < 1 or not self.within >= 0:
            raise HoleError(f"window and within are 0 or more, rows 1 or more: not {self}")


@dataclass(eq=False, slots=True)
class Node:
    """`path` spells `data`, with which the strings `open` go on; `mass` is its log-probability, `steps` that of each of
    its tokens."""

    path: tuple[int, ...]
    data: bytes
    open: tuple[int, ...]
    mass: float = 0.0
    steps: tuple[float, ...] = ()
    weight: float = 0.0  # how much it matters to the least certain of its strings


@dataclass
class Ends:
    """Covers of a string that go on from a node by one of `tokens`; their log-probabilities."""

    node: Node
    tokens: NDArray[np.int32]
    values: Floats


@dataclass
class Covers:
    """The search for covers of `strings` behind the ids of `asker`. `low`, `high`: bounds of the log-probabilities."""

    vocab: Vocabulary
    strings: Sequence[bytes]
    asker: Asker
    exact: Exact
    ends: dict[int, list[Ends]] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.low = np.array([0.0 if not string else -math.inf for string in self.strings])
        self.rows = 0
        self._ahead: dict[tuple[int, ...], Floats] = {}
        self._known: dict[bytes, _Rest] = {}

    @property
    def high(self) -> Floats:
        found = self.low.copy()
        for node in self.nodes:
            for k in node.open:
                found[k] = np.logaddexp(found[k], node.mass)
        bounded: Floats = np.minimum(found, 0.0)
        return bounded

    def search(self) -> Routine[None]:
        """Begins with the tokenizer's own spellings; then what matters most to the least certain sum comes first."""
        root = Node((), b"", tuple([k for k, string in enumerate(self.strings) if string]))
        if not root.open:
            return
        yield from self._ask([root, *self._own()])
        self._take(root)
        while wanted := self._wanted():
            chosen = set(wanted)
            self.nodes = [node for node in self.nodes if node not in chosen]
            yield from self._ask(wanted)
            for node in wanted:
                self._take(node)

    def _ask(self, nodes: Sequence[Node]) -> Routine[None]:
        nodes = [node for node in nodes if node.path not in self._ahead]
        if nodes:
            self.rows += len(nodes)
            answers = yield from self.asker.ask([(node, self._tokens(node), False) for node in nodes])
            self._ahead.update({node.path: values for node, values in zip(nodes, answers, strict=True)})

    def _own(self) -> list[Node]:
        """The nodes on the tokenizer's spelling of each string."""
        found: dict[tuple[int, ...], Node] = {}
        for string in self.strings:
            try:
                path = tuple(self.vocab.encode(string))
            except ValueError:
                continue
            for n in range(1, len(path)):
                if path[:n] not in found:
                    data = self.vocab.decode(path[:n])
                    found[path[:n]] = Node(path[:n], data, self._open(data, range(len(self.strings))))
        return list(found.values())

    def _open(self, data: bytes, among: Sequence[int]) -> tuple[int, ...]:
        return tuple([k for k in among if len(self.strings[k]) > len(data) and self.strings[k].startswith(data)])

    def _wanted(self) -> list[Node]:
        """What to look into next: none when all sums are known well enough, or the rows are used up."""
        left = min(TOGETHER, self.exact.rows - self.rows)
        with np.errstate(invalid="ignore"):  # what cannot come has no gap
            gap = self.high - self.low
        unsure = {k for k in range(len(self.strings)) if gap[k] > math.log1p(self.exact.within)}
        if left <= 0 or not unsure or not self.nodes:
            return []
        for node in self.nodes:
            lows = [self.low[k] for k in node.open if k in unsure]
            node.weight = node.mass - min(lows) if lows else -math.inf
        ranked = sorted(self.nodes, key=attrgetter("weight", "mass"), reverse=True)
        least = ranked[0].weight - AHEAD if ranked[0].weight < math.inf else ranked[0].weight
        return [node for node in ranked[:left] if node.weight >= least]

    def _tokens(self, node: Node) -> NDArray[np.int32]:
        """What is asked at a node: for each way on first the tokens that end it, then those within it."""
        return np.concatenate([part for rest in self._rests(node) for part in (rest.ending, rest.within)])

    def _rests(self, node: Node) -> list[_Rest]:
        found = dict.fromkeys(self._rest(node, k) for k in node.open)
        for data in found:
            if data not in self._known:
                self._known[data] = _Rest.of(self.vocab, data)
        return [self._known[data] for data in found]

    def _rest(self, node: Node, k: int) -> bytes:
        return self.strings[k][len(node.data) :]

    def _take(self, node: Node) -> None:
        """Replace a node that was asked about by what comes of it, and so on where that is known, too."""
        todo = [node]
        while todo:
            node = todo.pop()
            values = self._ahead.pop(node.path) + node.mass
            kids: dict[int, Node] = {}
            at = 0
            for rest in self._rests(node):
                ending, at = values[at : at + len(rest.ending)], at + len(rest.ending)
                inside, at = values[at : at + len(rest.within)], at + len(rest.within)
                self._ended(node, rest, ending)
                for token, mass in zip(rest.within.tolist(), inside.tolist(), strict=True):
                    if token not in kids and mass > -math.inf:
                        kids[token] = self._kid(node, token, mass)
            for kid in kids.values():
                (todo if kid.path in self._ahead else self.nodes).append(kid)

    def _ended(self, node: Node, rest: _Rest, masses: Floats) -> None:
        total = np.logaddexp.reduce(masses, initial=-math.inf)
        for k in node.open:
            if self._rest(node, k) == rest.data:
                self.low[k] = np.logaddexp(self.low[k], total)
                if total > -math.inf:
                    self.ends.setdefault(k, []).append(Ends(node, rest.ending, masses))

    def _kid(self, node: Node, token: int, mass: float) -> Node:
        data = node.data + (self.vocab.token_bytes[token] or b"")
        return Node((*node.path, token), data, self._open(data, node.open), mass, (*node.steps, mass - node.mass))


@dataclass(frozen=True)
class _Rest:
    """What is left of a string: the tokens that begin with all of it, and those that are a beginning of it."""

    data: bytes
    ending: NDArray[np.int32]
    within: NDArray[np.int32]

    @classmethod
    def of(cls, vocab: Vocabulary, data: bytes) -> _Rest:
        sizes = range(1, min(len(data) - 1, vocab.longest) + 1)
        pieces = [vocab.same(data[:n]) for n in sizes if data[:n] in vocab.ids]
        within = np.concatenate(pieces) if pieces else np.zeros(0, np.int32)
        return cls(data, vocab.starting_with(data), within)
