"""Objects: member by member, the function of assertions that is left over says what may follow.

In `schema` order the names that the schema speaks of come first, each at most once, then all other keys. Names stand in
sequences: one for each `properties` that is met, one for each name that is only required or mentioned. The sequences
are interleaved while that is cheap, else put one behind the other. A single sequence is a chain in which every name
may be there or not. A state is (index of the next name, function, members so far); assertions about names that have
passed are settled, so that states stay few: an object with n optional members is a chain of n links.

`any` order is in json_any_order.py. There and among the keys that no name stands for, a key may come twice: the last
value counts, and what is generated stays right (see `refuse_unsound`). Where it would not, the keys that have come are
remembered (json_keys.py), or the object is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import prod
from typing import TYPE_CHECKING

from .errors import UnsupportedConstraint
from .expr import EMPTY, Expr, alt, both, complement, concat, repeat, text
from .json_moves import Choice, Moves, explore
from .logic import Cube, Node
from .schema_forms import Atom, Declares, Form, Members, MinMembers, StringIn
from .schema_meaning import single_key

if TYPE_CHECKING:
    from .json_keys import OpenKeys
    from .json_values import Order, Values

MOST_CASES = 64
MOST_COUNTED = 512
MOST_CLASSES = 64
MOST_LINKS = 30_000  # of all objects of a schema
MOST_WOVEN = 24  # combinations of places in several sequences of names


class RepeatedKeys(UnsupportedConstraint):
    """Keys that come twice could make an object wrong."""


class Objects:
    def __init__(self, values: Values, order: Order) -> None:
        self.values, self.order = values, order

    def expr(self, function: Node) -> Expr:
        """Product by product of a cover, each in the order that it declares; as a whole if there are too many."""
        logic = self.values.forms.logic
        cubes = logic.cover(function, MOST_CASES)
        atoms = logic.support(function)
        mentioned = [(name,) for name in map(single_key, atoms) if name is not None]  # a key left open here, too
        if cubes is None:
            return self._case(self.values.forms.undeclared(function), atoms, mentioned)
        cubes = [c for c in cubes if all(map(c.get, _declared(c)))]
        return alt(*[self._case(logic.of_cube(_literals(cube)), cube, mentioned) for cube in cubes])

    def _case(self, function: Node, atoms: Iterable[Atom], mentioned: list[tuple[str]]) -> Expr:
        from .json_any_order import AnyOrder

        kind = Object if self.order == "schema" else AnyOrder
        return kind(self.values, function, [*[atom.names for atom in _declared(atoms)], *mentioned]).expr()


def _declared(atoms: Iterable[Atom]) -> list[Declares]:
    return [atom for atom in atoms if isinstance(atom, Declares)]


def _literals(cube: Cube) -> Cube:
    return {atom: value for atom, value in cube.items() if not isinstance(atom, Declares)}


class Object:
    """The objects that meet one function of assertions; `declared`: names in their order."""

    def __init__(self, values: Values, function: Node, declared: list[tuple[str, ...]]) -> None:
        self.values, self.function = values, function
        self.logic, self.style = values.forms.logic, values.style
        atoms = self.logic.support(function)
        self.assertions = [a for a in atoms if isinstance(a, Members)]
        self.marks = sorted([a.count for a in atoms if isinstance(a, MinMembers)])
        self.sequences = self._sequences(declared)
        self.names = [name for sequence in self.sequences for name in sequence]
        self.about = self._about()
        self.others = [(a, self._other_keys(a)) for a in self.assertions]
        self.last = self._last()
        self.settled_at: list[Cube] = [{} for _ in self.names]  # in the order of `names`
        for atom, names in self.last.items():
            if names:
                self.settled_at[max(names)][atom] = True
        self.classes = self._classes()
        self.keys: OpenKeys | None = None
        self._memo: dict[tuple[object, ...], Expr] = {}

    def _sequences(self, declared: list[tuple[str, ...]]) -> list[list[str]]:
        """Names that are declared first, then those that are required, then those that are mentioned otherwise."""
        keys = [self.values.meaning.expand(a.keys, "string") for a in self.assertions]
        words = [atom.words for key in keys for atom in self.logic.support(key) if isinstance(atom, StringIn)]
        single = [w[0] for w in words if len(w) == 1]
        ordered = [*declared, *[(name,) for name in dict.fromkeys([*single, *[name for w in words for name in w]])]]
        seen: set[str] = set()
        out = []
        for names in ordered:
            out.append([name for name in dict.fromkeys(names) if name not in seen])
            seen.update(names)
        return [sequence for sequence in out if sequence]

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

    def _last(self) -> dict[Members, frozenset[int]]:
        """For the assertions that speak of names only: which."""
        speaks: dict[Members, set[int]] = {}
        for i, about in enumerate(self.about):
            for atom in about:
                speaks.setdefault(atom, set()).add(i)
        named = [atom for atom, other in self.others if other is self.logic.false]
        return {atom: frozenset(speaks.get(atom, ())) for atom in named}

    def _classes(self) -> list[tuple[Expr, list[Members]]]:
        """All other keys, sorted by the assertions that speak of them."""
        strings = self.values.strings
        found: list[tuple[Node, list[Members]]] = [(self.logic.true, [])]
        for atom, keys in self.others:
            split = []
            for region, about in found:
                inside, outside = self.logic.conj([region, keys]), self.logic.conj([region, self.logic.negate(keys)])
                split += [(inside, [*about, atom]), (outside, about)]
            found = [(region, about) for region, about in split if self._may_be(region, about)]
            if len(found) > MOST_CLASSES:
                raise UnsupportedConstraint(f"patterns for keys that overlap in more than {MOST_CLASSES} ways")
        keys_of = [(strings.expr(region), about) for region, about in found]
        return [(self.without_names(keys), about) for keys, about in keys_of]

    def _may_be(self, region: Node, about: list[Members]) -> bool:
        """Whether there are keys of a region; those that no value can have need not be told from others."""
        try:
            return self.values.strings.expr(region) is not EMPTY
        except UnsupportedConstraint:
            forms = [form for form, _ in self.moves(self.function, about, 0, {})]
            if all(map(self.values.meaning.impossible_form, forms)):
                return False
            raise

    def without_names(self, keys: Expr) -> Expr:
        return both(keys, complement(self.values.strings.options(self.names))) if self.names else keys

    # -- the text

    def expr(self) -> Expr:
        try:
            self.refuse_unsound()
            return concat(text("{"), self.style.inner, self.body())
        except RepeatedKeys:
            return self.remembering()

    def remembering(self) -> Expr:
        """The same with open keys that never come twice."""
        from .json_keys import OpenKeys

        self._memo.clear()
        self.keys = OpenKeys(self)
        return concat(text("{"), self.style.inner, self.body())

    def body(self) -> Expr:
        declared = [s for s in self.sequences if len(s) > 1]
        free = [s for s in self.sequences if len(s) == 1]
        joined = [[name for s in part for name in s] for part in (declared, free)]
        for woven in (self.sequences, [*declared, joined[1]], joined):
            ends = [len(sequence) for sequence in woven if sequence]
            if len(ends) > 1 and prod([end + 1 for end in ends]) <= MOST_WOVEN:
                return Weave(self, [s for s in woven if s]).rest((0,) * len(ends), self.function, 0)
        return self.chain(0, self.function, 0)

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

    def moves(self, function: Node, about: Iterable[Members], count: int, settled: Cube) -> Moves:
        """What a member's value may be, and the function left after it; `count` members came before."""
        choices = [self.choice(a) for a in about]
        counted = {MinMembers(mark): True for mark in self.marks if mark == count + 1}
        return explore(self.values, function, choices, lambda f: self.logic.restrict(f, {**settled, **counted}))

    def choice(self, atom: Members) -> Choice:
        return Choice(atom.form, lambda f: f, lambda f: self.logic.restrict(f, {atom: False}))

    def next_count(self, count: int) -> int:
        """Members are counted only as far as it matters; one is told from none by the comma."""
        return min(count + 1, max(self.marks[-1] if self.marks else 1, 1))

    def settled(self, passed: Callable[[int], bool], function: Node) -> Cube:
        """The assertions that speak of names only, all of which have passed."""
        atoms = [a for a in self.logic.support(function) if isinstance(a, Members) and a in self.last]
        return {a: True for a in atoms if all(map(passed, self.last[a]))}

    def chain(self, index: int, function: Node, count: int, used: frozenset[int] = frozenset()) -> Expr:
        """What may stand from the name at `index` on; the names `used` have come already."""
        if function is self.logic.false:
            return EMPTY
        if index == len(self.names):
            return self.rest(function, count)
        return self.memo((index, function.uid, count, used), lambda: self._link(index, function, count, used))

    def memo(self, key: tuple[object, ...], make: Callable[[], Expr]) -> Expr:
        found = self._memo.get(key)
        if found is None:
            self.values.links += 1
            if self.values.links > MOST_LINKS:
                raise UnsupportedConstraint("the assertions on objects have too many combinations")
            found = self._memo[key] = make()
        return found

    def _link(self, index: int, function: Node, count: int, used: frozenset[int]) -> Expr:
        settled = self.settled_at[index]
        absent = self.chain(index + 1, self.logic.restrict(function, settled), count, used)
        if index in used:
            return absent
        more = self.next_count(count)
        parts = [
            (member, self.chain(index + 1, after, more, used))
            for member, after in self.members(index, function, count, settled)
        ]
        if len(parts) == 1 and parts[0][1] is absent:
            return concat(repeat(parts[0][0], 0, 1), absent)
        return alt(absent, *[concat(member, rest) for member, rest in parts])

    def members(self, index: int, function: Node, count: int, settled: Cube) -> list[tuple[Expr, Node]]:
        """What a name may be followed by, and the function left after it."""
        name = self.values.strings.options([self.names[index]])
        moves = self.moves(function, self.about[index], count, settled)
        found = [(self.member(name, form, count), after) for form, after in moves]
        return [(member, after) for member, after in found if member is not EMPTY]

    def rest(self, function: Node, count: int, opened: bool = False) -> Expr:
        """Keys that no name stands for; `opened`: there was one already."""
        if function is self.logic.false:
            return EMPTY
        if self.keys is not None:
            return self.keys.rest(function, count)
        return self.loose(function, count, opened)

    def loose(self, function: Node, count: int, opened: bool) -> Expr:
        """The same with keys that may come twice."""
        if function is self.logic.false:
            return EMPTY
        return self.memo(("rest", function.uid, count, opened), lambda: self._rest(function, count, opened))

    def _rest(self, function: Node, count: int, opened: bool) -> Expr:
        mark = next((m for m in self.marks if m > count), None)
        end, more = self.end(function, count), self.next_count(count)
        moves = self.other_members(function, count)
        if moves and mark is not None and mark > count + (not opened):
            self.refuse_counting(function)
        if count == 0 or (mark is not None and count + 1 == mark):
            return alt(end, *[concat(m, self.loose(after, more, True)) for m, after in moves])
        loop = alt(*[member for member, after in moves if after is function])
        exits = [concat(member, self.loose(after, more, True)) for member, after in moves if after is not function]
        if mark is None:
            return concat(repeat(loop, 0), alt(end, *exits))
        if not exits:
            size = mark - count - 1
            last = self.loose(function, mark - 1, True)
            return alt(concat(repeat(loop, 0, size - 1), end), concat(repeat(loop, size, size), last))
        if mark - count > MOST_COUNTED:
            raise UnsupportedConstraint(
                f"more than {MOST_COUNTED} members with alternatives for each are not supported"
            )
        return alt(end, concat(loop, self.loose(function, more, True)), *exits)

    def other_members(self, function: Node, count: int) -> list[tuple[Expr, Node]]:
        out: dict[int, tuple[Node, list[Expr]]] = {}
        for keys, about in self.classes:
            for form, after in self.moves(function, about, count, {}):
                member = self.member(keys, form, count)
                if member is not EMPTY:
                    out.setdefault(after.uid, (after, []))[1].append(member)
        return [(alt(*members), after) for after, members in out.values()]

    # -- keys that come twice

    def refuse_unsound(self) -> None:
        """Refuses what a second value for the same key could make wrong.

        A value that fails an assertion decides it, though a later value of the same key may meet it. That does no
        harm where failing only makes things worse, or where no later value can meet it.
        """
        forms, meaning = self.values.forms, self.values.meaning
        for _, about in self.classes:
            for atom in about:
                if not self.worse(self.function, atom, False):
                    failed = self.logic.restrict(self.function, {atom: False})
                    later = forms.any_of([form for form, _ in self.moves(failed, about, 0, {})])
                    if not meaning.impossible_form(forms.all_of([later, atom.form])):
                        raise RepeatedKeys("what a key left open must not be is not known before the last one")

    def refuse_counting(self, function: Node) -> None:
        """Refuses a least number of keys that the schema leaves open, as they may come twice."""
        for mark in self.marks if self.keys is None else ():
            if mark > 1 and not self.worse(function, MinMembers(mark), True):
                raise RepeatedKeys(f"at least {mark} members with keys left open are not supported")

    def worse(self, function: Node, atom: Atom, value: bool) -> bool:
        """Whether nothing is met with an assertion decided as `value` that is not met with the opposite."""
        this, other = (self.logic.restrict(function, {atom: v}) for v in (value, not value))
        return self.logic.conj([this, self.logic.negate(other)]) is self.logic.false


class Weave:
    """Several sequences of names, interleaved; a state has a position in each."""

    def __init__(self, of: Object, sequences: list[list[str]]) -> None:
        self.of = of
        self.sequences = [[of.names.index(name) for name in sequence] for sequence in sequences]
        self.place = {i: (s, p) for s, sequence in enumerate(self.sequences) for p, i in enumerate(sequence)}

    def rest(self, at: tuple[int, ...], function: Node, count: int) -> Expr:
        """What may stand from these positions on."""
        return self.of.memo((at, function.uid, count), lambda: self._rest(at, function, count))

    def _rest(self, at: tuple[int, ...], function: Node, count: int) -> Expr:
        of, logic = self.of, self.of.logic
        parts = [of.rest(logic.restrict(function, of.settled(lambda _: True, function)), count)]
        for k, sequence in enumerate(self.sequences):
            for j in range(at[k], len(sequence)):
                then = (*at[:k], j + 1, *at[k + 1 :])
                settled = of.settled({i for i, (s, p) in self.place.items() if p < then[s]}.__contains__, function)
                for member, after in of.members(sequence[j], function, count, settled):
                    if after is not logic.false:
                        parts.append(concat(member, self.rest(then, after, of.next_count(count))))
        return alt(*parts)
