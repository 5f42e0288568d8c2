"""Regex text to nodes: a recursive descent parser of Python's and ECMA-262's dialects, with positions in its errors.

`interegular` and `sre_parse` were weighed: the first knows neither look-behind nor ECMA and no case folding beyond
ASCII; the second is private, Python's dialect only, and changes between versions.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

from . import unicode_sets as u
from .expr import MOST_REPEATS
from .regex_escapes import _NAMED, Escapes
from .regex_nodes import Alt, At, Boundary, Cat, Chars, Edge, Look, Node, Repeat

Dialect = Literal["python", "ecma"]

_PLAIN = re.compile("[A-Za-z0-9_ ,;:@/<>=!%&'\"~`-]{2,}")
_ON_EMPTY = re.search(r"\B", "") is not None  # since Python 3.14
_LOOKS = {"(?=": (True, False), "(?!": (True, True), "(?<=": (False, False), "(?<!": (False, True)}


@dataclass(frozen=True)
class Flags:
    """Inline flags in force: ignore case, multi-line, dot matches all, verbose, ASCII classes."""

    i: bool = False
    m: bool = False
    s: bool = False
    x: bool = False
    a: bool = False
    u: bool = False  # accepted, the default


def parse(pattern: str, dialect: Dialect = "python") -> Node:
    """Raises `InvalidConstraint` for a broken pattern, `UnsupportedConstraint` for what no automaton can do."""
    return Parser(pattern, dialect).parse()


class Parser(Escapes):
    """Reads `self.text` from `self.at`; flags are passed down, as they are scoped by groups."""

    def parse(self) -> Node:
        flags = self.global_flags() if not self.ecma else Flags()
        node = self.alternation(flags)
        if self.at < len(self.text):
            raise self.broken("unbalanced parenthesis")
        return node

    def global_flags(self) -> Flags:
        flags = Flags()
        while self.text.startswith("(?", self.at):
            start, self.at = self.at, self.at + 2
            letters = self.take_while("aimsxuL")
            if not letters or not self.take(")"):
                self.at = start
                break
            flags = self.with_flags(flags, letters, "", start)
        return flags

    def with_flags(self, flags: Flags, on: str, off: str, start: int) -> Flags:
        if "L" in on + off:
            raise self.broken("the locale flag is for bytes patterns", start)
        if set("aux") & set(off) - {"x"} or (set(on) & set(off)):
            raise self.broken("flags turned on and off at once, or 'a', 'u' turned off", start)
        flags = replace(flags, **dict.fromkeys(on, True), **dict.fromkeys(off, False))
        return replace(flags, a=False) if "u" in on else flags

    # -- structure

    def alternation(self, flags: Flags) -> Node:
        parts = [self.sequence(flags)]
        while self.take("|"):
            parts.append(self.sequence(flags))
        return parts[0] if len(parts) == 1 else Alt(tuple(parts))

    def sequence(self, flags: Flags) -> Node:
        parts: list[Node] = []
        while True:
            self.skip_space(flags)
            if self.at == len(self.text) or self.peek() in "|)":
                return parts[0] if len(parts) == 1 else Cat(tuple(parts))
            parts += self.plain_run(flags)
            start = self.at
            parts.append(self.quantified(self.atom(flags), flags, start))

    def plain_run(self, flags: Flags) -> list[Node]:
        """Characters that stand for themselves, but for the last of them, which may be repeated."""
        run = None if flags.i or flags.x else _PLAIN.match(self.text, self.at)
        if run is None:
            return []
        self.at = run.end() - 1
        return [_literal(char) for char in run[0][:-1]]

    def skip_space(self, flags: Flags) -> None:
        """Skip comment groups and, in verbose mode, space and comments."""
        while not self.ecma and self.at < len(self.text):
            start = self.at
            if self.take("(?#"):
                self.skip_past(")", start)
            elif flags.x and self.take("#"):
                end = self.text.find("\n", self.at)
                self.at = len(self.text) if end < 0 else end + 1
            elif flags.x and self.peek() in " \t\n\r\f\v":
                self.at += 1
            else:
                return

    def skip_past(self, mark: str, start: int) -> None:
        end = self.text.find(mark, self.at)
        if end < 0:
            raise self.broken("missing ), unterminated comment", start)
        self.at = end + 1

    def quantified(self, node: Node, flags: Flags, start: int) -> Node:
        self.skip_space(flags)
        bounds = self.bounds()
        if bounds is None:
            return node
        bare = self.text.startswith(("(?<=", "(?<!"), start) if self.ecma else False
        if bare or (isinstance(node, At | Boundary) and self.text[start] != "("):
            raise self.broken("nothing to repeat", start)
        if self.peek() == "+" and not self.ecma:
            raise self.unsupported("possessive repeats are not supported: use a plain one", self.at)
        self.take("?")  # lazy
        self.skip_space(flags)
        again = self.at
        if self.bounds() is not None:
            raise self.broken("multiple repeat", again)
        return Repeat(node, *bounds)

    def bounds(self) -> tuple[int, int | None] | None:
        """A quantifier's numbers, or None when there is no quantifier here."""
        simple = {"*": (0, None), "+": (1, None), "?": (0, 1)}.get(self.peek())
        if simple is not None:
            self.at += 1
            return simple
        start = self.at
        if not self.take("{") or self.peek() == "}":
            self.at = start
            return None
        low = self.take_while("0123456789")
        comma = self.take(",")
        high = self.take_while("0123456789") if comma else low
        if not self.take("}") or (not low and (self.ecma or not comma)):
            self.at = start
            return None
        least, most = int(low or 0), int(high) if high else None
        if max(least, most or 0) > MOST_REPEATS:
            raise self.broken("the repeat count is too large", start)
        if most is not None and most < least:
            raise self.broken("min repeat greater than max repeat", start)
        return least, most

    # -- atoms

    def atom(self, flags: Flags) -> Node:
        char = self.text[self.at]
        if char == "(":
            return self.group(flags)
        if char == "\\":
            return self.escape(flags)
        if char in "*+?" or (char == "{" and self.is_quantifier()):
            raise self.broken("nothing to repeat")
        self.at += 1
        match char:
            case ".":
                breaks = u.LINE_ENDS if self.ecma else u.NEWLINE
                return Chars(u.ALL if flags.s else u.invert(breaks))
            case "[":
                return Chars(self.char_class(flags))
            case "^":
                return At(Edge.LINE_START, self.breaks) if flags.m else At(Edge.START)
            case "$":
                if flags.m:
                    return At(Edge.LINE_END, self.breaks)
                return At(Edge.END if self.ecma else Edge.LAST_LINE_END)
            case _:
                return Chars(self.cased(((ord(char), ord(char)),), flags))

    def is_quantifier(self) -> bool:
        start = self.at
        found = self.bounds() is not None
        self.at = start
        return found

    @property
    def breaks(self) -> u.Ranges:
        return u.LINE_ENDS if self.ecma else u.NEWLINE

    def escape(self, flags: Flags) -> Node:
        edge = self.edge(flags)
        if edge is not None:
            return edge
        start, self.at = self.at, self.at + 1
        following = self.peek()
        if (following and following in "123456789") or (self.ecma and following == "k"):
            self.refuse_backreference(start)
        named = self.text.startswith(_NAMED, start)
        found = self.escaped_set(flags, start)
        return Chars(found if named else self.cased(found, flags))

    def edge(self, flags: Flags) -> Node | None:
        found: Node | None = None
        match self.text[self.at + 1 : self.at + 2]:
            case "b" | "B" as letter:
                found = Boundary(self.named_class("w", flags), negative=letter == "B", on_empty=self.ecma or _ON_EMPTY)
            case "A" if not self.ecma:
                found = At(Edge.START)
            case "Z" if not self.ecma:
                found = At(Edge.END)
        self.at += 2 if found else 0
        return found

    def refuse_backreference(self, start: int) -> None:
        digits = self.take_while("0123456789")
        if not self.ecma and len(digits) >= 3 and all(d in "01234567" for d in digits[:3]):
            self.at = start + 1  # an octal escape
            return
        raise self.unsupported("backreferences are not regular and cannot be enforced", start)

    # -- groups

    def group(self, flags: Flags) -> Node:
        start = self.at
        for opener, (ahead, negative) in _LOOKS.items():
            if self.take(opener):
                return Look(self.closed(flags, start), ahead, negative, start)
        self.at = start + 1
        if self.take("?"):
            flags = self.group_head(flags, start)
        return self.closed(flags, start)

    def group_head(self, flags: Flags, start: int) -> Flags:
        """What follows `(?`, up to where the group's pattern begins."""
        if self.take(":"):
            return flags
        if self.take("P=" if not self.ecma else "\0"):
            raise self.unsupported("backreferences are not regular and cannot be enforced", start)
        if self.take("<" if self.ecma else "P<"):
            self.group_name(start)
            return flags
        if self.take("(") or self.take(">"):
            raise self.unsupported("conditional and atomic groups are not supported", start)
        return self.scoped_flags(flags, start)

    def group_name(self, start: int) -> None:
        end = self.text.find(">", self.at)
        name = self.text[self.at : end] if end >= 0 else ""
        if not name.replace("$", "_").isidentifier():
            raise self.broken(f"bad group name {name!r}", start)
        if name in self.names:
            raise self.broken(f"the group name {name!r} is used twice", start)
        self.names.add(name)
        self.at = end + 1

    def scoped_flags(self, flags: Flags, start: int) -> Flags:
        letters = "ims" if self.ecma else "aimsxuL"
        on = self.take_while(letters)
        off = self.take_while(letters) if self.take("-") else ""
        if not (on or off) or not self.take(":"):
            message = "global flags are allowed at the start only" if on and self.peek() == ")" else "unknown group"
            raise self.broken(message, start)
        return self.with_flags(flags, on, off, start)

    def closed(self, flags: Flags, start: int) -> Node:
        node = self.alternation(flags)
        if not self.take(")"):
            raise self.broken("missing ), unterminated group", start)
        return node


@cache
def _literal(char: str) -> Node:
    return Chars(((ord(char), ord(char)),))
