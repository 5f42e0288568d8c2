"""Where the values of an answer stand in the document."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from ..grammars.corpus import Corpus
from ..grammars.quote import Source
from .leaves import Leaf, Tree, leaves


def look_up(answer: Tree, text: str) -> None:
    """Give strings that stand in the text at exactly one place, cutting no word, that place."""
    source = Source(text, words=True)
    for _, leaf in leaves(answer):
        if isinstance(leaf.value, str) and leaf.place is None:
            places = list(islice(source.places(leaf.value), 2))
            if len(places) == 1:
                leaf.place, leaf.found = (places[0], places[0] + len(leaf.value)), True


def place(answer: Tree, quotes: Iterable[tuple[int, int]], text: str, span: tuple[int, int]) -> None:
    """Give quotes their first place in the part of the text that was read.

    quotes   their spans in the answer, in bytes, without quotation marks
    """
    for leaf in _quoted(answer, quotes):
        at = text.index(leaf.value, *span)
        leaf.place = at, at + len(leaf.value)


def place_in_corpus(answer: Tree, quotes: Iterable[tuple[int, int]], corpus: Corpus) -> None:
    """Give quotes their first place in the corpus."""
    for leaf in _quoted(answer, quotes):
        found = corpus.find(leaf.value)
        leaf.place, leaf.document = (found.start, found.end), found.document


def _quoted(answer: Tree, quotes: Iterable[tuple[int, int]]) -> Iterator[Leaf]:
    starts = {start for start, _ in quotes}
    return (leaf for _, leaf in leaves(answer) if leaf.start + 1 in starts and isinstance(leaf.value, str))


def shown(leaf: Leaf) -> dict[str, Any]:
    """The evidence of a leaf as it stands in a record: [start:end] of the text, or of the `document`, is its `text`."""
    assert leaf.place is not None
    start, end = leaf.place
    said = {} if leaf.document is None else {"document": leaf.document}
    said |= {"start": start, "end": end, "text": leaf.value}
    return {**said, "found": True} if leaf.found else said
