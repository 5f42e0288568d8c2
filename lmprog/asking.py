"""Holes filled by a server: one request each.

A server takes a language and gives text. It has no masks that could steer an answer towards its end, no tokens in
common with this process, and no scores of options. So a choice is made token by token, under the constraint, and a
value that does not fit into its budget is a BudgetError when the answer is cut off.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from .class_choice import check_by_scores, decided, question_of
from .decoders.method import minimal
from .dist import Dist
from .errors import ProgramError
from .fill import DEFAULT_TOKENS, narrowed
from .grammars import compile
from .grammars.expr import ANY_TEXT, alt, both, concat, negate, text
from .holes import Hole
from .question import Question
from .run import Usage
from .runtime.remote.model import RemoteModel
from .runtime.remote.scores import Scoring
from .runtime.request import Request, Result
from .runtime.routine import Routine
from .runtime.wanted import Wanted
from .scoring import Floats, dist_of
from .task import Answer, Task
from .transcript import Transcript, spell


def asking(task: Task, transcript: Transcript, model: RemoteModel) -> Routine[Answer]:
    """Have a server fill the hole at the end of `transcript`, which then holds the value too.

    Raises BudgetError, UnsupportedConstraint, BackendError, ContextOverflow, ProgramError for a decoder that needs the
    model in this process.
    """
    if task.method is not None:
        raise ProgramError(f"{task.method!r} needs the model in this process: servers decode by Argmax and Sample only")
    if task.hole.words is not None:
        return (yield from _choosing_class(task, transcript, model))
    ids, _ = transcript.border()
    wanted = wanted_of(task, (spell(model.vocab, transcript.ids) + transcript.pending).decode(errors="replace"))
    request = Request(
        ids,
        budget(task.hole, wanted, model),
        sampling=task.sampling,
        logprobs=task.logprobs,
        on_tokens=task.watch(b"") if task.watch else None,
        wanted=wanted,
    )
    (result,) = yield [request]
    transcript.filled(ids, result.ids, len(result.ids))
    return replace(answered(result, task.logprobs), choice=choice_of(task, ids, model))


def _choosing_class(task: Task, transcript: Transcript, model: RemoteModel) -> Routine[Answer]:
    """By the scores of its words, chosen here. Raises ProgramError for a budget of tokens, and as `scoring`."""
    check_by_scores(task)
    if task.hole.max_tokens is not None:
        raise ProgramError("a class on a server takes no max_tokens: its words are cut into the server's tokens")
    question = question_of(task, [text for text in task.hole.options or () if text not in task.excluded])
    words = question.words
    assert words is not None
    dist, usage = yield from scoring(question, transcript.border()[0], model)
    under = {word: value for c in words.words for word, value in dist.words[c].logprobs.items()}
    word = question.texts[decided(words, np.array([*under.values()]), task.sampling)]
    c = words.class_of[word]
    text, logprob = (words.shown[c], dist.logprobs[c]) if words.shown else (word, under[word])
    transcript.append(text)
    value = text.encode()
    known = logprob if task.logprobs else None
    return Answer(value, tuple(value), "complete", 0, known, usage + Usage(1), choice=lambda: dist)


def answered(result: Result, logprobs: bool = False) -> Answer:
    known = [value for value in result.logprobs if not math.isnan(value)]
    logprob = sum(known) if logprobs and known else None
    spent = result.prompt_tokens, result.prompt_tokens_computed, result.sampled_tokens, result.forced_tokens
    usage = Usage(result.asked, *spent, result.seconds)
    return Answer(bytes(result.ids), tuple(result.ids), result.finish, 0, logprob, usage)


def wanted_of(task: Task, before: str) -> Wanted:
    """What a hole wants; `before` is the text before it, for its monitor."""
    hole = narrowed(task.hole, task.excluded) if task.excluded else task.hole
    ends = tuple(minimal(hole.stop)) or ((task.follow.decode(),) if task.follow else ())
    value = hole.grammar.expr if hole.grammar is not None else None
    if value is not None and hole.stop:
        value = both(value, negate(concat(ANY_TEXT, alt(*map(text, ends)), ANY_TEXT)))
    check = None if hole.monitor is None else partial(replace(hole, check=None).matches, before=before)
    return Wanted(value, ends, check, task.heal)


def budget(hole: Hole, wanted: Wanted, model: RemoteModel) -> int:
    """Tokens that an answer may take. There are at most as many as bytes."""
    if hole.max_tokens is not None:
        return hole.max_tokens
    if wanted.value is None:
        return DEFAULT_TOKENS
    c = compile(wanted.value, model.vocab)
    most = max(DEFAULT_TOKENS, c.distance(c.start()))
    return min(most, model.capabilities.context or most)


# -- how probable options are


def scoring(question: Question, ids: Sequence[int], model: RemoteModel) -> Routine[tuple[Dist, Usage]]:
    """The routine of `Prompt.score`: options as the server's tokenizer spells them together with the text before.

    Raises ProgramError where the server does not tell, BackendError, RequestError for chats.
    """
    if not model.capabilities.prompt_logprobs:
        raise ProgramError(f"{model.url} ({model.capabilities.server}) does not tell how probable given texts are")
    if question.exact is not None:
        raise ProgramError("sums over all spellings need the model in this process")
    logprobs, tokens, usage = yield from _weighed(question, ids)
    scores = logprobs / tokens if question.norm == "mean" else logprobs
    if question.norm == "pmi":
        alone, _, more = yield from _weighed(question, [*question.premise.encode()])
        scores, usage = logprobs - alone, usage + more
    return dist_of(question, logprobs, scores), usage


def _weighed(question: Question, ids: Sequence[int]) -> Routine[tuple[Floats, Floats, Usage]]:
    end = question.end.decode()
    (result,) = yield [Scoring(ids, 0, texts=[text + end for text in question.texts])]
    logprobs, tokens = result.answers
    return logprobs, tokens, Usage(0, result.prompt_tokens, result.prompt_tokens_computed)


def choice_of(task: Task, ids: Sequence[int], model: RemoteModel) -> Callable[[], Dist] | None:
    """What tells the probabilities of a choice's options, when it is asked; None: the server does not tell them."""
    options = task.hole.options
    if options is None or not model.capabilities.prompt_logprobs:
        return None
    question = question_of(task, options)
    return lambda: model.run(scoring(question, ids, model)).result()[0]
