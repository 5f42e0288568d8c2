"""Texts in overlapping pieces that take a bounded number of tokens each."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable
from itertools import accumulate

Span = tuple[int, int]  # [start, end) in characters
PARAGRAPH, LINE, WORD, CHARACTER = r"\n[ \t\r]*\n\s*", r"\n\s*", r"\s+", "(?s:.)"
SENTENCE = r"(?<=[.!?\u2026])\s+|(?<=[\u3002\uff01\uff1f])"
BORDERS = [re.compile(border) for border in (PARAGRAPH, LINE, SENTENCE, WORD, CHARACTER)]
WINDOW = 0.3  # share of a piece, at its end, in which the best border is looked for
CAREFUL = 0.9  # how much shorter a piece is tried when it takes too many tokens by itself


def pieces(
    text: str, most: int, overlap: int, tokens: Callable[[str], list[int]], size: Callable[[int], int]
) -> list[Span]:
    """Spans of `text` that cover it, of at most `most` tokens each, of which some `overlap` are shared by neighbours.

    tokens  of a text; size: the bytes of a token

    Pieces end where a paragraph ends if they can, else a line, a sentence, a word; the next one begins at such a place
    within the overlap. The same text gives the same pieces.
    """
    ends = _characters(text, list(accumulate(map(size, tokens(text)))))  # the character at the end of each token
    found: list[Span] = []
    start = before = 0  # `before`: what earlier pieces cover
    while True:
        first = bisect_right(ends, start)  # the token that holds the next character
        limit = ends[min(first + most, len(ends)) - 1] if ends else 0
        while (end := _end(text, start, before, limit)) - start > 1 and len(tokens(text[start:end])) > most:
            limit = start + max(1, int((end - start) * CAREFUL))
        if end <= before < len(text):  # the overlap takes all there is room for
            start = before
            continue
        found.append((start, end))
        if end >= len(text):
            return found
        back = ends[max(bisect_right(ends, end) - 1 - overlap, 0)]
        start, before = _start(text, max(back, start + 1), end), end


def _characters(text: str, bytes_: list[int]) -> list[int]:
    if text.isascii():
        return bytes_
    places = [0, *accumulate(len(char.encode()) for char in text)]
    return [bisect_right(places, at) - 1 for at in bytes_]


def _end(text: str, start: int, before: int, limit: int) -> int:
    """The best border up to `limit`, and behind `before` if that can be."""
    if limit >= len(text):
        return len(text)
    limit = max(limit, start + 1)
    low = min(max(start, before, limit - int((limit - start) * WINDOW) - 1) + 1, limit)
    for border in BORDERS:
        places = [match.end() for match in border.finditer(text, low - 1, limit) if match.end() >= low]
        if places:
            return places[-1]
    return limit


def _start(text: str, low: int, end: int) -> int:
    """The first place of the best kind of border from `low` on, before `end`."""
    for border in BORDERS:
        match = border.search(text, low - 1, end)
        if match is not None and low <= match.end() < end:
            return match.end()
    return end
