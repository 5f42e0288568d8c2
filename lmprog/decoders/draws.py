"""Several draws of one hole, and one chosen among them: what `BestOf`, `Consistent` and `Arithmetic` have in common."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import SamplingError
from ..runtime.request import Result
from ..runtime.routine import Routine, one, together
from ..runtime.sampling import Sampling
from .base import Sample, check_decoder, derive_seed
from .certificate import Certificate, Particle
from .method import Method, Outcome, Problem, Tally
from .whole import at_least_one


@dataclass(frozen=True, slots=True)
class Draw:
    """A value that was drawn: as an engine's result, its text, and what the program would get."""

    result: Result
    text: str
    value: Any


@dataclass(frozen=True)
class Drawing:
    """`n` values of the hole, drawn by the decoder `of`, independent of each other, and all at once."""

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
        return [draw for draw in draws if problem.passes(draw.text)] or draws[:1]

    def some(self, problem: Problem, tally: Tally, which: range) -> Routine[list[Draw]]:
        """Those of the n, whether they pass or not."""
        seed = problem.request.sampling.seed
        problems = [_alone(problem, derive_seed(seed, "draw", i)) for i in which]
        check_draws(self, problem)
        return taken(problem, (yield from together([_result(self.of, problem) for problem in problems])), tally)


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
    if math.isnan(value := float(score)):
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
