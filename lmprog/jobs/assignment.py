"""Which row goes with which: the pairs of greatest total weight, exactly."""

from __future__ import annotations

from typing import Any

import numpy as np

Pairs = list[tuple[int, int]]
Weights = Any  # int64[n, m], none negative


def assign(weights: Weights) -> Pairs:
    """The one-to-one pairs (row, column) of greatest total weight; those of weight 0 are left out.

    The Hungarian method (Kuhn, 1955) by shortest augmenting paths with potentials (Jonker and Volgenant, 1987), in
    integers, so that the result is exact. Takes n² m steps for n rows and m ≥ n columns, m of them at a time.
    """
    if weights.shape[0] > weights.shape[1]:
        return sorted((i, j) for j, i in assign(weights.T))
    n, m = weights.shape
    if n == 0:
        return []
    cost = np.zeros((n + 1, m + 1), np.int64)
    cost[1:, 1:] = weights.max() - weights
    rows, columns = np.zeros(n + 1, np.int64), np.zeros(m + 1, np.int64)  # potentials
    owner = np.zeros(m + 1, np.int64)  # the row that a column goes to; 0 is none
    for row in range(1, n + 1):
        _augment(row, cost, rows, columns, owner)
    pairs = ((int(owner[j]) - 1, j - 1) for j in range(1, m + 1) if owner[j])
    return sorted((i, j) for i, j in pairs if weights[i, j] > 0)


def _augment(row: int, cost: Any, rows: Any, columns: Any, owner: Any) -> None:
    """Give `row` a column, moving others where that costs least."""
    far = np.iinfo(np.int64).max // 2
    least, before = np.full(len(owner), far), np.zeros(len(owner), np.int64)
    seen = np.zeros(len(owner), bool)
    owner[0], at = row, 0
    while owner[at] or at == 0:
        seen[at] = True
        reduced = cost[owner[at]] - rows[owner[at]] - columns
        nearer = ~seen & (reduced < least)
        least[nearer], before[nearer] = reduced[nearer], at
        following = int(np.where(seen, far, least).argmin())
        step = least[following]
        rows[owner[seen]] += step
        columns[seen] -= step
        least[~seen] -= step
        at = following
    while at:
        owner[at], at = owner[before[at]], before[at]


def align(weights: Weights) -> Pairs:
    """The pairs of greatest total weight that keep the order of both sides (Needleman and Wunsch, 1970)."""
    n, m = weights.shape
    total = np.zeros((n + 1, m + 1), np.int64)
    for i in range(n):
        paired = total[i, :-1] + weights[i]
        total[i + 1, 1:] = np.maximum.accumulate(np.maximum(paired, total[i, 1:]))
    pairs, i, j = [], n, m
    while i and j:
        if total[i, j] == total[i - 1, j]:
            i -= 1
        elif total[i, j] == total[i, j - 1]:
            j -= 1
        else:
            i, j = i - 1, j - 1
            pairs.append((i, j))
    return pairs[::-1]
