"""Classes of code points that constraints mostly treat alike, so that rows of masks take them in bulk (slices.c).

Any partition would be right; a good one seldom has a constraint tell apart what is in one class. ASCII needs none, as
every sign of it is looked at by itself.
"""

from __future__ import annotations

import numpy as np

from .byteset import Dag, code_points
from .unicode_sets import ALL, ECMA_SPACE, Ranges, intersect, invert, union

_BEYOND: Ranges = ((0x80, ALL[0][1]),)
_SPACES: Ranges = intersect(ECMA_SPACE, ((0x80, 0xFEFE),))  # those on which the dialects agree
_DISPUTED: Ranges = ((0x85, 0x85), (0xFEFF, 0xFEFF))
_LETTERS: Ranges = (  # most of those that models know, from Latin to Hangul
    (0xC0, 0xD6), (0xD8, 0xF6), (0xF8, 0x24F), (0x3B1, 0x3C1), (0x3C3, 0x3CE), (0x400, 0x481), (0x48A, 0x52F),
    (0x5D0, 0x5EA), (0x620, 0x63F), (0x641, 0x64A), (0x671, 0x6D3), (0x904, 0x939), (0x985, 0x98C), (0x993, 0x9A8),
    (0xA05, 0xA0A), (0xA13, 0xA28), (0xA85, 0xA8D), (0xA93, 0xAA8), (0xB85, 0xB8A), (0xB8E, 0xB90), (0xBAE, 0xBB9),
    (0xC05, 0xC0C), (0xC12, 0xC28), (0xC85, 0xC8C), (0xC92, 0xCA8), (0xD05, 0xD0C), (0xD12, 0xD3A), (0xE01, 0xE30),
    (0x10D0, 0x10FA), (0x1E00, 0x1E9D), (0x1EA0, 0x1EFF), (0x3041, 0x3096), (0x30A1, 0x30FA), (0x3400, 0x4DBF),
    (0x4E00, 0x9FFC), (0xAC00, 0xD7A3),
)  # fmt: skip
_OTHERS = intersect(_BEYOND, invert(union(_SPACES, _DISPUTED, _LETTERS)))
_KINDS = (_LETTERS, _SPACES, _DISPUTED, _OTHERS)
_PLAIN: Ranges = ((0x20, 0x21), (0x23, 0x5B), (0x5D, 0x7E), *_BEYOND)


def _graph(ranges: Ranges) -> Dag:
    graph = code_points(ranges)
    assert graph is not None
    return graph


CLASSES: tuple[Dag, ...] = tuple(map(_graph, (_PLAIN, *_KINDS)))  # first all that rows take in bulk
KINDS: bytes = np.array(
    sorted((low, high, kind) for kind, ranges in enumerate(_KINDS) for low, high in ranges), np.int32
).tobytes()
