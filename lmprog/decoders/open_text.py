"""Open text that does not go round in circles: the best of a few probable tokens, less a penalty for repetition."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import SamplingError
from ..runtime.routine import Routine
from ..runtime.sampling import Sampling, real
from .beam import best
from .blending import outcomes, places_of, stepwise
from .method import Outcome, Problem
from .places import Floats, Row, Spot
from .whole import Undrawn, at_least_one, check_weighs


class NGrams:
    """What came behind which tokens, up to `n` in all, in the `ids` so far."""

    def __init__(self, n: int) -> None:
        self.n = n
        self.ids: list[int] = []
        self._after: dict[tuple[int, ...], Counter[int]] = defaultdict(Counter)

    def extend(self, ids: Sequence[int]) -> None:
        for token in ids:
            for size in range(min(self.n, len(self.ids) + 1)):
                self._after[self.last(size)][token] += 1
            self.ids.append(token)

    def last(self, size: int) -> tuple[int, ...]:
        return tuple(self.ids[len(self.ids) - size :])

    def after(self, size: int) -> Counter[int]:
        """What came behind the last so many tokens, where they came before."""
        return self._after.get(self.last(size), Counter()) if size <= len(self.ids) else Counter()

    def depth(self, token: int) -> int:
        """How many tokens, `token` the last of them, would repeat what is there; n at most."""
        return next((size + 1 for size in reversed(range(self.n)) if token in self.after(size)), 0)


Score = Callable[
    [float, int | None, NGrams], float
]  # of a token's probability under the mask, the token (None: the end)


@dataclass(frozen=True)
class OpenText(Undrawn):
    """Takes, token by token, the best of the `k` most probable ones under the mask. Where the value may end, its end is
    one of them, and has no penalty.

    The text so far is the prompt and the value. Nothing is drawn: a seed or temperature of the hole changes nothing.
    Raises SamplingError for settings that change single tokens (top_p, penalties); NoSample where a monitor leads into
    a dead end.
    """

    alpha: float = 0.0
    k: int = 1
    n: int = 1

    def __post_init__(self) -> None:
        at_least_one(k=self.k, n=self.n)
        if not 0 <= real(self.alpha) < math.inf:
            raise SamplingError(f"alpha is a finite number of 0 or more, not {self.alpha!r}")

    def filled(self, problem: Problem, score: Score) -> Routine[Outcome]:
        check_weighs(self, problem)
        before, text = len(problem.request.ids), NGrams(self.n)
        text.extend(problem.request.ids)

        def blend(spot: Spot, rows: Sequence[Row]) -> Floats:
            (row,) = rows
            text.extend(spot.ids[len(text.ids) - before :])
            logs = outcomes(row)
            weights = np.full(len(logs), -math.inf)
            for at in best(logs, self.k):
                token = int(row.tokens[at]) if at < len(row.tokens) else None
                weights[at] = score(math.exp(logs[at] - row.total), token, text)
            return weights

        return (yield from stepwise([places_of(problem)], blend, Sampling()))


@dataclass(frozen=True)
class FSD(OpenText):
    """Keeps open text from repeating itself (Yang et al. 2023, "A Frustratingly Simple Decoding Method for Neural Text
    Generation"): a token scores

        (1 - alpha) × its probability - alpha × its probability under an n-gram model of the text so far

    The n-gram model gives a token, from the longest context behind which it has come down to none, `smoothing` of what
    is left of 1 × its share of what came behind that context (of one more where there is a context); the shortest one
    gets all that is left. See `OpenText` for the rest. Of the two forms of the paper this is the discrete one.
    """

    alpha: float = 0.4
    k: int = 3
    n: int = 2
    smoothing: float = 0.9

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("alpha", "smoothing"):
            if not 0 <= real(getattr(self, name)) <= 1:
                raise SamplingError(f"{name} lies in [0, 1], not {getattr(self, name)!r}")

    def fill(self, problem: Problem) -> Routine[Outcome]:
        return (yield from self.filled(problem, self._score))

    def _score(self, chance: float, token: int | None, text: NGrams) -> float:
        return (1 - self.alpha) * chance - self.alpha * (0.0 if token is None else self._known(token, text))

    def _known(self, token: int, text: NGrams) -> float:
        """The probability of the token under the n-gram model."""
        found, left = 0.0, 1.0
        for size in reversed(range(self.n)):
            after = text.after(size)
            if token in after:
                share = after[token] / (after.total() + (size > 0))
                found += left * share * (self.smoothing if size else 1.0)
                left *= 1 - self.smoothing
        return found


@dataclass(frozen=True)
class Momentum(OpenText):
    """Keeps open text from going round in circles (Lan et al. 2022, "Momentum Decoding: Open-ended Text Generation As
    Graph Exploration"): a token scores

        its probability - alpha × the resistance

    which is 0 for a token that is not in the text so far, 1 for one that is there, and d + 1 where the last d tokens
    with it, 2 to n, are there already: the longer the circle, the more. See `OpenText` for the rest.
    """

    alpha: float = 0.2
    k: int = 5
    n: int = 5

    def fill(self, problem: Problem) -> Routine[Outcome]:
        return (yield from self.filled(problem, self._score))

    def _score(self, chance: float, token: int | None, text: NGrams) -> float:
        depth = 0 if token is None else text.depth(token)
        return chance - self.alpha * (depth + (depth > 1))
