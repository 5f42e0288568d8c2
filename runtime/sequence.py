"""A request under way."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from .pool import Slots
from .radix import Ids, Node
from .request import UNKNOWN, Ask, Finish, Request, Result, Scores

if TYPE_CHECKING:
    from .choice import Choice
    from .penalties import Penalties
    from .speculation.tree import Draft
    from .uniforms import Uniforms
    from .waiting import Group

_I = TypeVar("_I", np.int32, np.int64)


class Sequence:
    """The tokens of one request, and the slots that hold their keys and values.

        ids    [ prompt ................ | generated ...... ]
        table  [ shared ........... | own ...... |            slots; shared ones belong to the tree (up to `shared`),
               [ done ................ |  pending |           own ones to this sequence; `done` tokens have their KV

    `held` entries of the table are valid. While not running there is no node and no table.
    """

    __slots__ = (
        "answers", "arrival", "asks", "choice", "computed", "done", "draft", "due", "error", "finish", "first",
        "forced", "group", "held", "ids", "length", "node", "passed_over", "penalties", "placed", "prompt", "request",
        "rng", "sampled", "scores", "shared", "started", "state", "table", "told", "watchers",
    )  # fmt: skip

    def __init__(self, request: Request) -> None:
        prompt = np.asarray(request.ids[: max((ask.after for ask in request.asks), default=None)], np.int32)
        self.request = request
        self.prompt = self.length = len(prompt)
        self.ids = np.empty(len(prompt) + min(request.max_tokens, 64), np.int32)
        self.ids[: len(prompt)] = prompt
        self.arrival = 0
        self.passed_over = 0
        self.due = False  # has waited for so long that it goes before all others
        self.group: Group | None = None
        self.placed = False  # holds a place in the bounded queue
        self.release()
        self.state: int | None = None
        self.choice: Choice | None = None
        self.rng: Uniforms | None = None
        self.penalties: Penalties | None = None
        self.finish: Finish | None = None
        self.error: BaseException | None = None
        self.watchers: tuple[Callable[[], object], ...] = ()  # told of new tokens
        self.told = 0  # tokens that `on_tokens` has been given
        self.computed = self.sampled = self.forced = 0
        self.scores: list[Scores] = []
        self.asks = sorted(request.asks, key=lambda ask: ask.after)  # those without an answer
        self.answers: dict[Ask, NDArray[np.float64]] = {}
        self.started = self.first = time.perf_counter()

    def release(self) -> None:
        """Forget the slots (the scheduler has given them back)."""
        self.node: Node | None = None
        self.table: Slots = np.zeros(0, np.int64)
        self.held = self.shared = self.done = 0
        self.draft: Draft | None = None  # during a step

    def append(self, token: int, scores: Scores = UNKNOWN) -> None:
        if self.length == len(self.ids):
            self.ids = _grown(self.ids)
        self.ids[self.length] = token
        self.length += 1
        self.scores.append(scores)

    def hold(self, slots: Slots) -> None:
        """Add slots to the table."""
        while self.held + len(slots) > len(self.table):
            self.table = _grown(self.table, self.held + len(slots))
        self.table[self.held : self.held + len(slots)] = slots
        self.held += len(slots)

    def hold_one(self, slot: int) -> None:
        """`hold` for a decode."""
        if self.held == len(self.table):
            self.table = _grown(self.table, self.held + 1)
        self.table[self.held] = slot
        self.held += 1

    def since(self, n: int) -> list[int]:
        """The generated tokens but for the first n. Any thread may ask: the length is read before the array."""
        end = self.length
        tokens: list[int] = self.ids[self.prompt + n : end].tolist()
        return tokens

    @property
    def pending(self) -> int:
        return self.length - self.done

    @property
    def generated(self) -> Ids:
        return self.ids[self.prompt : self.length]

    @property
    def remaining(self) -> int:
        """Tokens that may still be generated."""
        return self.request.max_tokens - (self.length - self.prompt)

    def result(self) -> Result:
        assert self.finish is not None
        return Result(
            ids=self.since(0),
            finish=self.finish,
            state=self.state,
            prompt_tokens=self.prompt,
            prompt_tokens_computed=self.computed,
            sampled_tokens=self.sampled,
            forced_tokens=self.forced,
            logprobs=[s.raw for s in self.scores],
            seconds=time.perf_counter() - self.started,
            masked_logprobs=[s.masked for s in self.scores],
            top_logprobs=[s.top_raw or {} for s in self.scores],
            top_masked_logprobs=[s.top_masked or {} for s in self.scores],
            allowed=[s.allowed for s in self.scores],
            times=[s.at - self.started for s in self.scores],
            answers=[self.answers[ask] for ask in self.request.asks if ask in self.answers],
        )


def _grown(array: NDArray[_I], least: int = 0) -> NDArray[_I]:
    new = np.empty(max(least, 2 * len(array)), array.dtype)
    new[: len(array)] = array
    return new
