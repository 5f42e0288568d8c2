"""Objects with their members in any order.

A state is (names that have come, function, members so far). A name is remembered only where its coming twice could do
harm. States are many when many names are, and are then made as the automaton comes to them.
"""

from __future__ import annotations

from collections.abc import Callable

from .errors import UnsupportedConstraint
from .expr import EMPTY, Expr, Lazy, alt, concat, repeat
from .json_objects import Object
from .logic import Node
from .schema_forms import MinMembers

MOST_EAGER = 6  # names remembered for which all states are made at once


class AnyOrder(Object):
    def remembering(self) -> Expr:
        raise UnsupportedConstraint(
            "assertions that a key left open may break by coming twice are not supported in any order"
        )

    def body(self) -> Expr:
        counted = not all([self.worse(self.function, MinMembers(mark), True) for mark in self.marks])
        harmless = {a: self.worse(self.function, a, False) for a in self.assertions}
        self.free = [i for i, about in enumerate(self.about) if not counted and all([harmless[a] for a in about])]
        self.remembered = [i for i in range(len(self.names)) if i not in self.free]
        self.late = len(self.remembered) > MOST_EAGER or len(self.marks) > 1 or max(self.marks, default=0) > MOST_EAGER
        if self.other_members(self.function, 0):
            self.refuse_counting(self.function)
        return self.state(frozenset(), self.function, 0)

    def memo(self, key: tuple[object, ...], make: Callable[[], Expr]) -> Expr:
        if not self.late:
            return super().memo(key, make)
        if key not in self._memo:  # not limited: the automaton asks for it step by step
            self._memo[key] = make()
        return self._memo[key]

    def state(self, used: frozenset[int], function: Node, count: int) -> Expr:
        if function is self.logic.false:
            return EMPTY
        key = (used, function.uid, count)
        if not self.late:
            return self.memo(key, lambda: self._state(used, function, count))
        return self.memo(
            key,
            lambda: Lazy("members", self.chain(0, function, count, used), lambda: self._state(used, function, count)),
        )

    def _state(self, used: frozenset[int], function: Node, count: int) -> Expr:
        more = self.next_count(count)
        parts = [self.end(function, count)]
        for i in self.remembered:
            if i not in used:
                settled = self.settled((used | {i}).__contains__, function)
                for member, after in self.members(i, function, count, settled):
                    parts.append(concat(member, self.state(used | {i}, after, more)))
        loops = []
        for member, after in self._open(function, count):
            if after is function and more == count:
                loops.append(member)
            else:
                parts.append(concat(member, self.state(used, after, more)))
        return concat(repeat(alt(*loops), 0), alt(*parts))

    def _open(self, function: Node, count: int) -> list[tuple[Expr, Node]]:
        """Members whose keys are not remembered."""
        named = [move for i in self.free for move in self.members(i, function, count, {})]
        return [*named, *self.other_members(function, count)]
