"""Copies from the text so far: what came after the last tokens when they came before.

Prompt look-up (Saxena 2023), with the length of the match as a measure of how sure it is. A suffix automaton, which
always finds the longest match, was considered: it costs several times as much for each token of a prompt, and the last
few places with the same two tokens nearly always hold the longest match.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence as Items
from itertools import pairwise

from ..radix import Ids
from ..sequence import Sequence
from .tree import Tree

PLACES = 8  # remembered for each pair of tokens, the latest
LONGEST = 32  # matches are not measured beyond
BOUNDS = (2, 3, 5, 8, 16)  # lengths of matches up to which one kind goes


class Copying:
    """The longest match goes on as it did then; so does, as a branch, the next best that went on differently."""

    name = "copy"
    chances: tuple[float, ...] = (
        0.4,
        0.5,
        0.65,
        0.8,
        0.9,
        0.95,
        0.2,
        0.25,
        0.3,
        0.3,
        0.3,
        0.3,
    )  # by length of match; then of branches

    def __init__(self) -> None:
        self._indices: dict[Sequence, Index] = {}

    def propose(self, seqs: Items[Sequence], limits: Items[int]) -> list[Tree]:
        return [self._propose(seq, limit) for seq, limit in zip(seqs, limits, strict=True)]

    def ended(self, seq: Sequence) -> None:
        self._indices.pop(seq, None)

    def _propose(self, seq: Sequence, limit: int) -> Tree:
        tree, ids = Tree(), seq.ids[: seq.length]
        found = self._indices.setdefault(seq, Index()).matches(ids)
        if found:
            size, at = found[0]
            tree.chain(*_copied(ids, at, size, limit, 0))
            other = next(((size, j) for size, j in found if ids[j] != ids[at]), None)
            if other is not None:
                tree.chain(*_copied(ids, other[1], other[0], max(1, limit // 4), len(BOUNDS) + 1))
        return tree


class Index:
    """Where each pair of tokens has occurred in one sequence: the positions behind it."""

    def __init__(self) -> None:
        self._places: dict[tuple[int, int], list[int]] = {}
        self._known = 1

    def matches(self, ids: Ids) -> list[tuple[int, int]]:
        """(length of the match, position behind it) of earlier places like the end, the longest and latest first."""
        if len(ids) < 2:
            return []
        self._take_in(ids)
        last, before = int(ids[-1]), int(ids[-2])
        places = self._places.get((before, last), ())
        return sorted(((_common_end(ids, at), at) for at in places), reverse=True)

    def _take_in(self, ids: Ids) -> None:
        tokens = ids[self._known - 1 :].tolist()
        for at, pair in enumerate(pairwise(tokens[:-1]), self._known + 1):
            places = self._places.setdefault(pair, [])
            places.append(at)
            if len(places) > PLACES:
                del places[0]
        self._known = max(self._known, len(ids) - 1)


def _common_end(ids: Ids, at: int) -> int:
    """How many of the last ids are those before `at`."""
    most = min(at, LONGEST)
    same = ids[at - most : at] == ids[len(ids) - most :]
    differ = same[::-1].argmin()
    return most if same.all() else int(differ)


def _copied(ids: Ids, at: int, size: int, limit: int, first: int) -> tuple[list[int], list[int]]:
    """Tokens from `at` on, and their kinds; at the end of the text it goes on from `at`, as in a loop."""
    tokens = ids[at : at + limit].tolist()
    tokens = (tokens * (limit // len(tokens) + 1))[:limit]
    return tokens, [first + bisect_left(BOUNDS, size + i) for i in range(limit)]
