"""Which class of a `Verbalizer` is chosen, and which of its words says so."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .decoders import derive_seed
from .errors import EmptyLanguage, HoleError, SamplingError
from .option_tree import nested
from .question import Question
from .runtime.sampling import Sampling
from .scoring import Floats, drawn
from .task import Task
from .verbalizer import Verbalizer


def question_of(task: Task, texts: Sequence[str]) -> Question:
    """What a choice asks about, where `texts` may be appended: themselves, or the words of classes.

    Raises EmptyLanguage when no class is left.
    """
    hole = task.hole
    if hole.words is None:
        return Question(tuple(map(hole.parse, texts)), tuple(texts), end=_end(task, texts))
    refused = {hole.words.values[text] for text in task.excluded if text in hole.words.values}
    words = hole.words.among([text for text in texts if hole.words.values[text] not in refused])
    if words is None:
        raise EmptyLanguage("no class is left to choose")
    return Question(words.texts, words.texts, end=_end(task, words.texts), words=words)


def _end(task: Task, texts: Sequence[str]) -> bytes:
    """What tells texts apart of which one begins another."""
    return task.follow if nested([text.encode() for text in texts]) else b""


def check_by_scores(task: Task) -> None:
    """Raises HoleError where a hole of classes is to be filled token by token."""
    if task.hole.words is None:
        return
    if task.method is not None and not task.method.choices:
        raise HoleError(f"a class is chosen by the scores of its words, not by {task.method!r}: use Argmax or Sample")
    if task.sampling.changes_logits:
        raise HoleError("a class is chosen by the scores of its words: penalties and logit_bias cannot change them")


def decided(words: Verbalizer, values: Floats, sampling: Sampling) -> int:
    """A word, by its number: the likeliest one of the likeliest class, or one drawn from the words of a class that was
    drawn. The decoder's filters choose between classes; its temperature applies to both."""
    classes = words.combined(values)
    if not classes.max() > -math.inf:
        raise SamplingError("the model gives every class the probability 0")
    at = int(classes.argmax()) if sampling.greedy else drawn(classes, sampling)
    sizes = [len(some) for some in words.words.values()]
    first = sum(sizes[:at])
    some = values[first : first + sizes[at]]
    if sampling.greedy:
        return first + int(some.argmax())
    word = Sampling(sampling.temperature, seed=derive_seed(sampling.seed, "word"))
    return first + drawn(some, word)


def chances(words: Verbalizer, values: Floats, temperature: float) -> Floats:
    """The log-probability that each word is what `decided` takes, without filters."""
    classes = _shares(words.combined(values) / temperature)
    parts = np.split(values / temperature, np.cumsum([len(some) for some in words.words.values()])[:-1])
    return np.concatenate([share + _shares(part) for share, part in zip(classes, parts, strict=True)])


def _shares(values: Floats) -> Floats:
    whole = np.logaddexp.reduce(values)
    return values - whole if whole > -math.inf else values
