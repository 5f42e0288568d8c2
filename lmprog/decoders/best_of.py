"""Several values of a hole, of which the best is taken."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import SamplingError
from ..runtime.request import Request, asks_of
from ..runtime.routine import Routine
from ..runtime.sampling import Sampling, real
from .base import Sample
from .draws import Draw, Drawing, chosen, grouped, number
from .method import Method, Outcome, Problem, Tally
from .places import Places, Spot
from .potentials import Also, prompts
from .whole import at_least_one, number_of

Score = Callable[[Any], float]


@dataclass(frozen=True)
class BestOf(Drawing):
    """Draws `n` values, all at once, and takes the one of the best `score`; of equal ones the one drawn first.

    score  None: the logarithm of the value's worth under the model (see `lmprog.decoders.places`). `Also(prompt,
           power)`: the same, plus power × that behind another prompt. Or a function of the value, as the program gets
           it, called on the engine's thread once for each text that was drawn
    of     what each value is drawn by: `Sample(...)`, or a method that draws, as `ASAp`
    stop   None: n are drawn. Or a function of the score: how probable it is that a value of that score is right, as
           `lp.VennAbers.fit(scores, right)`. Then `batch` values are drawn at once, until the best is right with a
           probability of `enough`, or n are drawn

    Values that fail the hole's condition are passed over; if all do, the hole is filled again, as under `Sample`. The
    value is the best of what was drawn, not of all: with F the share of values of at most its score, one of a score of
    at most that comes with a probability of F ** n. The certificate has the different values that were drawn, the best
    first, with their share of the draws and their `score`.

    With `stop`, let q be the share of draws that are good enough. In batches of one the value is drawn from among
    these, exactly as by rejection, with a probability of 1 - (1 - q) ** n, and is the best of n others otherwise; in
    larger batches it is the best of its batch. `mean_draws(q)` values are drawn on average, and they are the same as
    without `stop`; the certificate has the number `drawn`. The value that is kept is right as probably as `stop` says
    if it was fitted on draws of the same kind, and if nothing but its score says whether a value is right: where
    prompts differ in how often a score is right, it holds on average over draws, not for the values kept.

    Raises SamplingError at temperature 0, for a score that is no number, and without a function for a model that does
    not tell its probabilities.
    """

    score: Score | Also | None = None
    stop: Callable[[float], float] | None = field(default=None, kw_only=True, hash=False)
    enough: float = field(default=0.9, kw_only=True)
    batch: int = field(default=4, kw_only=True)
    of: Sample | Method = field(default=Sample(), kw_only=True)  # named again for readers of annotations in this module

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.score is None or isinstance(self.score, Also) or callable(self.score)):
            raise SamplingError(f"a score is a function of the value, Also(prompt) or None, not {self.score!r}")
        if not (self.stop is None or callable(self.stop)):
            raise SamplingError(
                "stop is a function that gives the probability that a value of a score is right, as "
                f"lp.VennAbers.fit(scores, right), not {self.stop!r}"
            )
        at_least_one(batch=self.batch)
        if not 0 <= real(self.enough) <= 1:
            raise SamplingError(f"enough is a probability, not {self.enough!r}")

    @property
    def heals(self) -> bool:
        return super().heals and not isinstance(self.score, Also)

    def fill(self, problem: Problem) -> Routine[Outcome]:
        tally, scores = Tally(), dict[Hashable, float]()
        drawn, count = list[Draw](), 0
        passing: list[Draw] = []
        size = self.batch if self.stop else self.n
        while count < self.n:
            which = range(count, min(count + size, self.n))
            draws = yield from self.some(problem, tally, which)
            drawn, count = drawn + draws, which.stop
            passing += [draw for draw in draws if problem.passes(draw.text)]
            yield from self._scored(problem, passing, scores, tally)
            if self._good(scores):
                break
        draws = self.kept(problem, drawn)
        yield from self._scored(problem, draws, scores, tally)
        groups = grouped(draws, self._key)
        outcome = chosen(groups, [scores[self._key(group[0])] for group in groups], tally)
        assert outcome.certificate is not None
        return replace(outcome, certificate=replace(outcome.certificate, drawn=count))

    def mean_draws(self, share: float) -> float:
        """How many values are drawn on average, where that share of all draws is good enough to stop."""
        if not 0 <= share <= 1:
            raise SamplingError(f"a share lies in [0, 1], not {share!r}")
        size = self.batch if self.stop else self.n
        return sum([min(size, self.n - begin) * (1 - share) ** begin for begin in range(0, self.n, size)])

    def _key(self, draw: Draw) -> Hashable:
        """Draws of the same have the same score."""
        by_model = self.score is None or isinstance(self.score, Also)
        return (tuple(draw.result.ids), draw.result.finish) if by_model else draw.text

    def _scored(
        self, problem: Problem, draws: Sequence[Draw], scores: dict[Hashable, float], tally: Tally
    ) -> Routine[None]:
        """Those that have no score yet get one."""
        new = {self._key(draw): draw for draw in reversed(draws) if self._key(draw) not in scores}
        if not new:
            return
        if self.score is None or isinstance(self.score, Also):
            values = yield from worths(problem, list(new.values()), self.score, tally)
        else:
            values = [number(self.score(draw.value), draw.text) for draw in new.values()]
        scores |= dict(zip(new, values, strict=True))

    def _good(self, scores: Mapping[Hashable, float]) -> bool:
        """Whether the best is right as probably as it has to be."""
        if not (self.stop and scores):
            return False
        best = max(scores.values())
        sure = number_of(said := self.stop(best))
        if not 0 <= sure <= 1:
            raise SamplingError(
                f"stop gives the probability that a value of a score is right, not {said!r} as for {best!r}"
            )
        return sure >= self.enough


def worths(problem: Problem, draws: Sequence[Draw], also: Also | None, tally: Tally) -> Routine[list[float]]:
    """The logarithms of what the draws are worth, their ends included."""
    if not problem.model.scores:
        raise SamplingError(f"{problem.model.name} does not tell how probable given tokens are: score by a function")
    problem = replace(problem, request=replace(problem.request, sampling=Sampling(1.0)))
    places = Places(problem, prompts([also] if also else [], problem))
    found = [0.0] * len(draws)
    owners = [(i, ids, power) for i, draw in enumerate(draws) if draw.result.ids for ids, power in places.prompts]
    results = yield [_asked(ids, draws[i].result.ids) for i, ids, _ in owners]
    tally.add(results)
    for (i, _, power), result in zip(owners, results, strict=True):
        found[i] += power * sum([float(answer[0]) for answer in result.answers])
    spots = [_spot(problem, draw) for draw in draws]
    open_ends = [i for i, spot in enumerate(spots) if not places.over(spot)]
    rows = yield from places.rows([spots[i] for i in open_ends])
    for i, row in zip(open_ends, rows, strict=True):
        found[i] += row.end
    return found


def _asked(before: Sequence[int], ids: Sequence[int]) -> Request:
    text = [*before, *ids]
    return Request(text, 0, asks=asks_of(text, len(before)))


def _spot(problem: Problem, draw: Draw) -> Spot:
    ids, state = tuple(draw.result.ids), draw.result.state
    assert state is not None
    return Spot(ids, state, problem.request.max_tokens - len(ids))
