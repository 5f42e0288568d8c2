"""Arrays of distinct items of any kind: a state remembers the values that have come, and forbids all their spellings.

What an item leaves of the array's assertions is known from its Form, as in json_arrays.py; what it adds to the memory
is read from its text when it ends (dependent.py). That asks for a proof, made in advance, that whatever items come
there will be others for those that must still come: a Form that has more values than there are items before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .dependent import Then
from .derive import minlen
from .distinct import MOST_NEEDED
from .errors import UnsupportedConstraint
from .expr import EMPTY, EPS, INF, Expr, alt, both, complement, concat, depend, repeat, text
from .json_equal import Equal, Value, read
from .json_moves import Moves
from .json_words import Endless, Words
from .logic import Node
from .schema_forms import TYPES, AtLeastItems, Form, Members
from .schema_meaning import single_key

if TYPE_CHECKING:
    from .json_arrays import Arrays

MOST_STATES = 2000
MOST_RECENT = 16
Memory = tuple[frozenset[Value], frozenset[Value]]  # all that is used, and what of it is forbidden by one expression
NOTHING: Memory = (frozenset(), frozenset())


class Many:
    """Compiles arrays that meet one function of assertions and have distinct items."""

    def __init__(self, arrays: Arrays, function: Node) -> None:
        self.arrays, self.values, self.start = arrays, arrays.values, function
        self.logic, self.style = arrays.logic, arrays.values.style
        self.equal, self.words, self.endless = Equal(arrays.values), Words(), Endless()
        self.end = concat(self.style.inner, text("]"))
        self._thens: dict[tuple[int, int, Memory], Rest] = {}
        self._bounds: dict[tuple[int, int], int] = {}
        self._moves: dict[tuple[int, int], Moves] = {}
        self._once: dict[int, frozenset[str]] = {}

    def array(self) -> Expr:
        self.refuse_shortage()
        empty = text("]") if self.arrays.may_end(self.start, 0) else EMPTY
        return concat(text("["), self.style.inner, alt(empty, *self.items(0, self.start, NOTHING)))

    def items(self, index: int, function: Node, used: Memory) -> list[Expr]:
        """The item at `index` with all that may follow it."""
        comma = [self.style.comma] if index else []
        out = []
        for form, after in self.moves(index, function):
            item = self.unused(form, used)
            if self.arrays.rest(index + 1, after) is EMPTY:
                continue
            if self.moves(index + 1, after):
                out.append(concat(*comma, depend(item, b"", self.then(index + 1, after, used))))
            elif self.arrays.may_end(after, index + 1):
                out.append(concat(*comma, item, self.end))
        return out

    def unused(self, form: Form, used: Memory) -> Expr:
        once = self.once(form) if used[0] else frozenset[str]()
        recent = [complement(self.equal.expr(value, once)) for value in used[0] - used[1]]
        return both(self.values.expr(form), complement(self.equal.any_of(used[1], once)), *recent)

    def then(self, index: int, function: Node, used: Memory) -> Rest:
        key = (index, function.uid, used)
        found = self._thens.get(key)
        if found is None:
            found = self._thens[key] = self._then(index, function, used)
        return found

    def _then(self, index: int, function: Node, used: Memory) -> Rest:
        ends = self.arrays.may_end(function, index)
        longest = self.end if ends else text("x" * self.bound(index, function))
        parts = (
            longest,
            ends,
            self.end if ends else EMPTY,
            self.stop(index, function),
            self.arrays.rest(index, function),
        )
        return Rest(*parts, self, index, function, used)

    def stop(self, index: int, function: Node) -> Expr:
        """A comma, where there surely is another item, and how strings begin if it may be one."""
        for form, after in self.moves(index, function):
            if self.endless(self.values.expr(form)) and self.bound(index + 1, after) < INF:
                return concat(self.style.comma, alt(EPS, self.opened(form)))
        return EMPTY

    def opened(self, form: Form) -> Expr:
        """Beginnings of strings that many strings have."""
        strings = form.of("string")
        if strings is self.logic.true:
            return concat(self.style.quote, repeat(self.values.strings.any_char, 0))
        return self.style.quote if self.strings_only(form) else EMPTY

    def strings_only(self, form: Form) -> bool:
        return all([form.of(kind) is self.logic.false for kind in TYPES if kind != "string"])

    def once(self, form: Form) -> frozenset[str]:
        """The names that no object of a Form has twice."""
        found = self._once.get(form.uid)
        if found is None:
            cases = [self.logic.support(f) for f in self.values.meaning.cases(form.of("object"), "object")]
            named = [self._names([a for a in atoms if isinstance(a, Members)]) for atoms in cases]
            found = self._once[form.uid] = frozenset.intersection(*named) if named else frozenset()
        return found

    def _names(self, atoms: list[Members]) -> frozenset[str]:
        if self.values.objects.order == "any":
            return frozenset()
        return frozenset([name for name in map(single_key, atoms) if name is not None])

    def moves(self, index: int, function: Node) -> Moves:
        unchanging = self.arrays.next_change(function, index) is None
        key = (-1 if unchanging else index, function.uid)
        found = self._moves.get(key)
        if found is None:
            found = self._moves[key] = self.arrays.moves(function, index)
        return found

    # -- whether there always is another item

    def refuse_shortage(self) -> None:
        """Goes through the states that differ, and asks whether each of them has a way to its end."""
        todo, seen = [(0, self.start)], set[tuple[int | None, int]]()
        while todo:
            index, function = todo.pop()
            stop = self.arrays.next_change(function, index)
            key = (None if stop is None else index, function.uid)
            if key in seen:
                continue
            seen.add(key)
            if index and self.arrays.rest(index, function) is EMPTY:
                continue
            if len(seen) > MOST_STATES or (index and self.bound(index, function) >= INF):
                raise UnsupportedConstraint("uniqueItems is not supported where few values are left for many items")
            for _, after in self.moves(index, function):
                same = after is function and stop is not None
                todo.append((max(index + 1, (stop or 0) - 1) if same else index + 1, after))

    def bound(self, index: int, function: Node) -> int:
        """A bound of the shortest rest after `index` items, whatever they are; INF where there may be none."""
        key = (index, function.uid)
        found = self._bounds.get(key)
        if found is None:
            self._bounds[key] = INF
            found = self._bounds[key] = self._new_bound(index, function)
        return found

    def _new_bound(self, index: int, function: Node) -> int:
        if self.arrays.may_end(function, index):
            return minlen(self.end)
        if index > MOST_NEEDED:
            raise UnsupportedConstraint(f"more than {MOST_NEEDED:,} items that all differ are not supported")
        found = INF
        for form, after in self.moves(index, function):
            if after is not function or self.arrays.next_change(function, index) is not None:  # the end comes nearer
                below = self.bound(index + 1, after)
                found = min(found, minlen(self.style.comma) + self.sure(form, index, function) + below)
        return found

    def sure(self, form: Form, index: int, function: Node) -> int:
        """The length of a value of a Form that none of the `index` items before has; INF where there may be none."""
        return min(self.words.length(self.values.expr(form), n) for n in [index, *self._counted(form, function)])

    def _counted(self, form: Form, function: Node) -> list[int]:
        """How many of the items before can be of the Form, as it is one of those that are counted."""
        first, left = self._counts(self.start), self._counts(function)
        return [first[f] - left[f] for f in left if self.arrays.forms.all_of([form, f]) is form]

    def _counts(self, function: Node) -> dict[Form, int]:
        atoms = [a for a in self.logic.support(function) if isinstance(a, AtLeastItems) and a.form is not None]
        return {a.form: a.count for a in sorted(atoms, key=lambda a: a.count) if a.form is not None}


@dataclass(frozen=True, eq=False, slots=True)
class Rest(Then):
    """The rest of an array after `index` items; the last one is not among the `used` ones."""

    of: Many
    index: int
    function: Node
    used: Memory

    def after(self, text: bytes) -> Expr:
        ended = self.of.end if self.of.arrays.may_end(self.function, self.index) else EMPTY
        return alt(ended, *self.of.items(self.index, self.function, _with(self.used, read(text))))


def _with(used: Memory, value: Value) -> Memory:
    known, merged = used[0] | {value}, used[1]
    return known, known if len(known) - len(merged) > MOST_RECENT else merged
