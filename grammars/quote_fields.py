"""Quotes within JSON: a schema's constraint for all texts, with the quotes of one text laid into it.

A schema whose grammar held the text would be another grammar for every document, compiled and masked anew: some hundred
milliseconds each. So the grammar is compiled once, with a mark in the place of each quote: a byte that no text holds.
`Frame` is that grammar's constraint, whose states and masks all documents share; `QuoteFields` follows it, and wherever
only a mark can come it follows a quote of its text instead, until that may end and the frame goes on behind the mark.

The quote so far is the state. Its occurrences in the text are searched for (bytes.find), and the tokens that go on are
those that stand behind one of them: nothing is built beforehand. A token lies within a quote or outside of it, never
both, which bars some spellings and no text.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .borders import spelled
from .compiled import compile
from .errors import UnsupportedConstraint
from .expr import EMPTY, INF, Expr, text
from .grammar import Grammar
from .rows import Mask
from .standing import Standing
from .vocabulary import Vocabulary

MARKS = bytes([0xC0, 0xC1, *range(0xF5, 0x100)])  # in no UTF-8 text
ROOM = 40  # tokens that are kept free for a quote, beside one for each character that it must have; fewer where a few
# characters cannot take so many
LONGEST = 24  # bytes of tokens within quotes
SPELT = 6  # most bytes of a character in a JSON string
OUTSIDE = -1
STRING = re.compile(rb'(?:[^"\\]|\\.)*')  # without its quotation marks
Kind = tuple[int, int | None]


@dataclass
class Kinds:
    """The kinds of quotes in a schema: least and most characters of each (None: no limit).

    barred  of which there are to be none
    """

    found: list[Kind] = field(default_factory=list)
    barred: frozenset[Kind] = frozenset()
    distinct: bool = False  # the schema has items that differ from each other: marks would not

    def mark(self, low: int, high: int | None) -> Expr:
        """What stands for a quote of a kind: as many marks as tokens are kept free for it."""
        kind = (max(low, 1), high)
        if kind not in self.found:
            self.found.append(kind)
        if len(self.found) > len(MARKS):
            raise UnsupportedConstraint(f"a schema cannot have more than {len(MARKS)} kinds of quotes")
        return EMPTY if kind in self.barred else text(_mark(self.found.index(kind), kind[0]))


def _room(low: int) -> int:
    """The tokens that are kept free for a quote of at least so many characters."""
    return min(SPELT * low, low + ROOM)


def _mark(kind: int, low: int) -> bytes:
    return MARKS[kind : kind + 1] * _room(low)


class Entry(NamedTuple):
    """A place where a quote must come: its kind, and the frame's state behind it."""

    kind: int
    after: int


class Frame:
    """A grammar with marks, for a vocabulary; shared by all texts."""

    def __init__(self, grammar: Grammar, kinds: Sequence[Kind], vocab: Vocabulary) -> None:
        self.base, self.kinds, self.vocab = compile(grammar, vocab), tuple(kinds), vocab
        marks, texts = MARKS[: len(kinds)], vocab.ids
        if not vocab.complete or any(MARKS[i : i + 1] not in texts for i in range(len(kinds))):
            raise UnsupportedConstraint("quotes need a vocabulary in which every byte is a token")
        if any(len(token) > 1 and byte in token for byte in marks for token in texts):
            raise UnsupportedConstraint("quotes need a vocabulary without tokens that are parts of no text")
        self.standing = Standing(texts, LONGEST)
        self.longest = [0] * 256  # of tokens that begin with a byte
        for token in texts:
            self.longest[token[0]] = max(self.longest[token[0]], len(token))
        self._entries: dict[int, Entry | None] = {}
        self._least: dict[int, int] = {}
        self._forced: dict[int, list[int]] = {}

    def entry(self, state: int) -> Entry | None:
        """Raises UnsupportedConstraint where a quote may come and something else, too."""
        if state not in self._entries:
            self._entries[state] = self._entry(state)
        return self._entries[state]

    def _entry(self, state: int) -> Entry | None:
        for kind, (low, _) in enumerate(self.kinds):
            after = self.base.run(state, _mark(kind, low))
            if after is not None:
                if self.base.forced(state)[:1] != MARKS[kind : kind + 1]:
                    raise UnsupportedConstraint("a place where both a quote and another text may stand")
                return Entry(kind, after)
        return None

    def least(self, state: int) -> int:
        """The least budget with which the value can be completed."""
        if state not in self._least:
            enough = 1
            while not self.base.fits(state, enough):
                enough *= 2
            self._least[state] = bisect_left(range(enough), True, key=lambda n: self.base.fits(state, n))
        return self._least[state]

    def forced_tokens(self, state: int) -> list[int]:
        """As the base's, up to a mark."""
        if state not in self._forced:
            data = self.base.forced(state)
            before = next((data[:i] for i, byte in enumerate(data) if byte in MARKS), None)
            self._forced[state] = self.base.forced_tokens(state) if before is None else self.vocab.encode(before)
        return list(self._forced[state])

    def quotes(self, data: bytes) -> list[tuple[int, int]]:
        """The spans of the quotes in the text of a value, without their quotation marks."""
        found: list[tuple[int, int]] = []
        state, at = self.base.start(), 0
        while at < len(data):
            entry = self.entry(state)
            if entry is None:
                after = self.base.run(state, data[at : at + 1])
                at += 1
            else:
                quoted = STRING.match(data, at)
                assert quoted is not None
                found.append(quoted.span())
                after, at = entry.after, quoted.end()
            assert after is not None
            state = after
        return found


class Place(NamedTuple):
    """Outside of a quote the frame's state; within one of a `kind` what was quoted so far, and the state behind it."""

    state: int
    kind: int = OUTSIDE
    quoted: bytes = b""


class QuoteFields:
    """The constraint of a frame for one text, as `Constraint`.

    `missing` are the kinds of which the text has no quote; the frame must have none of them. Raises InvalidConstraint
    for half a surrogate pair.
    """

    def __init__(self, frame: Frame, source: str) -> None:
        self.frame, self.vocab, self._base = frame, frame.vocab, frame.base
        self._data, borders, _ = spelled(source, in_json=True)
        self._borders: list[int] = borders.tolist()
        self._touched: list[int] = np.searchsorted(borders, np.arange(len(self._data) + 1)).tolist()
        self._starts = dict(zip(self._borders, range(len(self._borders)), strict=True))
        self._places: list[Place] = []
        self._numbers: dict[Place, int] = {}
        self._going_on: dict[tuple[int, bytes], npt.NDArray[np.int32]] = {}
        rest = [self._rest(kind, b"") for kind in range(len(frame.kinds))]
        self.missing = frozenset(kind for kind, n in zip(frame.kinds, rest, strict=True) if n > _room(kind[0]))

    # -- the text

    def _occurrences(self, quoted: bytes) -> Iterator[int]:
        """Where it begins, as the number of a character."""
        if not quoted:
            yield from range(len(self._borders) - 1)
            return
        at = self._data.find(quoted)
        while at >= 0:
            if at in self._starts:
                yield self._starts[at]
            at = self._data.find(quoted, at + 1)

    def _rest(self, kind: int, quoted: bytes) -> int:
        """So many tokens surely complete what was quoted so far: those of its first occurrence."""
        low, high = self.frame.kinds[kind]
        first = next(self._occurrences(quoted), None)
        if first is None or first + low >= len(self._borders):
            return INF
        end = self._borders[first] + len(quoted)
        last = max(first + low, self._touched[end])
        if high is not None and last - first > high:
            return INF
        return len(self.vocab.longest_match(self._data[end : self._borders[last]]))

    def _continuations(self, kind: int, quoted: bytes) -> npt.NDArray[np.int32]:
        """The tokens that may come within the quote, ascending."""
        key = (kind, quoted)
        low, high = self.frame.kinds[kind]
        if key not in self._going_on and not quoted and (high is None or high >= LONGEST):
            places = np.array(self._borders[: len(self._borders) - low], np.int32)
            self._going_on[key] = self.frame.standing.somewhere(self._data, places)
        if key not in self._going_on:
            found: set[int] = set()
            for first in self._occurrences(quoted):
                if first + low < len(self._borders):
                    most = len(self._borders) - 1 if high is None else min(first + high, len(self._borders) - 1)
                    end = self._borders[first] + len(quoted)
                    found.update(self._tokens(self._data[end : min(end + LONGEST, self._borders[most])]))
            self._going_on[key] = np.array(sorted(found), np.int32)
        return self._going_on[key]

    def _tokens(self, window: bytes) -> Iterable[int]:
        ids = self.vocab.ids
        most = min(self.frame.longest[window[0]], len(window)) if window else 0
        pieces = (window[:size] for size in range(1, most + 1))
        return (ids[piece] for piece in pieces if piece in ids)

    # -- states

    def start(self) -> int:
        return self._number(self._outside(self._base.start()))

    def _outside(self, state: int) -> Place:
        entry = self.frame.entry(state)
        return Place(state) if entry is None else Place(entry.after, entry.kind)

    def _number(self, place: Place) -> int:
        number = self._numbers.setdefault(place, len(self._places))
        if number == len(self._places):
            self._places.append(place)
        return number

    def advance(self, state: int, token: int) -> int | None:
        place = self._places[state]
        data = self.vocab.token_bytes[token] if token < self.vocab.size else None
        if place.kind != OUTSIDE and not (self._complete(place) and data and data.startswith(b'"')):
            longer = place.quoted + (data or b"")
            alive = bool(data) and self._rest(place.kind, longer) < INF
            return self._number(place._replace(quoted=longer)) if alive else None
        after = self._base.advance(place.state, token)
        return None if after is None else self._number(self._outside(after))

    def _complete(self, place: Place) -> bool:
        return self._rest(place.kind, place.quoted) == 0

    # -- what may come

    def _within(self, place: Place, budget: int | None) -> npt.NDArray[np.int32]:
        ids = self._continuations(place.kind, place.quoted)
        if budget is None:
            return ids
        room = budget - 1 - self.frame.least(place.state)
        if room >= SPELT * (self.frame.kinds[place.kind][0] + 1):
            return ids
        data = (place.quoted + (self.vocab.token_bytes[i] or b"") for i in ids.tolist())
        return ids[[self._rest(place.kind, longer) <= room for longer in data]]

    def mask(self, state: int, budget: int | None = None) -> Mask:
        place = self._places[state]
        if place.kind == OUTSIDE:
            return self._base.mask(place.state, budget)
        bits = np.zeros(self.vocab.words * 32, np.bool_)
        bits[self._within(place, budget)] = True
        row = np.packbits(bits, bitorder="little").view(np.int32)
        return row | self._base.mask(place.state, budget) if self._complete(place) else row

    def allowed(self, state: int, limit: int = 256, budget: int | None = None) -> Mask | None:
        place = self._places[state]
        if place.kind == OUTSIDE:
            return self._base.allowed(place.state, limit, budget)
        ids = self._within(place, budget)
        if self._complete(place):
            behind = self._base.allowed(place.state, limit, budget)
            if behind is None:
                return None
            ids = np.union1d(ids, behind)
        return ids if len(ids) <= limit else None

    def forced(self, state: int) -> bytes:
        place = self._places[state]
        return b"" if place.kind != OUTSIDE else self.vocab.decode(self.frame.forced_tokens(place.state))

    def forced_tokens(self, state: int) -> list[int]:
        place = self._places[state]
        return [] if place.kind != OUTSIDE else self.frame.forced_tokens(place.state)

    def accepting(self, state: int) -> bool:
        place = self._places[state]
        return place.kind == OUTSIDE and self._base.accepting(place.state)

    def finished(self, state: int) -> bool:
        place = self._places[state]
        return place.kind == OUTSIDE and self._base.finished(place.state)

    def distance(self, state: int) -> int:
        """No more tokens than these complete the value, in the sense of `Frame.least`."""
        place = self._places[state]
        rest = 0 if place.kind == OUTSIDE else self._rest(place.kind, place.quoted)
        return rest + self.frame.least(place.state)

    def fits(self, state: int, budget: int) -> bool:
        place = self._places[state]
        if place.kind == OUTSIDE:
            return self._base.fits(place.state, budget)
        return self.distance(state) <= budget
