"""Configurations that were tried, and what is best among them."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .samplers import Point
from .space import Choice
from .store import Outcome

ROUNDS = 30  # of the fit of configurations and rows
PULL = 0.3  # towards no effect of a row, in configurations that know it


def mean(outcomes: Collection[Outcome]) -> float:
    return math.fsum([outcome.score for outcome in outcomes]) / len(outcomes)


Total = Callable[[Collection[Outcome]], float]


@dataclass
class Trial:
    """One configuration: the values of the slots, and what came out of the rows it was run on.

    number   0 is the program as it was given
    values   of the slots that were searched; of the starting point, none
    full     it was run on all rows, not just on some minibatches
    total    what the score is of the outcomes: their mean
    """

    number: int
    values: dict[str, Any]
    choice: Choice | None = field(default=None, repr=False)
    outcomes: dict[int, Outcome] = field(default_factory=dict, repr=False)
    full: bool = False
    total: Total = field(default=mean, repr=False)

    @property
    def score(self) -> float:
        """Of the rows so far; NaN where there are none."""
        return self.total(self.outcomes.values()) if self.outcomes else math.nan

    @property
    def tokens(self) -> float:
        """Of prompt and values, a row in the mean."""
        return math.fsum([o.tokens for o in self.outcomes.values()]) / max(1, len(self.outcomes))

    @property
    def rows(self) -> int:
        return len(self.outcomes)

    @property
    def errors(self) -> list[str]:
        """Why rows failed."""
        return [o.error for o in self.outcomes.values() if o.error]


def best(trials: Iterable[Trial]) -> Trial | None:
    """Of those run on all rows: the highest score, then the fewest tokens, then the earliest."""
    full = [trial for trial in trials if trial.full]
    return min(full, key=lambda trial: (-trial.score, trial.tokens, trial.number), default=None)


def pareto(trials: Iterable[Trial]) -> list[Trial]:
    """Of those run on all rows, the ones that no other beats in score and tokens, cheapest first."""
    front: list[Trial] = []
    for trial in sorted([t for t in trials if t.full], key=lambda t: (t.tokens, -t.score, t.number)):
        if not front or trial.score > front[-1].score:
            front.append(trial)
    return front


def points(trials: Sequence[Trial], rows: int) -> list[Point]:
    """What samplers see of the trials, of which there are some on all `rows` rows."""
    pairs = zip(trials, estimates(trials, rows), strict=True)
    return [Point(trial.choice, *estimate) for trial, estimate in pairs if trial.choice is not None]


def estimates(trials: Sequence[Trial], rows: int) -> list[tuple[float, float]]:
    """Of each trial the score as if all had been run on the same rows, and the variance of its noise.

    Scores on some rows only are put right by how hard those rows are: trials and rows are fitted with an effect each.
    The noise is that of a mean of so many rows, less what a finite number of rows takes away.
    """
    if all(trial.full for trial in trials):
        return [(trial.score, 0.0) for trial in trials]
    table = np.full((len(trials), rows), np.nan)
    places: dict[int, int] = {}
    for n, trial in enumerate(trials):
        for row, outcome in trial.outcomes.items():
            table[n, places.setdefault(row, len(places))] = outcome.score
    effects, rest = _fitted(table[:, : len(places)])
    spread = float(np.nanvar(rest))
    noise = [spread / trial.rows * (1 - trial.rows / rows) for trial in trials]
    return list(zip(effects.tolist(), noise, strict=True))


def _fitted(table: Any) -> tuple[Any, Any]:
    """Effects of the table's lines (float64[configurations], with the mean), and what they and the columns leave."""
    mean = np.nanmean(table)
    lines, columns = np.zeros(len(table)), np.zeros(table.shape[1])
    weights = np.isfinite(table).sum(axis=0)
    for _ in range(ROUNDS):
        lines = np.nanmean(table - mean - columns, axis=1)
        columns = np.nansum(table - mean - lines[:, None], axis=0) / (weights + PULL)
    return mean + lines, table - mean - lines[:, None] - columns
