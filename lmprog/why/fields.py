"""A field of a run: a capture, or a value inside of one that is JSON, named by a JSON pointer behind its name."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..errors import RunError
from ..events import Span
from ..explain import named
from ..run import Capture, Run

SCALAR = json.JSONDecoder().raw_decode  # also finds its end
SPACE = re.compile(r"[ \t\r\n]*")
SHOWN = 20  # pointers that are listed


@dataclass(frozen=True)
class Field:
    """`span`: the characters of the capture's text that are asked about; None: all."""

    name: str
    capture: Capture
    span: Span | None = None

    @property
    def text(self) -> str:
        return self.capture.text if self.span is None else self.capture.text[slice(*self.span)]

    @property
    def place(self) -> Span:
        """In the run's text."""
        begin, end = self.capture.span
        return (begin, end) if self.span is None else (begin + self.span[0], begin + self.span[1])


def field_of(run: Run[Any], name: str) -> Field:
    """Raises RunError when it is not there, or empty."""
    capture = named(run, name) if isinstance(name, str) else None
    if capture is not None:
        if not capture.text:
            raise RunError(f"the value of {name!r} is empty: there is nothing to explain")
        return Field(name, capture)
    for at in [found.start() for found in re.finditer("/", name)] if isinstance(name, str) else []:
        if (capture := named(run, name[:at])) is not None:
            return Field(name, capture, _place(name[:at], capture.text, name[at:]))
    raise RunError(f"there is no capture {name!r}; this run has: {', '.join(run.captures) or 'none'}")


def _place(name: str, text: str, pointer: str) -> Span:
    try:
        found = dict(places(text))
    except (ValueError, IndexError, RecursionError):
        raise RunError(f"the value of {name!r} is not JSON, so that there is no {pointer} in it") from None
    if pointer not in found:
        known = [key for key in found if key]
        listed = ", ".join(known[:SHOWN]) + (", …" if len(known) > SHOWN else "")
        raise RunError(f"there is no {pointer} in the value of {name!r}, only: {listed or 'the value itself'}")
    return found[pointer]


def places(text: str) -> Iterator[tuple[str, Span]]:
    """The JSON pointer of each value in a JSON text, and its characters.

    >>> list(places('{"a": [7]}'))
    [('', (0, 10)), ('/a', (6, 9)), ('/a/0', (7, 8))]
    """
    json.loads(text)
    found, _ = _value(text, _past(text, 0), "")
    yield from found


Found = tuple[list[tuple[str, Span]], int]


def _value(text: str, at: int, pointer: str) -> Found:
    if text[at] not in "{[":
        _, end = SCALAR(text, at)
        return [(pointer, (at, end))], end
    begin, inner, count, at = at, list[tuple[str, Span]](), 0, _past(text, at + 1)
    close = "}" if text[begin] == "{" else "]"
    while text[at] != close:
        at = _past(text, at + (text[at] == ","))
        key: Any = count
        if close == "}":
            key, at = SCALAR(text, at)
            at = _past(text, _past(text, at) + 1)  # the colon
        found, at = _value(text, at, f"{pointer}/{str(key).replace('~', '~0').replace('/', '~1')}")
        inner, count, at = inner + found, count + 1, _past(text, at)
    return [(pointer, (begin, at + 1)), *inner], at + 1


def _past(text: str, at: int) -> int:
    found = SPACE.match(text, at)
    return found.end() if found else at
