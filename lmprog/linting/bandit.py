"""Which of many arms is best and which is worst, when each look at one costs: a bandit with two goals at once.

A look is one arm on one row. All arms go through the rows in the same random order, so that they are compared on the
same rows as far as they got; what is left of the rows' own difficulty is estimated with the arms (an additive model)
and taken out. Each round draws from the Beta posteriors of all arms (Thompson 1933), by turns for the greatest and for
the least mean; the arms that win the draws get a look. A posterior counts looks by how much they tell: for scores that
vary little from row to row a look is worth many of scores that are 0 or 1, and the prior few.

Considered: successive halving for each end, which on planted landscapes of 40 to 320 arms and a fifth of all looks
found the two ends less often (half as many failures with Thompson sampling), and top-two sampling, which made no
difference.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Look = tuple[int, int]  # an arm and a row
BATCH = 16  # looks that are decided on together
REFERENCE = 20  # that part of the budget is for arm 0,
SETTLE = 5  # and that part, at the end, for what seems best and worst by then
FIRST = 2  # looks at each arm to begin with
PRIOR = 3.0  # looks that the prior, the mean of all arms, is worth at most
ROW_PRIOR = 4.0
MOST = 1e4  # looks at scores of 0 and 1 that one look may be worth


class Bandit:
    """`arms` by `rows`; `search` gives what to look at, `tell` takes the scores."""

    def __init__(self, arms: int, rows: int, seed: int) -> None:
        self.arms, self.rows = arms, rows
        self._rng = np.random.default_rng(seed)
        self._order = self._rng.permutation(rows)
        self._seen: list[tuple[int, int, float]] = []
        self.counts = np.zeros(arms, np.int64)

    def search(self, budget: int) -> Iterator[list[Look]]:
        """All that is to be looked at, in batches; the scores of one are told before the next is asked for."""
        looks = list(self._first(budget // REFERENCE))
        while looks:
            yield looks
            budget -= len(looks)
            looks = self._ask(min(BATCH, budget), settle=budget <= min(2 * self.rows, self.counts.sum() // SETTLE))

    def _first(self, reference: int) -> Iterator[Look]:
        """Two looks at each arm, and more at arm 0, with which others are compared."""
        for _ in range(min(FIRST, self.rows)):
            for arm in self._rng.permutation(self.arms).tolist():
                yield self._next(arm)
        while self.counts[0] < min(reference, self.rows):
            yield self._next(0)

    def _ask(self, size: int, *, settle: bool) -> list[Look]:
        """Up to `size` looks, (arm, row); none when everything has been looked at. `settle`: at what seems best and
        worst now, so that it is known better, or given up."""
        means, weights = self.means(), self._weights()
        found: list[Look] = []
        while len(found) < size and (left := self.counts < self.rows).any():
            drawn = means if settle else self._rng.beta(means * weights, (1 - means) * weights)
            sign = 1 if len(found) % 2 else -1
            found.append(self._next(int(np.argmax(np.where(left, sign * drawn, -np.inf)))))
        return found

    def tell(self, arm: int, row: int, score: float) -> None:
        self._seen.append((arm, row, score))

    def _next(self, arm: int) -> Look:
        row = int(self._order[self.counts[arm]])
        self.counts[arm] += 1
        return arm, row

    # -- what is known ---------------------------------------------------------------------------------------------

    def ends(self) -> tuple[int, int]:
        """The arms of the greatest and of the least mean."""
        means = self._fit()[0]
        return int(np.argmax(means)), int(np.argmin(means))

    def means(self) -> Floats:
        """Of each arm, between 0 and 1 (of the scores so far) and drawn towards the mean of all."""
        low, high = self._range()
        return np.asarray(np.clip((self._fit()[0] - low) / (high - low), 0.02, 0.98), np.float64)

    def _weights(self) -> Floats:
        """How many looks at scores of 0 and 1 each posterior is worth."""
        low, high = self._range()
        arms, prior, noise = self._fit()
        mean = float(np.clip((arms.mean() - low) / (high - low), 0.1, 0.9))
        worth = float(np.clip(mean * (1 - mean) / max(noise / (high - low) ** 2, 1e-9), 1, MOST))
        looked = np.bincount([arm for arm, _, _ in self._seen], minlength=self.arms)
        return np.asarray((looked + prior) * worth, np.float64)

    def _range(self) -> tuple[float, float]:
        scores = [score for _, _, score in self._seen]
        low, high = min([0.0, *scores]), max([1.0, *scores])
        return low, high

    def _fit(self) -> tuple[Floats, float, float]:
        """Means of arms, looks that the prior is worth, and the variance of what arms and rows leave over, by a few
        rounds of ridge regression. The prior is worth less where arms differ by more than looks at one arm do."""
        arm, row = np.array([seen[:2] for seen in self._seen], np.int64).T
        score = np.array([seen[2] for seen in self._seen], np.float64)
        per_arm, per_row = np.bincount(arm, minlength=self.arms), np.bincount(row, minlength=self.rows)
        seen, middle, prior = per_arm > 0, float(score.mean()), PRIOR
        rows: Floats = np.zeros(self.rows)
        for _ in range(6):
            sums = np.bincount(arm, score - rows[row], self.arms)
            arms: Floats = (sums + prior * middle) / (per_arm + prior)
            rows = np.bincount(row, score - arms[arm], self.rows) / (per_row + ROW_PRIOR)
            rows = rows - rows[per_row > 0].mean()
            left = score - arms[arm] - rows[row]
            noise = float((left**2).sum() / max(1.0, len(score) - np.count_nonzero(seen) / 2))
            apart = ((sums[seen] / per_arm[seen] - middle) ** 2 - noise / per_arm[seen]).mean()
            prior = min(PRIOR, max(noise, 1e-9) / max(float(apart), 1e-9))
        return arms, prior, noise
