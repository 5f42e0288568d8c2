"""How near a value stays to a draft: a weight for each edit, and a look ahead that leads SMC to near values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import SamplingError
from ..grammars.remaining import Counts, Remaining
from ..runtime.sampling import real
from .method import Problem
from .places import Floats, Ids
from .potentials import AHEAD, LogWeight, Potential

WAY = 32  # bytes of a nearest text whose tokens are looked at
DEMANDED = 0.7  # nats, about, that a byte costs which the language demands: who has paid for it is ahead of who will
Bytes = Sequence[bytes | None]


def distance(draft: str, text: str) -> int:
    """The least number of inserted, deleted or replaced bytes of UTF-8 (Levenshtein 1966).

    >>> distance("kitten", "sitting")
    3
    """
    data = draft.encode()
    return int(_extended(_first(data), data, text.encode())[-1])


def _first(draft: bytes) -> Counts:
    return np.arange(len(draft) + 1)


def _extended(row: Counts, draft: bytes, data: bytes) -> Counts:
    """Edits from every beginning of `draft` to a text: behind `data`, where `row` is that before it (Wagner and
    Fischer 1974, by rows)."""
    letters, steps = np.frombuffer(draft, np.uint8), np.arange(len(draft) + 1)
    for byte in data:
        best = row + 1
        best[1:] = np.minimum(best[1:], row[:-1] + (letters != byte))
        row = np.minimum.accumulate(best - steps) + steps  # deletions after that
    return row


class Mind(NamedTuple):
    """`row` of the value so far, and the language's `state` behind it; `skip`: bytes to come that belong to the text
    before the hole."""

    row: Counts
    state: int
    skip: int
    sight: Sight


class Sight:
    """What is known of one draft and one problem.

    inside   bool [V]: the tokens that are pieces of the draft
    foreign  int64 [V]: edits that each of the others takes, about, wherever it comes
    """

    def __init__(self, draft: str, problem: Problem) -> None:
        self.draft, self.vocab, grammar = draft.encode(), problem.model.vocab, problem.hole.grammar
        self.remaining = None if grammar is None else Remaining(grammar.expr, self.draft)
        self.start = Mind(_first(self.draft), self.remaining.start if self.remaining else 0, len(problem.prefix), self)

    @cached_property
    def inside(self) -> npt.NDArray[np.bool_]:
        return np.array(
            [token is not None and token != b"" and token in self.draft for token in self.vocab.token_bytes]
        )

    @cached_property
    def foreign(self) -> Counts:
        return np.maximum(1, foreign(self.vocab.token_bytes, self.draft))

    def edits(self, mind: Mind) -> int:
        """Of the nearest value that goes on from here."""
        return int(mind.row.min()) if self.remaining is None else self.remaining.least(mind.state, mind.row)

    def demanded(self, mind: Mind) -> int:
        """The bytes that have to come, at least."""
        return 0 if self.remaining is None else self.remaining.shortest(mind.state)

    def after(self, mind: Mind, data: bytes) -> Mind:
        state = mind.state if self.remaining is None else self.remaining.after(mind.state, data[mind.skip :])
        row = _extended(mind.row, self.draft, data[mind.skip :])
        return Mind(row, state, max(0, mind.skip - len(data)), self)

    def looked(self, mind: Mind, tokens: Ids) -> npt.NDArray[np.bool_]:
        """The tokens of which each is to be looked at: pieces of the draft, and of a nearest text."""
        if len(tokens) <= AHEAD or mind.skip:
            return np.ones(len(tokens), bool)
        way = b"" if self.remaining is None else self.remaining.way(mind.state, mind.row, WAY)
        found = [self.vocab.ids.get(way[:n], -1) for n in range(1, len(way) + 1)]
        looked: npt.NDArray[np.bool_] = self.inside[tokens] | np.isin(tokens, found)
        return looked


@dataclass(frozen=True)
class Near:
    """A weight of exp(-near) for each edit that leads from `draft` to a value.

    `SMC(n, Near(draft, near).potential)` draws values by model × exp(-near × edits). As a `Twist` it
    counts the edits of the nearest value that goes on from the text so far, with all that the hole's language still
    demands (`lmprog.grammars.remaining`), and the bytes that it demands at least: a value that has closed a string has
    paid for that, and is not to be outweighed by those that put it off. Where more than 64 tokens may come, what tokens
    cost that are no piece of the draft, or of a nearest value, is guessed from their bytes.

    Raises SamplingError for a draft that is no text, or a `near` that is no finite number of 0 or more.
    """

    draft: str
    near: float

    def __post_init__(self) -> None:
        if not isinstance(self.draft, str):
            raise SamplingError(f"a draft is a text, not {self.draft!r}")
        if not 0 <= real(self.near) < math.inf:
            raise SamplingError(f"near is a number of 0 or more, not {self.near!r}")

    @property
    def potential(self) -> list[Potential]:
        return [LogWeight(lambda text: -self.near * distance(self.draft, text)), self]

    def start(self, problem: Problem) -> Mind:
        return Sight(self.draft, problem).start

    def value(self, state: Mind) -> float:
        return -self.near * state.sight.edits(state) - DEMANDED * state.sight.demanded(state)

    def ahead(self, state: Mind, tokens: Ids) -> Floats:
        sight = state.sight
        looked = sight.looked(state, tokens)
        values = np.zeros(len(tokens))
        if not looked.all():
            values += self.value(state) - self.near * sight.foreign[tokens]
        values[looked] = [self.value(self.advance(state, token)) for token in tokens[looked].tolist()]
        return values

    def advance(self, state: Mind, token: int) -> Mind:
        return state.sight.after(state, state.sight.vocab.token_bytes[token] or b"")


def foreign(tokens: Bytes, draft: bytes) -> Counts:
    """int64 [V]: about how many edits lead from the best piece of the draft to each of the tokens: one for each byte,
    or each pair of bytes, that the draft does not have. At most twice as many as are needed (Ukkonen 1992, "Approximate
    string-matching with q-grams and maximal matches"), and few too few for tokens that have no pair in common with it.
    """
    data = np.frombuffer(b"".join([token or b"" for token in tokens]), np.uint8).astype(np.int64)
    ends = np.cumsum([len(token or b"") for token in tokens])
    begins = np.concatenate([[0], ends[:-1]])
    ours = np.frombuffer(draft, np.uint8).astype(np.int64)
    single = _sums(~np.isin(data, ours), begins, ends)
    pairs = _sums(
        ~np.isin(data[:-1] * 256 + data[1:], ours[:-1] * 256 + ours[1:]), begins, np.maximum(ends - 1, begins)
    )
    guessed: Counts = np.maximum(single, pairs)
    return guessed


def _sums(flags: npt.NDArray[np.bool_], begins: Counts, ends: Counts) -> Counts:
    """How many flags there are from each begin to each end."""
    sums: Counts = np.concatenate([[0], np.cumsum(flags)])
    return sums[np.minimum(ends, len(flags))] - sums[np.minimum(begins, len(flags))]
