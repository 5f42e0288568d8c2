"""What is known of a JSON value while it is being written: only what is complete."""

from __future__ import annotations

import json
import re
from typing import Any

STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
SCALAR = re.compile(r"[^\s,\]}]+")
SPACE = re.compile(r"\s*")
NOTHING = object()


class _Cut(Exception):
    """The text ends inside of a value. `known`: what there is of it, or NOTHING."""

    def __init__(self, known: Any = NOTHING) -> None:
        self.known = known


def partial_json(text: str) -> Any:
    """The value that a beginning of a JSON text has for certain; None when there is nothing yet.

    Strings, numbers, true, false and null are there once they cannot go on; objects and arrays hold what is complete in
    them so far. Numbers at the very end may go on, so they are not there.

    >>> partial_json('{"name": "Ann", "tags": ["a", "b')
    {'name': 'Ann', 'tags': ['a']}
    """
    try:
        value, _ = _value(text, 0)
    except _Cut as cut:
        return None if cut.known is NOTHING else cut.known
    return value


def _value(text: str, at: int) -> tuple[Any, int]:
    at = _past_space(text, at)
    if text[at] == "{":
        return _object(text, at + 1)
    if text[at] == "[":
        return _array(text, at + 1)
    return _scalar(text, at)


def _scalar(text: str, at: int) -> tuple[Any, int]:
    found = (STRING if text[at] == '"' else SCALAR).match(text, at)
    if found is None or (found.end() == len(text) and text[at] != '"'):
        raise _Cut
    return json.loads(found[0]), found.end()


def _object(text: str, at: int) -> tuple[dict[str, Any], int]:
    known: dict[str, Any] = {}
    while True:
        try:
            at = _past_space(text, at)
            if text[at] == "}":
                return known, at + 1
            key, at = _scalar(text, _past_space(text, at + (text[at] == ",")))
            at = _past_space(text, at)  # the colon
            known[key], at = _value(text, at + 1)
        except _Cut as cut:
            if cut.known is not NOTHING:
                known[key] = cut.known
            raise _Cut(known) from None


def _array(text: str, at: int) -> tuple[list[Any], int]:
    known: list[Any] = []
    while True:
        try:
            at = _past_space(text, at)
            if text[at] == "]":
                return known, at + 1
            item, at = _value(text, at + (text[at] == ","))
            known.append(item)
        except _Cut as cut:
            raise _Cut([*known, cut.known] if cut.known is not NOTHING else known) from None


def _past_space(text: str, at: int) -> int:
    found = SPACE.match(text, at)
    if found is None or found.end() == len(text):
        raise _Cut
    return found.end()
