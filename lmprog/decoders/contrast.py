"""Contrastive decoding: what a part of the prompt, or a better model, makes more probable becomes still more so."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import SamplingError
from ..runtime.model import Model
from ..runtime.routine import Routine
from ..runtime.sampling import real
from .blending import Blended, check_models, check_share, check_text, gained, only_plausible, outcomes, places_of
from .dropping import dropped
from .method import Outcome, Problem
from .places import Floats, Row, Spot
from .potentials import Also, prompts


@dataclass(frozen=True)
class Contrast(Blended):
    """Chooses tokens by what they gain from a part of the prompt (context-aware decoding: Shi et al. 2023, "Trusting
    Your Evidence: Hallucinate Less with Context-aware Decoding"), or from a better model (Li et al. 2022, "Contrastive
    Decoding: Open-ended Text Generation as Optimization"). Under the mask, the logit of a token is

        log p(token | the prompt) + alpha × (log p(token | the prompt) - log q(token | the other prompt))

    drop         the other prompt is that of the hole without the slot of this name (`lp.slot("document", ...)`) or,
                 where there is none before the hole, without this text, where it stands last
    against      the other prompt is this text; with neither it is that of the hole
    amateur      q is this model's, of the same vocabulary; else it is the same model's
    alpha        math.inf: the difference alone counts, as in Li et al.; plausible=0.1 is their value for it
    plausible    only tokens of at least this share of the most probable one's probability, behind the prompt, may come

    See `Blended` for `temperature`, `seed`, and what is raised; also SamplingError where the text before a hole does
    not have what is to be dropped, or the amateur has another vocabulary.
    """

    drop: str | None = None
    against: str | None = None
    alpha: float = 0.5
    plausible: float = 0.0
    amateur: Model | None = None

    def __post_init__(self) -> None:
        self.sampling()
        if self.drop is not None and self.against is not None:
            raise SamplingError(
                "Contrast takes the text to drop from the prompt or another prompt (against=), not both"
            )
        if self.drop is None and self.against is None and self.amateur is None:
            raise SamplingError(
                "Contrast needs a text to drop from the prompt, another prompt (against=), or an amateur"
            )
        if self.drop is not None:
            check_text("drop", self.drop)
        if self.against:
            check_text("against", self.against)
        if not real(self.alpha) >= 0:
            raise SamplingError(f"alpha is a number of 0 or more, not {self.alpha!r}")
        check_share(self.plausible)
        if self.amateur is not None:
            check_models(amateur=self.amateur)

    def fill(self, problem: Problem) -> Routine[Outcome]:
        places = [places_of(problem), places_of(problem, self._other(problem), self.amateur)]
        return (yield from self.blended(problem, places, self._weights))

    def _weights(self, _: Spot, rows: Sequence[Row]) -> Floats:
        ours, theirs = map(outcomes, rows)
        gain = gained(ours, theirs)
        weights = np.where(ours > -math.inf, gain, ours) if math.isinf(self.alpha) else ours + self.alpha * gain
        return only_plausible(weights, ours, self.plausible)

    def _other(self, problem: Problem) -> Sequence[int]:
        if self.against is not None:
            return prompts([Also(self.against)], problem)[0][0]
        if self.drop is None:
            return problem.request.ids
        return dropped(problem, self.drop) or sorted(problem.model.vocab.eos)[:1]
