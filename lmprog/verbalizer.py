"""Label words: classes that the model names by any of several words (Schick and Schütze 2021, "Exploiting Cloze
Questions for Few Shot Text Classification and Natural Language Inference").

A word is a text of any number of tokens, scored as options are (scoring.py). A class has what `combine` makes of its
words' probabilities.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from .dist import Dist
from .errors import CalibrationError, HoleError

Combine = Literal["sum", "mean", "max"]
Floats = NDArray[np.float64]
MOST = 2000  # words
LEAST = 1e-300  # of a word's mean probability: something to divide by


@dataclass(frozen=True)
class Verbalizer:
    """Classes and their words: `select(lp.Verbalizer({"positive": ["good", "great"], "negative": ["bad"]}))`.

    Accepted wherever options are: `select`, `gen(choices=)`, `p.score`; a plain dict of words stands for one. A hole's
    value is the class, any value that can be a key. With P(w) the probability of word w where the hole stands, and the
    weights v(w):

    combine   "sum": a class has the sum of v(w) P(w), the probability that one of its words comes; "max": the greatest
              v(w) P(w); "mean": the geometric mean, exp(sum of v(w) log P(w) / sum of v(w)), so that classes of many
              words gain nothing, and one word that cannot come rules its class out. Classes are compared by these, as
              shares of their sum
    weights   of words, numbers above 0; 1 where there is none
    shown     what is appended to the run for each class instead of one of its words

    Without `shown` the word that is appended is the likeliest of the class, or, under Sample, drawn from the class's
    words by their probabilities.

    Raises HoleError: no class, a class without words, a word in two classes, a weight or text of what is not there.

    >>> Verbalizer({"positive": ["good", "great"], "negative": ["bad", "good"]})
    Traceback (most recent call last):
    lmprog.errors.HoleError: the word 'good' belongs to two classes, 'positive' and 'negative'
    """

    words: Mapping[Any, Sequence[str]]
    combine: Combine = field(default="sum", kw_only=True)
    weights: Mapping[str, float] = field(default_factory=dict, kw_only=True)
    shown: Mapping[Any, str] = field(default_factory=dict, kw_only=True)

    def __post_init__(self) -> None:
        if not isinstance(self.words, Mapping) or not self.words:
            raise HoleError("a verbalizer is a dict of classes and their words: {'positive': ['good', 'great'], ...}")
        if self.combine not in get_args(Combine):
            raise HoleError(f"combine is one of {', '.join(get_args(Combine))}, not {self.combine!r}")
        if not (isinstance(self.weights, Mapping) and isinstance(self.shown, Mapping)):
            raise HoleError("weights is a dict of numbers by word, shown one of texts by class")
        words = {c: _listed(c, some) for c, some in self.words.items()}
        _check_classes(words)
        for name, value in (("words", words), ("weights", dict(self.weights)), ("shown", dict(self.shown))):
            object.__setattr__(self, name, value)
        for word, weight in self.weights.items():
            if word not in self.class_of:
                raise HoleError(f"weights has {word!r}, which is none of the words: {_some(self.texts)}")
            if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight < math.inf:
                raise HoleError(f"a weight is a number above 0, not {weight!r} (of {word!r})")
        if self.shown:
            _check_shown(self.words, self.shown)

    def __hash__(self) -> int:
        return hash((tuple(self.words.items()), self.combine, *self.weights.items(), *self.shown.items()))

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """All words, class by class."""
        return tuple([word for some in self.words.values() for word in some])

    @cached_property
    def class_of(self) -> Mapping[str, Any]:
        """By word."""
        return {word: c for c, some in self.words.items() for word in some}

    @cached_property
    def values(self) -> Mapping[str, Any]:
        """The class that each text stands for that may be appended."""
        return {text: c for c, text in self.shown.items()} if self.shown else self.class_of

    def place(self, text: str) -> int:
        """The number of the class that an appended text stands for."""
        return [*self.words].index(self.values[text])

    def named(self) -> Verbalizer:
        """The same, with the texts of the classes in their place."""
        shown = {str(c): text for c, text in self.shown.items()}
        return replace(self, words={str(c): some for c, some in self.words.items()}, shown=shown)

    def among(self, texts: Iterable[str]) -> Verbalizer | None:
        """What is left where only some of the texts may be appended; None: nothing."""
        left = set(texts)
        if left >= self.values.keys():
            return self
        if self.shown:
            words = {c: some for c, some in self.words.items() if self.shown[c] in left}
        else:
            fitting = {c: [word for word in some if word in left] for c, some in self.words.items()}
            words = {c: tuple(some) for c, some in fitting.items() if some}
        if not words:
            return None
        known = {word for some in words.values() for word in some}
        weights = {word: weight for word, weight in self.weights.items() if word in known}
        shown = {c: text for c, text in self.shown.items() if c in words}
        return replace(self, words=words, weights=weights, shown=shown)

    def combined(self, values: Iterable[float]) -> Floats:
        """[classes]: of the words' log-probabilities (as in `texts`) those of the classes."""
        given = np.fromiter(values, np.float64, len(self.texts))
        weights = np.array([self.weights.get(word, 1.0) for word in self.texts])
        ends = np.cumsum([len(some) for some in self.words.values()])[:-1]
        parts = zip(np.split(given, ends), np.split(weights, ends), strict=True)
        return np.array([_COMBINE[self.combine](part, weight) for part, weight in parts])

    def folded(self, dist: Dist) -> Dist:
        """The distribution over the classes, of one over the words."""
        classes = tuple(self.words)

        def of(figures: Mapping[Any, float]) -> dict[Any, float]:
            return dict(zip(classes, self.combined(figures[word] for word in self.texts).tolist(), strict=True))

        bounds = None
        if (given := dist.bounds) is not None:
            low, high = [of({word: ends[i] for word, ends in given.items()}) for i in (0, 1)]
            bounds = {c: (low[c], high[c]) for c in classes}
        beneath = {c: _only(dist, some) for c, some in self.words.items()}
        texts = {c: str(c) for c in classes}
        scores = of(dist.scores)
        return Dist(classes, of(dist.logprobs), scores, dist.norm, dist.none, texts, bounds=bounds, words=beneath)

    def calibrated(self, dists: Iterable[Dist]) -> Verbalizer:
        """With weights that divide each word's probability by its mean over `dists`, unlabelled ones of this
        verbalizer: no word gains by being frequent (contextualised calibration; Hu et al. 2022, "Knowledgeable
        Prompt-tuning").

        Raises CalibrationError: no data, of other words, or combine="mean", whose weights are exponents.
        """
        if self.combine == "mean":
            raise CalibrationError('weights divide no probabilities where combine="mean": use "sum" or "max"')
        priors = self._priors(dists)
        return replace(self, weights={word: self.weights.get(word, 1.0) / prior for word, prior in priors.items()})

    def frequent(self, dists: Iterable[Dist], *, keep: float = 0.5) -> Verbalizer:
        """With the share `keep` of each class's words that are the most probable ones over `dists`, at least one: rare
        words come of too little to go by (Hu et al. 2022). Raises CalibrationError as `calibrated`, or for the share.
        """
        if not isinstance(keep, int | float) or not 0 < keep <= 1:
            raise CalibrationError(f"keep is a share above 0 and up to 1, not {keep!r}")
        priors = self._priors(dists)
        ranked = {c: sorted(some, key=lambda word: -priors[word]) for c, some in self.words.items()}
        left = {word for some in ranked.values() for word in some[: max(1, round(keep * len(some)))]}
        words = {c: tuple([word for word in some if word in left]) for c, some in self.words.items()}
        return replace(self, words=words, weights={word: w for word, w in self.weights.items() if word in left})

    def _priors(self, dists: Iterable[Dist]) -> dict[str, float]:
        some = [*dists]
        if not some:
            raise CalibrationError("there is nothing to fit on: give at least one Dist")
        if odd := [one for one in some if not isinstance(one, Dist)]:
            raise CalibrationError(f"words are calibrated on a list of Dists: {odd[0]!r:.80} is none")
        rows = [{word: p for under in dist.words.values() for word, p in under.logprobs.items()} for dist in some]
        if any([row.keys() != self.class_of.keys() for row in rows]):
            raise CalibrationError("a Dist is not over this verbalizer's words")
        return {word: max(float(np.mean([math.exp(row[word]) for row in rows])), LEAST) for word in self.texts}


def _sum(values: Floats, weights: Floats) -> float:
    return float(np.logaddexp.reduce(values + np.log(weights)))


def _mean(values: Floats, weights: Floats) -> float:
    return float(values @ weights / weights.sum())


def _max(values: Floats, weights: Floats) -> float:
    return float((values + np.log(weights)).max())


_COMBINE = {"sum": _sum, "mean": _mean, "max": _max}


def _only(dist: Dist, words: Sequence[str]) -> Dist:
    """The part of a distribution that is of some words."""
    bounds = None if dist.bounds is None else {word: dist.bounds[word] for word in words}
    logprobs, scores = [{word: figures[word] for word in words} for figures in (dist.logprobs, dist.scores)]
    return Dist(tuple(words), logprobs, scores, dist.norm, texts={word: word for word in words}, bounds=bounds)


def _listed(c: Any, words: Any) -> tuple[str, ...]:
    found = (words,) if isinstance(words, str) else words
    if not isinstance(found, Iterable) or isinstance(found, bytes | Mapping):
        raise HoleError(f"the words of {c!r} are a list of texts, not {words!r}; to choose between keys: list(...)")
    found = tuple(found)
    for word in found:
        if not isinstance(word, str) or not word:
            raise HoleError(f"a word is a text that is not empty, not {word!r} (of the class {c!r})")
    if not found:
        raise HoleError(f"the class {c!r} has no words: give at least one")
    return found


def _check_classes(words: Mapping[Any, Sequence[str]]) -> None:
    """Raises HoleError where a text stands for two things."""
    names: dict[str, Any] = {}
    owners: dict[str, Any] = {}
    for c, some in words.items():
        if str(c) in names:
            raise HoleError(f"two classes have the same text: {names[str(c)]!r} and {c!r}")
        names[str(c)] = c
        for word in some:
            if word in owners:
                two = f"two classes, {owners[word]!r} and {c!r}"
                raise HoleError(f"the word {word!r} belongs to {f'{c!r} twice' if owners[word] is c else two}")
            owners[word] = c
    if len(owners) > MOST:
        raise HoleError(f"a verbalizer has at most {MOST} words, not {len(owners)}: all of them are scored each time")


def _check_shown(words: Mapping[Any, Sequence[str]], shown: Mapping[Any, str]) -> None:
    if shown.keys() != words.keys():
        odd = next(iter(shown.keys() ^ words.keys()))
        raise HoleError(f"shown says a text for each class: {odd!r} is {'no class' if odd in shown else 'missing'}")
    for c, text in shown.items():
        if not isinstance(text, str) or not text:
            raise HoleError(f"what is shown is a text that is not empty, not {text!r} (of the class {c!r})")
    if len(set(shown.values())) < len(shown):
        raise HoleError("two classes are shown by the same text")


def _some(texts: Sequence[str]) -> str:
    return ", ".join([repr(text) for text in texts[:8]] + ["…"] * (len(texts) > 8))


def verbalizer_of(options: Any) -> Verbalizer | None:
    """What options with words stand for; None: they are plain options."""
    return Verbalizer(options) if isinstance(options, Mapping) else options if isinstance(options, Verbalizer) else None
