"""Places in a schema document, and what `$ref` leads to: `$id`, `$anchor`, JSON pointers, drafts 4 to 2020-12."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin

from .errors import InvalidConstraint, UnsupportedConstraint

LATEST = 2020
_DRAFTS = {"draft-03": 4, "draft-04": 4, "draft-06": 6, "draft-07": 7, "2019-09": 2019, "2020-12": 2020}

_ONE = ("additionalItems", "additionalProperties", "contains", "contentSchema", "else", "if", "items", "not",
        "propertyNames", "then", "unevaluatedItems", "unevaluatedProperties")  # fmt: skip
_LISTS = ("allOf", "anyOf", "items", "oneOf", "prefixItems")
_MAPS = ("$defs", "definitions", "dependencies", "dependentSchemas", "patternProperties", "properties")


@dataclass(frozen=True, eq=False, slots=True)
class Place:
    """A schema within the document: its value, JSON pointer, base URI and draft."""

    schema: Any
    pointer: str
    base: str
    draft: int

    def at(self, *keys: str | int) -> Place:
        """The place below `keys`; base URI and draft follow the `$id` found there."""
        value, pointer = self.schema, self.pointer
        for key in keys:
            value = value[key]
            pointer += f"/{str(key).replace('~', '~0').replace('/', '~1')}"
        return _settled(value, pointer, self.base, self.draft)

    def where(self, *keys: str | int) -> str:
        return self.pointer + "".join(f"/{str(key).replace('~', '~0').replace('/', '~1')}" for key in keys)


def _settled(schema: Any, pointer: str, base: str, draft: int) -> Place:
    if not isinstance(schema, dict):
        return Place(schema, pointer, base, draft)
    named = _identifier(schema, draft)
    if named is not None or pointer == "#":
        draft = _draft(schema, draft)
        named = _identifier(schema, draft)
    return Place(schema, pointer, base if named is None else urljoin(base, named), draft)


def _draft(schema: dict[str, Any], default: int) -> int:
    declared = schema.get("$schema")
    if not isinstance(declared, str):
        return default
    return next((draft for mark, draft in _DRAFTS.items() if mark in declared), LATEST)


def _identifier(schema: dict[str, Any], draft: int) -> str | None:
    """The URI that a schema gives itself, without its fragment."""
    if draft <= 7 and "$ref" in schema:  # siblings of $ref are ignored in these drafts
        return None
    named = schema.get("id" if draft == 4 else "$id")
    if not isinstance(named, str):
        return None
    return urldefrag(named).url or None


class Document:
    """A whole schema document and the names of its parts."""

    def __init__(self, schema: Any) -> None:
        self.root = _settled(schema, "#", "", LATEST)
        self.resources: dict[str, Place] = {"": self.root, self.root.base: self.root}
        self.anchors: dict[tuple[str, str], Place] = {}
        self.dynamic: dict[tuple[str, str], Place] = {}  # by $dynamicAnchor, or "" for $recursiveAnchor
        self.places: dict[str, Place] = {}
        for place in self._walk():
            self._note(place)

    def _walk(self) -> Iterator[Place]:
        todo = [self.root]
        while todo:
            place = todo.pop()
            yield place
            todo += _below(place)

    def _note(self, place: Place) -> None:
        schema, draft = place.schema, place.draft
        if not isinstance(schema, dict):
            return
        if _identifier(schema, draft) is not None:
            self.resources.setdefault(place.base, place)
        for keyword in ("$anchor", "$dynamicAnchor"):
            if draft >= 2019 and isinstance(schema.get(keyword), str):
                self.anchors.setdefault((place.base, schema[keyword]), place)
        if draft >= 2020 and isinstance(schema.get("$dynamicAnchor"), str):
            self.dynamic.setdefault((place.base, schema["$dynamicAnchor"]), place)
        if draft == 2019 and schema.get("$recursiveAnchor") is True:
            self.dynamic.setdefault((place.base, ""), place)
        named = schema.get("id" if draft == 4 else "$id")
        if draft <= 7 and isinstance(named, str) and urldefrag(named).fragment:
            self.anchors.setdefault((place.base, urldefrag(named).fragment), place)

    def resolve(self, place: Place, reference: Any, keyword: str) -> Place:
        """What `reference`, found at `place`, leads to."""
        found = self._resolve(place, reference, keyword)
        if keyword != "$ref":
            name = "" if keyword == "$recursiveRef" else urldefrag(reference).fragment
            found = self._outermost(found, name, place.where(keyword))
        return self.places.setdefault(found.pointer, found)

    def _outermost(self, found: Place, name: str, where: str) -> Place:
        """The place with the same dynamic anchor in the outermost schema that was entered, where that is certain."""
        marked = self.dynamic.get((found.base, name))
        if marked is None or marked.pointer != found.pointer:
            return found
        if (self.root.base, name) in self.dynamic:
            return self.dynamic[self.root.base, name]
        if sum(other == name for _, other in self.dynamic) > 1:
            raise UnsupportedConstraint("the dynamic reference depends on how it was reached", where)
        return found

    def _resolve(self, place: Place, reference: Any, keyword: str) -> Place:
        where = place.where(keyword)
        if not isinstance(reference, str):
            raise InvalidConstraint(f"{keyword} must be a text", where)
        url, fragment = urldefrag(urljoin(place.base, reference) if reference else place.base)
        if reference.startswith("#"):
            url = place.base
        resource = self.resources.get(url)
        if resource is None:
            raise UnsupportedConstraint(
                f"{keyword} {reference!r} leads out of the schema, and nothing is loaded", where
            )
        if not fragment:
            found: Place | None = resource
        elif fragment.startswith("/"):
            found = _follow(resource, unquote(fragment))
        else:
            found = self.anchors.get((url, fragment))
        if found is None:
            raise InvalidConstraint(f"{keyword} {reference!r} leads nowhere", where)
        return found


def _below(place: Place) -> Iterator[Place]:
    schema = place.schema
    if not isinstance(schema, dict) or (place.draft <= 7 and "$ref" in schema and place.pointer != "#"):
        return
    for keyword, value in schema.items():
        if keyword in _ONE and isinstance(value, dict):
            yield place.at(keyword)
        elif keyword in _LISTS and isinstance(value, list):
            yield from (place.at(keyword, i) for i in range(len(value)))
        elif keyword in _MAPS and isinstance(value, dict):
            yield from (place.at(keyword, name) for name in value)


def _follow(place: Place, pointer: str) -> Place | None:
    for raw in pointer.split("/")[1:]:
        key = raw.replace("~1", "/").replace("~0", "~")
        value = place.schema
        if isinstance(value, dict) and key in value:
            place = place.at(key)
        elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            place = place.at(int(key))
        else:
            return None
    return place
