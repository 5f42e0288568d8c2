"""Several values of a hole, and the one that most of them agree with."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

from ..errors import SamplingError
from ..runtime.routine import Routine
from .base import Sample
from .draws import Drawing, chosen, grouped, number
from .method import Method, Outcome, Problem, Tally


@dataclass(frozen=True)
class Consistent(Drawing):
    """Draws `n` values, all at once, and takes the most frequent one (self-consistency: Wang et al. 2022,
    "Self-Consistency Improves Chain of Thought Reasoning in Language Models"), or the one most like all others.

    key         values of the same key, which is hashable, count as the same (None: those of the same text)
    similarity  a function of two values: the value is the one whose mean similarity to all draws, itself included, is
                the greatest (minimum Bayes risk: Eikema & Aziz 2020, "Is MAP Decoding All You Need?"). It is called
                for every two texts that were drawn, in both orders
    of          what each value is drawn by: `Sample(...)`, or a method that draws, as `SMC`

    Functions get values as the program gets them, on the engine's thread, and must be quick. Of equal ones the one
    drawn first is taken. Values that fail the hole's condition have no vote; if all do, the hole is filled again, as
    under `Sample`. The certificate has a particle for each key, the winner first, with the first text of that key, its
    share of the votes, and the `score`: that share, or the mean similarity.

    Raises SamplingError at temperature 0, and for both of key and similarity.
    """

    key: Callable[[Any], Hashable] | None = None
    similarity: Callable[[Any, Any], float] | None = None
    of: Sample | Method = field(default=Sample(), kw_only=True)  # named again for readers of annotations in this module

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.key and self.similarity:
            raise SamplingError("values are compared by key or by similarity, not by both")

    def fill(self, problem: Problem) -> Routine[Outcome]:
        tally, key, similarity = Tally(), self.key, self.similarity
        draws = yield from self.drawn(problem, tally)
        groups = grouped(draws, lambda draw: draw.text if key is None else key(draw.value))
        if similarity is None:
            return chosen(groups, [len(group) / len(draws) for group in groups], tally)
        scores = []
        for first, *_ in groups:
            likes = [similarity(first.value, other[0].value) * len(other) for other in groups]
            scores.append(number(sum(likes) / len(draws), first.text))
        return chosen(groups, scores, tally)
