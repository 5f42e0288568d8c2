"""Objects: member by member, the function of assertions that is left over says what may follow.

In `schema` order the declared names come first, each at most once, as a chain in which every name may be there or
not; names that are required but not declared follow, then all other keys. A chain state is (index of the next name,
function, members so far); assertions about names that have passed are settled, so that states stay few: an object
with n optional members is a chain of n links.

In `any` order a state is (names seen, function, members so far). Names seen are told apart only while there are few
of them; otherwise a key may come twice. Keys that no assertion names may come twice in either order.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from .errors import UnsupportedConstraint
from .expr import EMPTY, Expr, alt, both, complement, concat, repeat, text
from .json_moves import Choice, Moves, explore
from .logic import Cube, Node
from .schema_forms import Atom, Declares, Form, Members, MinMembers, StringIn
from .schema_meaning import single_key

if TYPE_CHECKING:
    from .json_values import Order, Values

MOST_CASES = 64
MOST_STATES = 50_000
MOST_TRACKED = 8
MOST_COUNTED = 512


class Objects:
    def __init__(self, values: Values, order: Order) -> None:
        self.values, self.order = values, order

    def expr(self, function: Node) -> Expr:
        """Product by product of a cover, each in the order that it declares; as a whole if there are too many."""
        logic = self.values.forms.logic
        cubes = logic.cover(function, MOST_CASES)
        if cubes is None:
            return self._case(self.values.forms.undeclared(function), logic.support(function))
        return alt(*[self._case(logic.of_cube(_literals(c)), c) for c in cubes if all(map(c.get, _declared(c)))])

    def _case(self, function: Node, atoms: Iterable[Atom]) -> Expr:
        layout = [name for declared in _declared(atoms) for name in declared.names]
        return _Object(self.values, function, layout, self.order).expr()


def _declared(atoms: Iterable[Atom]) -> list[Declares]:
    return [atom for atom in atoms if isinstance(atom, Declares)]


def _literals(cube: Cube) -> Cube:
    return {atom: value for atom, value in cube.items() if not isinstance(atom, Declares)}


class _Object:
    """The objects that meet one function of assertions."""

    def __init__(self, values: Values, function: Node, layout: list[str], order: Order) -> None:
        self.values, self.function, self.order = values, function, order
        self.logic, self.style = values.forms.logic, values.style
        atoms = self.logic.support(function)
        self.assertions = [a for a in atoms if isinstance(a, Members)]
        self.marks = sorted([a.count for a in atoms if isinstance(a, MinMembers)])
        self.names = self._names(layout)
        self.about = self._about()
        self.others = [(a, self._other_keys(a)) for a in self.assertions]
        self.settled = self._settled()
        self.classes = self._classes()
        self._memo: dict[tuple[object, ...], Expr] = {}

    def _names(self, layout: list[str]) -> list[str]:
        """Declared names first, then those that are required, then those that are mentioned otherwise."""
        keys = [self.values.meaning.expand(a.keys, "string") for a in self.assertions]
        words = [atom.words for key in keys for atom in self.logic.support(key) if isinstance(atom, StringIn)]
        single = [w[0] for w in words if len(w) == 1]
        return list(dict.fromkeys([*layout, *single, *[name for w in words for name in w]]))

    def _about(self) -> list[list[Members]]:
        """For each name the assertions that speak of it."""
        singles: dict[str, list[Members]] = {}
        general: list[Members] = []
        for atom in self.assertions:
            name = single_key(atom)
            (general if name is None else singles.setdefault(name, [])).append(atom)
        concerns = self.values.meaning.concerns
        return [singles.get(name, []) + [a for a in general if concerns(a, name)] for name in self.names]

    def _other_keys(self, atom: Members) -> Node:
        """The keys beyond `names` that an assertion speaks of."""
        keys = self.values.meaning.expand(atom.keys, "string")
        named = {a: False for a in self.logic.support(keys) if isinstance(a, StringIn)}
        return self.logic.restrict(keys, named)

    def _settled(self) -> list[dict[Atom, bool]]:
        """For each name the assertions that nothing behind it speaks of."""
        last = {atom: i for i, about in enumerate(self.about) for atom in about}
        out: list[dict[Atom, bool]] = [{} for _ in self.names]
        for atom, other in self.others:
            if other is self.logic.false and atom in last:
                out[last[atom]][atom] = True
        return out

    def _classes(self) -> list[tuple[Expr, list[Members]]]:
        """All other keys, sorted by the assertions that speak of them."""
        strings = self.values.strings
        known = complement(strings.options(self.names)) if self.names else None
        found: list[tuple[Node, list[Members]]] = [(self.logic.true, [])]
        for atom, keys in self.others:
            split = []
            for region, about in found:
                inside, outside = self.logic.conj([region, keys]), self.logic.conj([region, self.logic.negate(keys)])
                split += [(inside, [*about, atom]), (outside, about)]
            found = [(region, about) for region, about in split if strings.expr(region) is not EMPTY]
        keys_of = [(strings.expr(region), about) for region, about in found]
        return [(keys if known is None else both(keys, known), about) for keys, about in keys_of]

    # -- the text

    def expr(self) -> Expr:
        body = self.chain(0, self.function, 0) if self.order == "schema" else self.any_order(self.function)
        return concat(text("{"), self.style.inner, body)

    def end(self, function: Node, count: int) -> Expr:
        """The closing bracket, where the object may end."""
        if not self.logic.holds(
            function, lambda a: isinstance(a, Members) or (isinstance(a, MinMembers) and a.count <= count)
        ):
            return EMPTY
        return concat(self.style.inner, text("}")) if count else text("}")

    def member(self, key: Expr, form: Form, count: int) -> Expr:
        value = self.values.expr(form)
        if value is EMPTY or key is EMPTY:
            return EMPTY
        comma = [self.style.comma] if count else []
        return concat(*comma, self.style.string(key), self.style.colon, value)

    def moves(self, function: Node, about: Iterable[Members], count: int, settled: dict[Atom, bool]) -> Moves:
        """What a member's value may be, and the function left after it; `count` members came before."""
        choices = [self.choice(a) for a in about]
        counted = {MinMembers(mark): True for mark in self.marks if mark == count + 1}
        return explore(self.values, function, choices, lambda f: self.logic.restrict(f, {**settled, **counted}))

    def choice(self, atom: Members) -> Choice:
        return Choice(atom.form, lambda f: f, lambda f: self.logic.restrict(f, {atom: False}))

    def next_count(self, count: int) -> int:
        """Members are counted only as far as it matters; one is told from none by the comma."""
        return min(count + 1, max(self.marks[-1] if self.marks else 1, 1))

    def chain(self, index: int, function: Node, count: int) -> Expr:
        """What may stand from the name at `index` on."""
        if function is self.logic.false:
            return EMPTY
        if index == len(self.names):
            return self.rest(function, count)
        key = (index, function.uid, count)
        found = self._memo.get(key)
        if found is None:
            if len(self._memo) > MOST_STATES:
                raise UnsupportedConstraint("the assertions on an object have too many combinations")
            found = self._memo[key] = self._link(index, function, count)
        return found

    def _link(self, index: int, function: Node, count: int) -> Expr:
        name = self.values.strings.options([self.names[index]])
        settled = self.settled[index]
        without = self.logic.restrict(function, settled)
        parts, more = [], self.next_count(count)
        for form, after in self.moves(function, self.about[index], count, settled):
            member = self.member(name, form, count)
            if member is not EMPTY:
                parts.append((member, self.chain(index + 1, after, more)))
        absent = self.chain(index + 1, without, count)
        if len(parts) == 1 and parts[0][1] is absent:
            return concat(repeat(parts[0][0], 0, 1), absent)
        return alt(absent, *[concat(member, rest) for member, rest in parts])

    def rest(self, function: Node, count: int) -> Expr:
        """Keys that no name stands for."""
        mark = next((m for m in self.marks if m > count), None)
        key = ("rest", function.uid, count)
        found = self._memo.get(key)
        if found is None:
            found = self._memo[key] = self._rest(function, count, mark)
        return found

    def _rest(self, function: Node, count: int, mark: int | None) -> Expr:
        end, more = self.end(function, count), self.next_count(count)
        if count == 0 or (mark is not None and count + 1 == mark):
            return alt(end, *[concat(m, self.rest(after, more)) for m, after in self.other_members(function, count)])
        moves = self.other_members(function, count)
        loop = alt(*[member for member, after in moves if after is function])
        exits = [concat(member, self.rest(after, more)) for member, after in moves if after is not function]
        if mark is None:
            return concat(repeat(loop, 0), alt(end, *exits))
        if not exits:
            size = mark - count - 1
            return alt(
                concat(repeat(loop, 0, size - 1), end), concat(repeat(loop, size, size), self.rest(function, mark - 1))
            )
        if mark - count > MOST_COUNTED:
            raise UnsupportedConstraint(
                f"more than {MOST_COUNTED} members with alternatives for each are not supported"
            )
        return alt(end, concat(loop, self.rest(function, more)), *exits)

    def other_members(self, function: Node, count: int) -> list[tuple[Expr, Node]]:
        out: dict[int, tuple[Node, list[Expr]]] = {}
        for keys, about in self.classes:
            for form, after in self.moves(function, about, count, {}):
                member = self.member(keys, form, count)
                if member is not EMPTY:
                    out.setdefault(after.uid, (after, []))[1].append(member)
        return [(alt(*members), after) for after, members in out.values()]

    # -- any order

    def any_order(self, function: Node) -> Expr:
        raise UnsupportedConstraint("order 'any' is not supported yet")
