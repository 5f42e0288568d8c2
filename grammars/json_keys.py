"""Open keys of objects that must not come twice: a state remembers them, as json_distinct.py does with items."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .dependent import Then
from .errors import UnsupportedConstraint
from .expr import EMPTY, EPS, INF, Expr, alt, both, complement, concat, depend, repeat, text
from .json_equal import read
from .json_moves import Moves
from .json_words import Endless, Words
from .logic import Node
from .schema_forms import Members

if TYPE_CHECKING:
    from .json_objects import Object

MOST_RECENT = 16
MANY_KEYS = 1000  # so many must there be where it is not known how many have come
Memory = tuple[frozenset[str], frozenset[str]]  # all names that have come, and what of it one expression forbids
NOTHING: Memory = (frozenset(), frozenset())


class OpenKeys:
    """The members of one object whose keys no name stands for."""

    def __init__(self, of: Object) -> None:
        self.of, self.logic, self.style = of, of.logic, of.style
        self.strings, self.words, self.endless = of.values.strings, Words(), Endless()
        self.any_other = of.without_names(self.strings.expr(self.logic.true))
        self._checked: set[tuple[int, int]] = set()
        self._bounds: dict[tuple[int, int], Expr] = {}
        self._thens: dict[tuple[int, int, int, Memory], Rest] = {}
        self._forbidden: dict[frozenset[str], Expr] = {}

    def rest(self, function: Node, count: int, used: Memory = NOTHING) -> Expr:
        """What may stand after `count` members."""
        if not used[0]:
            self.refuse_shortage(function, count)
        out = [self.of.end(function, count)]
        comma = [self.style.comma] if count else []
        for which, (keys, about) in enumerate(self.of.classes):
            if self.moves(function, count, about):
                key = self.style.string(both(keys, *self.others(used)))
                out.append(concat(*comma, depend(key, b"", self.then(which, function, count, used))))
        return alt(*out)

    def others(self, used: Memory) -> list[Expr]:
        """All strings but those used."""
        merged = self._forbidden.setdefault(used[1], complement(self.strings.options(sorted(used[1]))))
        return [merged, *[complement(self.strings.options([name])) for name in used[0] - used[1]]]

    def moves(self, function: Node, count: int, about: list[Members]) -> Moves:
        """What a member's value may be and the function left, where something can follow."""
        more = self.of.next_count(count)
        return [
            (form, after)
            for form, after in self.of.moves(function, about, count, {})
            if self.of.values.expr(form) is not EMPTY and self.of.loose(after, more, True) is not EMPTY
        ]

    def then(self, which: int, function: Node, count: int, used: Memory) -> Rest:
        key = (which, function.uid, count, used)
        found = self._thens.get(key)
        if found is None:
            found = self._thens[key] = self._then(which, function, count, used)
        return found

    def _then(self, which: int, function: Node, count: int, used: Memory) -> Rest:
        more = self.of.next_count(count)
        longest, closing, stop, over = [], [], [], []
        for form, after in self.moves(function, count, self.of.classes[which][1]):
            value = concat(self.style.colon, self.of.values.expr(form))
            longest.append(concat(value, self.bound(after, more)))
            closing.append(concat(value, self.of.end(after, more)))
            stop.append(concat(value, self.stop(after, more)))
            over.append(concat(value, self.of.loose(after, more, True)))
        steady = all([part is not EMPTY for part in closing])
        return Rest(alt(*longest), steady, alt(*closing), alt(*stop), alt(*over), self, which, function, count, used)

    def refuse_shortage(self, function: Node, count: int) -> None:
        """Goes through all that may be left after a member, and asks whether it has a way to its end."""
        todo = [(function, count)]
        while todo:
            function, count = todo.pop()
            if (function.uid, count) not in self._checked:
                self._checked.add((function.uid, count))
                found = [
                    (a, self.of.next_count(count))
                    for _, about in self.of.classes
                    for _, a in self.moves(function, count, about)
                ]
                if any([self.bound(*left) is EMPTY for left in found]):
                    raise UnsupportedConstraint("objects that may need more keys than there are are not supported")
                todo += found

    def bound(self, function: Node, count: int) -> Expr:
        """Its shortest text is as long as a rest after any `count` members; EMPTY where none is sure."""
        key = (function.uid, count)
        if key not in self._bounds:
            self._bounds[key] = EMPTY
            self._bounds[key] = self._new_bound(function, count)
        return self._bounds[key]

    def _new_bound(self, function: Node, count: int) -> Expr:
        end, more, found = self.of.end(function, count), self.of.next_count(count), []
        if end is not EMPTY:
            return end
        for keys, about in self.of.classes:
            size = self.sure(keys, count)
            for form, after in self.moves(function, count, about) if size < INF else []:
                if after is not function or more != count:  # the end comes nearer
                    key = concat(self.style.comma, text("x" * size), self.style.colon)
                    found.append(concat(key, self.of.values.expr(form), self.bound(after, more)))
        return alt(*found)

    def sure(self, keys: Expr, count: int) -> int:
        """The length of a key that none of the members before has; INF where there may be none."""
        counted = self.of.next_count(count) > count
        return self.words.length(self.style.string(keys), count if counted else MANY_KEYS)

    def stop(self, function: Node, count: int) -> Expr:
        """A comma, where there surely is another member."""
        more = self.of.next_count(count)
        for keys, about in self.of.classes:
            moves = self.moves(function, count, about)
            if moves and self.endless(keys) and all([self.bound(a, more) is not EMPTY for _, a in moves]):
                beginning = repeat(self.strings.any_char, 0) if keys is self.any_other else EPS
                opened = concat(self.style.quote, beginning)
                return concat(self.style.comma, alt(EPS, opened))
        return EMPTY


@dataclass(frozen=True, eq=False, slots=True)
class Rest(Then):
    """What follows the key of an open member, which has `count` members before it."""

    of: OpenKeys
    which: int
    function: Node
    count: int
    used: Memory

    def after(self, text: bytes) -> Expr:
        keys, more = self.of, self.of.of.next_count(self.count)
        used = _with(self.used, read(text)[1])
        moves = keys.moves(self.function, self.count, keys.of.classes[self.which][1])
        return alt(
            *[
                concat(keys.style.colon, keys.of.values.expr(form), keys.rest(after, more, used))
                for form, after in moves
            ]
        )


def _with(used: Memory, name: str) -> Memory:
    known = used[0] | {name}
    return known, known if len(known) - len(used[1]) > MOST_RECENT else used[1]
