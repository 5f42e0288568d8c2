"""Makes the table of code points that grammars/idna.txt holds, after RFC 5892 and Python's own Unicode tables.

`python -m tests.grammars.idna_table > grammars/idna.txt` writes it anew.
"""

from __future__ import annotations

import unicodedata
from dataclasses import astuple
from functools import cache
from itertools import pairwise

from lmprog.grammars.idna_labels import Kind
from lmprog.grammars.unicode_sets import Ranges, category, contains, intersect, invert, of, union

_COMBINING = (0, 7, 9, 220, 230)  # other classes count as one

_LETTERS_AND_DIGITS = ("Lu", "Ll", "Lo", "Lm", "Mn", "Mc", "Nd")
_ALIKE: Ranges = (  # stable, left to right, no marks: not looked at one by one
    (0x1401, 0x166C), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xA000, 0xA48C), (0xAC00, 0xD7A3), (0x12000, 0x1343F),
    (0x17000, 0x18CFF), (0x1B170, 0x1B2FB), (0x20000, 0x2F7FF), (0x30000, 0x3FFFF),
)  # fmt: skip
_EXCEPTIONS = of((0xDF, 0x3C2, 0x6FD, 0x6FE, 0xF0B, 0x3007))  # allowed although the rules would not
_CONTEXT: Ranges = (
    (0xB7, 0xB7), (0x375, 0x375), (0x5F3, 0x5F4), (0x660, 0x669), (0x6F0, 0x6F9), (0x200C, 0x200D), (0x30FB, 0x30FB),
)  # fmt: skip
_NEVER: Ranges = (  # exceptions, ignorable code points and blocks, old Hangul
    (0x34F, 0x34F), (0x640, 0x640), (0x7FA, 0x7FA), (0x1100, 0x11FF), (0x17B4, 0x17B5), (0x180B, 0x180F),
    (0x20D0, 0x20FF), (0x302E, 0x302F), (0x3031, 0x3035), (0x303B, 0x303B), (0xA960, 0xA97F), (0xD7B0, 0xD7FF),
    (0xFE00, 0xFE0F), (0x1D100, 0x1D24F), (0xE0000, 0xE0FFF),
)  # fmt: skip

# scripts, as far as they are allowed
_SCRIPTS: dict[str, Ranges] = {
    "greek": ((0x370, 0x3E1), (0x3F0, 0x3FF), (0x1D26, 0x1D2A), (0x1F00, 0x1FFF), (0xAB65, 0xAB65)),
    "hebrew": ((0x591, 0x5F4), (0xFB1E, 0xFB1E)),
    "japanese": (
        (0x3005, 0x3005), (0x3007, 0x3007), (0x3041, 0x3096), (0x309D, 0x309E), (0x30A1, 0x30FA), (0x30FD, 0x30FE),
        (0x31F0, 0x31FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0x20000, 0x2A6DF), (0x2A700, 0x2EBE0),
        (0x30000, 0x3134A),
    ),
}  # fmt: skip
# joining letters of Arabic, Syriac, N'Ko, Mandaic and Mongolian: on both sides, on the right
_DUAL: Ranges = (
    (0x620, 0x620), (0x626, 0x626), (0x628, 0x628), (0x62A, 0x62E), (0x633, 0x63F), (0x641, 0x647), (0x649, 0x64A),
    (0x66E, 0x66F), (0x679, 0x687), (0x69A, 0x6BF), (0x6C1, 0x6C2), (0x6CC, 0x6CC), (0x6CE, 0x6CE), (0x6D0, 0x6D1),
    (0x6FA, 0x6FC), (0x6FF, 0x6FF), (0x712, 0x714), (0x71A, 0x71D), (0x71F, 0x727), (0x729, 0x729), (0x72B, 0x72B),
    (0x72D, 0x72E), (0x74E, 0x758), (0x75C, 0x76A), (0x76D, 0x770), (0x772, 0x772), (0x775, 0x777), (0x77A, 0x77F),
    (0x7CA, 0x7EA), (0x841, 0x845), (0x848, 0x848), (0x84A, 0x853), (0x855, 0x855), (0x8A0, 0x8A9), (0x8AF, 0x8B0),
    (0x8B3, 0x8B4), (0x8B6, 0x8B8), (0x8BA, 0x8C7), (0x1820, 0x1878),
)  # fmt: skip
_RIGHT: Ranges = (
    (0x622, 0x625), (0x627, 0x627), (0x629, 0x629), (0x62F, 0x632), (0x648, 0x648), (0x671, 0x673), (0x688, 0x699),
    (0x6C0, 0x6C0), (0x6C3, 0x6CB), (0x6CD, 0x6CD), (0x6CF, 0x6CF), (0x6D2, 0x6D3), (0x6D5, 0x6D5), (0x6EE, 0x6EF),
    (0x710, 0x710), (0x715, 0x719), (0x71E, 0x71E), (0x728, 0x728), (0x72A, 0x72A), (0x72C, 0x72C), (0x72F, 0x72F),
    (0x74D, 0x74D), (0x759, 0x75B), (0x76B, 0x76C), (0x771, 0x771), (0x773, 0x774), (0x778, 0x779), (0x840, 0x840),
    (0x846, 0x847), (0x849, 0x849), (0x854, 0x854), (0x8AA, 0x8AC), (0x8AE, 0x8AE), (0x8B1, 0x8B2), (0x8B9, 0x8B9),
)  # fmt: skip


@cache
def kinds() -> dict[Kind, Ranges]:
    """The allowed code points."""
    found: dict[Kind, list[tuple[int, int]]] = {}
    for code in _one_by_one():
        found.setdefault(_kind(code), []).append((code, code))
    for low, high in intersect(_letters(), _ALIKE):
        for script in ("japanese", ""):
            part = intersect(((low, high),), _SCRIPTS["japanese"] if script else invert(_SCRIPTS["japanese"]))
            found.setdefault(Kind(script=script), []).extend(part)
    return {kind: union(ranges) for kind, ranges in found.items() if ranges}


def _letters() -> Ranges:
    return union(*[category(name) or () for name in _LETTERS_AND_DIGITS])


def _one_by_one() -> list[int]:
    candidates = intersect(intersect(_letters(), invert(union(_ALIKE, _NEVER))), invert(_CONTEXT))
    chars = "\n".join([chr(code) for low, high in candidates for code in range(low, high + 1)])
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", chars).casefold())
    stable = [ord(a) for a, b in zip(chars.split("\n"), folded.split("\n"), strict=True) if a == b]
    named = [code for low, high in union(_EXCEPTIONS, _CONTEXT, ((0x2D, 0x2D),)) for code in range(low, high + 1)]
    return sorted({*stable, *named})


@cache
def _pairs() -> tuple[frozenset[int], frozenset[int]]:
    """The first and second code points of what NFC composes."""
    firsts, seconds = set(), set()
    for low, high in ((0xC0, 0x3000), (0x3040, 0x3100), (0xA000, 0xAC00), (0x11000, 0x12000)):
        for char in map(chr, range(low, high)):
            parts = unicodedata.normalize("NFD", char)
            if len(parts) > 1 and unicodedata.normalize("NFC", char) == char:
                firsts.add(ord(unicodedata.normalize("NFC", parts[:-1])[-1]))
                seconds.add(ord(parts[-1]))
    return frozenset(firsts), frozenset(seconds)


def _kind(code: int) -> Kind:
    char = chr(code)
    mark = unicodedata.category(char)[0] == "M"
    firsts, seconds = _pairs()
    return Kind(
        bidi=unicodedata.bidirectional(char),
        combining=_combining(unicodedata.combining(char)),
        mark=int(mark),
        composes=int(code in firsts),
        completes=int(code in seconds),
        joining=_joining(code, unicodedata.category(char)),
        script=next((name for name, ranges in _SCRIPTS.items() if contains(ranges, code)), ""),
        own=_own(code),
    )


def _joining(code: int, general: str) -> str:
    return "D" if contains(_DUAL, code) else "R" if contains(_RIGHT, code) else "T" if general == "Mn" else ""


def _own(code: int) -> str:
    if 0x660 <= code <= 0x669 or 0x6F0 <= code <= 0x6F9:
        return "0" if code < 0x670 else "1"
    return chr(code) if chr(code) in "-l" or contains(_CONTEXT, code) else ""


def _combining(number: int) -> int:
    return number if number in _COMBINING else 1


def table() -> str:
    """A line for each kind: its fields, then gaps and lengths of its ranges in turn."""
    lines = [f"# Unicode {unicodedata.unidata_version}"]
    for kind, ranges in sorted(kinds().items(), key=lambda item: item[1]):
        edges = [0, *[edge for low, high in ranges for edge in (low, high + 1)]]
        gaps = [f"{after - before:x}" for before, after in pairwise(edges)]
        lines.append(f"{' '.join(str(field) or '.' for field in astuple(kind))}: {' '.join(gaps)}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(table(), end="")
