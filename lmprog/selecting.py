"""Holes with a few possible texts: the routine that picks one by the options' exact scores."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from .class_choice import chances, check_by_scores, decided, question_of
from .covers import Exact
from .dist import Dist
from .errors import BudgetError, EmptyLanguage, SamplingError
from .exact import exact_place, summing
from .models import LanguageModel
from .option_tree import Node, OptionTree, option_tree
from .question import Question
from .run import Usage
from .runtime.request import Result
from .runtime.routine import Routine
from .scoring import Floats, Place, Weighed, choosing, dist_of, distributing, drawn, weighing
from .task import Answer, Task, covering
from .trace import TOP, Attempt
from .transcript import Transcript, spell

MANY = 2000  # options; of more, the tokens decide one after the other


def decided_by_scores(task: Task, model: LanguageModel) -> bool:
    """Whether the hole is a choice between options, made by their scores. Penalties, biases and monitors judge single
    tokens. Raises HoleError where classes cannot be chosen so."""
    hole = task.hole
    check_by_scores(task)
    if hole.options is None or hole.stop or hole.monitor is not None or len(hole.options) > MANY:
        return False
    if task.method is not None and not task.method.choices:
        return False
    return model.scores and not task.sampling.changes_logits


def selecting(task: Task, transcript: Transcript, model: LanguageModel) -> Routine[Answer]:
    """Choose an option at the end of `transcript`, which then holds its text too.

    Under Argmax that is the option of the greatest total probability; otherwise one is drawn from the distribution of
    the options. Raises BudgetError when none fits in the hole's `max_tokens`, AmbiguousOptions.
    """
    return _Selecting(task, transcript, model).run()


@dataclass
class Choice:
    """A choice that was made: enough to tell later how probable the options were."""

    question: Question
    place: Place
    model: LanguageModel
    known: Dist | None = None

    def dist(self) -> Dist:
        """Asks the model, the first time. Raises EngineClosed."""
        if self.known is None:
            self.known, _ = self.model.run(distributing(self.question, self.place, self.model, True)).result()
        return self.known


class _Selecting:
    def __init__(self, task: Task, transcript: Transcript, model: LanguageModel) -> None:
        self.task, self.transcript, self.model = task, transcript, model
        self.place = exact_place(transcript, model, Exact()) if task.exact else Place.of(transcript, model, task.heal)
        self.prefix = spell(model.vocab, self.place.border)
        self.question = question_of(task, _fitting(task, self.prefix, model))
        self.texts, self.words, self.end = self.question.texts, self.question.words, self.question.end
        self.began = time.perf_counter()

    def run(self) -> Routine[Answer]:
        if self.task.exact:
            return (yield from self._exactly())
        choice = Choice(self.question, self.place, self.model)
        if not (self.task.logprobs or self.task.trace):
            decide = None if self.words is None else self._decide
            at, path, usage = yield from choosing(
                self.texts, self.end, self.place, self.model, self.task.sampling, decide
            )
            return self._answer(at, path, None, usage, (), choice)
        weighed = yield from weighing(self.texts, self.end, self.place, self.model)
        choice.known = dist_of(self.question, weighed.logprobs, weighed.logprobs)
        at = self._decide(weighed.logprobs)
        tree = option_tree(self.model.vocab, self.prefix, self.texts, self.end, self.place.border)
        path = tree.paths[at] or ()
        traced = self.task.trace and not self._shown
        attempts = (self._attempt(at, path, weighed, tree),) if traced else ()
        return self._answer(at, path, self._logprob(weighed.logprobs, at), weighed.usage, attempts, choice)

    def _decide(self, values: Floats) -> int:
        """Which of the texts, by their log-probabilities."""
        sampling = self.task.sampling
        if self.words is not None:
            return decided(self.words, values, sampling)
        return int(values.argmax()) if sampling.greedy else drawn(values, sampling)

    @property
    def _shown(self) -> bool:
        """What is appended is none of the texts that are scored."""
        return self.words is not None and bool(self.words.shown)

    def _logprob(self, values: Floats, at: int) -> float:
        """Of the text, or of the class that another text is shown for."""
        if self.words is None or not self.words.shown:
            return float(values[at])
        return float(self.words.combined(values)[[*self.words.words].index(self.words.class_of[self.texts[at]])])

    def _exactly(self) -> Routine[Answer]:
        """By the probabilities of the options as strings."""
        summed = yield from summing(self.texts, self.end, self.place, self.model, Exact())
        values = summed.logprobs
        dist = dist_of(self.question, values, values, (summed.low, summed.high))
        choice = Choice(self.question, self.place, self.model, dist)
        if values.max() == -math.inf:
            raise SamplingError("the model gives every option the probability 0")
        at = self._decide(values)
        path = tuple(self.model.vocab.encode(self.prefix + self.texts[at].encode()))
        return self._answer(at, path, self._logprob(values, at), summed.usage, (), choice)

    def _answer(
        self,
        at: int,
        path: tuple[int, ...],
        logprob: float | None,
        usage: Usage,
        attempts: tuple[Attempt, ...],
        choice: Choice,
    ) -> Answer:
        value = self.texts[at].encode()
        if self.words is not None and self.words.shown:
            value = self.words.shown[self.words.class_of[self.texts[at]]].encode()
            path = tuple(self.model.vocab.encode(self.prefix + value))
        tokens = covering(self.model.vocab.token_bytes, path, len(self.prefix), len(value))
        self.transcript.filled(self.place.sent, path, len(self.prefix) + len(value))
        spent = Usage(1, 0, 0, 0, len(tokens), time.perf_counter() - self.began)
        if usage.prompt_tokens:
            spent = replace(spent, sampled_tokens=1, forced_tokens=len(tokens) - 1)
        ids = tuple([path[i] for i in tokens])
        return Answer(value, ids, "complete", 0, logprob, usage + spent, attempts, choice.dist)

    def _attempt(self, at: int, path: tuple[int, ...], weighed: Weighed, tree: OptionTree) -> Attempt:
        """The choice as if its tokens had been generated one after the other."""
        size = len(self.prefix) + len(self.texts[at].encode())
        path = path[: covering(self.model.vocab.token_bytes, path, 0, size).stop]
        temperature = self.task.sampling.temperature or 1.0
        values = weighed.logprobs
        draws = values / temperature if self.words is None else chances(self.words, values, temperature)
        places = list(_places(tree.root, path, weighed, draws))
        result = Result(
            ids=list(path),
            finish="complete",
            state=None,
            prompt_tokens=weighed.usage.prompt_tokens,
            prompt_tokens_computed=weighed.usage.prompt_tokens_computed,
            sampled_tokens=sum(place.allowed > 1 for place in places),
            forced_tokens=sum(place.allowed == 1 for place in places),
            logprobs=[place.raw for place in places],
            seconds=time.perf_counter() - self.began,
            masked_logprobs=[place.masked for place in places],
            top_logprobs=[place.top_raw for place in places],
            top_masked_logprobs=[place.top_masked for place in places],
            allowed=[place.allowed for place in places],
        )
        return Attempt(self.place.sent, self.prefix, result, size, self.began)


@dataclass(frozen=True)
class _Step:
    """A token of a path, as in the fields of a Result; `top_raw` is of the options' tokens only."""

    raw: float
    masked: float
    top_raw: dict[int, float]
    top_masked: dict[int, float]
    allowed: int


def _places(node: Node, path: Sequence[int], weighed: Weighed, draws: Floats) -> list[_Step]:
    """`draws`: the (relative) log-probability that each option is taken."""
    steps = []
    for token in path:
        masses = {t: _mass(kid, draws) for t, kid in node.kids.items()}
        whole = sum(masses.values())
        shares = {t: math.log(m / whole) if m else -math.inf for t, m in masses.items() if whole and (m or t == token)}
        raw, allowed = weighed.steps[node], sum(m > 0 for m in masses.values())
        if allowed == 1:
            steps.append(_Step(math.nan, 0.0, {}, {token: 0.0}, 1))
        else:
            steps.append(_Step(raw[token], shares[token], _top(raw), _top(shares), allowed))
        node = node.kids[token]
    return steps


def _mass(node: Node, draws: Floats) -> float:
    """How probable the options below a node are."""
    options = [found.option for found in node.walk() if found.option is not None]
    return float(np.exp(draws[options] - draws.max()).sum()) if options else 0.0


def _top(values: dict[int, float]) -> dict[int, float]:
    return dict(sorted(values.items(), key=lambda item: -item[1])[:TOP])


def _fitting(task: Task, prefix: bytes, model: LanguageModel) -> tuple[str, ...]:
    """The options that are not excluded and take at most `max_tokens`."""
    options = tuple([text for text in task.hole.options or () if text not in task.excluded])
    limit = task.hole.max_tokens
    if not options:
        raise EmptyLanguage("no option is left to choose")
    if limit is None:
        return options
    vocab = model.vocab
    paths = {text: vocab.encode(prefix + text.encode()) for text in options}
    sizes = {
        text: len(covering(vocab.token_bytes, path, len(prefix), len(text.encode()))) for text, path in paths.items()
    }
    least = min(sizes.values())
    if least > limit:
        raise BudgetError(f"the shortest option takes {least} tokens, max_tokens is {limit}")
    return tuple([text for text in options if sizes[text] <= limit])
