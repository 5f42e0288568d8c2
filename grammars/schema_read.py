"""Schemas to Forms: what all keywords need. The keywords themselves stand in `schema_keywords` and `schema_members`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

from .errors import ConstraintError, InvalidConstraint, UnsupportedConstraint
from .json_numbers import NumberIn
from .json_strings import Strings
from .logic import Node
from .schema_forms import (
    AtLeastItems,
    Atom,
    Declares,
    Form,
    Forms,
    HasFormat,
    Items,
    JsonType,
    Matches,
    Members,
    StringIn,
    Target,
)
from .schema_refs import Document, Place

Handler = Callable[["Reader", Place, Any], "Form | None"]
FEW_KEYS = 4  # of a constant object: these may come in any order


# Read after the others: what may declare keys, which come after those that the schema itself declares; and `required`,
# whose assertions belong beside those of `properties`, so that diagrams stay small from top to bottom.
_LATER = {"required": 1, **dict.fromkeys(["anyOf", "dependencies", "dependentSchemas", "if", "not", "oneOf"], 2)}


class Reader:
    """Reads schemas of one document; `on_unsupported` is told of keywords that cannot be enforced and may raise."""

    def __init__(
        self,
        document: Document,
        forms: Forms,
        strings: Strings,
        handlers: Mapping[str, Handler],
        on_unsupported: Callable[[UnsupportedConstraint], None],
    ) -> None:
        self.document, self.forms, self.strings = document, forms, strings
        self.handlers, self.on_unsupported = handlers, on_unsupported
        self._read: dict[tuple[str, int], Form] = {}
        self._reading: set[tuple[str, int]] = set()

    def target(self, target: Target) -> Form:
        """The Form of a place that a reference has led to."""
        return self.read(self.document.places[target.pointer, target.scope])

    def read(self, place: Place) -> Form:
        key = place.key
        found = self._read.get(key)
        if found is None:
            self._reading.add(key)
            found = self._read[key] = self._new(place)
            self._reading.discard(key)
        return found

    def refer(self, place: Place) -> Form:
        """A reference to a place, which is read now, in the order of appearance, unless it is being read already."""
        if place.key not in self._reading:
            self.read(place)
        return self.forms.target(place.key)

    def _new(self, place: Place) -> Form:
        schema = place.schema
        if isinstance(schema, bool):
            return self.forms.anything if schema else self.forms.nothing
        if not isinstance(schema, dict):
            raise InvalidConstraint(f"a schema is an object or a boolean, not {_kind(schema)}", place.pointer)
        if place.draft <= 7 and "$ref" in schema:
            schema = {"$ref": schema["$ref"]}
        known = [name for name in schema if name in self.handlers and name not in place.dialect.off]
        known.sort(key=lambda name: _LATER.get(name, 0))
        parts = [self._keyword(name, place, schema[name]) for name in known]
        return self.forms.all_of([part for part in parts if part is not None])

    def _keyword(self, name: str, place: Place, value: Any) -> Form | None:
        try:
            return self.handlers[name](self, place, value)
        except UnsupportedConstraint as e:
            error = e if e.where and "#" in e.where else UnsupportedConstraint(str(e), place.where(name))
            self.on_unsupported(error)
            return None

    # -- checked values

    def schemas(self, place: Place, name: str, value: Any) -> list[Form]:
        if not isinstance(value, list) or not value:
            raise InvalidConstraint(f"{name} must be a list of schemas, not empty", place.where(name))
        return [self.read(place.at(name, i)) for i in range(len(value))]

    def schema_map(self, place: Place, name: str, value: Any) -> dict[str, Form]:
        if not isinstance(value, dict):
            raise InvalidConstraint(f"{name} must be an object of schemas", place.where(name))
        return {text(key, place.where(name)): self.read(place.at(name, key)) for key in value}

    def count(self, place: Place, name: str, value: Any) -> int:
        exact = number(value, place.where(name))
        if exact < 0 or exact.denominator != 1:
            raise InvalidConstraint(f"{name} must be a whole number, zero or more", place.where(name))
        return int(exact)

    def names(self, where: str, value: Any) -> tuple[str, ...]:
        if not isinstance(value, list):
            raise InvalidConstraint("a list of property names is needed", where)
        return tuple(dict.fromkeys(text(name, where) for name in value))

    def key(self, *names: str) -> Node:
        return self.forms.logic.atom(StringIn(names)) if names else self.forms.logic.false

    def pattern(self, pattern: Any, where: str) -> Node:
        atom = Matches(text(pattern, where))
        self.checked(atom, where)
        return self.forms.logic.atom(atom)

    def checked(self, atom: Matches | HasFormat, where: str) -> None:
        try:
            self.strings.atom(atom)
        except ConstraintError as e:
            raise type(e)(str(e), where) from None

    def present(self, name: str) -> Form:
        """Objects have the key `name`."""
        logic = self.forms.logic
        return self.forms.when("object", logic.negate(logic.atom(Members(self.key(name), self.forms.nothing))))

    def absent(self, name: str) -> Form:
        return self.forms.assertion("object", Members(self.key(name), self.forms.nothing))

    def at_least(self, kind: JsonType, atom: Atom) -> Form:
        return self.forms.assertion(kind, atom)

    def less_than(self, kind: JsonType, atom: Atom) -> Form:
        logic = self.forms.logic
        return self.forms.when(kind, logic.negate(logic.atom(atom)))

    def equal(self, value: Any, where: str) -> Form:
        """The values that are equal to a JSON value."""
        forms, logic = self.forms, self.forms.logic
        match value:
            case None | bool():
                return forms.types(["null" if value is None else "true" if value else "false"])
            case str():
                return forms.only("string", logic.atom(StringIn((text(value, where),))))
            case list():
                parts: list[Atom] = [Items(i, i + 1, self.equal(item, where)) for i, item in enumerate(value)]
                sized = [*map(logic.atom, parts), logic.negate(logic.atom(AtLeastItems(len(value) + 1, None)))]
                sized += [logic.atom(AtLeastItems(len(value), None))] if value else []
                return forms.only("array", logic.conj(sized))
            case dict():
                return self._equal_object(value, where)
        return forms.only("number", logic.atom(NumberIn(frozenset([number(value, where)]))))

    def _equal_object(self, value: dict[str, Any], where: str) -> Form:
        forms, logic = self.forms, self.forms.logic
        names = [text(name, where) for name in value]
        parts = [logic.atom(Members(logic.negate(self.key(*names)), forms.nothing))]
        for name, member in value.items():
            parts.append(logic.atom(Members(self.key(name), self.equal(member, where))))
            parts.append(logic.negate(logic.atom(Members(self.key(name), forms.nothing))))
        declared = [(name,) for name in names] if len(names) <= FEW_KEYS else [tuple(names)]
        return forms.only("object", logic.conj([*[logic.atom(Declares(d)) for d in declared], *parts]))


def number(value: Any, where: str) -> Fraction:
    """A JSON number as the exact decimal that it is written as."""
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float | Decimal)
        or value != value
        or abs(value) == float("inf")
    ):
        raise InvalidConstraint(f"a number is needed, not {_kind(value)}", where)
    return Fraction(value if isinstance(value, int) else Decimal(repr(value)) if isinstance(value, float) else value)


def text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise InvalidConstraint(f"a text is needed, not {_kind(value)}", where)
    if any("\ud800" <= char <= "\udfff" for char in value):
        raise InvalidConstraint("a lone surrogate is not text", where)
    return value


def _kind(value: Any) -> str:
    return "null" if value is None else type(value).__name__
