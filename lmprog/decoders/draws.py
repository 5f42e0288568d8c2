"""Several draws of one hole, and one chosen among them: what `BestOf`, `Consistent` and `Arithmetic` have in common."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

from ..errors import BudgetError, EmptyLanguage, NoSample, SamplingError
from ..runtime.request import Result
from ..runtime.routine import Routine, one, together
from ..runtime.sampling import Sampling
from .base import Sample, check_decoder, derive_seed
from .certificate import Certificate, Particle
from .method import Method, Outcome, Problem, Tally
from .whole import at_least_one, number_of

T = TypeVar("T")
R = TypeVar("R")
DEAD_ENDS = "all {n} draws came to where the hole's monitor allows nothing more"


@dataclass(frozen=True, slots=True)
class Draw:
    """A value that was drawn: as an engine's result, its text, and what the program would get."""

    result: Result
    text: str
    value: Any


@dataclass(frozen=True)
class Drawing:
    """`n` values of the hole, drawn by the decoder `of`, independent of each other, and all at once. Draws that a
    monitor leads into a dead end take no part; NoSample where all are led there."""

    n: int = 8
    of: Sample | Method = field(default=Sample(), kw_only=True)

    def __post_init__(self) -> None:
        at_least_one(n=self.n)
        check_decoder(self.of)

    @property
    def choices(self) -> bool:
        return False

    @property
    def heals(self) -> bool:
        return isinstance(self.of, Sample) or self.of.heals

    def sampling(self) -> Sampling:
        return self.of.sampling()

    def drawn(self, problem: Problem, tally: Tally) -> Routine[list[Draw]]:
        """The draws that pass the hole's condition; where none does, the first, which is for the caller to refuse."""
        draws = yield from self.some(problem, tally, range(self.n))
        return self.kept(problem, draws)

    def kept(self, problem: Problem, draws: Sequence[Draw]) -> list[Draw]:
        """Those that pass, or the first one. Raises NoSample where there is none at all."""
        if not draws:
            raise NoSample(DEAD_ENDS.format(n=self.n))
        return [draw for draw in draws if problem.passes(draw.text)] or [draws[0]]

    def some(self, problem: Problem, tally: Tally, which: range) -> Routine[list[Draw]]:
        """Those of the n, whether they pass or not, but for those that a monitor led into a dead end."""
        seed = problem.request.sampling.seed
        problems = [_alone(problem, derive_seed(seed, "draw", i)) for i in which]
        check_draws(self, problem)
        results = yield from surviving(partial(_result, self.of), problems)
        return taken(problem, [result for result in results if result is not None], tally)


def surviving(make: Callable[[T], Routine[R]], items: Sequence[T]) -> Routine[list[R | None]]:
    """The routines made of all items, at once; None for one that a monitor led into a dead end. As an error ends a
    whole round, its halves are then done again by themselves; what they have computed is still in the cache."""
    try:
        return list((yield from together([make(item) for item in items])))
    except (BudgetError, EmptyLanguage):
        if len(items) == 1:
            return [None]
    half = len(items) // 2
    first = yield from surviving(make, items[:half])
    return first + (yield from surviving(make, items[half:]))


def check_draws(method: object, problem: Problem) -> None:
    """Raises SamplingError where nothing is drawn."""
    if problem.request.sampling.greedy:
        raise SamplingError(f"{type(method).__name__} draws: it needs a decoder and a hole of a temperature above 0")


def taken(problem: Problem, results: Sequence[Result], tally: Tally) -> list[Draw]:
    """Results as draws."""
    tally.add(results)
    texts = [problem.text(result.ids, result.state) for result in results]
    return [Draw(result, text, problem.hole.parse(text)) for result, text in zip(results, texts, strict=True)]


def grouped(draws: Sequence[Draw], key: Callable[[Draw], Hashable]) -> list[list[Draw]]:
    """Those of the same key together, in the order of the first of each."""
    groups: dict[Hashable, list[Draw]] = {}
    for draw in draws:
        groups.setdefault(key(draw), []).append(draw)
    return list(groups.values())


def chosen(groups: Sequence[Sequence[Draw]], scores: Sequence[float], tally: Tally) -> Outcome:
    """The first draw of the group of the best score, and of equal ones of the first."""
    count = sum([len(group) for group in groups])
    ranked = sorted(zip(scores, groups, strict=True), key=lambda pair: -pair[0])
    particles = [replace(particle(group, count), score=score) for score, group in ranked]
    return Outcome(tally.whole(ranked[0][1][0].result), Certificate(particles=tuple(particles)))


def particle(group: Sequence[Draw], count: int) -> Particle:
    """A group among so many draws."""
    share = len(group) / count
    return Particle(group[0].text, tuple(group[0].result.ids), share, math.log(share))


def number(score: float, text: str) -> float:
    """Raises SamplingError for a score that is none."""
    if math.isnan(value := number_of(score)):
        raise SamplingError(f"a score is a number, not {score!r} as for {text!r}")
    return value


def _alone(problem: Problem, seed: int | None) -> Problem:
    """With another seed, and watched by nobody."""
    sampling = replace(problem.request.sampling, seed=seed)
    return replace(problem, request=replace(problem.request, sampling=sampling, on_tokens=None))


def _result(of: Sample | Method, problem: Problem) -> Routine[Result]:
    if isinstance(of, Sample):
        return (yield from one(problem.request))
    return (yield from of.fill(problem)).result
