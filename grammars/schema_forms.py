"""The meaning of a JSON Schema: for each JSON type, a Boolean function of assertions.

A schema is a `Form`. Schemas combine by Boolean algebra type by type (`allOf`, `anyOf`, `not`, ...), and what is
left for one type holds assertions of that type only. Assertions about members and items carry Forms of their own.

References stay symbolic (`Target`) until a value is compiled, so recursion needs no special care here. The parts of
`anyOf` and `oneOf` stay apart, too, where they say more than types: see `schema_meaning`.

`Declares` is always true. It notes the order of a schema's `properties`, which orders what is generated, and lasts as
long as the schema is not negated: of several alternatives each keeps its own order. Between several of them in one
conjunction there is no order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

from .json_numbers import NumberAtom
from .logic import Logic, Node

JsonType = Literal["null", "true", "false", "number", "string", "array", "object"]
TYPES: tuple[JsonType, ...] = ("null", "true", "false", "number", "string", "array", "object")


@dataclass(frozen=True, slots=True)
class Target:
    """The schema at a place (see `Place.key`)."""

    pointer: str
    scope: int


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one of several Forms holds."""

    parts: tuple[Form, ...]


@dataclass(frozen=True, slots=True)
class Exactly:
    """Exactly one of several Forms holds."""

    parts: tuple[Form, ...]


# -- strings


@dataclass(frozen=True, slots=True)
class MinLength:
    length: int


@dataclass(frozen=True, slots=True)
class StringIn:
    """`words` in their order of appearance."""

    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Matches:
    """A match of an ECMA-262 regex somewhere in the string."""

    pattern: str


@dataclass(frozen=True, slots=True)
class HasFormat:
    """`widest`: at least the texts of the format, where an automaton cannot have exactly those; else at most those."""

    name: str
    widest: bool = False


# -- arrays


@dataclass(frozen=True, slots=True)
class Items:
    """All items from index `start` up to, not including, `stop` (None: the end) are of `form`."""

    start: int
    stop: int | None
    form: Form


@dataclass(frozen=True, slots=True)
class AtLeastItems:
    """At least `count` items are of `form` (None: of any)."""

    count: int
    form: Form | None


@dataclass(frozen=True, slots=True)
class Unlike:
    """No two items are equal."""


DISTINCT = Unlike()


# -- objects


@dataclass(frozen=True, slots=True)
class Members:
    """All members whose key is one of `keys` (a function of string assertions) have a value of `form`."""

    keys: Node
    form: Form


@dataclass(frozen=True, slots=True)
class MinMembers:
    count: int


@dataclass(frozen=True, slots=True)
class Declares:
    """The order of some keys. Always true."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Quoted:
    """The string stands in the text that is quoted from."""


StringAtom = MinLength | StringIn | Matches | HasFormat | Quoted
ArrayAtom = Items | AtLeastItems | Unlike
ObjectAtom = Members | MinMembers | Declares
Atom = NumberAtom | StringAtom | ArrayAtom | ObjectAtom | Target | AnyOf | Exactly


@dataclass(frozen=True, eq=False, slots=True)
class Form:
    """One function per type, in the order of `TYPES`; interned by `Forms`, so compare with `is`."""

    functions: tuple[Node, ...]
    uid: int = field(repr=False)

    def of(self, kind: JsonType) -> Node:
        return self.functions[TYPES.index(kind)]


class Forms:
    """Makes and combines Forms."""

    def __init__(self) -> None:
        self.logic: Logic = Logic()
        self._interned: dict[tuple[object, ...], Form] = {}
        self.anything = self.every(self.logic.true)
        self.nothing = self.every(self.logic.false)

    def make(self, functions: Iterable[Node]) -> Form:
        functions = tuple(functions)
        key = tuple([f.uid for f in functions])
        found = self._interned.get(key)
        if found is None:
            found = self._interned[key] = Form(functions, len(self._interned))
        return found

    def every(self, function: Node) -> Form:
        return self.make([function] * len(TYPES))

    def types(self, names: Iterable[str]) -> Form:
        """All values of some types."""
        wanted = set(names)
        return self.make(self.logic.constant(kind in wanted) for kind in TYPES)

    def when(self, kind: JsonType, function: Node) -> Form:
        """`function` for values of one type; all values of the others."""
        return self.make([function if k == kind else self.logic.true for k in TYPES])

    def only(self, kind: JsonType, function: Node) -> Form:
        """`function` for values of one type; no other values."""
        return self.make([function if k == kind else self.logic.false for k in TYPES])

    def assertion(self, kind: JsonType, atom: Atom) -> Form:
        return self.when(kind, self.logic.atom(atom))

    def target(self, key: tuple[str, int]) -> Form:
        return self.every(self.logic.atom(Target(*key)))

    def all_of(self, parts: Iterable[Form]) -> Form:
        return self._combine(self.logic.conj, parts)

    def any_of(self, parts: Iterable[Form]) -> Form:
        return self._combine(self.logic.disj, parts)

    def either(self, parts: Iterable[Form]) -> Form:
        """`any_of` with arrays and objects kept apart."""
        return self._choice(AnyOf(tuple(parts)), self.logic.disj)

    def one_of(self, parts: Iterable[Form]) -> Form:
        return self._choice(Exactly(tuple(parts)), self._one)

    def _choice(self, choice: AnyOf | Exactly, connective: Callable[[list[Node]], Node]) -> Form:
        if len(choice.parts) == 1:
            return choice.parts[0]
        columns = zip(*[part.functions for part in choice.parts], strict=True)
        return self.make(
            connective(list(column)) if all([f.atom is None for f in column]) else self.logic.atom(choice)
            for column in columns
        )

    def _one(self, constants: list[Node]) -> Node:
        return self.logic.constant(sum([f is self.logic.true for f in constants]) == 1)

    def negate(self, form: Form) -> Form:
        return self.make([self.denied(function) for function in form.functions])

    def denied(self, function: Node) -> Node:
        return self.logic.negate(self.undeclared(function))

    def undeclared(self, function: Node) -> Node:
        """The same without the order of keys."""
        return self.logic.replace(function, lambda atom: self.logic.true if isinstance(atom, Declares) else None)

    def _combine(self, connective: Callable[[list[Node]], Node], parts: Iterable[Form]) -> Form:
        forms = list(parts)
        if len(forms) == 1:
            return forms[0]
        columns = zip(*[form.functions for form in forms], strict=True)
        return self.make([connective(list(column)) for column in columns] or [connective([])] * len(TYPES))
