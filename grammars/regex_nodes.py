"""What a parsed regex is made of. Flags, classes and case are resolved by the parser, so this is all there is.

Nodes compare by identity, so that tables about them are cheap.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from .unicode_sets import Ranges


@dataclass(frozen=True, slots=True, eq=False)
class Chars:
    """One code point of a set."""

    ranges: Ranges


@dataclass(frozen=True, slots=True, eq=False)
class Cat:
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Alt:
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Repeat:
    """`low` to `high` times (None: no bound); greedy or lazy makes no difference to the language."""

    body: Node
    low: int
    high: int | None


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """Look-ahead or look-behind (`ahead`), negated or not."""

    body: Node
    ahead: bool
    negative: bool
    position: int  # in the pattern, for messages


class Edge(Enum):
    """Places that match no text."""

    START = "start of the text"
    END = "end of the text"
    LAST_LINE_END = "end of the text, or before a newline that ends it"
    LINE_START = "start of a line"
    LINE_END = "end of a line"


@dataclass(frozen=True, slots=True, eq=False)
class At:
    edge: Edge
    breaks: Ranges = ()  # what ends a line


@dataclass(frozen=True, slots=True, eq=False)
class Boundary:
    """Where a character of `word` meets one that is not, or the text's end; `negative`: everywhere else.

    `on_empty`: whether the negative form holds in the empty text (in ECMA-262 it does, in Python it does not).
    """

    word: Ranges
    negative: bool
    on_empty: bool


Node = Chars | Cat | Alt | Repeat | Look | At | Boundary
EMPTY = Cat(())
