"""What is to be filled, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .asked import Asked
from .decoders import Certificate, Method
from .decoders.method import SlotPlace
from .dist import Dist
from .holes import Boundary, Hole
from .run import Usage
from .runtime.sampling import Sampling
from .trace import Attempt

Watch = Callable[[bytes], Callable[[Sequence[int]], object]]


@dataclass(frozen=True)
class Task:
    """A hole as it stands in a run.

    follow    bytes known to come after it
    method    fills the hole as a whole; None: token by token
    excluded  values that may not come
    exact     the end of the text is a string, not its tokens
    places    slots in the text before it, for a method that asks about them
    watch     told of each request and of the bytes at its beginning that are not of the value, it gives what is to be
              told, on the engine's thread, of the tokens
    """

    hole: Hole
    follow: bytes
    heal: bool
    sampling: Sampling
    logprobs: bool = False
    trace: bool = False
    excluded: tuple[str, ...] = ()
    watch: Watch | None = None
    method: Method | None = None
    exact: bool = False
    places: tuple[SlotPlace, ...] = ()

    @property
    def asked(self) -> Asked:
        boundary: Boundary = "exact" if self.exact else "heal" if self.heal else "token"
        follow = "" if self.hole.stop else self.follow.decode(errors="replace")
        return Asked(self.hole.options, follow, boundary, hole=self.hole)


@dataclass(frozen=True)
class Answer:
    """`followed`: how many bytes of the task's `follow` the model has already written. `attempts`: for the trace.
    `choice`: where it was made between options by their scores, gives the probability of each. `certificate`: what a
    method knows of how right the answer is."""

    value: bytes
    tokens: tuple[int, ...]
    finish: str
    followed: int
    logprob: float | None
    usage: Usage
    attempts: tuple[Attempt, ...] = ()
    choice: Callable[[], Dist] | None = None
    certificate: Certificate | None = None


def covering(token_bytes: Sequence[bytes | None], ids: Sequence[int], begin: int, size: int) -> range:
    """The positions of the tokens that share a byte with [begin, begin + size)."""
    first = last = at = 0
    for i, token in enumerate(ids):
        if at <= begin:
            first = i
        if at < begin + size:
            last = i + 1
        at += len(token_bytes[token] or b"")
    return range(first, last) if size else range(first, first)
