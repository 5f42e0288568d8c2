"""`unevaluatedProperties` and `unevaluatedItems`: what the other keywords of a schema leave over.

Which keys (or items) are left over depends on which alternatives hold for the value. That is spelled out: a tree of
these conditions, with an assertion about the rest at each leaf.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from .errors import UnsupportedConstraint
from .logic import Node
from .schema_forms import Form, Items, JsonType, Members
from .schema_keywords import keyword
from .schema_members import declared_keys
from .schema_read import Reader
from .schema_refs import Place

MOST_CONDITIONS = 10
MOST_PLACES = 1000
Above = frozenset[tuple[str, int]]  # keys of the places that lead to one


@dataclass(frozen=True, slots=True)
class Seen:
    """What a schema evaluates: some keys, the first `prefix` items (None: all), and items of one of `contained`."""

    keys: Node
    prefix: int | None = 0
    contained: tuple[Form, ...] = ()


@keyword("unevaluatedProperties")
def _unevaluated_properties(r: Reader, place: Place, value: Any) -> Form | None:
    form, logic = r.read(place.at("unevaluatedProperties")), r.forms.logic
    return _tree(r, place, "object", lambda seen: logic.atom(Members(logic.negate(seen.keys), form)))


@keyword("unevaluatedItems")
def _unevaluated_items(r: Reader, place: Place, value: Any) -> Form | None:
    form, logic = r.read(place.at("unevaluatedItems")), r.forms.logic

    def rest(seen: Seen) -> Node:
        if seen.prefix is None:
            return logic.true
        return logic.atom(Items(seen.prefix, None, r.forms.any_of([form, *seen.contained])))

    return _tree(r, place, "array", rest)


def _tree(r: Reader, place: Place, kind: JsonType, leaf: Callable[[Seen], Node]) -> Form | None:
    if place.draft < 2019:
        return None
    logic = r.forms.logic
    found = list(islice(_evaluated(r, place, frozenset(), own=True), MOST_PLACES))
    if len(found) == MOST_PLACES:
        raise UnsupportedConstraint(f"more than {MOST_PLACES} schemas decide what is left unevaluated")
    always = [seen for condition, seen in found if condition is r.forms.anything]
    sometimes: dict[Node, list[Seen]] = {}
    for condition, seen in found:
        if condition is not r.forms.anything:
            sometimes.setdefault(condition.of(kind), []).append(seen)
    if len(sometimes) > MOST_CONDITIONS:
        raise UnsupportedConstraint(f"more than {MOST_CONDITIONS} conditions decide what is left unevaluated")

    def tree(conditions: list[tuple[Node, list[Seen]]], seen: list[Seen]) -> Node:
        if not conditions:
            return leaf(_all(r, seen))
        (condition, more), *others = conditions
        return logic.ite(condition, tree(others, seen + more), tree(others, seen))

    return r.forms.when(kind, tree(list(sometimes.items()), always))


def _all(r: Reader, seen: list[Seen]) -> Seen:
    whole = any(s.prefix is None for s in seen)
    prefix = None if whole else max([s.prefix or 0 for s in seen], default=0)
    return Seen(r.forms.logic.disj([s.keys for s in seen]), prefix, tuple(form for s in seen for form in s.contained))


def _evaluated(r: Reader, place: Place, above: Above, own: bool = False) -> Iterator[tuple[Form, Seen]]:
    """What the keywords at `place`, and the schemas applied there, evaluate: each under a condition on the value."""
    schema = place.schema
    if not isinstance(schema, dict) or place.key in above:
        return
    above |= {place.key}
    yield r.forms.anything, _own(r, place, own)
    for reference in ("$ref", "$dynamicRef", "$recursiveRef"):
        if reference in schema:
            yield from _evaluated(r, r.document.resolve(place, schema[reference], reference), above)
    for i in range(len(schema.get("allOf", []))):
        yield from _evaluated(r, place.at("allOf", i), above)
    for choice in ("anyOf", "oneOf"):
        for i in range(len(schema.get(choice, []))):
            yield from _under(r, place.at(choice, i), r.read(place.at(choice, i)), above)
    for name in schema.get("dependentSchemas", {}):
        yield from _under(r, place.at("dependentSchemas", name), r.present(name), above)
    if "if" in schema:
        test = r.read(place.at("if"))
        yield from _under(r, place.at("if"), test, above)
        for branch, condition in (("then", test), ("else", r.forms.negate(test))):
            if branch in schema:
                yield from _under(r, place.at(branch), condition, above)


def _under(r: Reader, place: Place, condition: Form, above: Above) -> Iterator[tuple[Form, Seen]]:
    for inner, seen in _evaluated(r, place, above):
        yield r.forms.all_of([condition, inner]), seen


def _own(r: Reader, place: Place, itself: bool) -> Seen:
    """What the keywords at `place` evaluate; `itself`: not counting the unevaluated* keywords there."""
    schema, logic = place.schema, r.forms.logic
    more = () if itself else ("unevaluatedProperties", "unevaluatedItems")
    keys = logic.true if schema.keys() & {"additionalProperties", *more[:1]} else declared_keys(r, place)
    prefix: int | None = len(schema.get("prefixItems", []))
    items = schema.get("items")
    if isinstance(items, list):
        prefix = len(items)
    elif items is not None:
        prefix = None
    if ("additionalItems" in schema and isinstance(items, list)) or schema.keys() & set(more[1:]):
        prefix = None
    contained = (r.read(place.at("contains")),) if "contains" in schema and place.draft >= 2020 else ()
    return Seen(keys, prefix, contained)
