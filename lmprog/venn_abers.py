"""Venn–Abers prediction (Vovk and Petej 2014, "Venn–Abers predictors"; the inductive form): two probabilities for a
score, one of which is calibrated whatever the data, as long as they are exchangeable.

For a new score the isotonic regression of the calibration data together with (score, label) is taken, once with label
0 and once with label 1; its two values at the score are the bounds. Computed anew that is linear in the data for each
score. Pool-adjacent-violators gives the same whatever the order of its poolings, so the data left and right of the
score are pooled beforehand, for every place where a new score may fall, and only the new point is pooled with them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import NamedTuple

import numpy as np

from .errors import CalibrationError


class Block(NamedTuple):
    """Points that are pooled: how many, how many of them have label 1, and (`next`) where the block beside it is; -1
    at the end."""

    size: int
    ones: int
    next: int


@dataclass(frozen=True)
class VennAbers:
    """scores: distinct, ascending; counts: of examples with each score; ones: of those with label 1."""

    scores: list[float]
    counts: list[int]
    ones: list[int]

    @classmethod
    def fit(cls, scores: Sequence[float], labels: Sequence[bool]) -> VennAbers:
        """Raises CalibrationError where there is not one label for each score, or a score is no number."""
        if len(scores) != len(labels) or any([math.isnan(score) for score in scores]):
            raise CalibrationError(f"scores are numbers with a label each: {len(scores)} scores, {len(labels)} labels")
        found = cls([], [], [])
        for score, group in groupby(sorted(zip(scores, labels, strict=True)), key=lambda pair: pair[0]):
            members = [label for _, label in group]
            found.scores.append(float(score))
            found.counts.append(len(members))
            found.ones.append(sum(members))
        return found

    def __call__(self, score: float) -> float:
        """One probability of label 1, between the two: the one that is best under log loss."""
        low, high = self.interval(score)
        return high / (1 - low + high)

    def interval(self, score: float) -> tuple[float, float]:
        """The two probabilities of label 1, the lower one first."""
        at = int(np.searchsorted(self.scores, score))
        tie = at < len(self.scores) and self.scores[at] == score
        count, ones = (self.counts[at], self.ones[at]) if tie else (0, 0)
        sides = (self._left, at - 1), (self._right, len(self.scores) - 1 - at - tie)
        low, high = [_value(count + 1, ones + label, *sides) for label in (0, 1)]
        return low, high

    @cached_property
    def _left(self) -> list[Block]:
        """The last block of each beginning of the data."""
        return _tops(self.counts, self.ones)

    @cached_property
    def _right(self) -> list[Block]:
        """The same from the other end, with labels the other way."""
        zeros = [n - k for n, k in zip(self.counts, self.ones, strict=True)]
        return _tops(self.counts[::-1], zeros[::-1])


def _tops(counts: Sequence[int], ones: Sequence[int]) -> list[Block]:
    """By pool-adjacent-violators: block i ends with point i, and `next` is the end of the one before it."""
    tops: list[Block] = []
    for i, (count, one) in enumerate(zip(counts, ones, strict=True)):
        at = i - 1
        while at >= 0 and tops[at].ones * count >= one * tops[at].size:
            count, one, at = count + tops[at].size, one + tops[at].ones, tops[at].next
        tops.append(Block(count, one, at))
    return tops


def _value(count: int, ones: int, lower: tuple[list[Block], int], upper: tuple[list[Block], int]) -> float:
    """The mean of a point's block, after it was pooled with those below and above it that it violates."""
    (left, i), (right, j) = lower, upper
    while True:
        if i >= 0 and left[i].ones * count >= ones * left[i].size:
            count, ones, i = count + left[i].size, ones + left[i].ones, left[i].next
        elif j >= 0 and (right[j].size - right[j].ones) * count <= ones * right[j].size:
            count, ones, j = count + right[j].size, ones + right[j].size - right[j].ones, right[j].next
        else:
            return ones / count
