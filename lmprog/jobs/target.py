"""What a job extracts: a JSON Schema, or a Python type that has one."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from ..grammars import Grammar
from ..grammars.errors import InvalidConstraint
from ..grammars.json_schema import quoting_schema
from ..grammars.quote_fields import Kind
from .errors import JobError, OutputError

# Keywords beside or above which an object must stay open: their meaning depends on properties declared elsewhere.
COMBINING = {"allOf", "anyOf", "oneOf", "not", "if", "then", "else", "$ref", "$dynamicRef", "dependentSchemas"}
OPEN = {"additionalProperties", "unevaluatedProperties", "patternProperties"}
ALIAS = "lmprog_schema_"  # how modules loaded from a file are called
INTO_ONE = ("items", "contains", "additionalProperties")
INTO_MANY = ("properties", "$defs", "definitions")

Places = Mapping[str, tuple[int, int, str | int | None]]  # start, end, document of a corpus


class Read(Protocol):
    def __call__(self, text: str, places: Places | None = None) -> Any: ...


@dataclass(frozen=True)
class Target:
    """The schema (closed: see `closed`), its grammar, and `read`, which turns an answer into the value that users get.

    `read` takes an answer and, where that is known, the places that its quotes are from. It raises OutputError when the
    schema, read by an independent validator, or the type refuses the answer.
    `spec` is what it was made of, and is made of again in another process.
    `kinds` are those of quotes in the schema, for which the grammar has marks (see `quoting_schema`).
    """

    schema: Any
    grammar: Grammar
    read: Read
    spec: Any
    kinds: tuple[Kind, ...] = ()

    def __reduce__(self) -> tuple[Any, ...]:
        return target, (self.spec,)

    @property
    def fields(self) -> list[str]:
        """The top-level properties, in order."""
        return list(self.schema.get("properties", ())) if isinstance(self.schema, dict) else []


def target(spec: Any) -> Target:
    """The target of a schema file, `module:Name`, `file.py:Name`, a schema as a dict, or a Python type.

    Raises JobError when it cannot be found, InvalidConstraint and UnsupportedConstraint as `json_schema` does.
    """
    if isinstance(spec, str | Path):
        spec = _from_name(str(spec))
    if isinstance(spec, bool | Mapping):
        return _from_schema(spec)
    return _from_type(spec)


def _from_schema(schema: Any) -> Target:
    closed_schema = closed(schema)
    grammar, kinds = quoting_schema(closed_schema)
    return Target(closed_schema, grammar, _checker(schema), schema, kinds)


def _checker(schema: Any) -> Read:
    import jsonschema_rs

    try:
        validator = jsonschema_rs.validator_for(schema, validate_formats=True)
    except (ValueError, jsonschema_rs.ReferencingError) as error:
        raise InvalidConstraint(f"the schema cannot be used for validation: {error}") from error

    def read(text: str, places: Places | None = None) -> Any:
        value = json.loads(text)
        for error in validator.iter_errors(value):
            raise OutputError(f"{error.message} (at {_pointer(error.instance_path)})")
        return value

    return read


def _pointer(path: list[str | int]) -> str:
    return "/" + "/".join(str(part).replace("~", "~0").replace("/", "~1") for part in path)


def _from_type(tp: Any) -> Target:
    import pydantic

    try:
        adapter = pydantic.TypeAdapter(tp)
        schema = closed(adapter.json_schema())
    except pydantic.errors.PydanticUserError as error:
        raise JobError(f"{tp!r} is no type with a JSON Schema: {str(error).splitlines()[0]}") from error

    def read(text: str, places: Places | None = None) -> Any:
        try:
            return adapter.validate_json(text, context={"places": places or {}})
        except pydantic.ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise OutputError(f"{first['msg']} (at {_pointer(list(first['loc']))})") from error

    grammar, kinds = quoting_schema(schema)
    return Target(schema, grammar, read, tp, kinds)


def closed(schema: Any) -> Any:
    """The schema with every plain object closed: an answer has the declared properties and no invented ones.

    Where properties are declared, an object is meant, and no other properties unless something is said about them.
    Schemas that are combined with others stay as they are; every answer is valid under the schema as it was given.

    >>> closed({"properties": {"a": {"type": "integer"}}})
    {'properties': {'a': {'type': 'integer'}}, 'type': 'object', 'additionalProperties': False}
    """
    if not isinstance(schema, Mapping) or COMBINING & schema.keys() - {"$ref"}:
        return schema
    result = dict(schema)
    for key in INTO_ONE:
        if key in result:
            result[key] = closed(result[key])
    for key in INTO_MANY:
        if isinstance(result.get(key), Mapping):
            result[key] = {name: closed(part) for name, part in result[key].items()}
    if "properties" in result and not COMBINING & result.keys():
        result.setdefault("type", "object")
        if not OPEN & result.keys():
            result["additionalProperties"] = False
    return result


def _from_name(name: str) -> Any:
    if Path(name).is_file():
        return _from_file(Path(name))
    if ":" not in name:
        raise JobError(f"there is no schema at {name} (a JSON Schema file, or module:Name of a type)")
    return named(name)


def named(name: str) -> Any:
    """What `module:Name` or `file.py:Name` stands for. Raises JobError."""
    home, _, attribute = name.rpartition(":")
    value: Any = module(home)
    for part in attribute.split("."):
        try:
            value = getattr(value, part)
        except AttributeError:
            raise JobError(f"{home} has no {attribute!r}") from None
    return value


def _from_file(path: Path) -> Any:
    try:
        schema = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise JobError(f"{path} is not a JSON Schema file: {error}") from error
    except OSError as error:
        raise JobError(f"cannot read {path}: {error.strerror}") from error
    if not isinstance(schema, dict | bool):
        raise JobError(f"{path} is not a JSON Schema file: a schema is an object, true or false")
    return schema


def module(name: str) -> ModuleType:
    """A module by name (from the current folder too) or by the path of its file."""
    try:
        if name.endswith(".py"):
            return _import_file(Path(name))
        if os.getcwd() not in sys.path:
            sys.path.insert(0, os.getcwd())
        return importlib.import_module(name)
    except Exception as error:  # whatever the user's module raises
        raise JobError(f"cannot import {name}: {type(error).__name__}: {error}") from error


def _import_file(path: Path) -> ModuleType:
    alias = f"{ALIAS}{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(alias, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[alias] = module  # pydantic looks annotations up there
    spec.loader.exec_module(module)
    return module
