"""Boolean functions over atoms as reduced ordered decision diagrams (Bryant 1986), and small covers of them.

JSON Schema is Boolean algebra over assertions; diagrams are canonical, so `not`, `oneOf` and `if` need no rewriting
rules and equal conditions are the same object. An atom is any hashable value; atoms are ordered as they arrive.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from operator import attrgetter
from typing import Any

Atom = Any  # any hashable value


class Node:
    """`atom` decides between `high` and `low`; the two constants have no atom. Compare with `is`."""

    __slots__ = ("atom", "high", "level", "low", "uid")

    def __init__(self, atom: Atom | None, level: int, high: Node | None, low: Node | None, uid: int) -> None:
        self.atom, self.level, self.high, self.low, self.uid = atom, level, high, low, uid

    def __repr__(self) -> str:
        if self.atom is None:
            return "true" if self.uid else "false"
        return f"({self.atom} ? {self.high} : {self.low})"

    def branches(self) -> tuple[Atom, Node, Node]:
        assert self.atom is not None
        assert self.high is not None
        assert self.low is not None
        return self.atom, self.high, self.low


_LAST = 1 << 60
Cube = dict[Atom, bool]


class Logic:
    """The tables of one family of diagrams."""

    def __init__(self) -> None:
        self.false: Node = Node(None, _LAST, None, None, 0)
        self.true: Node = Node(None, _LAST, None, None, 1)
        self._nodes: dict[tuple[int, int, int], Node] = {}
        self._levels: dict[Atom, int] = {}
        self._ites: dict[tuple[int, int, int], Node] = {}

    @property
    def size(self) -> int:
        return len(self._nodes)

    def constant(self, value: bool) -> Node:
        return self.true if value else self.false

    def atom(self, atom: Atom) -> Node:
        return self._node(atom, self.true, self.false)

    def _node(self, atom: Atom, high: Node, low: Node) -> Node:
        if high is low:
            return high
        level = self._levels.setdefault(atom, len(self._levels))
        key = (level, high.uid, low.uid)
        found = self._nodes.get(key)
        if found is None:
            found = self._nodes[key] = Node(atom, level, high, low, len(self._nodes) + 2)
        return found

    def ite(self, test: Node, then: Node, other: Node) -> Node:
        """If-then-else, of which every connective is a case."""
        if test is self.true or then is other:
            return then
        if test is self.false:
            return other
        if then is self.true and other is self.false:
            return test
        key = (test.uid, then.uid, other.uid)
        found = self._ites.get(key)
        if found is None:
            top = min(test, then, other, key=lambda n: n.level)
            high, low = (self.ite(*[_branch(n, top, side) for n in (test, then, other)]) for side in (True, False))
            assert top.atom is not None
            found = self._ites[key] = self._node(top.atom, high, low)
        return found

    def negate(self, a: Node) -> Node:
        return self.ite(a, self.false, self.true)

    def conj(self, parts: Iterable[Node]) -> Node:
        out = self.true
        for part in sorted(parts, key=_level, reverse=True):  # from the bottom: each step touches the top only
            out = self.ite(part, out, self.false)
        return out

    def disj(self, parts: Iterable[Node]) -> Node:
        out = self.false
        for part in sorted(parts, key=_level, reverse=True):
            out = self.ite(part, self.true, out)
        return out

    def restrict(self, a: Node, values: Mapping[Atom, bool]) -> Node:
        """`a` with some atoms decided."""
        last = max([self._levels.get(atom, -1) for atom in values], default=-1)
        return self.replace(a, lambda atom: self.constant(values[atom]) if atom in values else None, last)

    def replace(self, a: Node, value: Callable[[Atom], Node | None], last: int = _LAST) -> Node:
        """`a` with atoms replaced by functions, where `value` gives one; atoms below the level `last` stay."""
        if a.atom is None:
            return a
        done: dict[int, Node] = {}

        def go(n: Node) -> Node:
            if n.atom is None or n.level > last:
                return n
            if n.uid not in done:
                atom, high, low = n.branches()
                new = value(atom)
                if new is None:
                    high, low = go(high), go(low)
                    done[n.uid] = n if (high, low) == (n.high, n.low) else self.ite(self.atom(atom), high, low)
                elif new.atom is None:
                    done[n.uid] = go(high if new is self.true else low)
                else:
                    done[n.uid] = self.ite(new, go(high), go(low))
            return done[n.uid]

        return go(a)

    def holds(self, a: Node, value: Callable[[Atom], bool]) -> bool:
        """Whether `a` is true when every atom has the value given."""
        while a.atom is not None:
            atom, high, low = a.branches()
            a = high if value(atom) else low
        return a is self.true

    def support(self, a: Node) -> list[Atom]:
        """The atoms on which `a` depends, in order."""
        found: dict[int, Atom] = {}
        seen: set[int] = set()
        todo = [a]
        while todo:
            n = todo.pop()
            if n.atom is None or n.uid in seen:
                continue
            seen.add(n.uid)
            atom, high, low = n.branches()
            found[n.level] = atom
            todo += [high, low]
        return [found[level] for level in sorted(found)]

    def cover(self, a: Node, most: int) -> list[Cube] | None:
        """An irredundant sum of products equal to `a` (Minato 1993); None when it has more than `most` products."""
        return _Cover(self, most).of(a)

    def of_cube(self, cube: Cube) -> Node:
        return self.conj(self.atom(x) if value else self.negate(self.atom(x)) for x, value in cube.items())


_level = attrgetter("level")


def _branch(n: Node, top: Node, side: bool) -> Node:
    if n.level != top.level:
        return n
    _, high, low = n.branches()
    return high if side else low


class _TooMany(Exception):
    pass


class _Cover:
    def __init__(self, logic: Logic, most: int) -> None:
        self.logic, self.most = logic, most
        self.memo: dict[tuple[int, int], tuple[list[Cube], Node]] = {}

    def of(self, a: Node) -> list[Cube] | None:
        try:
            return self.between(a, a)[0]
        except _TooMany:
            return None

    def between(self, least: Node, most: Node) -> tuple[list[Cube], Node]:
        """Products, and their sum, that contain `least` and stay within `most`."""
        logic = self.logic
        if least is logic.false:
            return [], logic.false
        if most is logic.true:
            return [{}], logic.true
        key = (least.uid, most.uid)
        if key not in self.memo:
            self.memo[key] = self.split(least, most)
        return self.memo[key]

    def split(self, least: Node, most: Node) -> tuple[list[Cube], Node]:
        logic = self.logic
        top = min(least, most, key=lambda n: n.level)
        assert top.atom is not None
        l1, l0, m1, m0 = (_branch(n, top, side) for n in (least, most) for side in (True, False))
        no = self.between(logic.ite(m1, logic.false, l0), m0)
        yes = self.between(logic.ite(m0, logic.false, l1), m1)
        left0, left1 = logic.ite(no[1], logic.false, l0), logic.ite(yes[1], logic.false, l1)
        rest = self.between(logic.disj([left0, left1]), logic.conj([m0, m1]))
        cubes = [*_with(no[0], top.atom, False), *_with(yes[0], top.atom, True), *rest[0]]
        if len(cubes) > self.most:
            raise _TooMany
        return cubes, logic.disj([logic.ite(logic.atom(top.atom), yes[1], no[1]), rest[1]])


def _with(cubes: list[Cube], atom: Atom, value: bool) -> Iterator[Cube]:
    return ({atom: value, **cube} for cube in cubes)
