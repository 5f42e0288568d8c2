"""The leaves of a JSON answer: where each value stands in the text, and how probable its tokens were.

    {"kind":"tale","ages":[7,12]}       text
            ------         -- ---       spans: of a string with its quotation marks, of a number with the byte behind
                                        it, which says that no digit follows

A token counts for every leaf whose span it touches. A token that begins in one value and ends in the next one decides
both, and one that begins before a value decides its beginning; so a leaf is never said to be surer than it was. Keys,
and what is between values, count for nothing else: where they are not forced they decide which values there are.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

SCALAR = json.JSONDecoder().raw_decode  # also finds its end
Tree = Any  # dict[str, Tree] | list[Tree] | Leaf


@dataclass
class Leaf:
    """A value that is no object and no list (those that are empty have no leaves).

    start, end   its span in the answer, in bytes
    confidence   the probability of its tokens, each given all that stands before it, or what a calibration makes of it;
                 None: not asked for
    place        (start, end) of the text that it stands for in the document, in characters
    document     the id of the document of a corpus that the place is in; None: the one that was read
    found        the place was looked up afterwards: the value is not a quote
    """

    value: Any
    start: int = 0
    end: int = 0
    confidence: float | None = None
    place: tuple[int, int] | None = None
    document: str | int | None = None
    found: bool = False


def tree(answer: str) -> Tree:
    """The leaves of a JSON text without spaces between its parts, in the shape of its value.

    >>> tree('{"a":[true]}')
    {'a': [Leaf(value=True, start=6, end=10, confidence=None, place=None, document=None, found=False)]}
    """
    ends = [0, *accumulate(len(char.encode()) for char in answer)] if not answer.isascii() else range(len(answer) + 1)
    return _value(answer, 0, ends)[0]


def _value(text: str, at: int, ends: Sequence[int]) -> tuple[Tree, int]:
    if text[at] == "{":
        return _object(text, at + 1, ends)
    if text[at] == "[":
        return _array(text, at + 1, ends)
    value, end = SCALAR(text, at)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return Leaf(value, ends[at], ends[min(end + number, len(text))]), end


def _object(text: str, at: int, ends: Sequence[int]) -> tuple[dict[str, Tree], int]:
    members: dict[str, Tree] = {}
    while text[at] != "}":
        key, at = SCALAR(text, at + (text[at] == ","))
        members[key], at = _value(text, at + 1, ends)
    return members, at + 1


def _array(text: str, at: int, ends: Sequence[int]) -> tuple[list[Tree], int]:
    items = []
    while text[at] != "]":
        item, at = _value(text, at + (text[at] == ","), ends)
        items.append(item)
    return items, at + 1


def weigh(answer: Tree, lengths: Sequence[int], logprobs: Sequence[float]) -> None:
    """Give each leaf its confidence, from the lengths in bytes of the answer's tokens and their log-probabilities."""
    ends = list(accumulate(lengths))
    for _, leaf in leaves(answer):
        first = bisect_right(ends, leaf.start)
        last = bisect_left(ends, leaf.end)
        leaf.confidence = math.exp(sum(logprobs[first : last + 1]))


def leaves(answer: Tree, at: str = "") -> Iterator[tuple[str, Leaf]]:
    """Each leaf with its JSON pointer, in order."""
    if isinstance(answer, Leaf):
        yield at, answer
    elif isinstance(answer, dict):
        for key, member in answer.items():
            yield from leaves(member, f"{at}/{key.replace('~', '~0').replace('/', '~1')}")
    else:
        for i, item in enumerate(answer):
            yield from leaves(item, f"{at}/{i}")


def data(answer: Tree) -> Any:
    """The JSON value."""
    if isinstance(answer, dict):
        return {key: data(member) for key, member in answer.items()}
    return [data(item) for item in answer] if isinstance(answer, list) else answer.value
