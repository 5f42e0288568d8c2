"""From a hole and the text around it to a value's bytes: the routine that fills it.

What decides how a hole is filled is decided here, so that a run that asks hole by hole and a compiled plan, which
chains these routines, give the same.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace

from .covers import Exact
from .decoders.method import Method, Outcome, Problem, minimal
from .errors import BudgetError, HoleError
from .exact import FromString, exact_place
from .grammars import Constraint, any_text, compile, regex
from .grammars.expr import ANY_CHAR, ANY_TEXT, Expr, alt, both, concat, negate, text
from .holes import Hole
from .models import LanguageModel
from .run import Usage
from .runtime.choice import check_fits
from .runtime.model import Model
from .runtime.remote.model import RemoteModel
from .runtime.request import Request, Result
from .runtime.routine import Routine, one
from .selecting import decided_by_scores, selecting
from .task import Answer, Task, covering
from .trace import TOP, Attempt
from .transcript import Transcript, spell

DEFAULT_TOKENS = 512  # the budget of a hole that names none; doubled until a value fits
BLANKS = regex(r"\s*")
NO_METHOD = 'boundary="exact" spells the end of the text anew, which {decoder} does not allow: use "token"'


def filling(task: Task, transcript: Transcript, model: LanguageModel) -> Routine[Answer]:
    """Have the model fill the hole at the end of `transcript`, which then holds the value too.

    A hole with a few possible texts is filled by their exact scores (selecting.py), any other token by token.

    Raises BudgetError when no value fits in the hole's `max_tokens`, ContextOverflow when the text is too long.
    """
    if isinstance(model, RemoteModel):
        from .asking import asking

        return asking(task, transcript, model)
    if decided_by_scores(task, model):
        return selecting(task, transcript, model)
    return _Filling(task, transcript, model).run()


class _Filling:
    def __init__(self, task: Task, transcript: Transcript, model: LanguageModel) -> None:
        self.task, self.transcript, self.model = task, transcript, model
        self.method: Method | FromString | None = task.method
        self.hole = narrowed(task.hole, task.excluded) if task.excluded else task.hole
        self.constraint = constraint_of(self.hole, transcript, model)
        self.follow = b"" if task.hole.stop else task.follow  # a stop alone decides where the value ends
        self.usage = Usage()
        self.attempts: list[Attempt] = []

    def run(self) -> Routine[Answer]:
        if self.constraint.finished(self.constraint.start(b"", self.follow)):  # the only value is the empty one
            return Answer(b"", (), "complete", 0, None, self.usage)
        if self.task.exact and (answer := (yield from self._from_string())):
            return answer
        ids, backed = self.transcript.border()
        ids = ids or sorted(self.model.vocab.eos)[:1]  # no BOS and no text: something must be there to continue
        heal = self.task.heal and (self.method is None or self.method.heals)
        answer = (yield from self._attempt(ids, backed)) if backed and heal else None
        answer = answer or (yield from self._attempt(ids, 0))
        assert answer is not None
        return answer

    def _from_string(self) -> Routine[Answer | None]:
        """None: no spelling of the text's end leaves room for a value."""
        given = self.method
        if given is not None and not given.heals:
            raise HoleError(NO_METHOD.format(decoder=given))
        place = exact_place(self.transcript, self.model, Exact())
        if not place.border:
            return None
        self.method = given or FromString(len(place.border))  # a method weighs all spellings by itself
        answer = yield from self._attempt([*place.sent, *place.border], len(place.border))
        self.method = given
        return answer

    def _attempt(self, ids: list[int], backed: int) -> Routine[Answer | None]:
        """None: with the last `backed` ids spelt anew, the value does not fit in the budget."""
        sent, prefix = ids[: len(ids) - backed], spell(self.model.vocab, ids[len(ids) - backed :])
        state = self.constraint.start(prefix, self.follow)
        try:
            problem = self._problem(sent, state, backed, prefix)
            outcome = yield from self._solved(problem)
        except BudgetError:
            if not backed:
                raise
            return None
        result = outcome.result
        value, followed = problem.value(result.ids, result.state)
        covered = covering(self.model.vocab.token_bytes, result.ids, len(prefix), len(value))
        finish = result.finish
        limit = self.hole.max_tokens
        if backed and limit is not None and len(covered) > limit:  # the text's end took fewer tokens than before
            if self.hole.grammar is not None:
                self._note(sent, prefix, result, 0)
                return None
            covered, finish = covered[:limit], "length"
            value, followed = self._cut(result, covered, prefix), 0
        self.transcript.filled(sent, result.ids, len(prefix) + len(value) + followed)
        self._note(sent, prefix, result, len(prefix) + len(value) + followed)
        tokens = tuple([result.ids[i] for i in covered])
        logprob = self._logprob(result, covered)
        attempts = tuple(self.attempts)
        return Answer(value, tokens, finish, followed, logprob, self.usage, attempts, certificate=outcome.certificate)

    def _note(self, sent: Sequence[int], prefix: bytes, result: Result, kept: int) -> None:
        if self.task.trace:
            self.attempts.append(Attempt(sent, prefix, result, kept, time.perf_counter() - result.seconds))

    def _problem(self, sent: Sequence[int], state: int, backed: int, prefix: bytes) -> Problem:
        limit = self._limit(sent, state, backed)
        open_end = self.hole.grammar is not None and not self.follow and not self.hole.stop
        request = Request(
            sent,
            limit + backed,
            self.constraint,
            state,
            self.task.sampling,
            open_end=open_end,
            logprobs=self.task.logprobs,
            top_logprobs=TOP if self.task.trace else 0,
            on_tokens=self.task.watch(prefix) if self.task.watch else None,
        )
        return Problem(request, self.constraint, self.model, self.hole, prefix, self.follow, self.task.places)

    def _solved(self, problem: Problem) -> Routine[Outcome]:
        if self.method is None:
            outcome = Outcome((yield from one(problem.request)))
        else:
            check_fits(self.constraint, problem.state, problem.request.max_tokens)
            outcome = yield from self.method.fill(problem)
        result = outcome.result
        self.usage += Usage(
            1,
            result.prompt_tokens,
            result.prompt_tokens_computed,
            result.sampled_tokens,
            result.forced_tokens,
            result.seconds,
        )
        return outcome

    def _limit(self, sent: Sequence[int], state: int, backed: int) -> int:
        if self.hole.max_tokens is not None:
            return self.hole.max_tokens
        before = len(sent) + backed + (self.method is not None)  # a method may ask what comes behind the last token
        room = max(1, self.model.context - before)
        limit = min(room, DEFAULT_TOKENS)
        while limit < room and not self.constraint.fits(state, limit + backed):
            limit = min(room, 2 * limit)
        slots = self.model.engine.slots - before if isinstance(self.model, Model) else limit
        return slots if 0 < slots < limit and self.constraint.fits(state, slots + backed) else limit

    def _cut(self, result: Result, covered: range, prefix: bytes) -> bytes:
        """The value that the `covered` tokens alone give, without a code point that is cut in two."""
        data = spell(self.model.vocab, result.ids[: covered.stop])[len(prefix) :]
        return data.decode(errors="ignore").encode()

    def _logprob(self, result: Result, covered: range) -> float | None:
        if not (self.task.logprobs or self.task.trace):
            return None
        return sum(p for i in covered if not math.isnan(p := result.logprobs[i]))


def constraint_of(hole: Hole, transcript: Transcript, model: LanguageModel) -> Constraint:
    """What the value must be, at the end of `transcript`."""
    if hole.monitor is None:
        return compile(language_of(hole), model.vocab)
    from .monitors.constraint import Monitored

    prompt = spell(model.vocab, transcript.ids) + transcript.pending
    return Monitored(language_of(hole), model.vocab, hole.monitor, prompt.decode(errors="replace"))


def language_of(hole: Hole) -> Expr:
    """The language that is generated: the hole's own or, with stops, its texts up to and with the first stop.

    A text may not go on behind a stop, and ends with a stop, or (by EOS, or when the budget is used up) without one.
    """
    value = (hole.grammar or any_text()).expr
    if not hole.stop:
        return value
    stop = alt(*[text(s) for s in minimal(hole.stop)])
    first = negate(concat(ANY_TEXT, stop, ANY_CHAR, ANY_TEXT))
    if hole.grammar is None:
        return first
    free = negate(concat(ANY_TEXT, stop, ANY_TEXT))
    return both(first, alt(both(value, free), concat(value, stop)))


def narrowed(hole: Hole, excluded: Sequence[str]) -> Hole:
    """Without some values; without free text that differs from one in the blanks around it only."""
    if hole.grammar is not None:
        return replace(hole, grammar=hole.grammar.except_(*excluded))
    return replace(hole, grammar=any_text().except_(*[BLANKS + value.strip() + BLANKS for value in excluded]))
