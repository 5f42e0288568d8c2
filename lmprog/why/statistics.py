"""What is said of means and ranks."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from statistics import correlation, fmean, stdev

FIRST = (12.706205, 4.302653, 3.182446, 2.776445)  # 97.5 % of Student's t with 1 to 4 degrees of freedom


def interval(values: Sequence[float]) -> tuple[float, float] | None:
    """95 % for the mean of what the values are drawn from; None: there are not two."""
    if len(values) < 2:
        return None
    mean, half = fmean(values), student(len(values) - 1) * stdev(values) / math.sqrt(len(values))
    return mean - half, mean + half


def student(freedom: int) -> float:
    """97.5 % of Student's t: the expansion of Cornish and Fisher, right to three digits from 5 degrees on."""
    if freedom <= len(FIRST):
        return FIRST[freedom - 1]
    z = 1.959964
    terms = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return math.fsum([term / freedom**n for n, term in enumerate(terms)])


def spearman(a: Sequence[float], b: Sequence[float]) -> float | None:
    """The correlation of the ranks; None where all of one side are equal."""
    if min(len(set(a)), len(set(b))) < 2:
        return None
    return correlation(_ranks(a), _ranks(b))


def _ranks(values: Sequence[float]) -> list[float]:
    """Equal values share the mean of their ranks."""
    ordered = sorted(values)
    return [(bisect_left(ordered, value) + bisect_right(ordered, value)) / 2 for value in values]
