"""One pass of particles through a hole: extend all by a token, weigh, resample, until all values are complete.

At every moment the particles stand for the values so far, each weighing

    worth of its tokens × what is said of its text so far (Prefix) × what the twists expect to follow

and, complete, its worth × its potentials. A token is drawn by its probability × what is known of it beforehand: what
the twists say of all tokens and, where few may come, what the functions say of each text. What was drawn with makes up
the weight (Lew et al. 2023, "Sequential Monte Carlo Steering of Large Language Models using Probabilistic Programs";
Loula et al. 2025, "Syntactic and Semantic Control of Large Language Models via Sequential Monte Carlo").

The sum of all weights at the end has the expectation Z, whatever the number of particles, the twists and the
resampling. Particles with the same text so far share one row of the model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..runtime.request import Finish
from ..runtime.routine import Routine
from .awrs import awrs
from .places import Floats, Places, Row, Spot, drawn, logsum
from .potentials import AHEAD, Judge
from .resample import ess, multinomial, systematic, thinned

LEAST = -1e300  # stands for the logarithm of nothing


@dataclass(frozen=True, slots=True)
class Walker:
    """A value under way. `shape`: what its weight holds of functions and twists that only guide it."""

    spot: Spot
    logweight: float
    shape: float
    minds: tuple[Any, ...]
    logprobs: tuple[float, ...] = ()
    masked: tuple[float, ...] = ()
    finish: Finish | None = None

    @property
    def alive(self) -> bool:
        return self.finish is None and self.logweight > -math.inf


@dataclass(frozen=True, slots=True)
class Fan:
    """What may come of a spot: logarithmic weights of the row's tokens and of the end, what of each is `used` of
    functions and twists, the logarithm of the sum, and running sums in proportion."""

    row: Row
    weights: Floats
    used: Floats
    total: float
    ends: Floats


@dataclass
class Swept:
    """The particles of a pass, all complete, or without weight; log of the estimate of Z; ESS after each step."""

    walkers: list[Walker]
    logZ: float
    ess: tuple[float, ...]


class Sweep:
    """Passes over one problem.

    lazy   the language, too, is asked about single tokens only
    ends   characters that end a step; None: every token is one
    """

    def __init__(
        self, places: Places, judge: Judge, rng: np.random.Generator, lazy: bool = False, ends: str | None = None
    ) -> None:
        self.places, self.judge, self.rng, self.lazy, self.ends = places, judge, rng, lazy, ends

    def run(self, n: int, expand: int, threshold: float, keep: Sequence[int | None] | None = None) -> Routine[Swept]:
        """n particles, each tried in `expand` ways at every step; resampled when their effective number falls below
        threshold × n. With `keep`, tokens and (None) the end of a value, the first particle is that value, and comes
        through every resampling (conditional SMC: Andrieu et al. 2010, "Particle Markov chain Monte Carlo methods")."""
        minds = self.judge.start()
        shape = self.judge.so_far(self.places.start) + self.judge.guess(minds)
        walkers = [Walker(self.places.start, shape - math.log(n), shape, minds)] * n
        trace: list[float] = []
        while any([walker.alive for walker in walkers]):
            walkers = yield from self._step(walkers, expand, keep)
            walkers = yield from self._stepped(walkers, keep)
            weights = np.array([walker.logweight for walker in walkers])
            if weights.max() == -math.inf:
                return Swept([], -math.inf, (*trace, 0.0))
            trace.append(ess(weights))
            if any([walker.alive for walker in walkers]):
                walkers = self._resampled(walkers, weights, n, trace[-1] < threshold * n, keep is not None)
        done = [walker for walker in walkers if walker.logweight > -math.inf]
        return Swept(done, logsum(np.array([walker.logweight for walker in done])), tuple(trace))

    def _resampled(self, walkers: list[Walker], weights: Floats, n: int, few: bool, keep: bool) -> list[Walker]:
        if len(walkers) > n:
            chosen, left = thinned(weights, n, self.rng)
            return [replace(walkers[i], logweight=w) for i, w in zip(chosen.tolist(), left.tolist(), strict=True)]
        if not few:
            return walkers
        shares = np.exp(weights - weights.max())
        level = logsum(weights) - math.log(n)
        if keep:
            numbers = [0, *multinomial(shares, n - 1, self.rng).tolist()]
        else:
            numbers = systematic(shares, n, self.rng).tolist()
        return [replace(walkers[i], logweight=level) for i in numbers]

    def _stepped(self, walkers: list[Walker], keep: Sequence[int | None] | None) -> Routine[list[Walker]]:
        """All of them at the end of their step, or of their value."""
        while under_way := [i for i, walker in enumerate(walkers) if walker.alive and not self._ends(walker)]:
            first = keep if under_way[0] == 0 else None
            moved = yield from self._step([walkers[i] for i in under_way], 1, first)
            for i, walker in zip(under_way, moved, strict=True):
                walkers[i] = walker
        return walkers

    def _ends(self, walker: Walker) -> bool:
        """Whether its last token has ended a step."""
        if self.ends is None:
            return True
        spot, problem = walker.spot, self.places.problem
        before = len(problem.text(spot.ids[:-1], None))
        return any([char in self.ends for char in problem.text(spot.ids, spot.state)[before:]])

    def _step(self, walkers: Sequence[Walker], expand: int, keep: Sequence[int | None] | None) -> Routine[list[Walker]]:
        spots = [walker.spot for walker in walkers if walker.alive]
        masked = not self.lazy or keep is not None
        rows = dict(zip(spots, (yield from self.places.rows(spots, masked=masked)), strict=True))
        fans: dict[Spot, Fan] = {}
        after: list[Walker] = []
        for i, walker in enumerate(walkers):
            if not walker.alive:
                after.append(walker)
                continue
            if walker.spot not in fans:
                fans[walker.spot] = self._fan(walker, rows[walker.spot])
            for _ in range(expand):
                token = keep[len(walker.spot.ids)] if keep is not None and i == 0 else -1
                lighter = replace(walker, logweight=walker.logweight - math.log(expand))
                after.append(self._extended(lighter, fans[walker.spot], token))
        return after

    def _fan(self, walker: Walker, row: Row) -> Fan:
        tokens, judge = row.tokens, self.judge
        used = np.zeros(len(tokens) + 1)
        if judge.twisted:
            used[:-1] = judge.ahead(walker.minds, tokens)
        if row.end > -math.inf and self.places.may_end(walker.spot):
            used[-1] = judge.whole(walker.spot)
        if (judge.looks or judge.twisted) and len(tokens) <= AHEAD and not row.unmasked:
            for i in np.flatnonzero(row.weights > -math.inf).tolist():
                spot = self.places.after(walker.spot, int(tokens[i]))
                assert spot is not None
                over = self.places.over(spot) is not None
                used[i] = judge.whole(spot) if over else used[i] + judge.so_far(spot)
        weights = np.append(row.weights, row.end) + used
        total = logsum(weights)
        return Fan(row, weights, used, total, np.exp(weights - max(total, LEAST)).cumsum())

    def _extended(self, walker: Walker, fan: Fan, token: int | None) -> Walker:
        """By the given token or (None) the end; -1: by one that is drawn."""
        row, n, total = fan.row, len(fan.row.tokens), fan.total
        if total == -math.inf:
            return replace(walker, logweight=-math.inf)
        if token is None:
            at = n
        elif token >= 0:
            at = int(np.searchsorted(row.tokens, token))
        elif row.unmasked or (self.judge.guides and n > AHEAD):
            found = awrs(fan.weights, lambda i: self._passes(walker.spot, row, i), self.rng)
            if found is None:
                return replace(walker, logweight=-math.inf)
            at, total = found
        else:
            at = drawn(fan.ends, self.rng.random())
        gained, masked = total - float(fan.used[at]), min(0.0, float(fan.weights[at]) - total)
        return self._arrived(walker, row, at, gained, masked)

    def _arrived(self, walker: Walker, row: Row, at: int, gained: float, masked: float) -> Walker:
        """Behind the row's token number `at`, or at the end; `gained`: weight, but for what is said of it there."""
        before, spot = walker.logweight - walker.shape + gained, walker.spot
        after = None if at == len(row.tokens) else self.places.after(spot, int(row.tokens[at]))
        if after is None:
            weight = before + self.judge.whole(spot)
            return replace(walker, logweight=weight, finish="length" if spot.left <= 0 else "stop")
        probs = (*walker.logprobs, float(row.weights[at])), (*walker.masked, masked)
        if (finish := self.places.over(after)) is not None:
            return Walker(after, before + self.judge.whole(after), 0.0, (), *probs, finish)
        minds = self.judge.advance(walker.minds, int(row.tokens[at]))
        shape = self.judge.so_far(after) + self.judge.guess(minds)
        return Walker(after, before + shape, shape, minds, *probs)

    def _passes(self, spot: Spot, row: Row, at: int) -> bool:
        """Whether a token, or the end, can be part of a value of any weight."""
        ends = at == len(row.tokens)
        after = None if ends else self.places.after(spot, int(row.tokens[at]))
        if after is None:  # the end, or a token that leaves the language, and so ends an open value
            ends = ends or self.places.problem.request.open_end
            return ends and self.places.may_end(spot) and self.judge.whole(spot) > -math.inf
        if self.places.over(after) is not None:
            return self.judge.whole(after) > -math.inf
        return self.places.fits(after) and self.judge.so_far(after) > -math.inf
