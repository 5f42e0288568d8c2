"""JSON Schemas of Python types that say all that pydantic checks, so that what they allow can be read back.

pydantic's own schemas are made for documentation: they leave out time zones, UUID versions, digits of decimals, key
types, URL schemes, and whether unknown keys are welcome. Importing this module imports pydantic.
"""

from __future__ import annotations

import warnings
from decimal import Decimal
from typing import Any, NotRequired, get_args, get_origin, is_typeddict

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
_DURATION = r"-?P(?=.)(?:\d{1,6}D)?(?:T(?=.)(?:\d{1,2}H)?(?:\d{1,2}M)?(?:\d{1,2}(?:\.\d{1,6})?S)?)?"
_UUID = "[0-9a-f]{{8}}-[0-9a-f]{{4}}-{}[0-9a-f]{{3}}-[89ab][0-9a-f]{{3}}-[0-9a-f]{{12}}"
_LABEL = r"(?!xn--)[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?"
_PATH = r"(?:/[A-Za-z0-9._~!$&'()*+,;=:@/-]*)?(?:\?[A-Za-z0-9._~&=+-]*)?(?:#[A-Za-z0-9._~-]*)?"
_SCHEMES = ("http", "https", "ftp", "ws", "wss")
_INTEGER_KEY = r"^-?(?:0|[1-9]\d*)$"
_HARMLESS_FORMATS = {"binary", "path", "password", "uuid1", "uuid3", "uuid4", "uuid5", "uuid6", "uuid7", "uuid8"}


def adapter(tp: Any) -> TypeAdapter[Any]:
    """pydantic's reader of a type; raises `InvalidConstraint` for what is no type to it."""
    try:
        return TypeAdapter(_with_known_typed_dicts(tp))
    except (PydanticUserError, SchemaError, TypeError) as error:
        raise InvalidConstraint(f"{tp!r} cannot be read as a type: {str(error).splitlines()[0]}") from None


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


def _with_known_typed_dicts(tp: Any) -> Any:
    """pydantic wants `typing_extensions.TypedDict` before Python 3.12: rebuild the standard one, in generics too."""
    if is_typeddict(tp):
        hints = get_type_hints(tp, include_extras=True)
        fields = {name: _with_known_typed_dicts(hint) for name, hint in hints.items()}
        needed = tp.__required_keys__
        typed = {name: hint if name in needed else NotRequired[hint] for name, hint in fields.items()}
        return TypedDict(tp.__name__, typed)  # type: ignore[operator]
    arguments = get_args(tp)
    if get_origin(tp) not in (list, dict, tuple, set, frozenset) or not arguments:
        return tp
    return get_origin(tp)[tuple(map(_with_known_typed_dicts, arguments))]


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
        places, digits = schema.get("decimal_places"), schema.get("max_digits")
        parts = [{"multipleOf": step} for step in [schema.get("multiple_of")] if step is not None]
        if places is not None or digits is not None:
            places = (digits or 0) if places is None else places
            parts.append({"multipleOf": Decimal(1).scaleb(-places)})
        if digits is not None:
            limit = Decimal(1).scaleb(digits - (places or 0))
            parts.append({"exclusiveMinimum": -limit, "exclusiveMaximum": limit})
        return {**out, "allOf": parts} if parts else out

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

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        return _closed(super().model_schema(schema))

    def dataclass_schema(self, schema: core_schema.DataclassSchema) -> JsonSchemaValue:
        return _closed(super().dataclass_schema(schema))

    def typed_dict_schema(self, schema: core_schema.TypedDictSchema) -> JsonSchemaValue:
        return _closed(super().typed_dict_schema(schema))


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
