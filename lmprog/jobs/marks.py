"""A document for a page: cut into pieces with the fields that each is evidence for, and shortened around them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from ..visible import visible

Span = tuple[int, int, int]  # start, end (characters), number of the field
Piece = (
    tuple[str, list[int]] | int
)  # a text and the fields that it is evidence for; or how many characters are left out
AROUND = 60  # characters to both sides of a span, at least


def pieces(text: str, spans: Sequence[Span], limit: int) -> list[Piece]:
    """The document as pieces, in order. Of one longer than `limit` characters, what is around the spans and its
    beginning, about that much; spans that do not fit are cut or left out.

    >>> pieces("total 12 EUR", [(6, 8, 0), (6, 12, 1)], 100)
    [('total ', []), ('12', [0, 1]), (' EUR', [1])]
    """
    shown: list[Piece] = []
    last = 0
    for start, end in _windows(len(text), spans, limit):
        if start > last:
            shown.append(start - last)
        shown += _cut(text, spans, start, end)
        last = end
    if last < len(text):
        shown.append(len(text) - last)
    return shown


def _cut(text: str, spans: Sequence[Span], start: int, end: int) -> Iterator[Piece]:
    inside = [span for span in spans if span[0] < end and span[1] > start]
    borders = {start, end, *(b for span in inside for b in span[:2] if start < b < end)}
    for a, b in pairwise(sorted(borders)):
        yield visible(text[a:b]), [n for first, last, n in inside if first <= a and b <= last]


def _windows(length: int, spans: Sequence[Span], limit: int) -> list[tuple[int, int]]:
    """The parts to show, in order and apart."""
    if length <= limit:
        return [(0, length)] if length else []
    around = max(AROUND, limit // (4 * (len(spans) + 1)))
    wanted, room = [(0, min(2 * around, limit))], limit
    for first, last, _ in spans:
        window = max(0, first - around), min(length, min(last, first + limit) + around)
        room -= window[1] - window[0]
        if room < 0 and len(wanted) > 1:
            break
        wanted.append(window)
    merged: list[tuple[int, int]] = []
    for start, end in sorted(wanted):
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return merged
