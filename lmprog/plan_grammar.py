"""A whole plan as one grammar, and a text of it read back into the holes' values.

A language has no memory: where a later text or branch depends on a hole's value, the grammar has a way of its own for
each value (values from which it goes on alike share one). Free text does not hold what ends it in a run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from .ends import end_mark
from .errors import UnsupportedConstraint
from .grammars import Grammar, any_text, choices, literal
from .holes import Hole
from .plan import Branch, Decoding, End, Fill, Node, Piece, Ref, Text

WAYS = 4096  # pairs of a node and what is remembered of earlier values
Values = tuple[str | None, ...]  # of the holes so far, the last one last; None: it does not matter


def grammar(root: Node) -> Grammar:
    return Builder().of(root, ())


class Builder:
    """Makes the grammar of each node once for all that its texts can depend on."""

    def __init__(self) -> None:
        self._made: dict[tuple[int, Values], Grammar] = {}
        self._needs: dict[int, frozenset[int]] = {}

    def of(self, node: Node, values: Values) -> Grammar:
        """The texts that can come from a node on."""
        needs = self.needs(node)
        known = tuple([values[-back] if back in needs else None for back in range(max(needs, default=0), 0, -1)])
        key = id(node), known
        if key not in self._made:
            if len(self._made) == WAYS:
                raise UnsupportedConstraint(f"the plan has more than {WAYS} ways, too many for one grammar")
            self._made[key] = self._make(node, known)
        return self._made[key]

    def _make(self, node: Node, values: Values) -> Grammar:
        match node.item:
            case Text(pieces):
                return literal(text_of(pieces, values)) + self.of(node.next[0], values)
            case Fill():
                return self._fill(node.item, node.next[0], values)
            case Branch(back, _, cells):
                return self.of(node.next[way(values[-back], cells)], values)
            case Decoding():
                return self.of(node.next[0], values)
            case End():
                return literal("")
        raise UnsupportedConstraint("a chat is not one text: its messages go through the model's template")

    def _fill(self, item: Fill, after: Node, values: Values) -> Grammar:
        if 1 not in self.needs(after):
            return language(item.hole, text_of(item.follow, values)) + self.of(after, (*values, None))
        if item.options is None:
            raise UnsupportedConstraint(f"the value of {item.name} is used again, and there are too many of them")
        ways: dict[Grammar, list[str]] = {}
        for option in item.options:
            ways.setdefault(self.of(after, (*values, option)), []).append(option)
        first, *rest = [choices(options) + after for after, options in ways.items()]
        for other in rest:
            first = first | other
        return first

    def needs(self, node: Node) -> frozenset[int]:
        """Which earlier holes matter from a node on, counted backwards."""
        known = self._needs.get(id(node))
        if known is None:
            later = {back for after in node.next for back in self.needs(after)}
            if isinstance(node.item, Fill):
                later = {back - 1 for back in later if back > 1}
            known = self._needs[id(node)] = frozenset(later | set(_used(node)))
        return known


def _used(node: Node) -> Iterator[int]:
    item = node.item
    if isinstance(item, Branch):
        yield item.back
    pieces = item.pieces if isinstance(item, Text) else item.follow if isinstance(item, Fill) else ()
    yield from [piece.back for piece in pieces if isinstance(piece, Ref)]


def language(hole: Hole, follow: str) -> Grammar:
    """The values of a hole, without what would end it."""
    if hole.grammar is not None and not hole.stop:
        return hole.grammar
    ends = [*hole.stop, *([] if hole.grammar is not None else [end_mark(follow).decode()])]
    free = [any_text() + end + any_text() for end in ends if end]
    return (hole.grammar or any_text()).except_(*free)


def text_of(pieces: Sequence[Piece], values: Values) -> str:
    return "".join([piece if isinstance(piece, str) else _rendered(piece, values) for piece in pieces])


def _rendered(ref: Ref, values: Values) -> str:
    value = values[-ref.back]
    assert value is not None
    return ref.render(value)


def way(value: str | None, cells: Sequence[Sequence[str]]) -> int:
    return next(i for i, cell in enumerate(cells) if value in cell)


def read(root: Node, text: str) -> dict[str, Any]:
    if (found := _read(root, text, 0, ())) is None:
        raise ValueError(f"not a text of the plan: {text[:200]!r}")
    return found


def _read(node: Node, text: str, at: int, values: tuple[str, ...]) -> dict[str, Any] | None:
    """The values from a node on, if `text[at:]` is a text that can come from there."""
    if (found := next_stop(node, text, at, values)) is None:
        return None
    node, at = found
    if not isinstance(node.item, Fill):
        return {} if at == len(text) else None
    for value in _candidates(node.item, text, at, values):
        rest = _read(node.next[0], text, at + len(value), (*values, value))
        if rest is not None:
            return {node.item.name: node.item.hole.parse(value)} | rest
    return None


def next_stop(node: Node, text: str, at: int, values: tuple[str, ...]) -> tuple[Node, int] | None:
    """The next hole or end from a node on, and where it comes in a text; None: that goes on otherwise."""
    while not isinstance(node.item, Fill | End):
        match node.item:
            case Text(pieces):
                expected = text_of(pieces, values)
                if not text.startswith(expected, at):
                    return None
                at, node = at + len(expected), node.next[0]
            case Branch(back, _, cells):
                node = node.next[way(values[-back], cells)]
            case _:
                node = node.next[0]
    return node, at


def _candidates(item: Fill, text: str, at: int, values: tuple[str, ...]) -> Iterator[str]:
    """Values that `text[at:]` may begin with: free text as short as possible, others as long as possible."""
    if item.options is not None:
        yield from sorted([option for option in item.options if text.startswith(option, at)], key=len, reverse=True)
        return
    follow = text_of(item.follow, values)
    ends = [end for end in range(at, len(text) + 1) if text.startswith(follow, end)]
    values_of = language(item.hole, follow)
    for end in ends if item.hole.grammar is None else reversed(ends):
        if values_of.matches(text[at:end]):
            yield text[at:end]
