"""GBNF text to a tree: a recursive descent parser with lines and columns in its errors."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .errors import InvalidConstraint, UnsupportedConstraint
from .expr import MOST_REPEATS
from .source_place import line_and_column, with_caret
from .unicode_sets import ALL, Ranges, invert, union

DEEPEST = 500  # groups inside each other

_SPACE = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_NAME = re.compile(r"[\w-][\w.-]*", re.ASCII)
_HEAD = re.compile(r"([\w-][\w.-]*)(?:[ \t\r\n]|#[^\n]*)*::=", re.ASCII)
_BOUNDS = re.compile(r"\{\s*(\d*)\s*(?:(,)\s*(\d*)\s*)?\}")
_SIMPLE = {"*": (0, None), "+": (1, None), "?": (0, 1)}
_ESCAPES = {"t": "\t", "r": "\r", "n": "\n", "f": "\f", "v": "\v", "a": "\a", "b": "\b", "0": "\0", "e": "\x1b"}
_DIGITS = {"x": 2, "u": 4, "U": 8}


@dataclass(frozen=True, slots=True)
class Text:
    value: str


@dataclass(frozen=True, slots=True)
class Chars:
    """One code point of a set."""

    ranges: Ranges


@dataclass(frozen=True, slots=True)
class Name:
    value: str
    at: int  # position in the source


@dataclass(frozen=True, slots=True)
class Seq:
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Alt:
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    body: Node
    low: int
    high: int | None


Node = Text | Chars | Name | Seq | Alt | Repeat


class Parser:
    """`rules` after `parse()`: the tree of each rule, and where it is defined."""

    def __init__(self, source: str) -> None:
        self.text, self.at, self.depth = source, 0, 0
        self.rules: dict[str, Node] = {}

    def parse(self) -> dict[str, Node]:
        self.skip()
        while self.at < len(self.text):
            head = _HEAD.match(self.text, self.at)
            if head is None:
                raise self.broken("expected a rule, that is a name and '::='")
            if head[1] in self.rules:
                raise self.broken(f"the rule {head[1]!r} is defined twice")
            self.at = head.end()
            self.rules[head[1]] = self.alternatives()
            self.skip()
        return self.rules

    # -- structure

    def alternatives(self) -> Node:
        parts = [self.sequence()]
        while self.take("|"):
            parts.append(self.sequence())
        return parts[0] if len(parts) == 1 else Alt(tuple(parts))

    def sequence(self) -> Node:
        parts: list[Node] = []
        self.skip()
        while self.at < len(self.text) and self.text[self.at] not in "|)" and not _HEAD.match(self.text, self.at):
            parts.append(self.repeated(self.item()))
        return parts[0] if len(parts) == 1 else Seq(tuple(parts))

    def repeated(self, node: Node) -> Node:
        self.skip()
        while (bounds := self.bounds()) is not None:
            node = Repeat(node, *bounds)
            self.skip()
        return node

    def bounds(self) -> tuple[int, int | None] | None:
        if self.peek() in _SIMPLE and self.peek():
            self.at += 1
            return _SIMPLE[self.text[self.at - 1]]
        if self.peek() != "{":
            return None
        found = _BOUNDS.match(self.text, self.at)
        if found is None or not (found[1] or found[3]):
            raise self.broken("a repeat is written {m}, {m,}, {m,n} or {,n}")
        low = int(found[1] or 0)
        high = low if not found[2] else int(found[3]) if found[3] else None
        if max(low, high or 0) > MOST_REPEATS or (high is not None and high < low):
            raise self.broken("the bounds of the repeat are too large or the wrong way round")
        self.at = found.end()
        return low, high

    def item(self) -> Node:
        char = self.peek()
        if char == '"':
            return Text(self.literal())
        if char == "[":
            return Chars(self.char_class())
        if self.take("."):
            return Chars(ALL)
        if char == "(":
            return self.group()
        if char and char in "<!":
            raise self.unsupported("tokens in a grammar (<...>) depend on one vocabulary: write their text")
        name = _NAME.match(self.text, self.at)
        if name is None:
            raise self.broken(f"unexpected {char!r}")
        if self.text.startswith("(", name.end()) and name[0] in (
            "TagDispatch",
            "Token",
            "ExcludeToken",
            "TokenTagDispatch",
        ):
            raise self.unsupported(f"{name[0]}(...) is not supported")
        self.at = name.end()
        return Name(name[0], name.start())

    def group(self) -> Node:
        start, self.at = self.at, self.at + 1
        if self.peek() == "=":
            raise self.unsupported("look-ahead assertions (= ...) are not supported", start)
        self.depth += 1
        if self.depth > DEEPEST:
            raise self.unsupported(f"more than {DEEPEST} groups inside each other are not supported", start)
        body = self.alternatives()
        self.depth -= 1
        if not self.take(")"):
            raise self.broken("this parenthesis is never closed", start)
        return body

    # -- characters

    def literal(self) -> str:
        start, self.at = self.at, self.at + 1
        out = []
        while not self.take('"'):
            if self.peek() in ("", "\n"):
                raise self.broken("this string is never closed", start)
            out.append(self.char())
        return "".join(out)

    def char_class(self) -> Ranges:
        start, self.at = self.at, self.at + 1
        negative = self.take("^")
        ranges: list[tuple[int, int]] = []
        while not self.take("]"):
            if not self.peek():
                raise self.broken("this character class is never closed", start)
            here = self.at
            low = high = ord(self.char())
            if self.peek() == "-" and self.text[self.at + 1 : self.at + 2] not in ("]", ""):
                self.at += 1
                high = ord(self.char())
            if high < low:
                raise self.broken("the range is the wrong way round", here)
            ranges.append((low, high))
        found = union(ranges)
        return invert(found) if negative else found

    def char(self) -> str:
        char = self.text[self.at]
        self.at += 1
        if char != "\\":
            return char
        kind = self.peek()
        self.at += 1
        if kind in _DIGITS:
            return self.code_point(_DIGITS[kind])
        if not kind or (kind.isalnum() and kind not in _ESCAPES):
            raise self.broken(f"unknown escape \\{kind}", self.at - 2)
        return _ESCAPES.get(kind, kind)

    def code_point(self, size: int) -> str:
        digits = self.text[self.at : self.at + size]
        if not re.fullmatch(f"[0-9a-fA-F]{{{size}}}", digits) or int(digits, 16) > 0x10FFFF:
            raise self.broken(f"expected {size} hexadecimal digits of a code point")
        self.at += size
        return chr(int(digits, 16))

    # -- reading

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def take(self, mark: str) -> bool:
        found = self.text.startswith(mark, self.at)
        self.at += len(mark) if found else 0
        return found

    def skip(self) -> None:
        found = _SPACE.match(self.text, self.at)
        self.at = found.end() if found else self.at

    def broken(self, message: str, at: int | None = None) -> InvalidConstraint:
        at = self.at if at is None else at
        return InvalidConstraint(with_caret(message, self.text, at), line_and_column(self.text, at))

    def unsupported(self, message: str, at: int | None = None) -> UnsupportedConstraint:
        at = self.at if at is None else at
        return UnsupportedConstraint(with_caret(message, self.text, at), line_and_column(self.text, at))
