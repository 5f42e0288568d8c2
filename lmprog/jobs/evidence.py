"""Where the values of an answer stand in the document."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any

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
    starts = {start for start, _ in quotes}
    for _, leaf in leaves(answer):
        if leaf.start + 1 in starts and isinstance(leaf.value, str):
            at = text.index(leaf.value, *span)
            leaf.place = at, at + len(leaf.value)


def shown(leaf: Leaf, text: str) -> dict[str, Any]:
    """The evidence of a leaf as it stands in a record: text[start:end] is the `text` in it."""
    assert leaf.place is not None
    start, end = leaf.place
    said = {"start": start, "end": end, "text": text[start:end]}
    return {**said, "found": True} if leaf.found else said
