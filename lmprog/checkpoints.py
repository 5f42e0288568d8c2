"""Marks: a run goes back to what it was. Token ids come back as they were, so the prefix cache knows them all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .chat import ChatPlace
from .errors import ProgramError, RoleError
from .events import Event
from .slot_frames import giving
from .transcript import Place

if TYPE_CHECKING:
    from .branches import Branch
    from .feedback import Aside
    from .run import Capture
    from .session import Live


@dataclass(frozen=True)
class Filled:
    """A hole that was filled, and the transcript before and after it."""

    kind: str
    capture: Capture
    before: Place
    after: Place


@dataclass(frozen=True)
class Happened:
    """What `p.effect` gave."""

    value: Any


@dataclass(frozen=True)
class Scored(Happened):
    """What `p.score` gave."""


Step = Filled | Happened | list["Branch[Any]"]


@dataclass(frozen=True, eq=False, repr=False)
class Mark:
    """A point of a run, from `p.mark()`. Of the lists, how much was in them."""

    owner: Live
    place: Place
    chat: ChatPlace
    line: int
    last: Event | None  # of the line
    length: int  # of the text
    captures: int
    holes: int
    requests: int  # of the tracer
    steps: int
    asides: tuple[Aside, ...]
    roles: tuple[str, str, int]  # kind, open, begun
    asked: dict[str, int]  # how often for each slot that may give way

    def __repr__(self) -> str:
        return f"<mark after {self.captures} holes>"


def mark(live: Live) -> Mark:
    recorder, roles = live.recorder, live.roles
    last = recorder.line[-1] if recorder.line else None
    return Mark(
        live,
        live.transcript.place(),
        live.chat.place(),
        len(recorder.line),
        last,
        recorder.length,
        len(recorder.captures),
        live.page.holes,
        len(live.tracer.requests),
        len(live.steps),
        live.asides,
        (roles.kind, roles.open, roles.begun),
        {**giving().times},
    )


def go_back(live: Live, to: Mark, reason: str = "") -> None:
    """Restore everything but usage and the log of events.

    Raises ProgramError for a mark of another run or of text that was taken back, RoleError across a role's block.
    """
    _check(live, to)
    live.transcript.go_to(to.place)
    live.chat.go_to(to.chat)
    live.roles.kind = to.roles[0]
    live.asides = to.asides
    del live.steps[to.steps :]
    if len(live.recorder.line) > to.line:
        live.recorder.retract(to.line, to.captures, reason)
    live.page.holes = to.holes
    giving().times = {**to.asked}
    live.tracer.retract(to.requests, live.recorder.length)


def _check(live: Live, to: Mark) -> None:
    line, roles = live.recorder.line, live.roles
    if to.owner is not live:
        raise ProgramError("the mark is of another prompt: p.reset(mark) goes with the p.mark() of the same p")
    if len(line) < to.line or (to.line > 0 and line[to.line - 1] is not to.last):
        raise ProgramError("the mark lies in text that was taken back since")
    if (roles.open, roles.begun if roles.open else 0) != (to.roles[1], to.roles[2] if to.roles[1] else 0):
        here, there = (f"in the {role} role" if role else "outside of roles" for role in (roles.open, to.roles[1]))
        raise RoleError(f"the mark was set {there}, but p.reset(mark) is called {here}: both belong into one block")
