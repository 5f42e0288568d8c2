"""A record as it was parsed becomes a document, or says why it cannot."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..documents import Document, Fields
from ..errors import JobError


def from_value(value: Any, n: int, fields: Fields, place: str = "", raw: Any = None) -> Document:
    """A record as it was parsed: a text, a mapping with the text in it, or a Document."""
    raw = value if raw is None else raw
    if isinstance(value, Document):
        return value
    mapping = {fields.text: value} if isinstance(value, str) else value
    if not isinstance(mapping, Mapping):
        return broken(f"{place}expected a text or an object with the text in it, not {_kind(value)}", n, raw)
    text, name = mapping.get(fields.text), mapping.get(fields.id)
    if not isinstance(text, str):
        found = "missing" if text is None else f"{_kind(text)}, not text"
        return broken(f"{place}the field {fields.text!r} is {found}", n, raw)
    if not _is_unicode(text):
        return broken(f"{place}the text is not valid Unicode", n, raw)
    if not isinstance(name, str | int) or isinstance(name, bool) or not _is_unicode(str(name)):
        name = n
    return Document(name, text, mapping.get(fields.truth), line=n)


def from_columns(values: Mapping[str, Any], n: int, fields: Fields, place: str) -> Document:
    """A row of typed values: ids of any type are written out, truths become what JSON can say."""
    name, truth = values.get(fields.id), values.get(fields.truth)
    said = {fields.id: name if name is None or isinstance(name, int) else str(name)}
    said |= {fields.truth: json.loads(json.dumps(truth, default=str)), fields.text: values.get(fields.text)}
    return from_value(said, n, fields, place, dict(values))


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= c <= "\udfff" for c in text) if not text.isascii() else True


def _kind(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", bool: "true or false", type(None): "null", int: "a number"}
    return kinds.get(type(value), type(value).__name__)


def broken(problem: str, n: int, raw: Any) -> Document:
    text = raw.decode(errors="backslashreplace").rstrip("\r\n") if isinstance(raw, bytes) else str(raw or "")
    return Document(n, text.encode(errors="backslashreplace").decode(), problem=problem, line=n)


def reason(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8: byte {error.object[error.start]:#04x} at offset {error.start}"
    if isinstance(error, json.JSONDecodeError):
        return f"not JSON: {error.msg} at column {error.colno}"
    return f"not JSON: {error}"


def no_text_column(place: str, fields: Fields, columns: list[str]) -> JobError:
    return JobError(f"{place} has no column {fields.text!r}, only {', '.join(columns)}: name one as text field")


def needs_extra(what: str, error: ModuleNotFoundError) -> JobError:
    return JobError(f"{what} needs the extra lmprog[jobs]: {error}")
