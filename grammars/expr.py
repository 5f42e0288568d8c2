"""Expressions over bytes, hash-consed, and their derivatives.

The language of a constraint is an expression; the state of its automaton is an expression too, namely what may
still follow (Brzozowski 1964; Owens, Reppy and Turon 2009). Alternatives that were weighed: Thompson automata
cannot express `both` and `negate` without determinising everything first; LR/Earley items cannot either and need a
parser per state. Derivatives give both for free, expand nothing that is not visited, keep counters symbolic
(`repeat(x, 0, 10_000)` is one node), and, through `Ref`, cover recursion: a state is then the whole stack.

Nodes are interned: equal expressions are the same object, so `is`, `hash` and memo tables are exact.
"""

from __future__ import annotations

import itertools
import sys
import weakref
from collections.abc import Callable, Iterable
from enum import IntEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from . import byteset
from .byteset import Dag
from .errors import InvalidConstraint, UnsupportedConstraint
from .suffixes import Index, Suffixes
from .unicode_sets import union

if TYPE_CHECKING:
    from .dependent import Then
    from .distinct import Items

INF: int = 1 << 60
MOST_REPEATS = (1 << 31) - 1  # what the native algebra counts with
MANY = 1000  # options that are worth a minimal graph
DEPTH = 40_000  # Python frames (not C stack) that a deeply nested expression may take

sys.setrecursionlimit(max(sys.getrecursionlimit(), DEPTH))


class Kind(IntEnum):
    EMPTY = 0  # no text
    LEAF = 1  # a Dag: finite set of byte strings
    TEXT = 2  # a literal
    CAT = 3  # (head, tail)
    ALT = 4  # a tuple of expressions
    REPEAT = 5  # (body, low, high); high < 0: unbounded
    AND = 6  # a tuple of expressions
    NOT = 7  # complement over all byte strings; `negate` keeps it within UTF-8
    REF = 8  # a recursive definition
    HOLE = 9  # (value, follow, positions): a value that ends where literal text follows
    SPAN = 10  # (suffixes, low, high, depth): what is left of substrings of a text
    UNIQUE = 11  # (items, low, high, used, current, so_far): items that differ from each other (distinct.py)
    THEN = 12  # (current, so_far, then): a text, and what follows it (dependent.py)


class Expr:
    """An interned expression. Build with the functions below; compare with `is`."""

    __slots__ = ("__weakref__", "args", "cuts_", "derived", "kind", "minlen_", "nullable_", "uid")

    def __init__(self, kind: Kind, args: tuple[Any, ...], uid: int) -> None:
        self.kind, self.args, self.uid = kind, args, uid
        self.minlen_ = self.cuts_ = -1  # unknown until asked
        self.nullable_: bool | None = None
        self.derived: dict[int, Expr] | None = None

    def __repr__(self) -> str:
        from .show import show

        return show(self)


class Ref(Expr):
    """A named definition, possibly recursive. Left recursion is refused when it is first used."""

    __slots__ = ("body", "name", "solved")

    def __init__(self, name: str) -> None:
        super().__init__(Kind.REF, (), next(_uids))
        self.name = name
        self.body: Expr | None = None
        self.solved = False

    def define(self, body: Expr) -> Ref:
        self.body = body
        return self

    def resolved(self) -> Expr:
        if self.body is None:
            raise InvalidConstraint(f"the rule {self.name!r} is used but never defined")
        return self.body

    def known(self) -> Expr:
        """What is enough to tell the shortest text."""
        return self.resolved()


class Lazy(Ref):
    """A rule that is written when the automaton comes to it: for what has too many states to be written down.

    `part` tells the shortest text before: one of that length is in it, and the empty text if that belongs to the rule.
    """

    __slots__ = ("part", "write")

    def __init__(self, name: str, part: Expr, write: Callable[[], Expr]) -> None:
        super().__init__(name)
        self.part, self.write = part, write

    def resolved(self) -> Expr:
        if self.body is None:
            self.body = self.write()
        return self.body

    def known(self) -> Expr:
        return self.part


_uids = itertools.count()
_interned: weakref.WeakValueDictionary[tuple[Any, ...], Expr] = weakref.WeakValueDictionary()


def _make(kind: Kind, args: tuple[Any, ...], key: tuple[Any, ...]) -> Expr:
    found = _interned.get(key)
    if found is None:
        found = Expr(kind, args, next(_uids))
        _interned[key] = found
    return found


def _leaf(dag: Dag | None) -> Expr:
    return EMPTY if dag is None else _make(Kind.LEAF, (dag,), (Kind.LEAF, dag.uid))


EMPTY: Expr = _make(Kind.EMPTY, (), (Kind.EMPTY,))
EPS: Expr = _leaf(byteset.END)


def chars(ranges: Iterable[tuple[int, int]]) -> Expr:
    """One code point within inclusive ranges, as UTF-8 (surrogates are dropped)."""
    return _leaf(byteset.code_points(ranges))


def options(words: Iterable[str | bytes]) -> Expr:
    """Exactly one of `words`; 100,000 of them are fine."""
    known = {w.encode() if isinstance(w, str) else w for w in words}
    return _leaf(byteset.options(known)) if len(known) <= MANY else _many_options(tuple(sorted(known)))


@lru_cache(maxsize=16)
def _many_options(words: tuple[bytes, ...]) -> Expr:
    """A sorted list in place of a minimal graph, whose states would take long to build."""
    return spans(Suffixes.of_words(words), 0, len(words))


def text(literal: str | bytes) -> Expr:
    """The literal itself."""
    data = literal.encode() if isinstance(literal, str) else bytes(literal)
    return _make(Kind.TEXT, (data,), (Kind.TEXT, data)) if data else EPS


def concat(*parts: Expr) -> Expr:
    """One after the other."""
    out = EPS
    for part in reversed(parts):
        out = _cat(part, out)
    return out


def _cat(head: Expr, tail: Expr) -> Expr:
    if head is EMPTY or tail is EMPTY:
        return EMPTY
    if head is EPS:
        return tail
    if tail is EPS:
        return head
    spine = []
    while head.kind is Kind.CAT:  # keep concatenations right-nested: the head is never a CAT
        spine.append(head.args[0])
        head = head.args[1]
    spine.append(head)
    for part in reversed(spine):
        first, rest = tail.args if tail.kind is Kind.CAT else (tail, EPS)
        joined = _joined(part, first)
        tail = _cat_node(part, tail) if joined is None else joined if rest is EPS else _cat_node(joined, rest)
    return tail


def _joined(a: Expr, b: Expr) -> Expr | None:
    """Neighbours as one: texts, and x{a,b} x{c,d} as x{a+c,b+d}."""
    if a.kind is b.kind is Kind.TEXT:
        return text(a.args[0] + b.args[0])
    if not (a.kind is b.kind is Kind.REPEAT and a.args[0] is b.args[0]):
        return None
    (body, low, high), (_, more, most) = a.args, b.args
    least, longest = low + more, -1 if high < 0 or most < 0 else high + most
    return _repeat(body, least, longest) if max(least, longest) <= MOST_REPEATS else None


def _cat_node(head: Expr, tail: Expr) -> Expr:
    return _make(Kind.CAT, (head, tail), (Kind.CAT, head.uid, tail.uid))


def alt(*parts: Expr) -> Expr:
    """Any of them."""
    flat: dict[int, Expr] = {}
    for part in parts:
        for p in _members(part, Kind.ALT):
            if p is ALL:
                return ALL
            if p is not EMPTY:
                flat[p.uid] = p
    return _nary(Kind.ALT, _united(_factored(flat)), EMPTY)


def _factored(flat: dict[int, Expr]) -> dict[int, Expr]:
    """x y | x z as x (y | z): alternatives share their beginnings, as the stacks of a parser do their tops.

    So a state of an ambiguous grammar stays about as large as one stack (Tomita's graph-structured one).
    """
    tails: dict[Expr, list[Expr]] = {}
    for p in flat.values():
        if p.kind is Kind.CAT:
            tails.setdefault(p.args[0], []).append(p.args[1])
    joined = [_cat(head, alt(*several)) for head, several in tails.items() if len(several) > 1]
    if not joined:
        return flat
    others = [p for p in flat.values() if p.kind is not Kind.CAT or len(tails[p.args[0]]) == 1]
    return {p.uid: p for p in [*others, *joined]}


def _united(flat: dict[int, Expr]) -> dict[int, Expr]:
    """x{a,b} y | x{c,d} y as x{a,d} y, where the counts overlap: so counters inside counters do not multiply."""
    counts: dict[tuple[Expr, Expr], list[tuple[int, int]]] = {}
    others = []
    for p in flat.values():
        head, tail = p.args if p.kind is Kind.CAT else (p, EPS)
        if head.kind is Kind.REPEAT:
            body, low, high = head.args
            counts.setdefault((body, tail), []).append((low, INF if high < 0 else high))
        else:
            others.append(p)
    if all(len(ranges) == 1 for ranges in counts.values()):
        return flat
    for (body, tail), ranges in counts.items():
        for low, high in union(ranges):
            others.append(_cat(repeat(body, low, None if high == INF else high), tail))
    return {p.uid: p for p in others}


def both(*parts: Expr) -> Expr:
    """Texts that all of them accept."""
    flat: dict[int, Expr] = {}
    for part in parts:
        for p in _members(part, Kind.AND):
            if p is EMPTY:
                return EMPTY
            if p is not ALL:
                flat[p.uid] = p
    if any(p.kind is Kind.NOT and p.args[0].uid in flat for p in flat.values()):
        return EMPTY
    return _nary(Kind.AND, flat, ALL)


def _members(e: Expr, kind: Kind) -> tuple[Expr, ...]:
    return e.args if e.kind is kind else (e,)


def _nary(kind: Kind, flat: dict[int, Expr], neutral: Expr) -> Expr:
    if len(flat) < 2:
        return next(iter(flat.values()), neutral)
    order = sorted(flat)
    return _make(kind, tuple([flat[uid] for uid in order]), (kind, *order))


def complement(body: Expr) -> Expr:
    """All byte strings, valid UTF-8 or not, that `body` does not accept."""
    if body.kind is Kind.NOT:
        inner: Expr = body.args[0]
        return inner
    return _make(Kind.NOT, (body,), (Kind.NOT, body.uid))


ALL: Expr = complement(EMPTY)


def negate(body: Expr) -> Expr:
    """All texts (valid UTF-8) that `body` does not accept."""
    return both(ANY_TEXT, complement(body))


def repeat(body: Expr, low: int, high: int | None = None) -> Expr:
    """`low` to `high` (None: any number) of `body`, one after the other. Counts reach up to `MOST_REPEATS`."""
    top = -1 if high is None else high
    if low < 0 or (0 <= top < low):
        raise InvalidConstraint(f"a repeat needs 0 <= low <= high, not {low}, {high}")
    if max(low, top) > MOST_REPEATS:
        raise UnsupportedConstraint(f"more than {MOST_REPEATS} repeats are not supported")
    return _repeat(body, low, top)


def _repeat(body: Expr, low: int, top: int) -> Expr:
    """`top` < 0: any number. Counts of counts become one where it is an interval of numbers that fit."""
    if top == 0 or body is EPS:
        return EPS
    if body is EMPTY:
        return EPS if low == 0 else EMPTY
    if (low, top) == (1, 1):
        return body
    if body.kind is Kind.REPEAT and _leaves_no_gap(body.args[1], body.args[2], low, top):
        least, most = body.args[1] * low, -1 if body.args[2] < 0 or top < 0 else body.args[2] * top
        if max(least, most) <= MOST_REPEATS:
            return _repeat(body.args[0], least, most)
    return _make(Kind.REPEAT, (body, low, top), (Kind.REPEAT, body.uid, low, top))


def _leaves_no_gap(a: int, b: int, low: int, high: int) -> bool:
    """Whether the counts of (x{a,b}){low,high} are an interval."""
    return a <= 1 or low == high or (low > 0 and (b < 0 or low * (b - a) >= a - 1))


def ref(name: str) -> Ref:
    """A rule to be `define`d later, so that it may refer to itself."""
    return Ref(name)


def hole(value: Expr, follow: bytes, positions: tuple[int, ...] = ()) -> Expr:
    """`value`, ended by the first occurrence of the literal `follow` after a complete value.

    `positions`: how many bytes of `follow` are matched, for each way in which the value may have ended.
    """
    if value is EMPTY and not positions:
        return EMPTY
    return _make(Kind.HOLE, (value, follow, positions), (Kind.HOLE, value.uid, follow, positions))


def spans(suffixes: Index, low: int, high: int, depth: int = 0) -> Expr:
    """The substrings that begin like the suffixes numbered low..high-1, without the `depth` bytes that these share."""
    if low >= high:
        return EMPTY
    return _make(Kind.SPAN, (suffixes, low, high, depth), (Kind.SPAN, suffixes, low, high, depth))


def unique(items: Items, low: int, high: int, used: frozenset[bytes], current: Expr, so_far: bytes) -> Expr:
    """`current`, which ends the item begun with `so_far`, and more items, `low` to `high` in all, none of them used."""
    if current is EMPTY or high == 1:  # the last one need not be remembered
        return current
    args = (items, low, high, used, current, so_far)
    return _make(Kind.UNIQUE, args, (Kind.UNIQUE, items, low, high, used, current.uid, so_far))


def depend(current: Expr, so_far: bytes, then: Then) -> Expr:
    """`current`, which ends a text begun with `so_far`, and `then.after` of the whole text."""
    if current is EMPTY:
        return EMPTY
    return _make(Kind.THEN, (current, so_far, then), (Kind.THEN, current.uid, so_far, then))


ANY_CHAR: Expr = chars([(0, 0x10FFFF)])
ANY_TEXT: Expr = repeat(ANY_CHAR, 0, None)


def matches(body: Expr, data: bytes) -> bool:
    """Whether `data` is accepted, byte by byte by derivatives: slow, readable, the oracle of the fast paths."""
    from .derive import derive, nullable, solve

    solve(body)
    for byte in data:
        body = derive(body, byte)
    return nullable(body)
