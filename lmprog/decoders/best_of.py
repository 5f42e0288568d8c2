"""Several values of a hole, of which the best is taken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import SamplingError
from ..runtime.request import Request, asks_of
from ..runtime.routine import Routine
from ..runtime.sampling import Sampling
from .base import Sample
from .draws import Draw, Drawing, chosen, grouped, number
from .method import Method, Outcome, Problem, Tally
from .places import Places, Spot
from .potentials import Also, prompts

Score = Callable[[Any], float]


@dataclass(frozen=True)
class BestOf(Drawing):
    """Draws `n` values, all at once, and takes the one of the best `score`; of equal ones the one drawn first.

    score  None: the logarithm of the value's worth under the model (see `lmprog.decoders.places`). `Also(prompt,
           power)`: the same, plus power × that behind another prompt. Or a function of the value, as the program gets
           it, called on the engine's thread once for each text that was drawn
    of     what each value is drawn by: `Sample(...)`, or a method that draws, as `ASAp`

    Values that fail the hole's condition are passed over; if all do, the hole is filled again, as under `Sample`. The
    value is the best of what was drawn, not of all: with F the share of values of at most its score, one of a score of
    at most that comes with a probability of F ** n. The certificate has the different values that were drawn, the best
    first, with their share of the draws and their `score`.

    Raises SamplingError at temperature 0, for a score that is no number, and without a function for a model that does
    not tell its probabilities.
    """

    score: Score | Also | None = None
    of: Sample | Method = field(default=Sample(), kw_only=True)  # named again for readers of annotations in this module

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.score is None or isinstance(self.score, Also) or callable(self.score)):
            raise SamplingError(f"a score is a function of the value, Also(prompt) or None, not {self.score!r}")

    @property
    def heals(self) -> bool:
        return super().heals and not isinstance(self.score, Also)

    def fill(self, problem: Problem) -> Routine[Outcome]:
        tally = Tally()
        draws = yield from self.drawn(problem, tally)
        if self.score is None or isinstance(self.score, Also):
            groups = grouped(draws, lambda draw: (tuple(draw.result.ids), draw.result.finish))
            scores = yield from worths(problem, [group[0] for group in groups], self.score, tally)
        else:
            groups = grouped(draws, lambda draw: draw.text)
            scores = [number(self.score(group[0].value), group[0].text) for group in groups]
        return chosen(groups, scores, tally)


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
