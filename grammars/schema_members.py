"""JSON Schema's keywords on objects."""

from __future__ import annotations

from typing import Any

from .errors import InvalidConstraint
from .logic import Node
from .schema_forms import Declares, Form, Members, MinMembers
from .schema_keywords import keyword
from .schema_read import Reader
from .schema_refs import Place


@keyword("properties")
def _properties(r: Reader, place: Place, value: Any) -> Form:
    logic = r.forms.logic
    declared = (
        [logic.atom(Declares(tuple(value)))] if isinstance(value, dict) and value else []
    )  # before what is declared further in
    named = r.schema_map(place, "properties", value)
    required = place.schema.get("required")
    for name in named:
        if isinstance(required, list) and name in required:
            r.present(name)
    parts = [logic.atom(Members(r.key(name), form)) for name, form in named.items() if form is not r.forms.anything]
    return r.forms.when("object", logic.conj([*declared, *parts]))


@keyword("required")
def _required(r: Reader, place: Place, value: Any) -> Form:
    return r.forms.all_of(map(r.present, r.names(place.where("required"), value)))


@keyword("patternProperties")
def _pattern_properties(r: Reader, place: Place, value: Any) -> Form:
    named = r.schema_map(place, "patternProperties", value)
    return r.forms.all_of(
        r.forms.assertion("object", Members(r.pattern(pattern, place.where("patternProperties", pattern)), form))
        for pattern, form in named.items()
    )


@keyword("additionalProperties")
def _additional_properties(r: Reader, place: Place, value: Any) -> Form:
    form = r.read(place.at("additionalProperties"))
    declared = r.forms.logic.negate(declared_keys(r, place))
    return r.forms.assertion("object", Members(declared, form))


def declared_keys(r: Reader, place: Place) -> Node:
    """The keys that `properties` and `patternProperties` speak of."""
    properties, patterns = (place.schema.get(k, {}) for k in ("properties", "patternProperties"))
    parts = [r.key(*properties)] if isinstance(properties, dict) else []
    if isinstance(patterns, dict):
        parts += [r.pattern(pattern, place.where("patternProperties", pattern)) for pattern in patterns]
    return r.forms.logic.disj(parts)


@keyword("propertyNames")
def _property_names(r: Reader, place: Place, value: Any) -> Form:
    wrong = r.forms.logic.negate(r.read(place.at("propertyNames")).of("string"))
    return r.forms.assertion("object", Members(wrong, r.forms.nothing))


@keyword("minProperties")
def _min_properties(r: Reader, place: Place, value: Any) -> Form:
    count = r.count(place, "minProperties", value)
    return r.at_least("object", MinMembers(count)) if count else r.forms.anything


@keyword("maxProperties")
def _max_properties(r: Reader, place: Place, value: Any) -> Form:
    return r.less_than("object", MinMembers(r.count(place, "maxProperties", value) + 1))


@keyword("dependentRequired")
def _dependent_required(r: Reader, place: Place, value: Any) -> Form:
    if not isinstance(value, dict):
        raise InvalidConstraint("dependentRequired must be an object", place.where("dependentRequired"))
    return r.forms.all_of(_needs(r, name, value[name], place.where("dependentRequired", name)) for name in value)


@keyword("dependentSchemas")
def _dependent_schemas(r: Reader, place: Place, value: Any) -> Form:
    named = r.schema_map(place, "dependentSchemas", value)
    return r.forms.all_of(r.forms.any_of([r.absent(name), form]) for name, form in named.items())


@keyword("dependencies")
def _dependencies(r: Reader, place: Place, value: Any) -> Form:
    if not isinstance(value, dict):
        raise InvalidConstraint("dependencies must be an object", place.where("dependencies"))
    parts = []
    for name, needed in value.items():
        if isinstance(needed, list | str):  # draft 3 allows a single name
            names = needed if isinstance(needed, list) else [needed]
            parts.append(_needs(r, name, names, place.where("dependencies", name)))
        else:
            parts.append(r.forms.any_of([r.absent(name), r.read(place.at("dependencies", name))]))
    return r.forms.all_of(parts)


def _needs(r: Reader, name: str, needed: Any, where: str) -> Form:
    present = r.forms.all_of(map(r.present, r.names(where, needed)))
    return r.forms.any_of([r.absent(name), present])
