"""Arrays: item by item, the function of assertions that is left over says what may follow.

States are (index, function). Between two indices at which an assertion begins, ends or is counted nothing changes,
so that such runs are one symbolic repeat, however long.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import UnsupportedConstraint
from .expr import EMPTY, Expr, alt, concat, repeat, text
from .json_distinct import Many
from .json_moves import Choice, Moves, explore
from .json_unique import Distinct
from .logic import Node
from .schema_forms import DISTINCT, AtLeastItems, Atom, Form, Items

if TYPE_CHECKING:
    from .json_values import Values

MOST_CASES = 64
MOST_STEPS = 512  # items that are told apart one by one


class Arrays:
    def __init__(self, values: Values) -> None:
        self.values = values
        self.forms, self.logic = values.forms, values.forms.logic
        self._rests: dict[tuple[int | None, int], Expr] = {}

    def expr(self, function: Node) -> Expr:
        """Arrays that meet an expanded `function`."""
        atoms = self.logic.support(function)
        if max([a.count for a in atoms if isinstance(a, AtLeastItems) and a.form is not None], default=0) > MOST_STEPS:
            raise UnsupportedConstraint(f"counting more than {MOST_STEPS} items that match is not supported")
        if DISTINCT in atoms:
            return self._distinct(function)
        cubes = self.logic.cover(function, MOST_CASES)
        cases = [function] if cubes is None else [self.logic.of_cube(cube) for cube in cubes]
        return alt(*map(self.array, cases))

    def _distinct(self, function: Node) -> Expr:
        yes, no = (self.logic.restrict(function, {DISTINCT: value}) for value in (True, False))
        if self.logic.conj([no, self.logic.negate(yes)]) is not self.logic.false:
            raise UnsupportedConstraint("items that must not be distinct are not supported")
        free = EMPTY if no is self.logic.false else self.expr(no)
        try:
            return alt(free, Distinct(self).array(yes))  # needs no memory where values are few
        except UnsupportedConstraint:
            return alt(free, Many(self, yes).array())

    def array(self, function: Node) -> Expr:
        empty = text("]") if self.may_end(function, 0) else EMPTY
        first = [concat(self.values.expr(form), self.rest(1, after)) for form, after in self.moves(function, 0)]
        return concat(text("["), self.values.style.inner, alt(empty, *first))

    def rest(self, index: int, function: Node) -> Expr:
        """What may stand after `index` > 0 items."""
        stop = self.next_change(function, index)
        key = (None if stop is None else index, function.uid)
        found = self._rests.get(key)
        if found is None:
            found = self._rests[key] = self._rest(index, stop, function)
        return found

    def _rest(self, index: int, stop: int | None, function: Node) -> Expr:
        style = self.values.style
        end = concat(style.inner, text("]")) if self.may_end(function, index) else EMPTY
        if stop is None:
            moves = self.moves(function, index)
            loops = [self.cell(form) for form, after in moves if after is function]
            exits = [
                concat(self.cell(form), self.rest(index + 1, after)) for form, after in moves if after is not function
            ]
            return concat(repeat(alt(*loops), 0), alt(end, *exits))
        size = stop - index
        before = self.moves(function, index) if size > 1 else []
        if all([after is function for _, after in before]):
            cell = self.cell(before[0][0]) if before else EMPTY
            last = [concat(self.cell(form), self.rest(stop, after)) for form, after in self.moves(function, stop - 1)]
            return alt(concat(repeat(cell, 0, size - 1), end), concat(repeat(cell, size - 1, size - 1), alt(*last)))
        if stop - index > MOST_STEPS:
            raise UnsupportedConstraint(f"more than {MOST_STEPS} items with alternatives for each are not supported")
        steps = [concat(self.cell(form), self.rest(index + 1, after)) for form, after in self.moves(function, index)]
        return alt(end, *steps)

    def cell(self, form: Form) -> Expr:
        return concat(self.values.style.comma, self.values.expr(form))

    def may_end(self, function: Node, index: int) -> bool:
        return self.logic.holds(function, lambda a: isinstance(a, Items) or _met(a, index))

    def next_change(self, function: Node, index: int) -> int | None:
        """The next index at which an assertion begins, ends or is fulfilled by number alone."""
        marks: list[int | None] = []
        for atom in self.logic.support(function):
            match atom:
                case Items(start, stop, _):
                    marks += [start, stop]
                case AtLeastItems(count, None):
                    marks.append(count)
        return min([mark for mark in marks if mark is not None and mark > index], default=None)

    def moves(self, function: Node, index: int) -> Moves:
        """What the item at `index` may be, and the function that is left after it."""
        atoms = self.logic.support(function)
        here = [a for a in atoms if isinstance(a, Items) and a.start <= index and (a.stop is None or index < a.stop)]
        counted = dict.fromkeys([a.form for a in atoms if isinstance(a, AtLeastItems) and a.form is not None])
        ended = {a: True for a in atoms if (isinstance(a, Items) and a.stop == index + 1) or _met(a, index + 1)}
        choices = [*[self._item_choice(a) for a in here], *[self._count_choice(form) for form in counted]]
        return explore(self.values, function, choices, lambda after: self.logic.restrict(after, ended))

    def _item_choice(self, atom: Items) -> Choice:
        return Choice(atom.form, lambda f: f, lambda f: self.logic.restrict(f, {atom: False}))

    def _count_choice(self, form: Form) -> Choice:
        def fewer(atom: Atom) -> Node | None:
            if not isinstance(atom, AtLeastItems) or atom.form is not form:
                return None
            return self.logic.true if atom.count == 1 else self.logic.atom(AtLeastItems(atom.count - 1, form))

        return Choice(form, lambda f: self.logic.replace(f, fewer), lambda f: f)


def _met(atom: Atom, count: int) -> bool:
    """Whether `count` items are enough, whatever they are."""
    return isinstance(atom, AtLeastItems) and atom.form is None and count >= atom.count
