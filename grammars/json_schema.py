"""JSON Schema as a grammar of JSON texts."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from typing import Any

from . import schema_members, schema_unevaluated  # noqa: F401  (register their keywords)
from .corpus import Corpus, CorpusFields
from .errors import InvalidConstraint, UnsupportedConstraint
from .expr import Expr
from .grammar import Grammar
from .json_strings import Strings
from .json_text import STYLES, Style, Whitespace
from .json_values import Order, Values
from .quote_fields import Kind, Kinds
from .schema_forms import Forms
from .schema_keywords import HANDLERS
from .schema_meaning import Meaning
from .schema_read import Reader
from .schema_refs import Document
from .sources import made_of


def json_schema(
    schema: dict[str, Any] | bool,
    *,
    strict: bool = True,
    whitespace: Whitespace = "flexible",
    order: Order = "schema",
    resources: Mapping[str, Any] | None = None,
    quotes: Corpus | None = None,
) -> Grammar:
    """The JSON texts of the values that `schema` allows; `parse` gives the value.

    resources: other documents that `$ref` and `$schema` may name, by their URI; nothing is fetched.
    quotes: strings with `"x-quote": true` are verbatim from these documents; `quotes.find` says from where.

    >>> point = {"type": "array", "items": {"$ref": "number.json"}, "minItems": 2, "maxItems": 2}
    >>> json_schema(point, resources={"number.json": {"type": "number"}}).matches("[1, 2.5]")
    True
    """
    if whitespace not in STYLES or order not in ("schema", "any"):
        raise InvalidConstraint(f"whitespace is one of {', '.join(STYLES)}, order is schema or any")
    kinds = None if quotes is None else CorpusFields(quotes)
    return Grammar(compiled(schema, STYLES[whitespace], order, strict, resources, kinds), json.loads)


def quoting_schema(
    schema: dict[str, Any] | bool, barred: frozenset[Kind] = frozenset()
) -> tuple[Grammar, tuple[Kind, ...]]:
    """As `json_schema` in the compact style, for schemas with quotes (`"x-quote": true`): a grammar with marks in their
    places, and the kinds of quotes, for a `Frame`. No kinds: there are no quotes, and it is a grammar like others.
    Quotes of a `barred` kind do not occur in it."""
    kinds = Kinds(barred=barred)
    grammar = Grammar(compiled(schema, STYLES["compact"], kinds=kinds), json.loads)
    if kinds.found and kinds.distinct:
        raise UnsupportedConstraint("uniqueItems in a schema with x-quote is not supported")
    return grammar, tuple(kinds.found)


def compiled(
    schema: Any,
    style: Style,
    order: Order = "schema",
    strict: bool = True,
    resources: Mapping[str, Any] | None = None,
    kinds: Kinds | None = None,
) -> Expr:
    """The texts, in a style, of the values that `schema` allows."""
    forms, document = Forms(), Document(schema, resources)
    strings = Strings(forms.logic, style.alphabet, kinds)
    reader = Reader(document, forms, strings, HANDLERS, _refuse if strict else _warn)
    values = Values(Meaning(forms, strings, reader.target), style, order)
    try:
        expr = values.expr(reader.read(document.root))
    except RecursionError:
        raise UnsupportedConstraint("the schema is nested too deeply") from None
    return made_of(expr, schema) if isinstance(schema, dict) and not resources else expr


def _refuse(error: UnsupportedConstraint) -> None:
    raise error


def _warn(error: UnsupportedConstraint) -> None:
    warnings.warn(f"not enforced: {error}", stacklevel=2)
