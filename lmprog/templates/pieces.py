"""What a template yields beside text, in the order in which it is to happen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ..holes import Hole


@dataclass(frozen=True, slots=True)
class Part:
    """The value of an expression. `follow` is the text that certainly comes next; `looped`: it stands in a loop."""

    value: Any
    follow: str
    looped: bool


@dataclass(frozen=True, slots=True)
class Opened:
    """A message of a chat begins."""

    role: str
    name: str | None


@dataclass(frozen=True, slots=True)
class Closed:
    """The message ends."""


@dataclass(frozen=True, slots=True)
class Inner:
    """A block of the parent template, where the template says `super()`. `pieces` begins it."""

    pieces: Callable[[], Iterator[Any]]


def misplaced(piece: object) -> str | None:
    """What a piece is that cannot become part of a string; None for pieces that can."""
    if isinstance(piece, Part):
        piece = piece.value
    if isinstance(piece, Hole):
        return f"the hole {piece.name!r}" if piece.name else f"a hole ({piece.kind})"
    if isinstance(piece, Opened | Closed):
        return "a chat role"
    return "super() with a hole or role in it" if isinstance(piece, Inner) else None
