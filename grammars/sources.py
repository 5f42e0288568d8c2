"""The JSON Schemas that languages were made of, for engines that take a schema."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from .expr import Expr

_schemas: WeakKeyDictionary[Expr, Any] = WeakKeyDictionary()


def made_of(expr: Expr, schema: Any) -> Expr:
    """Remember what a language was made of."""
    _schemas[expr] = schema
    return expr


def schema_of(expr: Expr) -> Any:
    """A JSON Schema whose values have the texts of this language; None: it was made of none."""
    return _schemas.get(expr)
