"""The seam for decoders that do more than to choose one token after the other.

A method is given what decoding token by token would have asked of the engine, as a `Problem`, and is a routine
(runtime/routine.py): all requests of a round run as one batch, and what they share is computed once. Token healing,
stops, budgets, traces and `where` stay with fill.py, so they are the same under every method.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

from ..runtime.request import Finish, Request, Result
from ..runtime.routine import Routine
from ..runtime.sampling import Sampling
from .certificate import Certificate

if TYPE_CHECKING:
    from ..grammars import Constraint
    from ..holes import Hole
    from ..models import LanguageModel


class SlotPlace(NamedTuple):
    """A slot's text in the run before a hole: the same text stands `nth` times before it."""

    slot: str
    text: str
    nth: int


@runtime_checkable
class Method(Protocol):
    """A decoder that fills a whole hole. Methods are values: frozen dataclasses that compare equal when they do the
    same; what one learns from call to call is no part of that.

    choices   a choice between a few options may be drawn from their exact probabilities instead, as under Sample
    heals     the last tokens of the text before a hole may be spelt anew together with its value
    """

    @property
    def choices(self) -> bool: ...
    @property
    def heals(self) -> bool: ...

    def sampling(self) -> Sampling:
        """Temperature, seed and so on, over which a hole's own settings are laid."""
        ...

    def fill(self, problem: Problem) -> Routine[Outcome]:
        """Fill the hole; the seed to be used is that of the problem."""
        ...


@dataclass(frozen=True)
class Problem:
    """A hole at its place in a run.

    request      as decoding token by token would send it: the text before, the constraint and its state, the most
                 tokens, the settings; `open_end`: whatever leaves the language ends the value
    constraint   of the request
    prefix       bytes of the text before the hole with which what is generated begins
    follow       bytes that end the value when they come; they may be generated behind it
    places       where slots stand in the text before
    """

    request: Request
    constraint: Constraint
    model: LanguageModel
    hole: Hole
    prefix: bytes = b""
    follow: bytes = b""
    places: tuple[SlotPlace, ...] = ()

    @property
    def state(self) -> int:
        assert self.request.state is not None
        return self.request.state

    def value(self, ids: Sequence[int], state: int | None) -> tuple[bytes, int]:
        """The bytes of the value among generated `ids`, and how many of `follow` come behind it."""
        token_bytes = self.model.vocab.token_bytes
        data = b"".join([token_bytes[i] or b"" for i in ids])[len(self.prefix) :]
        if self.hole.stop:
            return _without_stop(data, self.hole.stop), 0
        followed = self.constraint.followed(state) if self.follow and state is not None else 0
        return data[: len(data) - followed], followed

    def text(self, ids: Sequence[int], state: int | None) -> str:
        """The text of the value so far; a code point that is cut in two is left out."""
        return self.value(ids, state)[0].decode(errors="ignore")

    def passes(self, text: str) -> bool:
        """Whether a whole value meets the hole's condition that is a function, if it has one."""
        return self.hole.check is None or bool(self.hole.check(self.hole.parse(text)))


@dataclass
class Outcome:
    """What filled the hole, as an engine's result, and what the method knows of it."""

    result: Result
    certificate: Certificate | None = None


@dataclass
class Tally:
    """Counts what a method's requests cost, for the result."""

    prompt_tokens: int = 0
    computed: int = 0
    sampled: int = 0
    began: float = field(default_factory=time.perf_counter)

    def add(self, results: Sequence[Result]) -> None:
        """The results of a round. The prompt is counted once, and then what is computed."""
        for result in results:
            self.prompt_tokens = max(self.prompt_tokens, result.prompt_tokens)
            self.computed += result.prompt_tokens_computed
            self.sampled += result.sampled_tokens

    def result(
        self,
        ids: Sequence[int],
        finish: Finish,
        state: int | None,
        logprobs: Sequence[float],
        masked: Sequence[float] = (),
    ) -> Result:
        """logprobs: of each token under the model alone; masked: under what it was drawn from."""
        return Result(
            ids=list(ids),
            finish=finish,
            state=state,
            prompt_tokens=self.prompt_tokens,
            prompt_tokens_computed=self.computed,
            sampled_tokens=self.sampled,
            forced_tokens=0,
            logprobs=list(logprobs),
            seconds=time.perf_counter() - self.began,
            masked_logprobs=list(masked),
        )

    def whole(self, result: Result) -> Result:
        """One of the results that were added, at the cost of all."""
        seconds = time.perf_counter() - self.began
        computed, sampled = self.computed, self.sampled
        return replace(result, prompt_tokens_computed=computed, sampled_tokens=sampled, seconds=seconds)


def minimal(stops: Sequence[str]) -> list[str]:
    """Without the stops that contain another one: that one always comes first."""
    return [s for s in dict.fromkeys(stops) if not any(other in s for other in stops if other != s)]


def _without_stop(data: bytes, stops: Sequence[str]) -> bytes:
    for stop in minimal(stops):
        if data.endswith(stop.encode()):
            return data[: -len(stop.encode())]
    return data
