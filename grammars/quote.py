"""Verbatim quotes: the substrings of a source text, with the places where they stand."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from .borders import spelled, uncut
from .corpus import Corpus, corpus_quotes
from .errors import EmptyLanguage, InvalidConstraint
from .expr import Expr, concat, spans, text
from .grammar import Grammar
from .suffixes import Suffixes


@dataclass(frozen=True, slots=True)
class Quote:
    """A span of a source: `source[start:end] == text`, at its first place; `places` gives them all."""

    text: str
    start: int
    end: int
    source: Source = field(repr=False)

    @property
    def places(self) -> list[tuple[int, int]]:
        """All (start, end) at which the text stands, overlapping ones included."""
        return [(at, at + len(self.text)) for at in self.source.places(self.text)]


@dataclass(frozen=True, slots=True)
class Source:
    """What is quoted from. `words`: quotes begin and end where no word is cut."""

    text: str
    words: bool

    def whole(self, at: int) -> bool:
        """Whether a quote may begin or end before character `at`."""
        return not self.words or re.compile(r"(?<=\w)(?=\w)").match(self.text, at) is None

    def places(self, quoted: str) -> Iterator[int]:
        at = self.text.find(quoted) if quoted else -1
        while at >= 0:
            if self.whole(at) and self.whole(at + len(quoted)):
                yield at
            at = self.text.find(quoted, at + 1)

    def read(self, quoted: str) -> Quote:
        at = next(self.places(quoted), None)
        if at is None:
            raise ValueError(f"{quoted!r} is no quote of the source")
        return Quote(quoted, at, at + len(quoted), self)

    def read_json(self, quoted: str) -> Quote:
        return self.read(json.loads(quoted))


def quote(source: str | Corpus, *, min_chars: int = 1, max_chars: int | None = None, words: bool = False) -> Grammar:
    """Exactly the substrings of `source` with `min_chars` to `max_chars` characters; a value is a `Quote`, or, of a
    `Corpus`, a `CorpusQuote`.

    With `words`, neither end of a quote cuts a word (a run of letters, digits and underscores, as `\\w` in `re`).
    A source of a million characters takes a fraction of a second and some ten bytes per character.

    Raises EmptyLanguage when the source is too short, InvalidConstraint when the limits are wrong.

    >>> found = quote("to be or not to be", words=True).parse("to be")
    >>> found, found.places
    (Quote(text='to be', start=0, end=5), [(0, 5), (13, 18)])
    """
    _check(source, min_chars, max_chars)
    if isinstance(source, Corpus):
        return corpus_quotes(source, min_chars, max_chars, words, False)
    return Grammar(_quotes(source, min_chars, max_chars, words, False), Source(source, words).read)


def json_quote(
    source: str | Corpus, *, min_chars: int = 1, max_chars: int | None = None, words: bool = False
) -> Grammar:
    """The JSON strings, with their quotation marks, whose value is a `quote` of `source`, as json.dumps spells them
    without `ensure_ascii`; a value is what one of `quote` is."""
    _check(source, min_chars, max_chars)
    if isinstance(source, Corpus):
        return corpus_quotes(source, min_chars, max_chars, words, True)
    inside = _quotes(source, min_chars, max_chars, words, True)
    return Grammar(concat(text('"'), inside, text('"')), Source(source, words).read_json)


def _check(source: str | Corpus, min_chars: int, max_chars: int | None) -> None:
    if not isinstance(source, str | Corpus):
        raise InvalidConstraint(f"a quote is of a str or a Corpus, not {type(source).__name__}")
    if min_chars < 1 or (max_chars is not None and max_chars < min_chars):
        raise InvalidConstraint(f"a quote needs 1 <= min_chars <= max_chars, not {min_chars}, {max_chars}")
    longest = source.longest if isinstance(source, Corpus) else len(source)
    if longest < min_chars:
        raise EmptyLanguage(f"a source of {longest} characters has no quote of {min_chars}")


@lru_cache(maxsize=16)
def _quotes(source: str, min_chars: int, max_chars: int | None, words: bool, in_json: bool) -> Expr:
    data, borders, codes = spelled(source, in_json)
    allowed = uncut(codes) if words else np.ones(len(borders), np.bool_)
    suffixes = Suffixes.of(data, borders, allowed, min_chars, max_chars)
    return spans(suffixes, 0, len(suffixes))
