"""Runs in files: JSON, one record a line, readable and versioned.

    {"format": "lmprog run", "version": 1, "text": ..., "value": ..., "usage": {...}, "messages": [...],
     "slots": {...}, "shortened": {...}, "captures": [...], "trace": [...], "requests": [...], "tokens": [...],
     "causes": [...], "tried": [...]}

Records are the fields of their dataclasses; fields that have their default are left out. Bytes of tokens are text, or
{"hex": ...} where they are not UTF-8; of the numbers that JSON does not have, nan is null, and infinities are "inf" and
"-inf". Python values become what JSON can say of them, or else their repr, and are read back as that.
"""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from collections.abc import Iterator
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from . import events
from .asked import Asked
from .decoders.certificate import Certificate, Particle
from .errors import RunError, UnsupportedConstraint
from .events import Span
from .fill import language_of
from .grammars import Grammar
from .grammars.expr import Expr
from .grammars.to_gbnf import to_gbnf
from .run import Capture, Captures, CascadeRun, Run, Tried, Usage, Verdict
from .trace import Candidate, RequestRecord, TokenRecord
from .verbalizer import Verbalizer
from .why.result import Part, Why

LANGUAGES, RULES, LONGEST = 256, 500, 20_000  # languages that are remembered as text; rules and characters of one
FORMAT, VERSION = "lmprog run", 1
EVENTS = {kind.__name__: kind for kind in events.Event.__subclasses__() if kind is not events.Done}
LISTS: dict[str, Any] = {
    "captures": Capture,
    "trace": EVENTS,
    "requests": RequestRecord,
    "verdicts": Verdict,
    "tokens": TokenRecord,
    "causes": Why,
    "tried": Tried,
}


def save(run: Run[Any], path: str | Path) -> None:
    """Write the run. Raises OSError."""
    head = {"format": FORMAT, "version": VERSION, "text": run.text, "value": run.value, "usage": run.usage}
    head |= {"messages": run.messages, "slots": run.slots, "shortened": run.shortened}
    lines = [f"{json.dumps(key)}: {_json(value)}" for key, value in head.items()]
    for key, records in _lists(run).items():
        lines.append(f"{json.dumps(key)}: [" + ",".join([f"\n  {_json(record)}" for record in records]) + "\n ]")
    Path(path).write_text("{" + ",\n ".join(lines) + "}\n", encoding="utf-8")


def load(path: str | Path) -> Run[Any]:
    """Read a run that `save` wrote. Raises RunError for anything else, OSError."""
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise RunError(f"{path} is not a saved run: {error}") from None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise RunError(f'{path} is not a saved run: it does not say "format": "{FORMAT}"')
    if data.get("version") != VERSION:
        raise RunError(f"{path} has version {data.get('version')!r} of the format; this lmprog reads {VERSION}")
    return from_plain(data, path)


def to_plain(run: Run[Any]) -> dict[str, Any]:
    """A run as a JSON value."""
    head = {"text": run.text, "value": run.value, "usage": run.usage, "messages": run.messages}
    head |= {"slots": run.slots, "shortened": run.shortened}
    return {name: plain(part) for name, part in (head | _lists(run)).items()}


def from_plain(data: dict[str, Any], path: object) -> Run[Any]:
    """Of what `to_plain` gave. `path` is for messages. Raises RunError."""
    lists: dict[str, Any] = {key: _records(data, key, kind, path) for key, kind in LISTS.items()}
    for key, records in lists.items():
        _check(key, records, len(lists["requests"]), path)
    messages = tuple(data.get("messages", ()))
    captures, usage = Captures(lists.pop("captures")), _read(Usage, data.get("usage"), f"{path}: usage")
    causes = {why.field: why for why in lists.pop("causes")}
    slots = _slots("slots", data, tuple[Span, ...], path)
    if any([not 0 <= begin <= end for spans in slots.values() for begin, end in spans]):
        raise RunError(f"{path}: slots have spans that there cannot be")
    shortened = _slots("shortened", data, tuple[int, int], path)
    more: dict[str, Any] = {"messages": messages, "causes": causes, "slots": slots, "shortened": shortened}
    kind: type[Run[Any]] = Run
    if tried := lists.pop("tried"):
        kind, more = CascadeRun, {**more, "step": len(tried) - 1, "tried": tried}
    return kind(data.get("value"), str(data.get("text", "")), captures, usage, **more, **lists)


def _slots(key: str, data: dict[str, Any], kind: Any, path: object) -> dict[str, Any]:
    """What is said of slots, by their names."""
    try:
        return {name: _as(kind, value) for name, value in data.get(key, {}).items()}
    except (AttributeError, TypeError, ValueError, KeyError) as error:
        raise RunError(f"{path}: {key} cannot be read: {type(error).__name__}: {error}") from None


def _check(key: str, records: tuple[Any, ...], requests: int, path: object) -> None:
    """That the numbers in records lead somewhere."""
    for i, record in enumerate(records):
        begin, end = getattr(record, "span", (0, 0))
        request = getattr(record, "request", None)
        if not 0 <= begin <= end or (request is not None and not 0 <= request < requests):
            raise RunError(f"{path}: {key}[{i}] is about a place or a request that there is not")


def _lists(run: Run[Any]) -> dict[str, tuple[Any, ...]]:
    captures, causes = tuple(map(_with_language, run.captures.all())), tuple(run.causes.values())
    lists = {"captures": captures, "trace": run.trace, "requests": run.requests, "tokens": run.tokens}
    tried = {"tried": run.tried} if isinstance(run, CascadeRun) else {}
    return lists | {"causes": causes, "verdicts": run.verdicts} | tried


def _with_language(capture: Capture) -> Capture:
    asked = capture.asked
    if (words := asked.classes) is not None:
        return dataclasses.replace(capture, asked=dataclasses.replace(asked, words=words))
    if asked.hole is None or asked.hole.grammar is None or asked.hole.monitor is not None or asked.options is not None:
        return capture
    return dataclasses.replace(capture, asked=dataclasses.replace(asked, language=_gbnf(language_of(asked.hole))))


@lru_cache(LANGUAGES)
def _gbnf(language: Expr) -> str:
    """A language as text; nothing where it cannot be written, or not in a page or so."""
    try:
        text = to_gbnf(Grammar(language), most_rules=RULES)
    except UnsupportedConstraint:
        return ""
    return text if len(text) <= LONGEST else ""


# -- writing -----------------------------------------------------------------------------------------------------


def _json(record: Any) -> str:
    return json.dumps(plain(record), ensure_ascii=False, allow_nan=False)


def plain(value: Any) -> Any:
    """What JSON can say of a value."""
    if isinstance(value, Candidate):
        return [value.id, plain(value.data), plain(value.logprob)]
    if isinstance(value, RECORDS):
        kind = {"event": type(value).__name__} if isinstance(value, events.Event) else {}
        return kind | {name: plain(field) for name, field in _told(value)}
    if isinstance(value, bytes):
        return _text(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None if math.isnan(value) else repr(float(value))
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: plain(item) for key, item in value.items()}
    return value if value is None or isinstance(value, str | int | bool) else _jsonable(value)


RECORDS = (
    Capture, Asked, Verbalizer, Tried, Certificate, Particle, Usage, RequestRecord, TokenRecord, events.Event, Why, Part
)  # fmt: skip


def _told(record: Any) -> Iterator[tuple[str, Any]]:
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        if not field.metadata.get("saved", True):
            continue
        if field.default is dataclasses.MISSING or value != field.default:
            yield field.name, value


def _text(data: bytes) -> Any:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"hex": data.hex()}


def _jsonable(value: object) -> Any:
    """The inner part of a value, such as a model, a set or a date."""
    from pydantic_core import to_jsonable_python

    try:
        return plain(to_jsonable_python(value, fallback=repr, bytes_mode="base64"))
    except ValueError:  # it contains itself
        return repr(value)


# -- reading -----------------------------------------------------------------------------------------------------


def _records(data: dict[str, Any], key: str, kind: Any, path: object) -> tuple[Any, ...]:
    records = data.get(key, [])
    if not isinstance(records, list):
        raise RunError(f"{path}: {key} is not a list")
    return tuple([_read(kind, record, f"{path}: {key}[{i}]") for i, record in enumerate(records)])


def _read(kind: Any, data: Any, place: str) -> Any:
    try:
        if kind is EVENTS:
            data = dict(data)
            kind = EVENTS[data.pop("event")]
        return _as(kind, data)
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:
        raise RunError(f"{place} cannot be read: {type(error).__name__}: {error}") from None


def _as(kind: Any, value: Any) -> Any:
    """The value of a field, by its type."""
    if dataclasses.is_dataclass(kind):
        return _record(kind, value)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple:
        kinds = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else arguments
        return tuple([_as(k, v) for k, v in zip(kinds, value, strict=True)])
    if origin in (types.UnionType, typing.Union):
        return None if value is None else _as(arguments[0], value)
    if kind is bytes:
        return bytes.fromhex(value["hex"]) if isinstance(value, dict) else value.encode()
    if kind is float:
        return math.nan if value is None else float(value)
    if kind in (int, str, bool) and not isinstance(value, kind):
        raise TypeError(f"{value!r} is not of type {kind.__name__}")
    return value


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _record(kind: Any, value: Any) -> Any:
    hints = _hints(kind)
    if isinstance(value, list):
        value = dict(zip(hints, value, strict=True))
    if unknown := [name for name in value if name not in hints]:
        raise ValueError(f"unknown field {unknown[0]!r}")
    return kind(**{name: _as(hints[name], field) for name, field in value.items()})
