"""Python types as grammars whose `parse` gives values of that type."""

from __future__ import annotations

import types
from collections.abc import Callable
from enum import Enum
from functools import reduce
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from .choices import choices
from .errors import InvalidConstraint
from .expr import ANY_TEXT
from .grammar import Grammar
from .json_schema import compiled
from .json_text import STYLES
from .regex import PLAIN

if TYPE_CHECKING:
    from pydantic import TypeAdapter

LIMITS = frozenset(
    ["ge", "gt", "le", "lt", "multiple_of", "min_length", "max_length", "pattern", "max_digits", "decimal_places"]
)
_SCALARS = ("string", "number", "integer", "boolean", "null")
BARE = STYLES["compact"].bare(PLAIN)


def from_type(tp: Any, **limits: Any) -> Grammar:
    """The texts that stand for values of a type, and the values that they stand for.

    Scalars are bare text, as they read best in a prompt: `int`, `float` and `Decimal` as JSON numbers, `bool` as
    `true` or `false`, `None` as `null`, `str` as it is, dates and times in ISO 8601, `UUID`s in hexadecimal; of `Enum`
    and `Literal` the values. Lists, dicts, tuples, sets, pydantic models, dataclasses and TypedDicts are compact JSON;
    models do not take keys that they do not declare, unless they keep them (`extra="allow"`). Within JSON a
    `Decimal` is a number too, of at most 1e300. A union is read as its first member that fits.

    `limits` are pydantic's: ge, gt, le, lt, multiple_of, min_length, max_length, pattern, max_digits, decimal_places.

    Raises `InvalidConstraint` for what is no type or an unknown limit, `UnsupportedConstraint` for what cannot be
    enforced. Checks in Python code (validators) are beyond a grammar: they raise when the value is read.

    >>> from_type(int, ge=0, le=99).parse("42")
    42
    >>> from_type(int, ge=0, le=99).matches("100")
    False
    """
    unknown = sorted(limits.keys() - LIMITS)
    if unknown:
        raise InvalidConstraint(f"unknown limit {unknown[0]!r}: there are {', '.join(sorted(LIMITS))}")
    if tp is str and not limits:
        return Grammar(ANY_TEXT)
    return _from_type(_limited(tp, limits))


def _limited(tp: Any, limits: dict[str, Any]) -> Any:
    from pydantic import Field

    return Annotated[tp, Field(**limits)] if limits else tp


def _from_type(tp: Any) -> Grammar:
    origin, arguments = get_origin(tp), get_args(tp)
    if origin in (Union, types.UnionType):
        return reduce(Grammar.__or__, [_typed(_from_type(member)) for member in arguments])
    values = bare_values(tp)
    if values is not None:
        return Grammar(choices(values).expr, values.__getitem__)
    return _read_by_pydantic(tp)


def _typed(grammar: Grammar) -> Grammar:
    """So that a union with `str` gives texts for what only `str` fits."""
    return grammar if grammar.parser else Grammar(grammar.expr, str)


def bare_values(tp: Any) -> dict[str, Any] | None:
    """Of `None`, `bool`, an `Enum` or a `Literal` all texts and their values; None of other types."""
    if tp is None or tp is types.NoneType:
        return _values({None: None})
    if tp is bool:
        return _values({True: True, False: False})
    if get_origin(tp) is Literal:
        return _values({member: member for member in get_args(tp)})
    if isinstance(tp, type) and issubclass(tp, Enum):
        return _values({member.value: member for member in tp})
    return None


def _values(named: dict[Any, Any]) -> dict[str, Any]:
    texts = {_bare(value): result for value, result in named.items()}
    if len(texts) < len(named):
        raise InvalidConstraint("two values are written alike, so that they could not be told apart")
    return texts


def _bare(value: Any) -> str:
    if isinstance(value, Enum):
        value = value.value
    return (
        {True: "true", False: "false", None: "null"}[value] if value is None or isinstance(value, bool) else str(value)
    )


def _read_by_pydantic(tp: Any) -> Grammar:
    from .type_schema import adapter, schema_of

    reader = adapter(tp)
    schema = schema_of(reader)
    if schema.get("type") in _SCALARS:
        return Grammar(compiled(schema, style=BARE), _scalar_reader(reader))
    return Grammar(compiled(schema, style=STYLES["compact"]), reader.validate_json)


def _scalar_reader(reader: TypeAdapter[Any]) -> Callable[[str], Any]:
    return lambda text: reader.validate_strings(text)
