"""What happens in a run, in order: `Run.trace` keeps it, `Program.stream` hands it out as it happens.

    Text        text was appended; in a stream also each piece of a value while the model writes it (`hole` names it)
    Open        a hole begins
    Close       a hole is filled: its whole text, and its value
    RoleBegin   a chat message begins        RoleEnd   it ends
    Retract     text was taken back: what comes after the event's place is no longer part of the run
    Fork        branches go on from here; their events carry `branch`
    Done        the run is over (streams only)

Every event says what the run's text is up to its end, so that a reader needs one rule for all of them, whatever was
taken back in between: `text = text[: event.span[0]] + event.text`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .run import Run

Span = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Event:
    """One step of a run.

    span     character offsets into the run's text
    text     the text at `span`
    branch   where it happened: () in the run itself, (f, b) in branch b of its fork f, (f, b, g, c) in branch c of
             fork g of that branch, and so on; forks and branches count from 0. A branch's text begins with the text
             before its fork
    """

    span: Span
    text: str = ""
    branch: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Text(Event):
    """Text was appended. `hole`: the name of the hole whose value it is a piece of, "" for the program's own text.
    `slot`: the name of the slot whose text it is."""

    hole: str = ""
    slot: str = ""


@dataclass(frozen=True, kw_only=True)
class Open(Event):
    """A hole begins. `kind` describes its language in a few words; `json`: its value is written as JSON."""

    name: str
    kind: str
    json: bool = False


@dataclass(frozen=True, kw_only=True)
class Close(Event):
    """A hole is filled. `finish` is "stop", "complete" or "length", as in the runtime's Result."""

    name: str
    value: Any
    finish: str


@dataclass(frozen=True, kw_only=True)
class RoleBegin(Event):
    """A chat message begins. `name` is that of a tool."""

    role: str
    name: str = ""


@dataclass(frozen=True, kw_only=True)
class RoleEnd(Event):
    """A chat message ends."""

    role: str


@dataclass(frozen=True, kw_only=True)
class Retract(Event):
    """The text behind `span` was taken back. `removed` is that text, `reason` why, where one is known."""

    removed: str = ""
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Fork(Event):
    """`branches` branches begin here; `index` counts the forks of this run or branch."""

    index: int
    branches: int


@dataclass(frozen=True, kw_only=True)
class Done(Event):
    """The run is over."""

    run: Run[Any]
