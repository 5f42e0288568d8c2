"""How the next token is chosen from the logits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Integral, Real

from .errors import SamplingError

LARGEST = 1e30  # far from the end of float32


def real(value: object) -> float:
    """A setting as a float: nan, which lies in no range, for what is no number, or too large for one."""
    try:
        return float(value) if isinstance(value, Real) else math.nan
    except OverflowError:
        return math.nan


def _whole(value: object) -> bool:
    return isinstance(value, Integral)


@dataclass(frozen=True)
class Sampling:
    """Sampling settings of one request. Temperature 0 (the default) is greedy: the first of the largest logits.

    Logits are changed first, at any temperature, in the order of transformers and vLLM; never the mask, which still
    decides what is allowed:

    logit_bias          {token id: what is added to its logit}; -inf bans it
    repetition_penalty  of every token in the prompt or generated: a positive logit is divided by it, a negative one
                        multiplied (CTRL, Keskar et al. 2019); 1 is off
    presence_penalty    subtracted from the logit of every token that was generated (as in OpenAI's API); 0 is off
    frequency_penalty   subtracted as often as the token was generated; 0 is off

    Generated tokens count whether sampled or forced. The filters apply in the order top_k, top_p, min_p, to the
    probabilities at the given temperature, after the mask. top_k=0 and top_p=1 and min_p=0 switch their filter off.

    With a seed, the tokens drawn depend on the seed and the logits only, never on the other requests of a batch.
    arithmetic=(i, n) makes a request the i-th of n samples that spread evenly over the distribution; the n must share
    prompt and seed, see `arithmetic`. Raises SamplingError for values out of range.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    seed: int | None = None
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: Mapping[int, float] | None = field(default=None, hash=False)
    arithmetic: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if not 0 <= real(self.temperature) < math.inf:
            raise SamplingError(f"temperature must be a finite number of 0 or more, not {self.temperature!r}")
        if not 0 < real(self.top_p) <= 1:
            raise SamplingError(f"top_p must lie in (0, 1], not {self.top_p!r}")
        if not 0 <= real(self.min_p) < 1:
            raise SamplingError(f"min_p must lie in [0, 1), not {self.min_p!r}")
        if not (0 <= real(self.top_k) < math.inf and self.top_k == int(self.top_k)):
            raise SamplingError(f"top_k must be a whole number of 0 (off) or more, not {self.top_k!r}")
        if self.seed is not None and not (_whole(self.seed) and 0 <= self.seed < 1 << 64):
            raise SamplingError(f"seed must be None or lie in [0, 2**64), not {self.seed!r}")

        self._check_changes()
        self._check_arithmetic()

    def _check_changes(self) -> None:
        if not 0 < real(self.repetition_penalty) < math.inf:
            raise SamplingError(f"repetition_penalty must be a finite number above 0, not {self.repetition_penalty!r}")
        for name in ("presence_penalty", "frequency_penalty"):
            if not math.isfinite(real(getattr(self, name))):
                raise SamplingError(f"{name} must be a finite number, not {getattr(self, name)!r}")
        for token, bias in (self.logit_bias or {}).items():
            if isinstance(token, bool) or not isinstance(token, int) or token < 0:
                raise SamplingError(f"logit_bias is for token ids, not {token!r}")
            if not (bias == -math.inf or abs(real(bias)) <= LARGEST):
                raise SamplingError(f"logit_bias must lie within ±{LARGEST:g} or be -inf, not {bias!r}")

    def _check_arithmetic(self) -> None:
        if self.arithmetic is None:
            return
        i, n = self.arithmetic
        if not 0 <= i < n:
            raise SamplingError(f"arithmetic=(i, n) needs 0 <= i < n, not {self.arithmetic!r}")
        if self.seed is None or self.greedy:
            raise SamplingError("arithmetic sampling needs a seed, the same for all n samples, and a temperature")

    @property
    def filters(self) -> bool:
        return self.top_k > 0 or self.top_p < 1 or self.min_p > 0

    @property
    def changes_logits(self) -> bool:
        return bool(self.logit_bias or self.presence_penalty or self.frequency_penalty) or self.repetition_penalty != 1

    @property
    def greedy(self) -> bool:
        return self.temperature == 0
