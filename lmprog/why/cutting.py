"""The text before a field as parts. A part is some whole tokens, one behind the other, of one kind of text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby
from typing import Any, Literal

from ..events import Span
from ..run import Run
from .context import Context
from .result import Kind

Unit = Literal["auto", "token", "word", "line", "sentence", "slot"]
Label = tuple[Kind, str, int]  # what a text is, the name of a slot or capture, and stretches left out before it
PATTERNS = {
    "word": re.compile(r"[^\S\n]*\S+|\n+|[^\S\n]+"),
    "line": re.compile(r"[^\n]*\n+|[^\n]+"),
    "sentence": re.compile(r".+?(?:[.!?…][\"'’”)\]]*(?=\s)|\n|\Z)\s*|\s+", re.DOTALL),
}
COARSE: tuple[Unit, ...] = ("line", "sentence", "word", "token")
FEW = 3  # words: a text of so few is looked at by its tokens
LONG = 4  # tokens that the words of a text have at most, on average, if it is looked at by words


@dataclass(frozen=True)
class Piece:
    """The tokens of a part, by their positions in the context's ids."""

    tokens: tuple[int, ...]
    span: Span
    label: Label


class Cutter:
    """Cuts the text of a context. `where` says what the text is at each character."""

    def __init__(self, context: Context, text: str, where: Sequence[Label]) -> None:
        self.text, self.where = text, where
        self.spans = {i: span for i, span in enumerate(context.spans) if span is not None}
        self._first = self._chains()
        self._marks: dict[str, list[int]] = {}

    def cut(self, unit: Unit, among: Sequence[int] | None = None) -> list[Piece]:
        """All of the text, or some of its tokens."""
        tokens = list(self.spans) if among is None else among
        return [self._piece(list(group)) for _, group in groupby(tokens, key=lambda i: self._key(i, unit))]

    def finest(self) -> Unit:
        """Words; tokens for a text of few or long words."""
        words = len(self.cut("word"))
        return "token" if words <= FEW or len(self.spans) > LONG * words else "word"

    def finer(self, tokens: Sequence[int], finest: Unit, most: int) -> list[Piece]:
        """At most so many parts of some tokens, along the coarsest units that part them."""
        for unit in COARSE[: COARSE.index(finest) + 1]:
            pieces = self.cut(unit, tokens)
            if len(pieces) > 1:
                return list(self._grouped(pieces, most))
        return pieces

    def blank(self, token: int) -> bool:
        begin, end = self.spans[token]
        return self.text[begin:end].isspace()

    def _grouped(self, pieces: Sequence[Piece], most: int) -> Iterator[Piece]:
        """Neighbours of one label together, so that there are at most about `most`, of about as many tokens each."""
        ends = list(accumulate([len(piece.tokens) for piece in pieces]))
        size = max(1.0, ends[-1] / most) if len(pieces) > most else 0.0
        keys = [
            (piece.label, (end - 1) // size if size else i)
            for i, (piece, end) in enumerate(zip(pieces, ends, strict=True))
        ]
        for _, group in groupby(range(len(pieces)), key=keys.__getitem__):
            yield self._piece([token for i in group for token in pieces[i].tokens])

    def _piece(self, tokens: list[int]) -> Piece:
        span = self.spans[tokens[0]][0], self.spans[tokens[-1]][1]
        return Piece(tuple(tokens), span, self.where[self._anchor(tokens[0])])

    def _key(self, token: int, unit: Unit) -> Any:
        at = self._anchor(token)
        if unit == "slot":
            return self.where[at]
        return self._unit(unit)[at] if unit in PATTERNS else self._first[token], self.where[at]

    def _chains(self) -> dict[int, int]:
        """Tokens that have a part in one character belong together: for each the first of them."""
        first: dict[int, int] = {}
        end = last = -1
        for token, span in self.spans.items():
            first[token] = last = last if span[0] < end else token
            end = span[1]
        return first

    def _anchor(self, token: int) -> int:
        """The character that says where a token belongs: its first one that is no blank."""
        begin, end = self.spans[self._first[token]]
        return next((at for at in range(begin, end) if not self.text[at].isspace()), begin)

    def _unit(self, unit: str) -> list[int]:
        """The number of the unit that each character is in."""
        if unit not in self._marks:
            marks: list[int] = []
            for n, found in enumerate(PATTERNS[unit].finditer(self.text)):
                marks += [n] * len(found[0])
            self._marks[unit] = marks
        return self._marks[unit]


def labels(run: Run[Any], unseen: Sequence[Span]) -> list[Label]:
    """What the run's text is, by character."""
    where: list[tuple[Kind, str]] = [("prompt", "")] * len(run.text)
    named: list[tuple[tuple[Kind, str], Span]] = []
    named += [(("slot", name), span) for name, spans in run.slots.items() for span in spans]
    named += [(("capture", capture.name), capture.span) for capture in run.captures.all()]
    for label, (begin, end) in named:
        where[begin:end] = [label] * (end - begin)
    return [(*label, sum([end <= at for _, end in unseen])) for at, label in enumerate(where)]
