"""Places in schema documents, and what `$ref` leads to: `$id`, `$anchor`, JSON pointers, drafts 4 to 2020-12.

Nothing is fetched: documents are those that the user gives, and the metaschemas of JSON Schema itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin

from .errors import InvalidConstraint, UnsupportedConstraint

LATEST = 2020
_DRAFTS = {"draft-03": 4, "draft-04": 4, "draft-06": 6, "draft-07": 7, "2019-09": 2019, "2020-12": 2020}

_ONE = ("additionalItems", "additionalProperties", "contains", "contentSchema", "else", "if", "items", "not",
        "propertyNames", "then", "unevaluatedItems", "unevaluatedProperties")  # fmt: skip
_LISTS = ("allOf", "anyOf", "items", "oneOf", "prefixItems")
_MAPS = ("$defs", "definitions", "dependencies", "dependentSchemas", "patternProperties", "properties")


@dataclass(frozen=True, slots=True)
class Dialect:
    """A draft, and the keywords that a metaschema of the user's own leaves out."""

    draft: int = LATEST
    off: frozenset[str] = frozenset()


class Scope:
    """The dynamic scope, as far as it matters: for each dynamic anchor the first resource entered that has it."""

    def __init__(self, document: Document, first: dict[str, str]) -> None:
        self.document, self.first = document, first
        self.number = document.scopes.setdefault(tuple(sorted(first.items())), len(document.scopes))

    def enter(self, base: str) -> Scope:
        new = {name: base for name in self.document.dynamic.get(base, ()) if name not in self.first}
        return Scope(self.document, self.first | new) if new else self


@dataclass(frozen=True, eq=False, slots=True)
class Place:
    """A schema within a document: its value, JSON pointer, base URI, dialect, and the dynamic scope it is read in."""

    document: Document
    schema: Any
    pointer: str
    base: str
    dialect: Dialect
    scope: Scope | None = None  # None: not reached yet

    @property
    def draft(self) -> int:
        return self.dialect.draft

    @property
    def key(self) -> tuple[str, int]:
        """The same for places that mean the same."""
        return self.pointer, self.scope.number if self.scope else 0

    def at(self, *keys: str | int) -> Place:
        """The place below `keys`; base URI and dialect follow the `$id` found there."""
        value = self.schema
        for key in keys:
            value = value[key]
        return replace(self, schema=value, pointer=self.where(*keys)).settled()

    def where(self, *keys: str | int) -> str:
        return self.pointer + "".join(f"/{str(key).replace('~', '~0').replace('/', '~1')}" for key in keys)

    def settled(self) -> Place:
        """With the base URI and the dialect that the schema itself names."""
        if self.named is None:
            return self
        place = self.speaking()
        base = urljoin(self.base, place.named or "")
        return replace(place, base=base, scope=self.scope and self.scope.enter(base))

    def speaking(self) -> Place:
        """In the dialect that the schema declares."""
        declared = self.schema.get("$schema") if isinstance(self.schema, dict) else None
        return replace(self, dialect=self.document.dialect(declared)) if isinstance(declared, str) else self

    def within(self, scope: Scope) -> Place:
        """This place, reached in a dynamic scope."""
        return replace(self, scope=scope.enter(self.base))

    @property
    def named(self) -> str | None:
        return _identifier(self.schema, self.draft)


def _identifier(schema: Any, draft: int) -> str | None:
    """The URI that a schema gives itself, without its fragment."""
    if not isinstance(schema, dict) or (draft <= 7 and "$ref" in schema):  # whose siblings are ignored in these drafts
        return None
    named = schema.get("id" if draft == 4 else "$id")
    if not isinstance(named, str):
        return None
    return urldefrag(named).url or None


class Document:
    """A schema document, the documents that it may refer to, and the names of their parts."""

    def __init__(self, schema: Any, resources: Mapping[str, Any] | None = None) -> None:
        self.given = {urldefrag(uri).url: document for uri, document in (resources or {}).items()}
        self.resources: dict[str, Place] = {}
        self.anchors: dict[tuple[str, str], Place] = {}
        self.dynamic: dict[str, dict[str, Place]] = {}  # by base URI and $dynamicAnchor, or "" for $recursiveAnchor
        self.scopes: dict[tuple[tuple[str, str], ...], int] = {(): 0}
        self.places: dict[tuple[str, int], Place] = {}
        root = self._load("", schema, Dialect())
        for uri, document in self.given.items():
            self._load(uri, document, root.dialect)
        self.root = root.within(Scope(self, {}))

    def _load(self, uri: str, schema: Any, dialect: Dialect) -> Place:
        root = Place(self, schema, f"{uri}#", uri, dialect).speaking().settled()
        self.resources.setdefault(uri, root)
        todo = [root]
        while todo:
            place = todo.pop()
            if isinstance(place.schema, dict):
                self._note(place)
                todo += _below(place)
        return root

    def _note(self, place: Place) -> None:
        schema, draft = place.schema, place.draft
        if place.named is not None:
            self.resources.setdefault(place.base, place)
        for keyword in ("$anchor", "$dynamicAnchor"):
            if draft >= 2019 and isinstance(schema.get(keyword), str):
                self.anchors.setdefault((place.base, schema[keyword]), place)
        if draft >= 2020 and isinstance(schema.get("$dynamicAnchor"), str):
            self.dynamic.setdefault(place.base, {}).setdefault(schema["$dynamicAnchor"], place)
        if draft == 2019 and schema.get("$recursiveAnchor") is True:
            self.dynamic.setdefault(place.base, {}).setdefault("", place)
        named = schema.get("id" if draft == 4 else "$id")
        if draft <= 7 and isinstance(named, str) and urldefrag(named).fragment:
            self.anchors.setdefault((place.base, urldefrag(named).fragment), place)

    def dialect(self, uri: str) -> Dialect:
        """What `$schema` names: a draft, or a metaschema among the documents given."""
        metaschema = self.given.get(urldefrag(uri).url)
        if not isinstance(metaschema, dict):
            return Dialect(_draft(uri))
        draft = _draft(str(metaschema.get("$schema")))
        used = metaschema.get("$vocabulary")
        if draft < 2019 or not isinstance(used, dict):
            return Dialect(draft)
        return Dialect(
            draft, frozenset(n for vocabulary, names in _vocabularies(draft) if vocabulary not in used for n in names)
        )

    def resolve(self, place: Place, reference: Any, keyword: str) -> Place:
        """What `reference`, found at `place`, leads to."""
        assert place.scope is not None
        found = self._resolve(place, reference, keyword)
        if keyword != "$ref":
            found = self._outermost(
                found, "" if keyword == "$recursiveRef" else urldefrag(reference).fragment, place.scope
            )
        found = found.within(place.scope)
        return self.places.setdefault(found.key, found)

    def _outermost(self, found: Place, name: str, scope: Scope) -> Place:
        """The place with the same dynamic anchor in the outermost resource that was entered."""
        marked = self.dynamic.get(found.base, {}).get(name)
        if marked is None or marked.pointer != found.pointer:
            return found
        return self.dynamic[scope.enter(found.base).first[name]][name]

    def _resolve(self, place: Place, reference: Any, keyword: str) -> Place:
        where = place.where(keyword)
        if not isinstance(reference, str):
            raise InvalidConstraint(f"{keyword} must be a text", where)
        url, fragment = urldefrag(urljoin(place.base, reference) if reference else place.base)
        if reference.startswith("#"):
            url = place.base
        resource = self._resource(url)
        if resource is None:
            raise UnsupportedConstraint(
                f"{keyword} {reference!r} leads to another document, and nothing is fetched: "
                f"pass it as json_schema(..., resources={{{url!r}: ...}})",
                where,
            )
        if not fragment:
            found: Place | None = resource
        elif fragment.startswith("/"):
            found = _follow(resource, unquote(fragment))
        else:
            found = self.anchors.get((resource.base, fragment))
        if found is None:
            raise InvalidConstraint(f"{keyword} {reference!r} leads nowhere", where)
        return found

    def _resource(self, url: str) -> Place | None:
        if url not in self.resources:
            official = _metaschemas().get(url)
            if official is not None:
                self._load(url, official, Dialect())
        return self.resources.get(url)


@lru_cache(maxsize=1)
def _metaschemas() -> dict[str, Any]:
    from jsonschema_specifications import REGISTRY  # costs more than most schemas do

    return {uri.rstrip("#"): REGISTRY.contents(uri) for uri in REGISTRY}


def _draft(uri: str) -> int:
    return next((draft for mark, draft in _DRAFTS.items() if mark in uri), LATEST)


def _vocabularies(draft: int) -> Iterator[tuple[str, Iterable[str]]]:
    """The vocabularies of a draft, each with its keywords."""
    edition = {2019: "2019-09", 2020: "2020-12"}[draft]
    for uri in _metaschemas()[f"https://json-schema.org/draft/{edition}/schema"]["$vocabulary"]:
        yield uri, _metaschemas()[uri.replace("/vocab/", "/meta/")].get("properties", {})


def _below(place: Place) -> Iterator[Place]:
    schema = place.schema
    if place.draft <= 7 and "$ref" in schema and not place.pointer.endswith("#"):
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
