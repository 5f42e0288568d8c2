"""What goes into the engine and what comes out."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from .sampling import Sampling
from .wanted import Wanted

if TYPE_CHECKING:
    from .handle import Handle

Finish = Literal["stop", "complete", "length", "cancelled", "deadline"]


class Constraint(Protocol):
    """The part of `lmprog.grammars.Constraint` that decoding needs; states are immutable ints."""

    def start(self) -> int: ...
    def mask(self, state: int, budget: int | None = None) -> NDArray[np.int32]: ...
    def allowed(self, state: int, limit: int = 256, budget: int | None = None) -> NDArray[np.int32] | None: ...
    def advance(self, state: int, token: int) -> int | None: ...
    def accepting(self, state: int) -> bool: ...
    def finished(self, state: int) -> bool: ...
    def forced(self, state: int) -> bytes: ...
    def forced_tokens(self, state: int) -> list[int]: ...
    def distance(self, state: int) -> int: ...
    def fits(self, state: int, budget: int) -> bool: ...


class Vocab(Protocol):
    """The part of `lmprog.grammars.Vocabulary` that decoding needs."""

    @property
    def size(self) -> int: ...
    @property
    def eos(self) -> frozenset[int]: ...


class Lender(Protocol):
    """A model that answers requests of routines that run on another one."""

    def lend(self, request: Request) -> Handle: ...


@dataclass(frozen=True, slots=True, eq=False)
class Ask:
    """Something a request wants to know of given text: the log-probabilities of `tokens` as what comes behind its first
    `after` ids, under the whole, unmasked distribution at temperature 1.

    relative   they need be right only up to a number that all of them share: no other logits are computed then
    """

    after: int
    tokens: NDArray[np.int32]
    relative: bool = False


def asks_of(ids: Sequence[int], start: int) -> tuple[Ask, ...]:
    """What to ask for the log-probability of each of ids[start:], given all before it; `start` is 1 or more."""
    return tuple([Ask(i, np.array([ids[i]], np.int32)) for i in range(start, len(ids))])


@dataclass
class Request:
    """Continue `ids` by at most `max_tokens` tokens, or answer what is asked about them.

    Without a constraint the end comes at an EOS id of the vocabulary (unless `ignore_eos`) or at one of `stop_ids`.
    With a constraint the result is always one of its complete values: it ends at EOS (where the constraint allows it),
    when nothing can continue the value, or, with `open_end`, when the model picks a token that would leave the
    language; `stop_ids` and `ignore_eos` do not apply. `state` is where the constraint starts (None:
    `constraint.start()`). `logprobs=True` asks for the log-probabilities of the tokens, `top_logprobs=k` also for
    those of the k likeliest at each place; either also for how many tokens could come there, and for when each came.
    The full row of logits is then computed for every sampled token, also where a mask would allow a narrow one.

    With `asks` nothing is generated (max_tokens=0): the request ends when all of them are answered. Prompt
    log-probabilities from the n-th id on: `Request(ids, 0, asks=asks_of(ids, n))`. Ids behind the last place that is
    asked about are not computed.

    Requests of a higher `priority` go first, and may send running ones of a lower priority back to wait. `group` says
    whose request it is, a program's or a user's: groups get equal shares of the engine, counted in tokens. After
    `timeout` seconds from its submission the request fails with DeadlineExceeded, which holds what there was.
    With speculate=False nothing is drafted for it; where an engine has drafters, that changes its speed only.
    `wanted` says the same as the constraint, for models that are elsewhere; an engine of this process does not read it.
    `model` is another model in this process that is to answer it, where a routine asks more than the one it runs on
    (runtime/routine.py); `ids` and tokens are those of that model.
    `on_tokens` is called on the engine's thread with the new tokens of each step; it must be quick, and an exception
    in it ends this request.
    """

    ids: Sequence[int]
    max_tokens: int
    constraint: Constraint | None = None
    state: int | None = None
    sampling: Sampling = field(default_factory=Sampling)
    stop_ids: frozenset[int] = frozenset()
    open_end: bool = False
    logprobs: bool = False
    top_logprobs: int = 0
    ignore_eos: bool = False
    asks: Sequence[Ask] = ()
    priority: int = 0
    group: Hashable = None
    timeout: float | None = None
    on_tokens: Callable[[list[int]], object] | None = None
    speculate: bool = True
    wanted: Wanted | None = None
    model: Lender | None = None

    @property
    def scored(self) -> bool:
        return self.logprobs or self.top_logprobs > 0


class Scores(NamedTuple):
    """What is known of one place, as in the fields of a Result; `at` by time.perf_counter()."""

    raw: float = math.nan
    masked: float = math.nan
    top_raw: dict[int, float] | None = None
    top_masked: dict[int, float] | None = None
    allowed: int = 0
    at: float = math.nan


UNKNOWN = Scores()


@dataclass
class Result:
    """The outcome of a request.

    ids             generated tokens, forced ones included, without the EOS or stop id
    finish          "stop": an EOS or stop id, or the model left the language at an open end; "complete": nothing can
                    continue the value; "length": max_tokens are used up (with a constraint: by a complete value);
                    "cancelled", "deadline": ended early, ids holds what there was
    state           the constraint's last state, before any EOS
    logprobs        log-probability of each token under the whole, unmasked distribution at temperature 1;
                    nan for forced tokens and, unless the request asked for logprobs, for all
    masked_logprobs log-probability of each token under the distribution that it was drawn from: after penalties and
                    biases, mask, temperature and filters; at temperature 0, where nothing is drawn, after penalties,
                    biases and mask at temperature 1. 0.0 for forced tokens, which come with certainty; for others
                    nan unless the request asked for logprobs
    top_logprobs    for each token the k likeliest at its place under the whole distribution, {id: log-probability},
                    likeliest first; empty for forced tokens and unless the request asked for top_logprobs=k
    top_masked_logprobs   the same under the distribution of masked_logprobs, with no token that could not be drawn;
                    of a forced token itself alone
    allowed         how many tokens of the vocabulary, ends included, the constraint let come at each place; 1 for
                    forced tokens, for others 0 unless the request asked for logprobs
    times           seconds from submission to each token; nan unless the request asked for logprobs
    answers         for each of the request's asks the log-probabilities of its tokens, in their order
    asked           how often a server was asked for it; 1 for an engine of this process
    """

    ids: list[int]
    finish: Finish
    state: int | None
    prompt_tokens: int
    prompt_tokens_computed: int
    sampled_tokens: int
    forced_tokens: int
    logprobs: list[float]
    seconds: float
    masked_logprobs: list[float] = field(default_factory=list)
    top_logprobs: list[dict[int, float]] = field(default_factory=list)
    top_masked_logprobs: list[dict[int, float]] = field(default_factory=list)
    allowed: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    answers: list[NDArray[np.float64]] = field(default_factory=list)
    asked: int = 1
