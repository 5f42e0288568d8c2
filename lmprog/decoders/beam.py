"""Beam search: the most probable value, by keeping the k best beginnings of values at every step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ..errors import NoSample, SamplingError
from ..runtime.routine import Routine
from ..runtime.sampling import Sampling, real
from .certificate import Certificate
from .exhaustive import Found
from .method import Outcome, Problem
from .places import Floats, Places, Row, logsum
from .whole import Undrawn, at_least_one, check_weighs


@dataclass(frozen=True)
class Beam(Undrawn):
    """Keeps the `k` most probable beginnings of values at every step and gives the best value that it comes to. All k
    are one batch. Each can be completed within the budget, so that none is lost at its end.

    length_penalty  values are ranked by log worth / tokens ** length_penalty: 0 is the most probable value, 1 that of
                    the greatest mean per token (Wu et al. 2016, "Google's Neural Machine Translation System")
    groups          the k are so many groups of equal size. At each step every group takes its tokens after the ones
                    before it, and a token counts `diversity` nats less for every time that those took it, at this step
                    (Vijayakumar et al. 2016, "Diverse Beam Search"). This decides which beginnings are kept only; no
                    value is found by two groups

    A value is worth what it is under `SMC` (see `lmprog.decoders.places`), in each of its spellings. With k as large as
    the number of beginnings of a length, nothing is left out and the best value is certain. Values that fail the hole's
    condition are passed over. Nothing is drawn: a seed or temperature of the hole changes nothing, and ties go to the
    smaller token.

    The certificate has the values found, the best first, `score` being what they are ranked by; their `share` is that
    among the values found.

    Raises SamplingError for settings that change single tokens (top_p, penalties), for k that groups do not divide;
    NoSample when no beginning that was kept led to a value that passes.
    """

    k: int = 4
    length_penalty: float = 0.0
    groups: int = 1
    diversity: float = 0.5

    def __post_init__(self) -> None:
        at_least_one(k=self.k, groups=self.groups)
        for name in ("length_penalty", "diversity"):
            value = getattr(self, name)
            if not 0 <= real(value) < math.inf:
                raise SamplingError(f"{name} is a finite number of 0 or more, not {value!r}")
        if self.k % self.groups:
            raise SamplingError(f"groups are of equal size: {self.k} beams are not {self.groups} groups")

    @property
    def choices(self) -> bool:
        return self.length_penalty == 0

    def fill(self, problem: Problem) -> Routine[Outcome]:
        check_weighs(self, problem)
        places = Places(replace(problem, request=replace(problem.request, sampling=Sampling(1.0))))
        groups = [Group(self.k // self.groups, [Found(places.start)]) for _ in range(self.groups)]
        while spots := [begun.spot for group in groups for begun in group.alive]:
            rows = iter((yield from places.rows(spots)))
            self._step(groups, [[next(rows) for _ in group.alive] for group in groups], places)
        found = sorted([value for group in groups for value in group.done], key=self.rank)
        if not found:
            raise NoSample(f"{self.k} beams came to no value that has a probability and passes: raise k")
        return self._outcome(found, places)

    def score(self, value: Found) -> float:
        length: float = max(1, len(value.spot.ids)) ** self.length_penalty
        return value.worth / length

    def rank(self, value: Found) -> tuple[float, tuple[int, ...]]:
        """The best comes first."""
        return -self.score(value), value.spot.ids

    def _step(self, groups: Sequence[Group], rows: Sequence[Sequence[Row]], places: Places) -> None:
        """All groups by a token; `rows` are those of their beginnings."""
        taken = np.zeros(places.problem.model.vocab.size)
        known = {value.key for group in groups for value in group.done}
        for group, given in zip(groups, rows, strict=True):
            ended, grown = group.extended(given, places, taken * self.diversity)
            ended += [begun for begun in grown if begun.finish is not None]
            group.alive = [begun for begun in grown if begun.finish is None][: group.width]
            new = [value for value in ended if value.key not in known and _passes(value, places.problem)]
            known |= {value.key for value in new}
            group.done = sorted([*group.done, *new], key=self.rank)[: group.width]
            np.add.at(taken, [begun.spot.ids[-1] for begun in group.alive], 1.0)
            if len(group.done) == group.width and self.score(group.done[-1]) >= self._most(group.alive):
                group.alive = []

    def _most(self, alive: Sequence[Found]) -> float:
        """No value that begins so can have a better score: worth only falls."""
        most = [begun.worth / (len(begun.spot.ids) + begun.spot.left) ** self.length_penalty for begun in alive]
        return max(most, default=-math.inf)

    def _outcome(self, found: Sequence[Found], places: Places) -> Outcome:
        best, problem = found[0], places.problem
        assert best.finish is not None
        whole = logsum(np.array([value.worth for value in found]))
        particles = [replace(value.particle(problem, whole), score=self.score(value)) for value in found]
        result = places.tally.result(best.spot.ids, best.finish, best.spot.state, best.logprobs, best.shares)
        return Outcome(result, Certificate(particles=tuple(particles)))


@dataclass
class Group:
    """Beams that are compared with each other: beginnings of values that are `alive`, and the best values so far."""

    width: int
    alive: list[Found]
    done: list[Found] = field(default_factory=list)

    def extended(self, rows: Sequence[Row], places: Places, penalty: Floats) -> tuple[list[Found], list[Found]]:
        """All values that end here, and the best with one more token: two for each beam, as some are complete.
        `penalty`: of every token."""
        given = [(begun, row, row.total) for begun, row in zip(self.alive, rows, strict=True)]
        ended = [begun.ended(row, total) for begun, row, total in given if row.end > -math.inf]
        scores = [np.zeros(0), *[begun.worth + row.weights - penalty[row.tokens] for begun, row, _ in given]]
        starts = np.cumsum([len(values) for values in scores])
        grown: list[Found] = []
        for at in best(np.concatenate(scores), 2 * self.width):
            which = int(np.searchsorted(starts, at, side="right")) - 1
            (begun, row, total), i = given[which], at - starts[which]
            after = begun.grown(int(row.tokens[i]), float(row.weights[i]), total, places)
            grown += [] if after is None else [after]
        return ended, grown


def best(scores: Floats, n: int) -> list[int]:
    """Where the n greatest are, the greatest first, the first of equal ones first; -inf is left out."""
    level = np.partition(scores, len(scores) - n)[len(scores) - n] if len(scores) > n else -math.inf
    picks = np.flatnonzero((scores >= level) & (scores > -math.inf))
    order: list[int] = picks[np.argsort(-scores[picks], kind="stable")][:n].tolist()
    return order


def _passes(value: Found, problem: Problem) -> bool:
    return problem.passes(problem.text(value.spot.ids, value.spot.state))
