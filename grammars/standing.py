"""Which tokens stand in a text: for all places at once, in numpy, where a loop over places would take too long."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

WORD = 8  # bytes that are compared as one number
Ids = npt.NDArray[np.int32]


class Standing:
    """For tokens of at most `longest` bytes, given with their ids."""

    def __init__(self, tokens: Mapping[bytes, int], longest: int) -> None:
        short: dict[int, dict[int, int]] = {}
        self._long: dict[int, list[bytes]] = {}
        self._ids = tokens
        for token, number in tokens.items():
            key = int.from_bytes(token[:WORD], "big")
            if len(token) <= WORD:
                short.setdefault(len(token), {})[key] = number
            elif len(token) <= longest:
                self._long.setdefault(key, []).append(token)
        self._short = [(size, *_sorted(keys)) for size, keys in short.items()]
        self._begun = np.array(sorted(self._long), np.uint64)

    def somewhere(self, data: bytes, places: npt.NDArray[np.int32]) -> Ids:
        """The ids of the tokens that begin at one of the places of `data`, and end within it; ascending."""
        words = _words(data)
        found = [
            _matching(words[places[places + size <= len(data)]] >> np.uint64(8 * (WORD - size)), keys, ids)
            for size, keys, ids in self._short
        ]
        begun = places[_known(words[places], self._begun)].tolist()
        long = [self._ids[token] for at in begun for token in self._long[int(words[at])] if data.startswith(token, at)]
        return np.unique(np.concatenate([*found, np.array(long, np.int32)])).astype(np.int32)


def _sorted(keys: dict[int, int]) -> tuple[npt.NDArray[np.uint64], Ids]:
    order = sorted(keys)
    return np.array(order, np.uint64), np.array([keys[key] for key in order], np.int32)


def _words(data: bytes) -> npt.NDArray[np.uint64]:
    """At each place the next eight bytes as a number; zeros behind the end."""
    padded = np.frombuffer(data + bytes(WORD), np.uint8).astype(np.uint64)
    words = np.zeros(len(data), np.uint64)
    for i in range(WORD):
        words |= padded[i : len(data) + i] << np.uint64(8 * (WORD - 1 - i))
    return words


def _known(wanted: npt.NDArray[np.uint64], keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
    if not len(keys):
        return np.zeros(len(wanted), np.bool_)
    equal: npt.NDArray[np.bool_] = keys[np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)] == wanted
    return equal


def _matching(wanted: npt.NDArray[np.uint64], keys: npt.NDArray[np.uint64], ids: Ids) -> Ids:
    different = np.unique(wanted)
    return ids[np.searchsorted(keys, different[_known(different, keys)])]
