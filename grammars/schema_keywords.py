"""JSON Schema's keywords on any value, numbers, strings and arrays: one function per keyword.

Every keyword either has its exact meaning or is refused with its JSON pointer; what is not a keyword is an annotation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .errors import InvalidConstraint, UnsupportedConstraint
from .json_numbers import INTEGER, Above, AtLeast, MultipleOf, NumberIn, WrittenWhole
from .schema_forms import DISTINCT, AtLeastItems, Form, HasFormat, Items, JsonType, MinLength, Quoted, StringIn
from .schema_read import Handler, Reader, number, text
from .schema_refs import Place

_TYPE_NAMES: dict[str, tuple[JsonType, ...]] = {
    "boolean": ("true", "false"), "null": ("null",), "number": ("number",), "integer": ("number",),
    "string": ("string",), "array": ("array",), "object": ("object",),
}  # fmt: skip
HANDLERS: dict[str, Handler] = {}


def keyword(*names: str) -> Callable[[Handler], Handler]:
    def register(handler: Handler) -> Handler:
        HANDLERS.update(dict.fromkeys(names, handler))
        return handler

    return register


# -- any type


@keyword("$ref")
def _ref(r: Reader, place: Place, value: Any) -> Form:
    return r.refer(r.document.resolve(place, value, "$ref"))


@keyword("$dynamicRef")
def _dynamic_ref(r: Reader, place: Place, value: Any) -> Form | None:
    return r.refer(r.document.resolve(place, value, "$dynamicRef")) if place.draft >= 2020 else None


@keyword("$recursiveRef")
def _recursive_ref(r: Reader, place: Place, value: Any) -> Form | None:
    return r.refer(r.document.resolve(place, value, "$recursiveRef")) if place.draft == 2019 else None


@keyword("type")
def _type(r: Reader, place: Place, value: Any) -> Form:
    where = place.where("type")
    named = value if isinstance(value, list) else [value]
    unknown = [name for name in named if not isinstance(name, str) or name not in _TYPE_NAMES]
    if unknown or not named:
        raise InvalidConstraint(f"unknown type {unknown[0]!r}" if unknown else "type is an empty list", where)
    allowed = r.forms.types([kind for name in named for kind in _TYPE_NAMES[name]])
    if "integer" not in named or "number" in named:
        return allowed
    whole = r.forms.assertion("number", WrittenWhole() if place.draft == 4 else INTEGER)
    return r.forms.all_of([allowed, whole])


@keyword("enum")
def _enum(r: Reader, place: Place, value: Any) -> Form:
    where = place.where("enum")
    if not isinstance(value, list):
        raise InvalidConstraint("enum must be a list", where)
    logic = r.forms.logic
    words = tuple(dict.fromkeys(text(v, where) for v in value if isinstance(v, str)))
    numbers = frozenset(number(v, where) for v in value if isinstance(v, int | float) and not isinstance(v, bool))
    parts = [r.equal(v, where) for v in value if v is None or isinstance(v, bool | list | dict)]
    parts += [r.forms.only("string", logic.atom(StringIn(words)))] if words else []
    parts += [r.forms.only("number", logic.atom(NumberIn(numbers)))] if numbers else []
    return r.forms.any_of(parts)


@keyword("const")
def _const(r: Reader, place: Place, value: Any) -> Form:
    return r.equal(value, place.where("const"))


@keyword("allOf")
def _all_of(r: Reader, place: Place, value: Any) -> Form:
    return r.forms.all_of(r.schemas(place, "allOf", value))


@keyword("anyOf")
def _any_of(r: Reader, place: Place, value: Any) -> Form:
    return r.forms.either(r.schemas(place, "anyOf", value))


@keyword("oneOf")
def _one_of(r: Reader, place: Place, value: Any) -> Form:
    return r.forms.one_of(r.schemas(place, "oneOf", value))


@keyword("not")
def _not(r: Reader, place: Place, value: Any) -> Form:
    return r.forms.negate(r.read(place.at("not")))


@keyword("if")
def _if(r: Reader, place: Place, value: Any) -> Form | None:
    schema = place.schema
    if place.draft < 7 or ("then" not in schema and "else" not in schema):
        return None
    test = r.read(place.at("if"))
    then, other = (r.read(place.at(k)) if k in schema else r.forms.anything for k in ("then", "else"))
    chosen = r.forms.all_of([test, then])
    return r.forms.any_of([chosen, r.forms.all_of([r.forms.negate(test), other])])


# -- numbers


@keyword("minimum")
def _minimum(r: Reader, place: Place, value: Any) -> Form:
    bound = number(value, place.where("minimum"))
    exclusive = place.schema.get("exclusiveMinimum") is True
    return r.at_least("number", Above(bound) if exclusive else AtLeast(bound))


@keyword("maximum")
def _maximum(r: Reader, place: Place, value: Any) -> Form:
    bound = number(value, place.where("maximum"))
    exclusive = place.schema.get("exclusiveMaximum") is True
    return r.less_than("number", AtLeast(bound) if exclusive else Above(bound))


@keyword("exclusiveMinimum")
def _exclusive_minimum(r: Reader, place: Place, value: Any) -> Form | None:
    if isinstance(value, bool):  # draft 4: it modifies `minimum`
        return None
    return r.at_least("number", Above(number(value, place.where("exclusiveMinimum"))))


@keyword("exclusiveMaximum")
def _exclusive_maximum(r: Reader, place: Place, value: Any) -> Form | None:
    if isinstance(value, bool):
        return None
    return r.less_than("number", AtLeast(number(value, place.where("exclusiveMaximum"))))


@keyword("multipleOf")
def _multiple_of(r: Reader, place: Place, value: Any) -> Form:
    step = number(value, place.where("multipleOf"))
    if step <= 0:
        raise InvalidConstraint("multipleOf must be above zero", place.where("multipleOf"))
    return r.at_least("number", MultipleOf(step))


# -- strings


@keyword("minLength")
def _min_length(r: Reader, place: Place, value: Any) -> Form:
    count = r.count(place, "minLength", value)
    return r.at_least("string", MinLength(count)) if count else r.forms.anything


@keyword("maxLength")
def _max_length(r: Reader, place: Place, value: Any) -> Form:
    return r.less_than("string", MinLength(r.count(place, "maxLength", value) + 1))


@keyword("pattern")
def _pattern(r: Reader, place: Place, value: Any) -> Form:
    return r.forms.when("string", r.pattern(value, place.where("pattern")))


@keyword("format")
def _format(r: Reader, place: Place, value: Any) -> Form | None:
    atom = HasFormat(text(value, place.where("format")))
    if not r.strings.knows_format(atom.name):
        return None
    r.checked(atom, place.where("format"))
    return r.at_least("string", atom)


@keyword("x-quote")
def _quote(r: Reader, place: Place, value: Any) -> Form | None:
    if not isinstance(value, bool):
        raise InvalidConstraint("x-quote must be true or false", place.where("x-quote"))
    if value and r.strings.kinds is None:
        raise UnsupportedConstraint("quotes need the text that they are from: give json_schema a corpus, or run a job")
    return r.at_least("string", Quoted()) if value else None


# -- arrays


@keyword("minItems")
def _min_items(r: Reader, place: Place, value: Any) -> Form:
    count = r.count(place, "minItems", value)
    return r.at_least("array", AtLeastItems(count, None)) if count else r.forms.anything


@keyword("maxItems")
def _max_items(r: Reader, place: Place, value: Any) -> Form:
    return r.less_than("array", AtLeastItems(r.count(place, "maxItems", value) + 1, None))


@keyword("prefixItems")
def _prefix_items(r: Reader, place: Place, value: Any) -> Form | None:
    if place.draft < 2020:
        return None
    return _tuple(r, r.schemas(place, "prefixItems", value))


@keyword("items")
def _items(r: Reader, place: Place, value: Any) -> Form:
    if isinstance(value, list):  # drafts before 2020-12
        return _tuple(r, [r.read(place.at("items", i)) for i in range(len(value))])
    prefix = place.schema.get("prefixItems", []) if place.draft >= 2020 else []
    return _rest(r, len(prefix), r.read(place.at("items")))


@keyword("additionalItems")
def _additional_items(r: Reader, place: Place, value: Any) -> Form | None:
    first = place.schema.get("items")
    return _rest(r, len(first), r.read(place.at("additionalItems"))) if isinstance(first, list) else None


@keyword("contains")
def _contains(r: Reader, place: Place, value: Any) -> Form:
    form, schema = r.read(place.at("contains")), place.schema
    counted = place.draft >= 2019
    least = r.count(place, "minContains", schema["minContains"]) if counted and "minContains" in schema else 1
    wanted = None if form is r.forms.anything else form
    parts = [r.at_least("array", AtLeastItems(least, wanted))] if least else []
    if counted and "maxContains" in schema:
        most = r.count(place, "maxContains", schema["maxContains"])
        parts.append(r.less_than("array", AtLeastItems(most + 1, wanted)))
    return r.forms.all_of(parts)


@keyword("uniqueItems")
def _unique_items(r: Reader, place: Place, value: Any) -> Form | None:
    if not isinstance(value, bool):
        raise InvalidConstraint("uniqueItems must be true or false", place.where("uniqueItems"))
    if value and r.strings.kinds is not None:
        r.strings.kinds.distinct = True
    return r.forms.assertion("array", DISTINCT) if value else None


def _tuple(r: Reader, forms: list[Form]) -> Form:
    return r.forms.all_of(r.forms.assertion("array", Items(i, i + 1, form)) for i, form in enumerate(forms))


def _rest(r: Reader, start: int, form: Form) -> Form:
    return r.forms.assertion("array", Items(start, None, form))
