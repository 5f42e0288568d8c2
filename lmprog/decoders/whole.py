"""What the methods that weigh whole values by the model's own probabilities have in common."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ..errors import SamplingError
from ..runtime.sampling import Sampling
from .method import Problem


@dataclass(frozen=True, kw_only=True)
class Whole:
    """`temperature` applies to whole values, see `lmprog.decoders.places`; with a `seed` draws are reproducible."""

    temperature: float = 1.0
    seed: int | None = None

    def __post_init__(self) -> None:
        self.sampling()

    @property
    def choices(self) -> bool:
        return True

    @property
    def heals(self) -> bool:
        return True

    def sampling(self) -> Sampling:
        return Sampling(self.temperature, seed=self.seed)

    def check(self, problem: Problem) -> None:
        """Raises SamplingError for settings that have no meaning where whole values are weighed, or a model that does
        not tell its probabilities."""
        if problem.request.sampling.greedy:
            raise SamplingError(f"{type(self).__name__} draws: it needs a temperature above 0")
        check_weighs(self, problem)


@dataclass(frozen=True)
class Undrawn:
    """Nothing is drawn: a seed or temperature of the hole changes nothing."""

    @property
    def choices(self) -> bool:
        return False

    @property
    def heals(self) -> bool:
        return True

    def sampling(self) -> Sampling:
        return Sampling()


def check_weighs(method: object, problem: Problem) -> None:
    """Raises SamplingError as `Whole.check`, whatever the temperature."""
    sampling, name, model = problem.request.sampling, type(method).__name__, problem.model
    if not model.scores:
        raise SamplingError(f"{name} weighs values: {model.name} does not tell how probable given tokens are")
    if sampling.filters or sampling.changes_logits:
        raise SamplingError(
            f"{name} weighs values by the model's own probabilities: top_k, top_p, min_p, penalties and logit_bias "
            "would change what it is exact about"
        )


def number_of(value: Any) -> float:
    """What a user's function gave, also as a tensor of one number or the like; nan for what is no number."""
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def at_least_one(**numbers: int) -> None:
    """Raises SamplingError for a number below 1."""
    for name, number in numbers.items():
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            raise SamplingError(f"{name} is a whole number of 1 or more, not {number!r}")
