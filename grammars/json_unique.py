"""Arrays of distinct items, where the items have few possible values: a state remembers which have been used.

Distinctness of items from a large or infinite set needs an unbounded memory, which no automaton has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import UnsupportedConstraint
from .expr import EMPTY, Expr, alt, concat, text
from .json_numbers import NumberIn
from .logic import Node
from .schema_forms import TYPES, Form, StringIn

if TYPE_CHECKING:
    from .json_arrays import Arrays

MOST_VALUES = 10
Used = frozenset[int]  # uids of Forms that allow one value each


class Distinct:
    """Compiles arrays that meet a function of assertions and have distinct items."""

    def __init__(self, arrays: Arrays) -> None:
        self.arrays, self.values = arrays, arrays.values
        self.forms, self.logic = arrays.forms, arrays.logic
        self._rests: dict[tuple[int, int, Used], Expr] = {}

    def array(self, function: Node) -> Expr:
        empty = text("]") if self.arrays.may_end(function, 0) else EMPTY
        return concat(text("["), self.values.style.inner, alt(empty, *self.items(0, function, frozenset())))

    def items(self, index: int, function: Node, used: Used) -> list[Expr]:
        """The item at `index` with all that may follow it."""
        comma = [self.values.style.comma] if index else []
        out = []
        for form, after in self.arrays.moves(function, index):
            if index == 0 and not self.arrays.moves(after, 1):  # the only item
                out.append(concat(self.values.expr(form), self.rest(1, after, used)))
                continue
            for single in self.singles(form):
                if single.uid not in used:
                    value = self.values.expr(single)
                    out.append(concat(*comma, value, self.rest(index + 1, after, used | {single.uid})))
        return out

    def rest(self, index: int, function: Node, used: Used) -> Expr:
        key = (index, function.uid, used)
        found = self._rests.get(key)
        if found is None:
            ended = self.arrays.may_end(function, index)
            end = concat(self.values.style.inner, text("]")) if ended else EMPTY
            found = self._rests[key] = alt(end, *self.items(index, function, used))
        return found

    def singles(self, form: Form) -> list[Form]:
        """The values of a Form, one Form each; refused when there may be more than a few."""
        out: list[Form] = []
        for kind in TYPES:
            function = self.values.meaning.expand(form.of(kind), kind)
            if function is self.logic.false:
                continue
            if kind in ("null", "true", "false"):
                out.append(self.forms.types([kind]))
                continue
            for cube in self.logic.cover(function, MOST_VALUES) or [{}]:
                out += self._listed(form, [atom for atom, value in cube.items() if value])
        values = list({single.uid: single for single in out}.values())
        if len(values) > MOST_VALUES:
            raise UnsupportedConstraint(f"uniqueItems is supported for items of at most {MOST_VALUES} values only")
        return values

    def _listed(self, form: Form, atoms: list[object]) -> list[Form]:
        """One Form for each value that a list among the assertions names."""
        for atom in atoms:
            if isinstance(atom, StringIn) and len(atom.words) <= MOST_VALUES:
                each = [self.forms.only("string", self.logic.atom(StringIn((word,)))) for word in atom.words]
            elif isinstance(atom, NumberIn) and len(atom.numbers) <= MOST_VALUES:
                each = [
                    self.forms.only("number", self.logic.atom(NumberIn(frozenset([n])))) for n in sorted(atom.numbers)
                ]
            else:
                continue
            allowed = [self.forms.all_of([form, single]) for single in each]
            return [single for single, both in zip(each, allowed, strict=True) if self.values.expr(both) is not EMPTY]
        raise UnsupportedConstraint(f"uniqueItems is supported for items of at most {MOST_VALUES} values only")
