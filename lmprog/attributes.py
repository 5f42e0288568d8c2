"""What a text is wanted to be like, as weights of its tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .errors import DistillError
from .models import LanguageModel

PRIOR = 4.0  # occurrences of a token that count as much as what is known of all


@dataclass(frozen=True, eq=False)
class Attribute:
    """A weight for every token: a text's weight is the product over its tokens (Weng et al. 2025, "TRACE Back from the
    Future: A Probabilistic Reasoning Approach to Controllable Language Generation"). `weights`: their logarithms,
    float64 [V].

    `a * b` wants both, `a ** 2` more of it, `a ** -1` the contrary. `Lookahead(hmm, attribute)` draws by them.
    """

    weights: NDArray[np.float64]

    @classmethod
    def of(cls, model: LanguageModel, weights: Mapping[str, float]) -> Attribute:
        """From the log-weights of tokens, by their text; all other tokens have the weight 1 (0.0 here).

        Raises DistillError for a text that is no token of the model.
        """
        found = np.zeros(model.vocab.size)
        for text, weight in weights.items():
            ids = model.vocab.same(text.encode())
            if not len(ids):
                raise DistillError(f"{text!r} is no token of {model.name}")
            found[ids] = weight
        return cls(found)

    @classmethod
    def fit(cls, model: LanguageModel, texts: Sequence[str], scores: Sequence[float]) -> Attribute:
        """From texts and how much each has of it, in [0, 1]: the weight of a token t is P(it | t) / P(it), the factor
        by which t alone changes how probable it is, from smoothed counts. By these weights tokens are independent.

        Raises DistillError when there are not as many scores as texts, or none of them differs from the others.
        """
        if len(texts) != len(scores) or not all(0 <= score <= 1 for score in scores) or len(set(scores)) < 2:
            raise DistillError("an attribute is fitted to texts with as many scores in [0, 1], not all of them equal")
        size = model.vocab.size
        counts, having = np.zeros(size), np.zeros(size)
        for text, score in zip(texts, scores, strict=True):
            ids = np.bincount(model.vocab.encode(text.encode()), minlength=size)
            counts += ids
            having += score * ids
        if not having.sum():
            raise DistillError("the texts with scores above 0 are empty")
        usual = having.sum() / counts.sum()
        return cls(np.log((having + PRIOR * usual) / (counts + PRIOR) / usual))

    def __mul__(self, other: Attribute) -> Attribute:
        return Attribute(self.weights + other.weights)

    def __pow__(self, power: float) -> Attribute:
        return Attribute(self.weights * power)
