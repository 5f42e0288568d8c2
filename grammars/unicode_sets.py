"""Sets of code points as sorted ranges: classes of the regex dialects, general categories, case folding.

Everything is derived from the running Python's own Unicode tables, so that it agrees with its `str` and `re`.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from functools import cache, lru_cache
from itertools import chain

import numpy as np

Ranges = tuple[tuple[int, int], ...]

LAST = 0x10FFFF
ALL: Ranges = ((0, LAST),)
NONE: Ranges = ()
NEWLINE: Ranges = ((10, 10),)
LINE_ENDS: Ranges = ((10, 10), (13, 13), (0x2028, 0x2029))  # what ECMA-262's dot excludes
ASCII: Ranges = ((0, 127),)
DIGIT: Ranges = ((48, 57),)
WORD: Ranges = ((48, 57), (65, 90), (95, 95), (97, 122))
SPACE: Ranges = ((9, 13), (32, 32))
ECMA_SPACE: Ranges = (
    (9, 13), (32, 32), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A), (0x2028, 0x2029), (0x202F, 0x202F),
    (0x205F, 0x205F), (0x3000, 0x3000), (0xFEFF, 0xFEFF),
)  # fmt: skip

_PLANES = (range(0x323B0), range(0xE0000, 0xE0200))  # all assigned code points but private use
_CASED = (
    range(0x3000),
    range(0xA640, 0xAC00),
    range(0xFB00, 0x10000),
    range(0x10400, 0x11900),
    range(0x16E00, 0x1E950),
)
_PRIVATE: Ranges = ((0xF0000, 0xFFFFD), (0x100000, 0x10FFFD))

_LONG_NAMES = {
    "letter": "L", "cased_letter": "LC", "uppercase_letter": "Lu", "lowercase_letter": "Ll", "titlecase_letter": "Lt",
    "modifier_letter": "Lm", "other_letter": "Lo", "mark": "M", "combining_mark": "M", "nonspacing_mark": "Mn",
    "spacing_mark": "Mc", "enclosing_mark": "Me", "number": "N", "decimal_number": "Nd", "digit": "Nd",
    "letter_number": "Nl", "other_number": "No", "punctuation": "P", "punct": "P", "connector_punctuation": "Pc",
    "dash_punctuation": "Pd", "open_punctuation": "Ps", "close_punctuation": "Pe", "initial_punctuation": "Pi",
    "final_punctuation": "Pf", "other_punctuation": "Po", "symbol": "S", "math_symbol": "Sm", "currency_symbol": "Sc",
    "modifier_symbol": "Sk", "other_symbol": "So", "separator": "Z", "space_separator": "Zs", "line_separator": "Zl",
    "paragraph_separator": "Zp", "other": "C", "control": "Cc", "cntrl": "Cc", "format": "Cf", "surrogate": "Cs",
    "private_use": "Co", "unassigned": "Cn",
}  # fmt: skip
_SHORT_NAMES = {name.lower(): name for name in _LONG_NAMES.values()}


def union(*sets: Iterable[tuple[int, int]]) -> Ranges:
    """Sorted, disjoint, not touching."""
    out: list[tuple[int, int]] = []
    for low, high in sorted([r for s in sets for r in s]):
        if out and low <= out[-1][1] + 1:
            out[-1] = (out[-1][0], max(out[-1][1], high))
        else:
            out.append((low, high))
    return tuple(out)


@lru_cache(maxsize=4096)
def invert(ranges: Ranges) -> Ranges:
    """All other code points; `ranges` as `union` gives them."""
    out, start = [], 0
    for low, high in ranges:
        if start < low:
            out.append((start, low - 1))
        start = high + 1
    return tuple(out if start > LAST else [*out, (start, LAST)])


@lru_cache(maxsize=4096)
def intersect(a: Ranges, b: Ranges) -> Ranges:
    return a if a == b or b == ALL else b if a == ALL else invert(union(invert(a), invert(b)))


def contains(ranges: Ranges, code: int) -> bool:
    at = bisect_right(ranges, (code, LAST)) - 1
    return at >= 0 and ranges[at][0] <= code <= ranges[at][1]


def of(codes: Iterable[int]) -> Ranges:
    """The ranges of single code points."""
    return union((c, c) for c in codes)


@cache
def python_class(letter: str) -> Ranges:
    """The unicode sets `w`, `d` and `s` of Python's `re`, asked of `re` itself."""
    return tuple((run.start(), run.end() - 1) for run in re.finditer(f"\\{letter}+", _assigned()))


@cache
def category(name: str) -> Ranges | None:
    """A `\\p{...}` set: a general category by short or long name, `Any`, `ASCII` or `Assigned`; None when unknown."""
    key = name.lower().replace(" ", "_").replace("-", "_")
    for prefix in ("general_category=", "gc="):
        key = key.removeprefix(prefix)
    if key in ("any", "ascii"):
        return ALL if key == "any" else ASCII
    if key == "assigned":
        return invert(_categories()["Cn"])
    short = _LONG_NAMES.get(key) or _SHORT_NAMES.get(key)
    if short is None:
        return None
    kinds = ("Lu", "Ll", "Lt") if short == "LC" else [k for k in _categories() if k.startswith(short)]
    return union(*[_categories()[k] for k in kinds])


@cache
def _categories() -> dict[str, Ranges]:
    found: dict[str, list[tuple[int, int]]] = {"Co": list(_PRIVATE)}
    for plane in _PLANES:
        kinds = list(map(unicodedata.category, _text(plane)))
        names = np.frombuffer("".join(kinds).encode(), np.uint16)  # two letters each
        starts = [0, *(np.flatnonzero(names[1:] != names[:-1]) + 1).tolist()]
        for start, after in zip(starts, [*starts[1:], len(kinds)], strict=True):
            found.setdefault(kinds[start], []).append((plane.start + start, plane.start + after - 1))
    out = {kind: union(ranges) for kind, ranges in found.items() if kind != "Cn"}
    out["Cn"] = invert(union(*out.values()))
    return out


@cache
def _assigned() -> str:
    """All code points in order, up to the last one that is a letter, a digit or a space."""
    return _text(_PLANES[0])


def _text(codes: range) -> str:
    return np.arange(codes.start, codes.stop, dtype="<u4").tobytes().decode("utf-32-le", "surrogatepass")


def ignore_case(ranges: Ranges, ascii_only: bool = False) -> Ranges:
    """The set that `ranges` becomes under Python's IGNORECASE flag: a character is looked up by its lower case."""
    if ascii_only:
        return union(ranges, of(c ^ 32 for c in (*range(65, 91), *range(97, 123)) if contains(ranges, c)))
    return _with_cases(ranges, *_case_tables())


def ignore_case_ecma(ranges: Ranges) -> Ranges:
    """The set that `ranges` becomes under ECMA-262's flags `iu`: characters are the same if their folding is."""
    return _with_cases(ranges, *_fold_tables())


def _with_cases(ranges: Ranges, codes: list[int], cases: dict[int, list[int]]) -> Ranges:
    cased = [codes[i] for low, high in ranges for i in range(bisect_left(codes, low), bisect_right(codes, high))]
    return union(ranges, of(other for c in cased for other in cases[c]))


@cache
def _fold_tables() -> tuple[list[int], dict[int, list[int]]]:
    groups: dict[str, list[int]] = {}
    for c in map(chr, chain(*_CASED)):
        groups.setdefault(c.casefold(), []).append(ord(c))
    cases = {code: group for group in groups.values() if len(group) > 1 for code in group}
    return sorted(cases), cases


@cache
def _case_tables() -> tuple[list[int], dict[int, list[int]]]:
    """(all characters with case in order, for each of them all that match it when case is ignored)."""
    lower: dict[int, int] = {}
    groups: dict[str, set[int]] = {}
    for c in map(chr, chain(*_CASED)):
        small = c.lower()
        if small != c or c.upper() != c:
            lower[ord(c)] = ord(small[0])  # U+0130 alone has a longer one; its simple mapping is the first letter
    for small_code in lower.values():
        groups.setdefault(chr(small_code).upper(), set()).add(
            small_code
        )  # distinct lower case letters with one upper case match, too
    back: dict[int, list[int]] = {}
    for code, small_code in lower.items():
        back.setdefault(small_code, []).append(code)
    matched = {small: [code for other in group for code in back[other]] for group in groups.values() for small in group}
    return sorted(lower), {code: matched[small_code] for code, small_code in lower.items()}
