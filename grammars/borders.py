"""Where the characters of a text begin and end in its bytes, and where words are not cut."""

from __future__ import annotations

import json

import numpy as np
import numpy.typing as npt

from .errors import InvalidConstraint
from .unicode_sets import python_class

Codes = npt.NDArray[np.uint32]
Places = npt.NDArray[np.int32]


def spelled(text: str, in_json: bool) -> tuple[bytes, Places, Codes]:
    """The bytes of a text, as they stand between the quotation marks of JSON if `in_json`; the places around each of
    its n characters, int32 [n + 1]; and their code points. Raises InvalidConstraint for half a surrogate pair."""
    try:
        codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    except UnicodeEncodeError as error:
        raise InvalidConstraint(
            f"half a surrogate pair in the source of a quote (at character {error.start})"
        ) from None
    sizes = (1 + (codes > 0x7F) + (codes > 0x7FF) + (codes > 0xFFFF)).astype(np.int32)
    if in_json:
        for c in {*range(32), 34, 92}:
            sizes[codes == c] = len(escaped(chr(c)))
    data = (escaped(text) if in_json else text).encode()
    return data, np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32), codes


def escaped(text: str) -> str:
    """As it stands in JSON."""
    return json.dumps(text, ensure_ascii=False)[1:-1]


def uncut(codes: Codes) -> npt.NDArray[np.bool_]:
    """The places, from before the first character to behind the last, where no word is cut."""
    edges = np.array([edge for low, high in python_class("w") for edge in (low, high + 1)])
    word = np.concatenate([[False], np.searchsorted(edges, codes, side="right") % 2 == 1, [False]])
    cut: npt.NDArray[np.bool_] = word[1:] & word[:-1]
    return ~cut
