"""A program compiled: what a run will do from one point on, as far as that is known without the model.

A plan is a graph of nodes without cycles. It is deterministic: at a branch the value of an earlier hole says which way.
Captures are counted backwards from where they are used (1: the last hole before), so that paths that filled different
numbers of holes can go on in the same node.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html import escape
from typing import Any, Literal

from .decoders import Decoder
from .grammars import Grammar
from .holes import Hole

Shown = tuple[tuple[str, str], ...]  # of each value of a hole: the text that is made of it
Why = Literal["return", "effect", "question", "exception", "budget", "unknown"]


@dataclass(frozen=True)
class Ref:
    """The value of an earlier hole as text, or what the program makes of it.

    label   how the program came by it, for people: "kind", "kind.upper()"
    texts   for holes of few values: what each becomes
    render  the same as a function; of built-in types only, so that it may run anywhere
    """

    back: int
    label: str
    texts: Shown | None
    render: Callable[[str], str] = field(compare=False, repr=False)


Piece = str | Ref


@dataclass(frozen=True)
class Text:
    """One text that is appended."""

    pieces: tuple[Piece, ...]


@dataclass(frozen=True)
class Fill:
    """A hole. `follow`: the text known to come after it; `options`: its values, where they are few."""

    key: tuple[Any, ...]
    name: str
    follow: tuple[Piece, ...]
    hole: Hole = field(compare=False, repr=False)
    options: tuple[str, ...] | None = field(compare=False, repr=False)


@dataclass(frozen=True)
class Role:
    """A chat role begins, or (`role` is "") ends."""

    role: str = ""
    name: str | None = None


@dataclass(frozen=True)
class Decoding:
    """Holes are decoded by `decoder` from here on; None: as before the last such change."""

    decoder: Decoder | None


@dataclass(frozen=True)
class Branch:
    """The way depends on the value of an earlier hole: on which of the `cells`, sets of value texts, it is in."""

    back: int
    name: str
    cells: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class End:
    """What comes next is not known: the program returned, or what it does depends on more than the plan knows."""

    why: Why
    detail: str = ""


Item = Text | Fill | Role | Decoding | Branch | End


@dataclass(eq=False, slots=True)
class Node:
    """An item, and where it goes on: nowhere from an End, one node for each cell of a Branch, else one node."""

    item: Item
    next: list[Node]


def key_of(hole: Hole) -> tuple[Any, ...]:
    """Holes with the same key ask the same of the model."""
    expr = hole.grammar and hole.grammar.expr
    return hole.kind, expr, hole.name, hole.stop, hole.max_tokens, hole.settings, hole.boundary, hole.words


def nodes(root: Node) -> Iterator[Node]:
    """Every node once, parents first."""
    order: list[Node] = []
    seen: set[int] = set()
    todo: list[tuple[Node, bool]] = [(root, False)]
    while todo:
        node, done = todo.pop()
        if done:
            order.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            todo.append((node, True))
            todo += [(after, False) for after in reversed(node.next)]
    return reversed(order)


def is_whole(root: Node) -> bool:
    """It goes to the end, whatever the model answers."""
    return {"return"} == {node.item.why for node in nodes(root) if isinstance(node.item, End)}


@dataclass(frozen=True, eq=False, repr=False)
class Plan:
    """What a program will do, from `Program.plan`: print it, or see `to_dict` and `grammar`.

    root      the first node
    complete  every path is in it; otherwise paths from where the body goes on alike were taken for the same
    """

    root: Node
    complete: bool = True

    @property
    def whole(self) -> bool:
        """Whether it goes to the end: the program compiles to one request, whatever the model answers."""
        return is_whole(self.root)

    def to_dict(self) -> dict[str, Any]:
        """As JSON: `nodes` by number, the first one 0, each with its `kind` and where it goes on (`next`)."""
        from .plan_text import as_dict

        return as_dict(self.root)

    def grammar(self) -> Grammar:
        """All texts that the plan can write, as one language: for engines that take a grammar and give its text back.

        Raises UnsupportedConstraint where that is not a language of its own: a chat, or the value of a hole of many
        values used again. Budgets of tokens and decoders are not part of it.
        """
        from .plan_grammar import grammar

        return grammar(self.root)

    def read(self, text: str) -> dict[str, Any]:
        """The holes' values in a text of `grammar()`, by name. Raises ValueError when it is not one."""
        from .plan_grammar import read

        return read(self.root, text)

    def __str__(self) -> str:
        from .plan_text import listing

        return listing(self.root)

    def __repr__(self) -> str:
        holes = sum([isinstance(node.item, Fill) for node in nodes(self.root)])
        return f"<plan of {holes} holes>"

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"
