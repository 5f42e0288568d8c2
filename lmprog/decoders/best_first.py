"""Best-first search: the most probable value of a hole, and proof of it."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from ..errors import NoSample
from ..runtime.routine import Routine
from ..runtime.sampling import Sampling
from .beam import best
from .certificate import Certificate
from .exhaustive import Found
from .method import Outcome, Problem
from .places import Places, Row, logsum
from .whole import Undrawn, at_least_one, check_weighs


@dataclass(frozen=True)
class BestFirst(Undrawn):
    """Finds the most probable value (Meister et al. 2020, "Best-First Beam Search"): of all beginnings of values, the
    most probable ones are continued first, `width` at a time, as one batch. No value is more probable than how it
    begins, so the search is over when the best value found is at least as probable as every beginning that is left.

    limit  of the beginnings and values that are looked at. When it is reached, the best value found is taken

    One of the `width` is always on its way to a value: from the most probable beginning on by the most probable tokens.
    So there soon is a value to compare with, and whatever the limit, the result is no less probable than the value that
    the most probable tokens lead to. What values are worth, and when they end: as for `SMC` at temperature 1 (see
    `lmprog.decoders.places`), in each of their spellings. Values that fail the hole's condition are passed over.
    Nothing is drawn: a seed or temperature of the hole changes nothing.

    `gap` of the certificate is how much more probable another value can be at most, in nats: 0 where the value is
    certain to be the most probable one. The particles are the values found, the best first, with the logarithm of their
    worth as `score`; their `share` is that among the values found.

    Raises SamplingError for settings that change single tokens (top_p, penalties); NoSample when nothing that was found
    passes.
    """

    limit: int = 1000
    width: int = 4

    def __post_init__(self) -> None:
        at_least_one(limit=self.limit, width=self.width)

    @property
    def choices(self) -> bool:
        return True

    def fill(self, problem: Problem) -> Routine[Outcome]:
        check_weighs(self, problem)
        places = Places(replace(problem, request=replace(problem.request, sampling=Sampling(1.0))))
        search = Search(places, self.limit)
        diver: Found | None = Found(places.start)
        while now := search.taken(diver, self.width):
            rows = yield from places.rows([begun.spot for begun in now])
            branches = [
                after(begun, row, places, max(1, self.limit - search.seen) + 1, search.best)
                for begun, row in zip(now, rows, strict=True)
            ]
            diver = search.dive(branches[0]) if diver or search.seen < self.limit else None
            for branch in branches:
                search.add(branch)
        return self._outcome(search)

    def _outcome(self, search: Search) -> Outcome:
        problem, found = search.places.problem, sorted(search.values, key=lambda value: (-value.worth, value.spot.ids))
        if not found:
            raise NoSample(f"no value that was found by looking at {search.seen} beginnings passes: raise limit")
        top = found[0]
        assert top.finish is not None
        whole = logsum(np.array([value.worth for value in found]))
        particles = tuple([replace(value.particle(problem, whole), score=value.worth) for value in found])
        result = search.places.tally.result(top.spot.ids, top.finish, top.spot.state, top.logprobs, top.shares)
        return Outcome(result, Certificate(gap=search.gap, particles=particles))


@dataclass
class Search:
    """What was not looked at yet, and the values found that pass.

    heap  for each beginning that was continued, its most probable continuation that is left, and the others behind it
    best  the logarithm of what the best value is worth
    seen  how many beginnings and values were looked at
    """

    places: Places
    limit: int
    heap: list[tuple[float, tuple[int, ...], Found, Iterator[Found]]] = field(default_factory=list)
    values: list[Found] = field(default_factory=list)
    best: float = -math.inf
    seen: int = 0

    @property
    def gap(self) -> float:
        return max(0.0, -self.heap[0][0] - self.best) if self.heap else 0.0

    def add(self, branch: Iterator[Found]) -> None:
        """Continuations of one beginning, the most probable first."""
        if (begun := next(branch, None)) is not None:
            heapq.heappush(self.heap, (-begun.worth, begun.spot.ids, begun, branch))

    def taken(self, diver: Found | None, width: int) -> list[Found]:
        """The beginnings to continue now; none where nothing can be better than the best value."""
        now = [] if diver is None else [diver]
        while len(now) < width and self.heap and -self.heap[0][0] > self.best and self.seen < self.limit:
            *_, begun, rest = heapq.heappop(self.heap)
            self.add(rest)
            now += self._looked_at(begun)
        return now

    def dive(self, branch: Iterator[Found]) -> Found | None:
        """The most probable continuation, if it is to be continued at once."""
        begun = next(branch, None)
        found = [] if begun is None or begun.worth <= self.best else self._looked_at(begun)
        return found[0] if found else None

    def _looked_at(self, begun: Found) -> list[Found]:
        """The beginning if it is one; values are kept if they pass."""
        self.seen += 1
        if begun.finish is None:
            return [begun]
        problem = self.places.problem
        if problem.passes(problem.text(begun.spot.ids, begun.spot.state)):
            self.values.append(begun)
            self.best = max(self.best, begun.worth)
        return []


def after(begun: Found, row: Row, places: Places, most: int, floor: float = -math.inf) -> Iterator[Found]:
    """The continuations of a beginning, of which `row` is, its end among them: at most so many, of a worth above the
    floor, the most probable first. The row, which may be large, is not kept."""
    total, values = row.total, np.append(row.weights, row.end)
    picks = np.array(best(values, most), np.int64)
    picks = picks[begun.worth + values[picks] > floor]
    ended, ends = begun.ended(row, total), picks == len(row.tokens)
    steps = zip(np.append(row.tokens, 0)[picks], values[picks], ends, strict=True)
    grown = (ended if end else begun.grown(int(token), float(w), total, places) for token, w, end in steps)
    return (found for found in grown if found is not None)
