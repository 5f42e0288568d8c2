"""How the next token is chosen from the logits."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .errors import SamplingError


@dataclass(frozen=True)
class Sampling:
    """Sampling settings of one request. Temperature 0 (the default) is greedy: the first of the largest logits.

    The filters apply in the order top_k, top_p, min_p, to the probabilities at the given temperature, after the mask.
    top_k=0 and top_p=1 and min_p=0 switch their filter off. With a seed, the tokens drawn depend on the seed and the
    logits only, never on the other requests of a batch. Raises SamplingError for values out of range.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    seed: int | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise SamplingError(f"temperature must be a finite number of 0 or more, not {self.temperature!r}")
        if not 0 < self.top_p <= 1:
            raise SamplingError(f"top_p must lie in (0, 1], not {self.top_p!r}")
        if not 0 <= self.min_p < 1:
            raise SamplingError(f"min_p must lie in [0, 1), not {self.min_p!r}")
        if self.top_k < 0 or self.top_k != int(self.top_k):
            raise SamplingError(f"top_k must be a whole number of 0 (off) or more, not {self.top_k!r}")
        if self.seed is not None and not 0 <= self.seed < 1 << 64:
            raise SamplingError(f"seed must be None or lie in [0, 2**64), not {self.seed!r}")

    @property
    def greedy(self) -> bool:
        return self.temperature == 0
