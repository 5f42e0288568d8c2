"""JSON Schemas of Python types that say all that pydantic checks, so that what they allow can be read back.

pydantic's own schemas are made for documentation: they leave out time zones, UUID versions, digits of decimals, key
types, URL schemes, and whether unknown keys are welcome. Importing this module imports pydantic.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from decimal import Decimal
from functools import reduce
from operator import or_
from types import UnionType
from typing import Annotated, Any, NotRequired, Required, Union, get_args, get_origin, is_typeddict

from pydantic import TypeAdapter
from pydantic.errors import PydanticUserError
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, PydanticJsonSchemaWarning
from pydantic_core import SchemaError, core_schema
from typing_extensions import TypedDict, get_type_hints

from .errors import InvalidConstraint, UnsupportedConstraint
from .json_formats import DATE, FORMATS

_DAY = rf"(?!0000){DATE}"  # Python's calendar begins in the year 1
_CLOCK = r"(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,6})?"
_AWARE = r"(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)"
_OFFSETS = {None: f"{_AWARE}?", "aware": _AWARE, "naive": ""}
_DURATION = r"-?P(?=.)(?:\d{1,6}Y)?(?:\d{1,6}D)?(?:T(?=.)(?:\d{1,2}H)?(?:\d{1,2}M)?(?:\d{1,2}(?:\.\d{1,6})?S)?)?"
_UUID = "[0-9a-f]{{8}}-[0-9a-f]{{4}}-{}[0-9a-f]{{3}}-[89ab][0-9a-f]{{3}}-[0-9a-f]{{12}}"
_LABEL = r"(?!xn--)[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?"
_PATH = r"(?:/[A-Za-z0-9._~!$&'()*+,;=:@/-]*)?(?:\?[A-Za-z0-9._~&=+-]*)?(?:#[A-Za-z0-9._~-]*)?"
_SCHEMES = ("http", "https", "ftp", "ws", "wss")
_FINITE = {"minimum": Decimal("-1e300"), "maximum": Decimal("1e300")}  # JSON numbers are read as floats
_INTEGER_KEY = r"^-?(?:0|[1-9]\d*)$"
_HARMLESS_FORMATS = {"binary", "path", "password", "uuid1", "uuid3", "uuid4", "uuid5", "uuid6", "uuid7", "uuid8"}


def adapter(tp: Any) -> TypeAdapter[Any]:
    """pydantic's reader of a type; raises `InvalidConstraint` for what is no type to it."""
    try:
        return TypeAdapter(_with_known_typed_dicts(tp))
    except (PydanticUserError, SchemaError, TypeError) as error:
        reason = " ".join(str(error).split()) if isinstance(error, SchemaError) else str(error).splitlines()[0]
        raise InvalidConstraint(f"{tp!r} cannot be read as a type: {reason}") from None


def schema_of(reader: TypeAdapter[Any]) -> JsonSchemaValue:
    """The JSON Schema of what `reader` accepts; raises `UnsupportedConstraint` where there is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PydanticJsonSchemaWarning)  # defaults that are no JSON
        try:
            schema = reader.json_schema(schema_generator=ExactSchema)
        except PydanticUserError as error:
            raise UnsupportedConstraint(f"no JSON Schema for this type: {str(error).splitlines()[0]}") from None
    _refuse_unknown_formats(schema, "#")
    return schema


def _refuse_unknown_formats(schema: Any, where: str) -> None:
    """A format that is only pydantic's own would be an annotation to JSON Schema, and its values could not be read."""
    if isinstance(schema, dict):
        name = schema.get("format")
        if isinstance(name, str) and name not in FORMATS and name not in _HARMLESS_FORMATS:
            raise UnsupportedConstraint(f"pydantic's format {name!r} is not supported", where)
        for key, value in schema.items():
            _refuse_unknown_formats(value, f"{where}/{key}")
    elif isinstance(schema, list):
        for i, value in enumerate(schema):
            _refuse_unknown_formats(value, f"{where}/{i}")


def _with_known_typed_dicts(tp: Any, within: tuple[Any, ...] = ()) -> Any:
    """pydantic wants `typing_extensions.TypedDict` before Python 3.12: rebuild the standard one, in generics too."""
    if type(tp).__module__ == "typing" and is_typeddict(tp):
        return _known_typed_dict(tp, within)
    origin, arguments = get_origin(tp), get_args(tp)
    if origin is Annotated:
        return Annotated[(_with_known_typed_dicts(arguments[0], within), *arguments[1:])]
    if origin not in (list, dict, tuple, set, frozenset, Union, UnionType, Required, NotRequired) or not arguments:
        return tp
    known = tuple([_with_known_typed_dicts(argument, within) for argument in arguments])
    return reduce(or_, known) if origin is UnionType else origin[known[0] if len(known) == 1 else known]


def _known_typed_dict(tp: Any, within: tuple[Any, ...]) -> Any:
    if tp in within:
        raise UnsupportedConstraint(f"{tp.__name__} is recursive: make it a typing_extensions.TypedDict")
    hints = get_type_hints(tp, include_extras=True)
    fields = {name: _with_known_typed_dicts(hint, (*within, tp)) for name, hint in hints.items()}
    for name, hint in fields.items():  # as postponed annotations hide `Required` from the class, it counts here
        if name not in tp.__required_keys__ and get_origin(hint) is not Required:
            fields[name] = hint if get_origin(hint) is NotRequired else NotRequired[hint]
    return TypedDict(tp.__name__, fields)  # type: ignore[operator]


def _text(pattern: str) -> JsonSchemaValue:
    return {"type": "string", "pattern": f"^{pattern}$"}


class ExactSchema(GenerateJsonSchema):
    """pydantic's generator with what it leaves out."""

    def date_schema(self, schema: core_schema.DateSchema) -> JsonSchemaValue:
        _refuse_bounds(schema)
        return _text(_DAY)

    def time_schema(self, schema: core_schema.TimeSchema) -> JsonSchemaValue:
        _refuse_bounds(schema)
        return _text(_CLOCK + _offset(schema))

    def datetime_schema(self, schema: core_schema.DatetimeSchema) -> JsonSchemaValue:
        _refuse_bounds(schema)
        return _text(f"{_DAY}T{_CLOCK}{_offset(schema)}")

    def timedelta_schema(self, schema: core_schema.TimedeltaSchema) -> JsonSchemaValue:
        _refuse_bounds(schema)
        return _text(_DURATION)

    def complex_schema(self, schema: core_schema.ComplexSchema) -> JsonSchemaValue:
        raise UnsupportedConstraint("complex numbers are not supported")

    def decimal_schema(self, schema: core_schema.DecimalSchema) -> JsonSchemaValue:
        bounds = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
        out: JsonSchemaValue = {"type": "number"}
        out.update({name: schema[key] for key, name in bounds.items() if key in schema})  # type: ignore[literal-required]
        parts: list[JsonSchemaValue] = [
            {"multipleOf": step} for step in [schema.get("multiple_of")] if step is not None
        ]
        places, digits = schema.get("decimal_places"), schema.get("max_digits")
        if digits is not None:
            each = range(digits + 1) if places is None else [places]
            parts.append({"anyOf": [_decimals(p, digits - p) for p in each]})
        elif places is not None:
            parts.append(_decimals(places, None))
        return {**out, "allOf": [_FINITE, *parts]}

    def tagged_union_schema(self, schema: core_schema.TaggedUnionSchema) -> JsonSchemaValue:
        out = super().tagged_union_schema(schema)
        if "discriminator" not in out:
            raise UnsupportedConstraint("a discriminator that is not a field's name is not supported")
        tag = out["discriminator"]["propertyName"]
        out["oneOf"] = [{"allOf": [member, {"required": [tag]}]} for member in out["oneOf"]]
        return out

    def uuid_schema(self, schema: core_schema.UuidSchema) -> JsonSchemaValue:
        version = schema.get("version")
        return {"type": "string", "format": "uuid"} if version is None else _text(_UUID.format(version))

    def url_schema(self, schema: core_schema.UrlSchema) -> JsonSchemaValue:
        schemes = "|".join(schema.get("allowed_schemes") or _SCHEMES)
        out = _text(rf"(?:{schemes})://{_LABEL}(?:\.{_LABEL})*(?::[1-9]\d{{0,3}})?{_PATH}")
        return {**out, "maxLength": schema["max_length"]} if "max_length" in schema else out

    def _common_set_schema(self, schema: core_schema.SetSchema | core_schema.FrozenSetSchema) -> JsonSchemaValue:
        out = super()._common_set_schema(schema)
        if "minItems" not in out:  # equal items are merged when they are read
            out.pop("uniqueItems", None)
        return out

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        out = super().dict_schema(schema)
        kind = schema.get("keys_schema", {}).get("type")
        if kind == "int":
            out["propertyNames"] = {"pattern": _INTEGER_KEY}
        elif "patternProperties" in out:
            out["additionalProperties"] = False
        elif kind in ("float", "decimal", "bool", "none"):
            raise UnsupportedConstraint(f"keys of type {kind} are not supported: use str or int")
        return out

    def _named_required_fields_schema(self, fields: Sequence[tuple[str, bool, Any]]) -> JsonSchemaValue:
        try:
            return super()._named_required_fields_schema(fields)
        except UnsupportedConstraint as error:
            if error.where is not None:
                raise
            raise UnsupportedConstraint(str(error), next(filter(None, map(self._refused, fields)))) from None

    def _refused(self, named: tuple[str, bool, Any]) -> str | None:
        try:
            self.generate_inner(named[2])
        except UnsupportedConstraint:
            return f"field {named[0]!r}"
        return None

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        return _closed(super().model_schema(schema))

    def dataclass_schema(self, schema: core_schema.DataclassSchema) -> JsonSchemaValue:
        return _closed(super().dataclass_schema(schema))

    def typed_dict_schema(self, schema: core_schema.TypedDictSchema) -> JsonSchemaValue:
        return _closed(super().typed_dict_schema(schema))


def _decimals(places: int, whole: int | None) -> JsonSchemaValue:
    """Numbers with so many decimal places, and so many digits before them."""
    step = {"multipleOf": Decimal(1).scaleb(-places)}
    if whole is None:
        return step
    limit = Decimal(1).scaleb(whole)
    return {**step, "exclusiveMinimum": -limit, "exclusiveMaximum": limit}


def _closed(schema: JsonSchemaValue) -> JsonSchemaValue:
    """Unknown keys would be dropped or refused when the value is read, unless the class says that it keeps them."""
    if "properties" in schema:
        schema.setdefault("additionalProperties", False)
    return schema


def _offset(schema: core_schema.TimeSchema | core_schema.DatetimeSchema) -> str:
    constraint = schema.get("tz_constraint")
    if isinstance(constraint, int):
        raise UnsupportedConstraint("a fixed time zone offset is not supported: use AwareDatetime")
    return _OFFSETS[constraint]


def _refuse_bounds(schema: Any) -> None:
    bounds = [key for key in ("ge", "gt", "le", "lt", "now_op") if key in schema]
    if bounds:
        raise UnsupportedConstraint(f"bounds on dates and times are not supported ({bounds[0]} of a {schema['type']})")
