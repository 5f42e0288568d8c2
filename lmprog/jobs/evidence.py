"""Where the values of an answer stand in the document."""

from __future__ import annotations

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


def shown(leaf: Leaf, text: str) -> dict[str, Any]:
    """The evidence of a leaf as it stands in a record: text[start:end] is the `text` in it."""
    assert leaf.place is not None
    start, end = leaf.place
    said = {"start": start, "end": end, "text": text[start:end]}
    return {**said, "found": True} if leaf.found else said
