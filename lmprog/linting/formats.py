"""Formats of a prompt that mean the same, and a program in another format.

The idea is from Sclar et al. 2024, "Quantifying Language Models' Sensitivity to Spurious Features in Prompt Design": a
grammar of separators, casings, spacings and enumerators, every text of which asks the same. Here a format is a change
of the text that a program itself writes, made while it runs, so that it works on any program and template. What is
changed is what begins a line: a field's label ("Topic: "), an enumerator ("1. ") or a bullet ("- "). Arguments stay as
they are, and so does what the model writes.
"""

from __future__ import annotations

import copy
import functools
import random
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import product
from typing import Any, TypeVar

from ..holes import Hole, text_of
from ..plan import Role
from ..programs import Program
from ..prompt import Prompt, finish
from ..slots import SlotText
from .survey import Step, surveys

LABEL = re.compile(r"^([A-Z][A-Za-z0-9 _/'-]{0,39}):(?!//)([ \t]*)(?=(\n)?)", re.MULTILINE)
NUMBER = re.compile(r"^([0-9]{1,2}|[A-Za-z])[.)] ", re.MULTILINE)
BULLET = re.compile(r"^[-*•] ", re.MULTILINE)
LINE = re.compile(rf"{LABEL.pattern}|{NUMBER.pattern}|{BULLET.pattern}", re.MULTILINE)
CASES: dict[str, Callable[[str], str]] = {
    "": str,
    "upper": str.upper,
    "lower": str.lower,
    "title": str.title,
}
SEPARATORS = ("", ": ", ":", " : ", ":\n", ":\t", " - ", " = ", " -> ")
BEFORE = ("", "\n", "- ", "## ")
NUMBERS = ("", "{}. ", "{}) ", "({}) ", "[{}] ", "{}: ")
BULLETS = ("", "- ", "* ", "• ")
SURVEYED = 20  # rows whose texts say what there is to be changed

A = TypeVar("A")
T = TypeVar("T")


@dataclass(frozen=True)
class Format:
    """How the lines of a prompt begin; "" leaves a thing as it is.

    separator   between a field's label and its value: ": ", " - ", ":\\n", ...
    case        of labels: "upper", "lower", "title"
    before      what stands before a label: "\\n" (an empty line), "- ", "## "
    number      how lines of a list are numbered, where they are: "{}) "
    bullet      how they begin, where they begin with a bullet: "* "
    """

    separator: str = ""
    case: str = ""
    before: str = ""
    number: str = ""
    bullet: str = ""

    def __str__(self) -> str:
        said = [f"{f.name} {value!r}" for f in fields(self) if (value := getattr(self, f.name))]
        return ", ".join(said) or "as it is"

    def apply(self, text: str, labels: frozenset[str], *, begins: bool = True, first: bool = True) -> str:
        """The text in this format. `begins`: it stands at the beginning of a line, `first`: of the whole text."""
        padded = text if begins else f"\0{text}"

        def change(found: re.Match[str]) -> str:
            if found[4] is not None:
                return self.number.format(found[4]) if self.number else found[0]
            if found[1] is None:
                return self.bullet or found[0]
            return self._label(found, first and not found.start()) if found[1] in labels else found[0]

        return LINE.sub(change, padded).removeprefix("" if begins else "\0")

    def _label(self, found: re.Match[str], first: bool) -> str:
        separator = self.separator or f":{found[2]}"
        if found[3] is not None and self.separator:  # its value begins in the next line
            separator = self.separator.rstrip() or ":"
        before = "" if first and self.before == "\n" else self.before
        return before + CASES[self.case](found[1]) + separator


# -- a program in a format -----------------------------------------------------------------------------------------


class Styled(Prompt):
    """A prompt that writes in a format. `kept`: texts that stay as they are."""

    __slots__ = ("_begins", "_first", "_format", "_kept", "_labels")

    def __init__(self, p: Prompt, format: Format, labels: frozenset[str], kept: Sequence[str]) -> None:
        super().__init__(p._session)
        self._format, self._labels, self._kept = format, labels, kept
        self._begins = self._first = True

    def __call__(self, *parts: object) -> Any:
        return super().__call__(
            *[part if isinstance(part, Hole) else self._styled(part) for part in self._noted(parts)]
        )

    def _noted(self, parts: Sequence[object]) -> Iterator[object]:
        for part in parts:
            yield part
            if isinstance(part, Hole):
                self._begins = self._first = False

    def _role(self, role: str, name: str | None = None) -> Any:
        self._begins = self._first = True
        return super()._role(role, name)

    def fork(self, function: Callable[[Prompt, A], T], args: Iterable[A], **options: Any) -> Any:
        def styled(p: Prompt, arg: A) -> T:
            return function(Styled(p, self._format, self._labels, self._kept), arg)

        return super().fork(styled, args, **options)

    def _styled(self, part: object) -> str:
        text, done = text_of(part), ""
        for piece, kept in _split(text, self._kept):
            done += piece if kept else self._format.apply(piece, self._labels, begins=self._begins, first=self._first)
            if piece:
                self._begins, self._first = piece.endswith("\n"), False
        return SlotText(done, part.slot) if isinstance(part, SlotText) else done


def styled(program: Program[..., Any], format: Format, labels: frozenset[str]) -> Program[..., Any]:
    """The program in another format."""
    function = program.function

    @functools.wraps(function)
    def body(p: Prompt, *args: Any, **kwargs: Any) -> Any:
        own = Styled(p, format, labels, _kept([*args, *kwargs.values()]))
        try:
            return function(own, *args, **kwargs)
        finally:
            finish(own)

    changed = copy.copy(program)
    changed.function = body
    return changed


def _kept(values: Iterable[Any]) -> list[str]:
    """The texts in arguments that a format would change, the longest first."""
    found = {text for value in values for text in _texts(value) if LINE.search(text)}
    return sorted(found, key=len, reverse=True)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list | tuple | set):
        for inner in value:
            yield from _texts(inner)


def _split(text: str, kept: Sequence[str]) -> list[tuple[str, bool]]:
    """The text in pieces, those that are `kept` marked."""
    pieces = [(text, False)]
    for value in kept:
        pieces = [part for piece, done in pieces for part in ([(piece, True)] if done else _around(piece, value))]
    return pieces


def _around(text: str, value: str) -> list[tuple[str, bool]]:
    parts = text.split(value)
    marked = [piece for part in parts for piece in ((part, False), (value, True))][:-1]
    return [piece for piece in marked if piece[0]]


# -- the formats of a program --------------------------------------------------------------------------------------


def formats(
    program: Program[..., Any], rows: Sequence[Mapping[str, Any]], most: int, seed: int
) -> tuple[list[Format], frozenset[str]]:
    """The format as it is and up to `most` - 1 others, all different on the program's text, drawn at random; and the
    labels that they change: those that the program writes for all rows."""
    texts = [_written(surveys(program, row, 1)[0].steps, row) for row in rows[:SURVEYED]]
    labels = frozenset(set.intersection(*[{found[1] for found in LABEL.finditer(text)} for text in texts]))
    text = texts[0]
    choices = [
        SEPARATORS if labels else ("",),
        [*CASES] if labels else ("",),
        BEFORE if labels else ("",),
        NUMBERS if NUMBER.search(text) else ("",),
        BULLETS if BULLET.search(text) else ("",),
    ]
    different = {text: Format()}
    for values in product(*choices):
        format = Format(*values)
        different.setdefault(format.apply(text, labels), format)
    others = [format for format in different.values() if format != Format()]
    if len(others) > most - 1:
        others = random.Random(seed).sample(others, most - 1)
    return [Format(), *others], labels


def _written(steps: Sequence[Step], row: Mapping[str, Any]) -> str:
    """What the program itself writes: without its arguments' lines, holes and messages marked."""
    text = ""
    for step in steps:
        if step.hole is not None:
            text += "\1"
        elif isinstance(step.item, Role):
            text += "\n"
        text += "".join(["\1" if kept else piece for piece, kept in _split(step.text or "", _kept(row.values()))])
    return text
