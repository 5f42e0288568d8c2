"""What slots can hold: texts, and lists of examples; how they are written, and what is left of them when it is too
much."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from typing import Any, Literal

from .errors import PartError, SlotError
from .holes import text_of

Kind = Literal["text", "examples"]
Shorten = bool | Literal["start", "middle", "end"]
Value = str | list[dict[str, Any]]
Format = str | Callable[[dict[str, Any]], str]
KINDS: dict[type, Kind] = {str: "text", list: "examples"}
TAKES = {"text": "a text", "examples": "a list of examples, which are dicts"}
WORD = 24  # characters: a longer one may be cut


def checked(name: str, value: object, kind: str | None = None) -> Any:
    """A slot's value, as a copy of its own: a str, or a list of dicts. Raises SlotError."""
    if isinstance(value, str) and kind != "examples":
        return plain_text(f"the slot {name!r}", value)
    if not isinstance(value, Iterable) or isinstance(value, str | bytes | Mapping):
        takes = TAKES[kind] if kind else "a text, or a list of examples, which are dicts"
        raise SlotError(f"the slot {name!r} takes {takes}, not {value!r:.60}")
    return [_example(f"the slot {name!r}, example {i}", row) for i, row in enumerate(value)]


def _example(where: str, row: object) -> dict[str, Any]:
    if not isinstance(row, Mapping):
        raise SlotError(f"{where}: an example is a dict of its fields, not {row!r:.60}")
    if odd := [key for key in row if not isinstance(key, str)]:
        raise SlotError(f"{where}: a field is called by a text, not {odd[0]!r}")
    return {
        key: plain_text(f"{where}, field {key!r}", v) if isinstance(v, str) else deepcopy(v) for key, v in row.items()
    }


def plain_text(where: str, text: object) -> str:
    try:
        return text_of(text)
    except PartError as error:
        raise SlotError(f"{where}: {error}") from None


def written(name: str, rows: list[dict[str, Any]], format: Format) -> str:
    return "".join([_one(f"the slot {name!r}, example {i}", row, format) for i, row in enumerate(rows)])


def _one(where: str, row: dict[str, Any], format: Format) -> str:
    if not isinstance(format, str):
        try:
            text = format({**row})
        except KeyError as error:
            raise SlotError(f"{where}: the field {error}, which its format asks for, is missing") from error
        if not isinstance(text, str):
            raise SlotError(f"{where}: format= is a function that gives a text, not {text!r:.60}")
        return plain_text(where, text)
    try:
        return plain_text(where, format.format(**row))
    except KeyError as error:
        known = ", ".join(map(repr, row)) or "none"
        raise SlotError(f"{where}: the field {error} of its format is missing; it has {known}") from None
    except (IndexError, ValueError, AttributeError, TypeError) as error:
        raise SlotError(f"{where} cannot be written in the format {format!r}: {error}") from None


def shorter(text: str, left: int, part: Shorten = True) -> str:
    """What is left of a text: about `left` characters, whole words where there are any."""
    if left >= len(text):
        return text
    if part == "start":
        return _from_word(text, len(text) - left)
    if part == "middle":
        return _to_word(text, left - left // 2) + " … " * (left > 0) + _from_word(text, len(text) - left // 2)
    return _to_word(text, left)


def _to_word(text: str, end: int) -> str:
    head = text[:end]
    word = [] if text[end : end + 1].isspace() or head[-1:].isspace() else head.rsplit(None, 1)[-1:]
    cut = len(word[0]) if word else 0
    return head[: len(head) - cut if cut < min(WORD, len(head)) else len(head)].rstrip()


def _from_word(text: str, begin: int) -> str:
    tail = text[begin:]
    word = [] if text[begin - 1 : begin].isspace() or tail[:1].isspace() else tail.split(None, 1)[:1]
    cut = len(word[0]) if word else 0
    return tail[cut if cut < min(WORD, len(tail)) else 0 :].lstrip()
