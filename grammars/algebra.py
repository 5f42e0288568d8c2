"""Two implementations of one small interface: what the automaton needs to know of expressions.

`Native` does it in C (grammars/native), some twenty times faster; `Reference` is derive.py itself, used for kinds
that the C side does not know and as the oracle in tests.
"""

from __future__ import annotations

import threading
import weakref
from typing import Protocol

from . import derive as d
from ._native import Arena, set_error
from .byteset import Dag
from .dependent import Then
from .errors import UnsupportedConstraint
from .expr import EMPTY, INF, Expr, Kind, Lazy, Ref, both, concat, hole, text
from .letters import CLASSES

set_error(UnsupportedConstraint)
_writing = threading.RLock()  # constraints for several vocabularies share what writes their grammar


class Source(Protocol):
    """What a Dfa expands its states with."""

    def expand(self, e: int, byte: int, /) -> tuple[int, int, int]:
        """(low, high, after): what bytes low..high-1, `byte` among them, leave of e; -1 when nothing is accepted."""
        ...

    def minlen(self, e: int, /) -> int: ...


class Algebra(Protocol):
    """Expressions by number."""

    @property
    def source(self) -> Source: ...

    @property
    def classes(self) -> tuple[int, ...]:
        """The source's graphs of letters.CLASSES, or none."""
        ...

    @property
    def size(self) -> int:
        """How many expressions there are."""
        ...

    def enter(self, e: Expr) -> int:
        """The number of an expression."""
        ...

    def surround(self, h: int, prefix: bytes, follow: bytes) -> int:
        """`prefix`, then a value of `h`, which the literal `follow` (if any) ends."""
        ...

    def narrow(self, h: int, also: int) -> int:
        """The texts of `h` that are also texts of `also`; of a hole, those whose value is."""
        ...

    def nullable(self, h: int) -> bool: ...

    def minlen(self, h: int) -> int: ...

    def only(self, h: int) -> int:
        """The one byte that can come next; -1 when none can, -2 when several can."""
        ...

    def parts(self, h: int) -> tuple[int, int, tuple[int, ...]] | None:
        """Of a hole: the value (-1 when it cannot go on), the length of `follow`, positions in it."""
        ...

    def sketch(self, h: int) -> tuple[int, int, int, int, bool] | None:
        """Where what follows a text depends on it: an expression in which only live texts stay alive, as long as they
        do not in a second one; one in which all live texts do; how much more than in the first `minlen` may be; and
        whether the shortest end is the same after any text."""
        ...


class Reference:
    """derive.py as an Algebra."""

    classes: tuple[int, ...] = ()

    def __init__(self) -> None:
        self._exprs: list[Expr] = []
        self._numbers: dict[int, int] = {}

    @property
    def source(self) -> Source:
        return self

    @property
    def size(self) -> int:
        return len(self._exprs)

    def enter(self, e: Expr) -> int:
        d.solve(e)
        return self._number(e)

    def _number(self, e: Expr) -> int:
        if e.uid not in self._numbers:
            self._numbers[e.uid] = len(self._exprs)
            self._exprs.append(e)
        return self._numbers[e.uid]

    def surround(self, h: int, prefix: bytes, follow: bytes) -> int:
        value = self._exprs[h]
        return self._number(concat(text(prefix), hole(value, follow) if follow else value))

    def narrow(self, h: int, also: int) -> int:
        e, other = self._exprs[h], self._exprs[also]
        if e.kind is not Kind.HOLE:
            return self._number(both(e, other))
        value, follow, positions = e.args
        return self._number(hole(both(value, other), follow, positions))

    def expand(self, h: int, byte: int) -> tuple[int, int, int]:
        e = self._exprs[h]
        low, high = d.segment(e, byte)
        after = d.derive(e, low)
        return low, high, self._number(after) if d.minlen(after) < INF else -1

    def nullable(self, h: int) -> bool:
        return d.nullable(self._exprs[h])

    def minlen(self, h: int) -> int:
        return d.minlen(self._exprs[h])

    def only(self, h: int) -> int:
        found, e = -1, self._exprs[h]
        for low, high in d.segments(e):
            if d.minlen(d.derive(e, low)) < INF:
                if found >= 0 or high - low > 1:
                    return -2
                found = low
        return found

    def parts(self, h: int) -> tuple[int, int, tuple[int, ...]] | None:
        e = self._exprs[h]
        if e.kind is not Kind.HOLE:
            return None
        value, follow, positions = e.args
        return -1 if value is EMPTY else self._number(value), len(follow), positions

    def sketch(self, h: int) -> None:
        """None: states one by one are as exact."""


class Native:
    """The C arena as an Algebra. `enter` raises KeyError for kinds of expressions that it does not know."""

    def __init__(self, arena: Arena | None = None) -> None:
        self._arena = self.source = arena or Arena()
        self._dags: dict[Dag, int] = {}
        self._entered: dict[int, int] = {}
        self._kept: list[Expr] = []  # so that their uids stay theirs
        self.classes = tuple(map(self._dag, CLASSES))
        self._unwritten: dict[int, Lazy] = {}
        me = weakref.ref(self)
        self._arena.on_lazy(lambda h: None if (own := me()) is None else own._write(h))
        self._thens: list[Then] = []
        self._numbers: dict[Then, int] = {}
        self.expand = self._arena.expand
        self.parts = self._arena.parts
        self.narrow = self._arena.narrow
        self.sketch = self._arena.sketch
        self.nullable = self._arena.nullable
        self.minlen = self._arena.minlen
        self.only = self._arena.only

    @property
    def size(self) -> int:
        return self._arena.size()

    def enter(self, e: Expr) -> int:
        d.solve(e, self._entered)
        undefined: list[Ref] = []
        handle = self._enter(e, undefined)
        while undefined:
            rule = undefined.pop()
            self._arena.define(self._entered[rule.uid], self._enter(rule.resolved(), undefined))
        return handle

    def _write(self, h: int) -> None:
        """Defines a lazy rule when the arena first needs it."""
        with _writing:
            self._arena.define(h, self.enter(self._unwritten.pop(h).resolved()))

    def _after(self, number: int, text: bytes) -> int:
        """What follows a text, when the arena first needs it."""
        with _writing:
            return self.enter(self._thens[number].after(text))

    @property
    def finished(self) -> bool:
        """Whether the arena can go on without this object."""
        return not self._unwritten and not self._thens

    def _enter(self, e: Expr, undefined: list[Ref]) -> int:
        found = self._entered.get(e.uid)
        if found is None:
            found = self._entered[e.uid] = self._make(e, undefined)
            self._kept.append(e)
        return found

    def _make(self, e: Expr, undefined: list[Ref]) -> int:
        arena = self._arena
        match e.kind:
            case Kind.LEAF:
                return arena.leaf(self._dag(e.args[0]))
            case Kind.TEXT:
                return arena.text(e.args[0])
            case Kind.CAT:
                return self._cat(e, undefined)
            case Kind.EMPTY | Kind.ALT | Kind.AND:
                kind = Kind.AND if e.kind is Kind.AND else Kind.ALT
                return arena.nary(kind, [self._enter(x, undefined) for x in e.args])
            case Kind.REPEAT:
                return arena.repeat(self._enter(e.args[0], undefined), e.args[1], e.args[2])
            case Kind.NOT:
                return arena.complement(self._enter(e.args[0], undefined))
            case Kind.REF:
                assert isinstance(e, Ref)
                rule = arena.ref(d.nullable(e), d.minlen(e))
                if isinstance(e, Lazy):
                    self._unwritten[rule] = e
                else:
                    undefined.append(e)
                return rule
            case Kind.HOLE:
                return arena.hole(self._enter(e.args[0], undefined), e.args[1])
            case Kind.UNIQUE if not e.args[3] and not e.args[5]:
                items, low, high = e.args[:3]
                item, sep = (self._enter(x, undefined) for x in (items.item, items.sep))
                return arena.distinct(item, sep, low, high, list(items.words))
            case Kind.THEN if not e.args[1]:
                return self._then(e.args[0], e.args[2], undefined)
            case Kind.SPAN if e.args[1:] == (0, len(e.args[0]), 0):
                index = e.args[0]
                base = arena.index(*index.arrays)
                return arena.span(base, base + len(index))
            case _:
                raise KeyError(e.kind)

    def _then(self, current: Expr, then: Then, undefined: list[Ref]) -> int:
        if not self._thens:
            me = weakref.ref(self)
            self._arena.on_then(lambda number, text: None if (own := me()) is None else own._after(number, text))
        number = self._numbers.setdefault(then, len(self._thens))
        if number == len(self._thens):
            self._thens.append(then)
        parts = [self._enter(x, undefined) for x in (current, *then.parts)]
        return self._arena.then(number, then.steady, *parts)

    def _cat(self, e: Expr, undefined: list[Ref]) -> int:
        spine = []
        while e.kind is Kind.CAT and e.uid not in self._entered:
            spine.append(e)
            e = e.args[1]
        handle = self._enter(e, undefined)
        for part in reversed(spine):
            handle = self._arena.cat(self._enter(part.args[0], undefined), handle)
            self._entered[part.uid] = handle
        self._kept.extend(spine)
        return handle

    def _dag(self, dag: Dag) -> int:
        """Children first, without recursion: options may be long."""
        todo = [dag]
        while todo:
            node = todo[-1]
            missing = [child for _, _, child in node.edges if child not in self._dags]
            if missing:
                todo.extend(missing)
                continue
            todo.pop()
            if node not in self._dags:
                edges = [(low, high, self._dags[child]) for low, high, child in node.edges]
                self._dags[node] = self._arena.dag(edges, node.final) if edges else 0
        return self._dags[dag]

    def surround(self, h: int, prefix: bytes, follow: bytes) -> int:
        arena = self._arena
        return arena.cat(arena.text(prefix), arena.hole(h, follow) if follow else h)


def algebra(e: Expr) -> tuple[Algebra, int]:
    """The fastest algebra for an expression, and the expression's number in it."""
    native = Native()
    try:
        return native, native.enter(e)
    except KeyError:
        reference = Reference()
        return reference, reference.enter(e)
