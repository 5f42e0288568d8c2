"""What symbolic parts of a schema stand for: references, `anyOf`, `oneOf`; and what is plainly empty.

References are followed when a value is compiled. Alternatives are kept apart as long as they can be: compiled one by
one each is simple, and keeps its own order of keys, while the diagram of their union may be huge.
"""

from __future__ import annotations

from collections.abc import Callable

from .errors import InvalidConstraint, UnsupportedConstraint
from .expr import EMPTY
from .json_numbers import NumberIn, number_expr
from .json_strings import Strings
from .logic import Cube, Node
from .schema_forms import (
    TYPES,
    AnyOf,
    AtLeastItems,
    Atom,
    Exactly,
    Form,
    Forms,
    Items,
    JsonType,
    Members,
    StringIn,
    Target,
)

MOST_CASES = 256
MOST_CUBES = 64
MOST_PAIRS = 3000
DEPTH = 3  # levels of containers that are looked into for emptiness


class _Unknown(Exception):
    """An answer depends on a reference that is being followed."""


class Meaning:
    def __init__(self, forms: Forms, strings: Strings, target: Callable[[Target], Form]) -> None:
        self.forms, self.logic, self.strings, self.target = forms, forms.logic, strings, target
        self._expanded: dict[tuple[int, JsonType], Node] = {}
        self._impossible: dict[tuple[int, JsonType], bool] = {}
        self._following: set[tuple[Target, JsonType]] = set()
        self._probing = 0

    # -- references

    def resolved(self, form: Form) -> Form:
        """The same without references at the top: recursion comes back to the same Form."""
        return self.forms.make(self.resolve(f, kind) for kind, f in zip(TYPES, form.functions, strict=True))

    def resolve(self, function: Node, kind: JsonType) -> Node:
        return self.logic.replace(
            function, lambda atom: self._follow(atom, kind, self.resolve) if isinstance(atom, Target) else None
        )

    def _follow(self, target: Target, kind: JsonType, then: Callable[[Node, JsonType], Node]) -> Node:
        if (target, kind) in self._following:
            if self._probing:
                raise _Unknown
            raise InvalidConstraint("$ref leads back to itself without describing a value", target.pointer)
        self._following.add((target, kind))
        try:
            return then(self.target(target).of(kind), kind)
        finally:
            self._following.discard((target, kind))

    # -- alternatives

    def expand(self, function: Node, kind: JsonType) -> Node:
        """`function` without symbolic parts."""
        key = (function.uid, kind)
        found = self._expanded.get(key)
        if found is None:
            found = self._expanded[key] = self.logic.replace(function, lambda atom: self._meaning(atom, kind))
        return found

    def _meaning(self, atom: Atom, kind: JsonType) -> Node | None:
        if isinstance(atom, Target):
            return self._follow(atom, kind, self.expand)
        if isinstance(atom, AnyOf | Exactly):
            return self.logic.disj([self.expand(part, kind) for part in self.alternatives(atom, kind)])
        return None

    def cases(self, function: Node, kind: JsonType) -> list[Node]:
        """Functions without symbolic parts whose disjunction is `function`."""
        done: dict[int, Node] = {}
        todo = [function]
        while todo:
            case = self.resolve(todo.pop(), kind)
            choice = next((a for a in self.logic.support(case) if isinstance(a, AnyOf | Exactly)), None)
            if choice is None or len(done) + len(todo) > MOST_CASES:
                done.setdefault(case.uid, self.expand(case, kind))
                continue
            without, with_ = (self.logic.restrict(case, {choice: value}) for value in (False, True))
            if self.logic.conj([without, self.logic.negate(with_)]) is not self.logic.false:  # it is denied somewhere
                expanded = self.expand(self.logic.atom(choice), kind)
                todo.append(self.logic.ite(expanded, with_, without))
                continue
            parts = [self.logic.conj([with_, part]) for part in self.alternatives(choice, kind)]
            todo += [part for part in (*reversed(parts), without) if part is not self.logic.false]
        return list({f.uid: f for f in done.values()}.values())

    def alternatives(self, choice: AnyOf | Exactly, kind: JsonType) -> list[Node]:
        """Functions whose disjunction is the choice, for one type."""
        parts = list({part.of(kind).uid: part.of(kind) for part in choice.parts}.values())
        if isinstance(choice, AnyOf):
            return [self.logic.true] if self.logic.true in parts else parts
        functions = [self.expand(part.of(kind), kind) for part in choice.parts]
        meet = self._meeting(functions, kind)
        out = []
        for i, (part, function) in enumerate(zip(choice.parts, functions, strict=True)):
            others = [f for j, f in enumerate(functions) if (i, j) in meet]
            kept = part.of(kind) if not others else function
            out.append(self.logic.conj([kept, *map(self.forms.denied, others)]))
        return out

    def _meeting(self, functions: list[Node], kind: JsonType) -> set[tuple[int, int]]:
        """The pairs of functions that may hold for the same value."""
        tags = [self._tags(f) if kind == "object" else {} for f in functions]
        pairs = [
            (i, j)
            for i in range(len(functions))
            for j in range(i)
            if not any(tags[i][name].isdisjoint(tags[j][name]) for name in tags[i].keys() & tags[j].keys())
        ]
        if len(pairs) > MOST_PAIRS:
            raise UnsupportedConstraint("oneOf has too many alternatives that may overlap")
        found = [(i, j) for i, j in pairs if self._overlap(functions[i], functions[j], kind)]
        return {*found, *[(j, i) for i, j in found]}

    def _tags(self, function: Node) -> dict[str, frozenset[object]]:
        """Keys that must be there with one of a few texts or numbers, as in a tagged union."""
        cubes = self.logic.cover(self.forms.undeclared(function), 1)
        if not cubes:
            return {}
        wanted = [(single_key(a), a.form, value) for a, value in cubes[0].items() if isinstance(a, Members)]
        there = {name for name, _, value in wanted if name is not None and not value}
        found: dict[str, frozenset[object]] = {}
        for name, form, value in wanted:
            listed = _listed(form) if value and name in there else None
            if name is not None and listed is not None:
                found[name] = found.get(name, listed) & listed
        return found

    def _overlap(self, a: Node, b: Node, kind: JsonType) -> bool:
        both = self.logic.conj([a, b])
        if kind in ("string", "number"):  # automata: an intersection costs more to decide than to keep
            return both is not self.logic.false
        return not self.impossible(both, kind)

    # -- what is plainly empty

    def impossible(self, function: Node, kind: JsonType, depth: int = DEPTH) -> bool:
        """True only if no value of a type meets an expanded `function`; looks `depth` levels into containers."""
        if function is self.logic.false or function is self.logic.true or kind in ("null", "true", "false"):
            return function is self.logic.false
        key = (function.uid, kind)
        if key not in self._impossible:
            found = self._is_impossible(function, kind, depth)
            if depth < DEPTH and not found:  # a deeper look may tell more
                return False
            self._impossible[key] = found
        return self._impossible[key]

    def impossible_form(self, form: Form, depth: int = DEPTH) -> bool:
        self._probing += 1
        try:
            return all(self.impossible(self.expand(form.of(kind), kind), kind, depth) for kind in TYPES)
        except _Unknown:
            return False
        finally:
            self._probing -= 1

    def _is_impossible(self, function: Node, kind: JsonType, depth: int) -> bool:
        if kind == "string":
            return self.strings.expr(function) is EMPTY
        if kind == "number":
            return number_expr(self.logic, function, flexible=False) is EMPTY
        cubes = self.logic.cover(self.forms.undeclared(function), MOST_CUBES) if depth else None
        test = self._array_cube if kind == "array" else self._object_cube
        return cubes is not None and all([test(cube, depth - 1) for cube in cubes])

    def _array_cube(self, cube: Cube, depth: int) -> bool:
        sizes = [(a.count, value) for a, value in cube.items() if isinstance(a, AtLeastItems) and a.form is None]
        least = max([count for count, value in sizes if value], default=0)
        if any(count <= least for count, value in sizes if not value):
            return True
        items = [a for a, value in cube.items() if isinstance(a, Items) and value]
        for i in {a.start for a in items if a.start < least}:
            forms = [a.form for a in items if a.start <= i and (a.stop is None or i < a.stop)]
            if self.impossible_form(self.forms.all_of(forms), depth):
                return True
        return False

    def _object_cube(self, cube: Cube, depth: int) -> bool:
        """Whether a member that must be there cannot be."""
        for atom, value in cube.items():
            name = single_key(atom)
            if name is not None and not value:
                forms = [a.form for a, v in cube.items() if v and isinstance(a, Members) and self.concerns(a, name)]
                if self.impossible_form(self.forms.all_of([self.forms.negate(atom.form), *forms]), depth):
                    return True
        return False

    def concerns(self, atom: Members, name: str) -> bool:
        """Whether an assertion speaks of the members of a given name."""
        keys = self.expand(atom.keys, "string")
        return self.logic.holds(keys, lambda a: self.strings.holds(a, name))


def _listed(form: Form) -> frozenset[object] | None:
    """The texts or numbers that a Form lists, if it allows nothing else."""
    (kind, *others) = [k for k in TYPES if form.of(k).atom is not None or form.of(k).uid == 1] or ["null"]
    function = form.of(kind)
    if others or function.high is None or function.high.uid != 1 or function.low is None or function.low.uid != 0:
        return None
    match function.atom:
        case StringIn(words):
            return frozenset(words)
        case NumberIn(numbers):
            return frozenset(numbers)
    return None


def single_key(atom: Atom) -> str | None:
    """The key that an assertion is about, if it is about one only."""
    if isinstance(atom, Members) and isinstance(atom.keys.atom, StringIn) and len(atom.keys.atom.words) == 1:
        _, high, low = atom.keys.branches()
        if high.atom is None and low.atom is None and high.uid > low.uid:
            return atom.keys.atom.words[0]
    return None
