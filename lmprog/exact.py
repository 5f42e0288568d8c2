"""Scores of strings instead of tokens, and holes that go on from a string: what `exact` stands for.

The end of the text is taken as a string (`Exact.window`), together with an option or alone, and all its covers are
added up (covers.py). A hole is filled from one of the covers of the text's end, drawn by its probability: the tokens
that the model then writes have exactly the distribution that they have in all its texts that go on from this string.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from .covers import Covers, Ends, Exact
from .decoders import derive_seed
from .decoders.method import Outcome, Problem, Tally
from .dist import Dist
from .errors import BudgetError, ProgramError
from .grammars import Constraint
from .holes import Boundary
from .models import LanguageModel
from .option_tree import check_told_apart, nested
from .question import Question
from .run import Usage
from .runtime.request import Result
from .runtime.routine import Routine
from .scoring import Asker, Floats, Place, dist_of, distributing, drawn
from .transcript import Transcript, spell

Answered = tuple[Dist, Usage]
NO_SCORES = '{name} does not tell how probable given texts are, which boundary="exact" needs'


def exact_place(transcript: Transcript, model: LanguageModel, exact: Exact) -> Place:
    """The end of the text, up to `exact.window` bytes in whole tokens, is the place's border.

    Raises ProgramError when the model cannot score.
    """
    if not model.scores:
        raise ProgramError(NO_SCORES.format(name=model.name))
    ids, _ = transcript.border()
    ids = ids or sorted(model.vocab.eos)[:1]
    cut, size = len(ids), 0
    while cut > 1 and (data := model.vocab.token_bytes[ids[cut - 1]]) and size + len(data) <= exact.window:
        cut, size = cut - 1, size + len(data)
    return Place(tuple(ids[:cut]), tuple(ids[cut:]))


def asking(
    question: Question, transcript: Transcript, model: LanguageModel, boundary: Boundary, exact: Exact | None
) -> Routine[Answered]:
    """The routine of `Prompt.score`."""
    if exact is None:
        heal = boundary == "heal"
        return distributing(question, Place.of(transcript, model, heal), model, heal)
    return distributing_exactly(question, exact_place(transcript, model, exact), model, exact)


@dataclass(frozen=True)
class Summed:
    """Of each option the log-probability, given the text as a string, and its bounds."""

    logprobs: Floats
    low: Floats
    high: Floats
    usage: Usage


def summing(texts: Sequence[str], end: bytes, place: Place, model: LanguageModel, exact: Exact) -> Routine[Summed]:
    """The probabilities of all options at a place, each in all its spellings.

    Of an option that begins another, with no `end` to tell them apart, it is that of going on with it and not with the
    longer one. Raises AmbiguousOptions.
    """
    prefix = spell(model.vocab, place.border)
    data = [text.encode() for text in texts]
    if nested(data) is not None and end:
        data = [text + end for text in data]
        check_told_apart(texts, data, end)
    covers = Covers(model.vocab, [prefix, *[prefix + text for text in data]], Asker(place.sent), exact)
    yield from covers.search()
    low, high = covers.low[1:], covers.high[1:]
    whole_low, whole_high = covers.low[0], covers.high[0]
    with np.errstate(invalid="ignore"):  # a text that cannot come
        values = _without_longer(data, low, low) - whole_low
        bounds = _without_longer(data, low, high) - whole_high, _without_longer(data, high, low) - whole_low
    return Summed(values, bounds[0], np.minimum(bounds[1], 0.0), covers.asker.usage)


def _without_longer(data: Sequence[bytes], values: Floats, taken: Floats) -> Floats:
    """Each option's `values` less what is `taken` by the shortest of those that it begins."""
    found = values.copy()
    for i, text in enumerate(data):
        longer = [j for j, other in enumerate(data) if len(other) > len(text) and other.startswith(text)]
        least = [j for j in longer if not any(j != k and data[j].startswith(data[k]) for k in longer)]
        if least and values[i] > -math.inf:
            share = float(np.exp(taken[least] - values[i]).sum())
            found[i] = values[i] + math.log1p(-share) if share < 1 else -math.inf
    return found


def distributing_exactly(question: Question, place: Place, model: LanguageModel, exact: Exact) -> Routine[Answered]:
    """The routine of `Prompt.score` where spellings are added up."""
    q = question
    summed = yield from summing(q.texts, q.end, place, model, exact)
    scores, usage = summed.logprobs, summed.usage
    if q.norm == "mean":
        scores = scores / [max(1, len(model.vocab.encode(text.encode() + q.end))) for text in q.texts]
    if q.norm == "pmi":
        transcript = Transcript(model.vocab, [] if model.bos is None else [model.bos])
        transcript.append(q.premise)
        alone = yield from summing(q.texts, q.end, exact_place(transcript, model, exact), model, exact)
        with np.errstate(invalid="ignore"):
            scores = np.where(scores == -math.inf, scores, scores - alone.logprobs)
        usage += alone.usage
    return dist_of(q, summed.logprobs, scores, (summed.low, summed.high)), usage


# -- holes -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FromString:
    """What fills a hole with `boundary="exact"`: a cover of the text's end, and then what the model goes on with.

    backed   tokens of the text's end as the tokenizer spells it; what else the request may generate is the value's
    """

    backed: int
    heals: ClassVar[bool] = False

    def fill(self, problem: Problem) -> Routine[Outcome]:
        """The cover is drawn by its probability, at the request's temperature and with its filters.

        Raises BudgetError when no cover is allowed that leaves room for a value.
        """
        request, tally = problem.request, Tally()
        budget = request.max_tokens - self.backed
        asker = Asker(tuple(request.ids))
        covers = Covers(problem.model.vocab, [problem.prefix], asker, Exact())
        yield from covers.search()
        cover = _drawn(covers, problem, budget)
        if request.on_tokens is not None:
            request.on_tokens(list(cover.ids))
        left = budget - cover.over
        result = tally.result((), "length", cover.state, ())
        if left:
            (result,) = yield [replace(request, ids=[*request.ids, *cover.ids], max_tokens=left, state=cover.state)]
        return Outcome(_joined(cover, result, asker.usage))


@dataclass(frozen=True)
class _Cover:
    """Tokens, the log-probability of each, the constraint's state behind them, and how many the value has a part of."""

    ids: tuple[int, ...]
    steps: tuple[float, ...]
    state: int
    over: bool


def _drawn(covers: Covers, problem: Problem, budget: int) -> _Cover:
    constraint, sampling = problem.constraint, problem.request.sampling
    places = [(ends, _after(constraint, problem.state, ends.node.path)) for ends in covers.ends.get(0, ())]
    found = [(ends, state, _allowed(ends, problem, state, budget)) for ends, state in places if state is not None]
    weights = np.concatenate([values for *_, values in found]) if found else np.zeros(0)
    if weights.max(initial=-math.inf) == -math.inf:
        raise BudgetError(f"no spelling of the text's end leaves room for a value in {budget} tokens")
    at = drawn(weights, replace(sampling, seed=derive_seed(sampling.seed, "cover"), arithmetic=None))
    starts = np.cumsum([0, *[len(values) for *_, values in found]])
    which = int(np.searchsorted(starts, at, side="right")) - 1
    (ends, state, values), at = found[which], at - int(starts[which])
    token = int(ends.tokens[at])
    after = constraint.advance(state, token)
    assert after is not None
    over = len(ends.node.data) + int(problem.model.vocab.lengths[token]) > len(problem.prefix)
    return _Cover((*ends.node.path, token), (*ends.node.steps, float(values[at]) - ends.node.mass), after, over)


def _after(constraint: Constraint, state: int | None, path: Sequence[int]) -> int | None:
    for token in path:
        state = None if state is None else constraint.advance(state, token)
    return state


def _allowed(ends: Ends, problem: Problem, state: int, budget: int) -> Floats:
    """The log-probabilities of those covers that the constraint allows, -inf for others."""
    rest = len(problem.prefix) - len(ends.node.data)
    over = problem.model.vocab.lengths[ends.tokens] > rest
    within, beyond = [_fit(problem.constraint, state, n, ends.tokens) for n in (budget + 1, budget)]
    return np.where(np.where(over, beyond, within), ends.values, -math.inf)


def _fit(constraint: Constraint, state: int, budget: int, tokens: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Which of the tokens may come, with as many tokens left, themselves included."""
    try:
        mask = constraint.mask(state, budget)
    except BudgetError:
        return np.zeros(len(tokens), np.bool_)
    found: NDArray[np.bool_] = (mask[tokens >> 5] >> (tokens & 31) & 1).astype(np.bool_)
    return found


def _joined(cover: _Cover, rest: Result, usage: Usage) -> Result:
    """What came behind a cover, as if the cover had been generated, too."""
    n = len(cover.ids)
    return replace(
        rest,
        ids=[*cover.ids, *rest.ids],
        prompt_tokens=usage.prompt_tokens,
        prompt_tokens_computed=usage.prompt_tokens_computed + rest.prompt_tokens_computed,
        sampled_tokens=n + rest.sampled_tokens,
        logprobs=[*cover.steps, *rest.logprobs],
        masked_logprobs=[math.nan] * n + rest.masked_logprobs,
        top_logprobs=[{} for _ in range(n)] + rest.top_logprobs,
        top_masked_logprobs=[{} for _ in range(n)] + rest.top_masked_logprobs,
        allowed=[0] * n + rest.allowed,
        times=[0.0] * n + rest.times,
    )
