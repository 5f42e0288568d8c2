"""Scores over grids of choices, whose best one is known."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from lmprog.tuning.budget import Budget
from lmprog.tuning.samplers import sampler
from lmprog.tuning.search import Search
from lmprog.tuning.space import Space
from lmprog.tuning.store import Outcome, Store

SIZES = (3, 4, 3, 4)
NAMES = ("first.instruction", "first.examples", "second.instruction", "second.examples")
GRID = np.array(list(itertools.product(*map(range, SIZES))))
SPACE = Space.of({name: [f"{name} {n}" for n in range(size)] for name, size in zip(NAMES, SIZES, strict=True)})
Landscape = Callable[[np.random.Generator], Any]  # float64[144]


def additive(rng: np.random.Generator) -> Any:
    return sum(rng.normal(size=size)[GRID[:, slot]] for slot, size in enumerate(SIZES))


def modules(rng: np.random.Generator) -> Any:
    """Each module has a table of its own; both scores add up."""
    first, second = rng.normal(size=(3, 4)), rng.normal(size=(3, 4))
    return first[GRID[:, 0], GRID[:, 1]] + second[GRID[:, 2], GRID[:, 3]]


def product(rng: np.random.Generator) -> Any:
    """Both modules have to be right."""
    first, second = rng.uniform(size=(3, 4)), rng.uniform(size=(3, 4))
    return first[GRID[:, 0], GRID[:, 1]] * second[GRID[:, 2], GRID[:, 3]]


def pairs(rng: np.random.Generator) -> Any:
    """Main effects, and interactions of all pairs."""
    scores = additive(rng)
    for i, j in itertools.combinations(range(4), 2):
        scores = scores + 0.7 * rng.normal(size=(SIZES[i], SIZES[j]))[GRID[:, i], GRID[:, j]]
    return scores


def planted(rng: np.random.Generator) -> Any:
    """The share of slots that are right, and of modules that are."""
    right = GRID == [rng.integers(size) for size in SIZES]
    return 0.25 * right.mean(axis=1) + 0.375 * right[:, :2].all(axis=1) + 0.375 * right[:, 2:].all(axis=1)


def noisy(rng: np.random.Generator) -> Any:
    """Shares of 40 rows that are right."""
    scores = additive(rng)
    return rng.binomial(40, 0.2 + 0.6 * (scores - scores.min()) / np.ptp(scores)) / 40


LANDSCAPES: dict[str, Landscape] = {f.__name__: f for f in (additive, modules, product, pairs, planted, noisy)}


class Found(Exception):
    """The best configuration was tried."""


def evaluations(landscape: Landscape, method: str, seed: int) -> int:
    """How many configurations of the grid are tried until its best one is found; the first is drawn at random."""
    scores = landscape(np.random.default_rng(1000 + seed))
    start = tuple(GRID[np.random.default_rng(seed).integers(len(GRID))].tolist())
    tried = 0

    def score(choice: Sequence[int], _: int) -> float:
        nonlocal tried
        tried += 1
        if scores[place(choice)] == scores.max():
            raise Found
        return float(scores[place(choice)])

    with suppress(Found):
        searching(score, method=method, seed=seed, start=start).run()
    return tried


def place(choice: Sequence[int]) -> int:
    return int(np.ravel_multi_index(tuple(choice), SIZES))


def searching(
    score: Callable[[Sequence[int], int], float],
    *,
    method: str = "joint",
    rows: int = 1,
    seed: int = 0,
    budget: Budget | None = None,
    store: Store | None = None,
    start: tuple[int, ...] = (0, 0, 0, 0),
    asked: list[tuple[tuple[int, ...], int]] | None = None,
    **more: Any,
) -> Search:
    """A search whose score is a function of choice and row; each row costs 10 tokens."""

    def objective(values: Mapping[str, Any], numbers: Sequence[int]) -> list[Outcome]:
        choice = SPACE.find(values or SPACE.values(start))
        assert choice is not None
        if asked is not None:
            asked.extend((choice, row) for row in numbers)
        return [Outcome(row, score(choice, row), 10) for row in numbers]

    how = sampler(method, SPACE, seed)
    spending = budget or Budget()
    default = SPACE.values(start)
    return Search(
        SPACE, objective, range(rows), how, spending, store or Store(None), seed=seed, default=default, **more
    )
