"""One value from a server: asked for, checked, and asked for again when it is not what was wanted."""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from ...grammars.compiled import compile
from ...grammars.errors import BudgetError, UnsupportedConstraint
from ..errors import ContextOverflow
from ..request import Finish, Request, Result
from ..sampling import Sampling
from ..wanted import Wanted, begins
from . import texts
from .dialects import Enforced, Sent, sent
from .enforce import Means, means
from .errors import BackendAnswer, BackendRefused
from .replies import Reply
from .servers import Capabilities, Found

BYTES_A_TOKEN = 3  # about
BEHIND = 4  # tokens behind a value that show that it has ended
KEPT = 1000  # languages whose way to the server is remembered
LEAST = 32  # tokens of an answer that a long prompt should leave room for
WARM = 0.7  # the temperature at which a greedy answer that was not valid is asked for again
LONGEST_TOKEN = 128  # bytes; what does not fit in that many for each token fits in no budget
NO_PROMPT = "the request had no text before its hole, which some servers refuse: begin with some"
Post = Callable[[Sent, Callable[[str], object] | None], Awaitable[Reply]]


@dataclass
class Asker:
    """tries: how often an answer that a server did not enforce is asked for again; 0: it is refused instead."""

    found: Found
    shown: str
    tries: int
    post: Post
    _means: dict[tuple[Capabilities, Wanted, str], Means] = field(default_factory=dict)
    _can: dict[Wanted, Capabilities] = field(default_factory=dict)  # for what the server has refused a constraint of

    async def answer(self, request: Request) -> Result:
        """Raises BudgetError, UnsupportedConstraint, BackendError, ContextOverflow, RequestError."""
        wanted = wanted_of(request)
        self._check_budget(wanted, request.max_tokens)
        can = self._can.get(wanted, self.found.can)
        try:
            return await self._answer(request, wanted)
        except _Refused as refusal:
            self._can[wanted] = _without(can, refusal.constraint)
            try:
                return await self.answer(request)
            except BackendRefused:  # it was not for the constraint
                self._can[wanted] = can
                raise refusal.error from None
            except UnsupportedConstraint as error:
                raise UnsupportedConstraint(f"{error}; with a constraint {refusal}") from None

    async def _answer(self, request: Request, wanted: Wanted) -> Result:
        prompt = texts.read(request.ids)
        blanks = self._blanks(prompt, wanted)
        way = self.means(wanted, blanks)
        if blanks and not way.enforced.grammar:
            blanks, way = "", self.means(wanted)
        if not way.exact and self.tries == 0:
            raise UnsupportedConstraint(f"{self._named(way)} and tries=0 says not to check its answers instead")
        began, total, last, text = time.perf_counter(), Reply(), Reply(), ""
        for attempt in range(self.tries + 1):
            last = await self._ask(request, prompt.without(blanks), way, attempt, blanks)
            total.prompt_tokens += last.prompt_tokens
            total.cached_tokens += last.cached_tokens
            total.tokens += last.tokens
            text = last.text[len(blanks) :] if last.text.startswith(blanks) else last.text
            found = way.read(text)
            if found is not None and (found[1] or last.finish != "length" or wanted.value is None):
                if request.on_tokens is not None and not _streams(request, way):
                    request.on_tokens([*found[0].encode()])
                seconds = time.perf_counter() - began
                return _result(found[0], last, total, attempt + 1, len(blanks), found[1], seconds)
            if way.exact and wanted.check is None and request.sampling.greedy:
                break  # it would answer the same again
        raise self._failure(way, replace(last, text=text), request.max_tokens)

    def means(self, wanted: Wanted, blanks: str = "") -> Means:
        """How a value is asked for, as far as it is known what the server takes."""
        can = self._can.get(wanted, self.found.can)
        key = can, wanted, blanks
        if key not in self._means:
            if len(self._means) > KEPT:
                self._means.clear()
                self._can.clear()
            self._means[key] = means(can, wanted, blanks)
        return self._means[key]

    def _check_budget(self, wanted: Wanted, max_tokens: int) -> None:
        if wanted.value is None:
            return
        c = compile(wanted.value, texts.vocabulary())
        if (least := c.distance(c.start())) > max_tokens * LONGEST_TOKEN:
            raise BudgetError(f"no value fits in max_tokens={max_tokens}: the shortest has {least} bytes")

    def _blanks(self, prompt: texts.Prompt, wanted: Wanted) -> str:
        """Blanks that the prompt ends with and the value can begin with instead, as most tokenizers spell them."""
        if not (wanted.heal and self.found.can.grammar) or prompt.text.isspace():
            return ""
        return prompt.text[len(prompt.text.rstrip(" ")) :]

    async def _ask(self, request: Request, prompt: texts.Prompt, way: Means, attempt: int, blanks: str) -> Reply:
        free = way.wanted.value is None
        stop = way.wanted.ends[:4] if free or way.enforced == Enforced() else ()
        room = 0 if free or not way.exact else max([len(end.encode()) for end in way.wanted.ends], default=0)
        most = request.max_tokens + room if way.longest is None else min(request.max_tokens, way.longest + BEHIND)
        if (context := self.found.can.context) is not None:
            most = min(most, max(LEAST, context - len(request.ids) // BYTES_A_TOKEN))
        sampling = _again(request.sampling, attempt)
        tell = _Told(request.on_tokens, blanks).add if _streams(request, way) else None
        while True:
            try:
                body = sent(
                    self.found.model, self.found.can, prompt, way.enforced, most, sampling, stop, request.scored
                )
                return (await self.post(body, tell)).checked()
            except ContextOverflow:
                if most <= LEAST:
                    raise
                most //= 2  # the answer may be shorter than its budget
            except BackendRefused as error:
                if prompt.messages is None and not prompt.text:
                    error.add_note(NO_PROMPT)
                if way.enforced == Enforced() or error.status not in (400, 422):
                    raise
                raise _Refused(error, way.enforced) from None

    def _named(self, way: Means) -> str:
        return f"{self.shown} ({self.found.can.server}) cannot enforce this constraint ({way.why})"

    def _failure(self, way: Means, last: Reply, max_tokens: int) -> Exception:
        shown = repr(last.text[-80:])
        if last.finish == "length" and begins(last.text, way.wanted, texts.vocabulary()):
            return BudgetError(
                f"the answer of {self.shown} was cut off at max_tokens={max_tokens} before a value was complete: "
                f"…{shown}. Masks that steer towards an end exist only where the model runs in this process"
            )
        if way.exact and way.wanted.check is None:
            return BackendAnswer(f"{self.shown} was given a grammar and broke it: …{shown}", self.shown)
        return UnsupportedConstraint(f"{self._named(way)} and gave no valid value in {self.tries + 1} tries: …{shown}")


class _Refused(Exception):
    """The server does not take a constraint."""

    def __init__(self, error: BackendRefused, constraint: Enforced) -> None:
        super().__init__(str(error))
        self.error, self.constraint = error, constraint


def _without(can: Capabilities, refused: Enforced) -> Capabilities:
    if refused.schema is None:
        return replace(can, grammar=False, regex=False)
    return replace(can, grammar=False, regex=False, json_schema=False)


def _streams(request: Request, way: Means) -> bool:
    return request.on_tokens is not None and way.exact and way.wanted.check is None


def _result(value: str, last: Reply, total: Reply, asked: int, skipped: int, ended: bool, seconds: float) -> Result:
    data = value.encode()
    finish: Finish = "stop" if last.finish != "length" or ended else "length"
    computed = total.prompt_tokens - total.cached_tokens
    none = [math.nan] * len(data)
    result = Result([*data], finish, None, total.prompt_tokens, computed, total.tokens, 0, none, seconds, none)
    if last.logprobs and data:
        result.logprobs = [last.logprob_of(skipped, skipped + len(value)), *none[1:]]
    result.asked = asked
    return result


class _Told:
    """Passes text on as bytes, without the blanks that it begins with."""

    def __init__(self, tell: Callable[[list[int]], object] | None, blanks: str) -> None:
        self._tell, self._left = tell, len(blanks)

    def add(self, piece: str) -> None:
        new = piece[self._left :]
        self._left = max(0, self._left - len(piece))
        if new and self._tell is not None:
            self._tell([*new.encode("utf-8", "replace")])


def wanted_of(request: Request) -> Wanted:
    """What a request wants; of one that brings a constraint only, the language that its state is the start of."""
    if request.wanted is not None:
        return request.wanted
    if request.constraint is None:
        return Wanted()
    state = request.constraint.start() if request.state is None else request.state
    beginning = getattr(request.constraint, "beginning", lambda s: None)(state)
    if beginning is None or beginning[0]:
        raise UnsupportedConstraint("a server can be asked for whole values only, not for the rest of one")
    _, value, follow = beginning
    return Wanted(value, (follow.decode(),) if follow else ())


def _again(sampling: Sampling, attempt: int) -> Sampling:
    """Arithmetic samples are drawn independently: each has a seed of its own."""
    if sampling.arithmetic is not None and sampling.seed is not None:
        sampling = replace(sampling, arithmetic=None, seed=(sampling.seed + 7919 * sampling.arithmetic[0]) % 2**63)
    if attempt == 0:
        return sampling
    seed = attempt if sampling.seed is None else (sampling.seed + attempt) % 2**63
    return replace(sampling, temperature=sampling.temperature or WARM, seed=seed)
