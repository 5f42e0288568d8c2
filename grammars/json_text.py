"""How JSON is spelled: the three writing styles, and texts as the inside of JSON strings.

A constraint on a string speaks of the decoded text. Its expression is therefore built over an `Alphabet` in which a
code point stands for all its spellings, so that patterns, lengths, enumerations and keys are exact whatever
escapes are used:

- `flexible`: all of RFC 8259: the character itself, its short escape, `\\uXXXX` in either case (a surrogate pair
  beyond U+FFFF; a lone surrogate is no text);
- `spaced` and `compact`: one spelling each, that of `json.dumps(..., ensure_ascii=False)`.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from .byteset import _LIMITS, END, Dag, _split, merge
from .expr import EMPTY, EPS, Expr, _leaf, alt, chars, concat, options, repeat, text
from .regex_compile import Alphabet
from .unicode_sets import ALL, Ranges, intersect

Whitespace = Literal["flexible", "spaced", "compact"]
Span = tuple[int, int, Dag]  # first and last code point, and what follows them

MOST_INDENT = 80
_QUOTE = text('"')

_RAW: Ranges = ((0x20, 0x21), (0x23, 0x5B), (0x5D, 0x10FFFF))
_ESCAPED: Ranges = ((0, 0x1F), (0x22, 0x22), (0x5C, 0x5C))
_SHORT = {0x22: '"', 0x5C: "\\", 8: "b", 12: "f", 10: "n", 13: "r", 9: "t"}
_SHORT_FLEXIBLE = {**_SHORT, 0x2F: "/"}


@dataclass(frozen=True)
class Style:
    """One way to write JSON: the space that may stand inside brackets, after commas and around colons."""

    name: Whitespace
    alphabet: Alphabet
    inner: Expr
    comma: Expr
    colon: Expr
    flexible: bool = False
    quote: Expr = _QUOTE

    def string(self, inside: Expr) -> Expr:
        return concat(self.quote, inside, self.quote)

    def bare(self, alphabet: Alphabet) -> Style:
        """The same for a scalar on its own: texts are not quoted, and spelled in `alphabet`."""
        return replace(self, alphabet=alphabet, quote=EPS)


@lru_cache(maxsize=4096)
def spelled_char(ranges: Ranges, flexible: bool) -> Expr:
    """One code point of `ranges` as it may stand in a JSON string."""
    spans = [(low, high, END) for low, high in merge(ranges)]
    return _leaf(_spelled(spans, flexible)) if spans else EMPTY


def spelled_options(words: Sequence[str], flexible: bool) -> Expr:
    """One of `words` as it may stand in a JSON string."""
    if flexible:
        return _trie(sorted(set(words)), 0) if words else EMPTY
    spelled = [json.dumps(word, ensure_ascii=False)[1:-1] for word in words]
    return text(spelled[0]) if len(spelled) == 1 else options(spelled)


def _trie(words: Sequence[str], depth: int) -> Expr:
    """The sorted `words`, which agree on their first `depth` characters, from there on, in any spelling."""
    if len(words) == 1:
        return _any_spelling(words[0][depth:])
    parts = [EPS] if len(words[0]) == depth else []
    start = len(parts)
    while start < len(words):
        char = words[start][depth]
        stop = bisect_right(words, char, start, key=lambda word: word[depth])
        parts.append(concat(spelled_char(((ord(char), ord(char)),), True), _trie(words[start:stop], depth + 1)))
        start = stop
    return alt(*parts)


@lru_cache(maxsize=16384)
def _any_spelling(word: str) -> Expr:
    """One word as one leaf: cheap to put in front of anything, and to walk."""
    dag = END
    for char in reversed(word):
        dag = _printable(ord(char), dag) if " " <= char <= "~" else _spelled([(ord(char), ord(char), dag)], True)
    return _leaf(dag)


def _printable(code: int, then: Dag) -> Dag:
    """One character of ASCII: itself, its short escape, its code."""
    high, low = (ord(digit) for digit in f"{code:02x}")
    last = [(low, low, then)] if low < 0x3A else [(low - 32, low - 32, then), (low, low, then)]
    zeros = Dag.of([(0x30, 0x30, Dag.of([(0x30, 0x30, Dag.of([(high, high, Dag.of(last))]))]))])
    short = [(code, code, then)] if code in _SHORT_FLEXIBLE else []
    escape = Dag.of([*short, (0x75, 0x75, zeros)])
    raw = [(code, code, then)] if code not in (0x22, 0x5C) else []
    return Dag.of([*raw, (0x5C, 0x5C, escape)])


def _spelled(spans: list[Span], flexible: bool) -> Dag:
    raw = [span for span in spans for span in _clip(span, _RAW)]
    edges = list(_utf8(raw).items())
    escapes = _escapes(spans if flexible else [span for span in spans for span in _clip(span, _ESCAPED)], flexible)
    if escapes is not None:
        edges.append(((0x5C, 0x5C), escapes))
    return Dag.of((low, high, child) for (low, high), child in edges)


def _clip(span: Span, ranges: Ranges) -> list[Span]:
    return [(low, high, span[2]) for low, high in intersect((span[:2],), ranges)]


def _utf8(spans: Iterable[Span]) -> dict[tuple[int, int], Dag]:
    """The edges of a state that reads one raw code point of `spans`."""
    return _grouped([(bytes_, then) for low, high, then in spans for bytes_ in utf8_sequences(low, high)])


def utf8_sequences(low: int, high: int) -> Iterator[list[tuple[int, int]]]:
    """The UTF-8 forms of a range, as ranges of first, second, ... bytes."""
    floor = 0
    for limit, size in _LIMITS:
        a, b = max(low, floor), min(high, limit)
        if a <= b:
            out: list[list[tuple[int, int]]] = []
            _split(a, b, size, out)
            yield from out
        floor = limit + 1


def _grouped(sequences: list[tuple[list[tuple[int, int]], Dag]]) -> dict[tuple[int, int], Dag]:
    groups: dict[tuple[int, int], list[tuple[list[tuple[int, int]], Dag]]] = {}
    for (head, *tail), then in sequences:
        groups.setdefault(head, []).append((tail, then))
    return {
        head: tails[0][1] if not tails[0][0] else Dag.of((a, b, d) for (a, b), d in _grouped(tails).items())
        for head, tails in groups.items()
    }


# -- escapes (what stands after the backslash)


def _escapes(spans: list[Span], flexible: bool) -> Dag | None:
    short = _SHORT_FLEXIBLE if flexible else _SHORT
    edges = [(ord(s), ord(s), then) for low, high, then in spans for c, s in short.items() if low <= c <= high]
    plain = spans if flexible else [s for span in spans for s in _clip(span, ((0, 7), (11, 11), (14, 31)))]
    if plain:
        edges.append((0x75, 0x75, _hex(_units(plain), 4, flexible)))
    return Dag.of(edges) if edges else None


def _units(spans: Iterable[Span]) -> list[Span]:
    """Code points as UTF-16 code units: those beyond U+FFFF become a high unit, then `\\u` and a low one."""
    out: list[Span] = []
    rows: dict[int, list[Span]] = {}
    for low, high, then in spans:
        if low <= 0xFFFF:
            out.append((low, min(high, 0xFFFF), then))
        if high > 0xFFFF:
            first, last = max(low, 0x10000) - 0x10000, high - 0x10000
            out += _whole_rows(first, last, then, rows)
    return sorted(out + [(row, row, _low_unit(tuple(lows))) for row, lows in rows.items()], key=lambda s: s[0])


def _whole_rows(first: int, last: int, then: Dag, rows: dict[int, list[Span]]) -> list[Span]:
    """Runs of high units that any low unit may follow; the others are noted in `rows`."""
    start, stop = -(-first >> 10) if first & 1023 == 0 else (first >> 10) + 1, (last + 1) >> 10
    if first >> 10 == last >> 10 and not (first & 1023 == 0 and last & 1023 == 1023):
        rows.setdefault(0xD800 + (first >> 10), []).append((0xDC00 + (first & 1023), 0xDC00 + (last & 1023), then))
        return []
    if first & 1023:
        rows.setdefault(0xD800 + (first >> 10), []).append((0xDC00 + (first & 1023), 0xDFFF, then))
    if last & 1023 != 1023:
        rows.setdefault(0xD800 + (last >> 10), []).append((0xDC00, 0xDC00 + (last & 1023), then))
    any_low = _low_unit(((0xDC00, 0xDFFF, then),))
    return [(0xD800 + start, 0xD800 + stop - 1, any_low)] if start < stop else []


def _low_unit(spans: tuple[Span, ...]) -> Dag:
    hexes = _hex(list(spans), 4, True)
    return Dag.of([(0x5C, 0x5C, Dag.of([(0x75, 0x75, hexes)]))])


def _hex(spans: list[Span], digits: int, any_case: bool) -> Dag:
    """A number of `digits` hexadecimal digits within disjoint `spans` (at most 16 ** digits), each with its rest."""
    size = 1 << (4 * (digits - 1))
    edges: list[tuple[int, int, Dag]] = []
    for digit in range(spans[0][0] // size, spans[-1][1] // size + 1):
        floor = digit * size
        inside = [
            (max(low - floor, 0), min(high - floor, size - 1), then)
            for low, high, then in spans
            if low < floor + size and high >= floor
        ]
        if inside:
            child = inside[0][2] if digits == 1 else _hex_cached(tuple(inside), digits - 1, any_case)
            spellings = {f"{digit:x}", f"{digit:X}"} if any_case else {f"{digit:x}"}
            edges += [(ord(s), ord(s), child) for s in spellings]
    return Dag.of(edges)


@lru_cache(maxsize=4096)
def _hex_cached(spans: tuple[Span, ...], digits: int, any_case: bool) -> Dag:
    return _hex(list(spans), digits, any_case)


# -- styles


def _style(name: Whitespace, inner: Expr, comma: Expr, colon: Expr) -> Style:
    flexible = name == "flexible"
    alphabet = Alphabet(
        chars=lambda ranges: spelled_char(ranges, flexible),
        options=lambda words: spelled_options(words, flexible),
        text=repeat(spelled_char(ALL, flexible), 0),
    )
    return Style(name, alphabet, inner, comma, colon, flexible)


def _bounded_space() -> Expr:
    """At most two blanks, or a line break with its indentation: what `json.dumps` writes, and no endless runs."""
    blank = chars([(9, 9), (32, 32)])
    newline = concat(repeat(text("\r"), 0, 1), text("\n"), repeat(blank, 0, MOST_INDENT))
    return concat(repeat(blank, 0, 2), alt(EPS, newline))


_SPACE = _bounded_space()
STYLES: dict[str, Style] = {
    "flexible": _style("flexible", _SPACE, concat(_SPACE, text(","), _SPACE), concat(_SPACE, text(":"), _SPACE)),
    "spaced": _style("spaced", EPS, text(", "), text(": ")),
    "compact": _style("compact", EPS, text(","), text(":")),
}
