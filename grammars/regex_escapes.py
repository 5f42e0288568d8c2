"""The lexical half of the regex parser: a cursor, escapes and character classes."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from . import unicode_sets as u
from .errors import InvalidConstraint, UnsupportedConstraint

if TYPE_CHECKING:
    from .regex_parse import Flags

_CONTROLS = {"n": 10, "r": 13, "t": 9, "f": 12, "v": 11}
_PYTHON_CONTROLS = {**_CONTROLS, "a": 7}
_NAMED = tuple("\\" + letter for letter in "wdsWDS")
_HEX = "0123456789abcdefABCDEF"
_ECMA_ASCII = {"w": u.WORD, "d": u.DIGIT, "s": u.ECMA_SPACE}
_PYTHON_ASCII = {"w": u.WORD, "d": u.DIGIT, "s": u.SPACE}


def shown(pattern: str) -> str:
    return repr(pattern if len(pattern) <= 60 else pattern[:59] + "…")


class Escapes:
    def __init__(self, text: str, dialect: str) -> None:
        if dialect not in ("python", "ecma"):
            raise InvalidConstraint(f"the regex dialect is 'python' or 'ecma', not {dialect!r}")
        self.text, self.ecma, self.at = text, dialect == "ecma", 0
        self.names: set[str] = set()

    # -- cursor

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def take(self, literal: str) -> bool:
        found = self.text.startswith(literal, self.at)
        self.at += len(literal) if found else 0
        return found

    def take_while(self, letters: str, most: int = 1 << 30) -> str:
        start = self.at
        while self.at < len(self.text) and self.at - start < most and self.text[self.at] in letters:
            self.at += 1
        return self.text[start : self.at]

    def broken(self, message: str, position: int | None = None) -> InvalidConstraint:
        return InvalidConstraint(f"broken regex {shown(self.text)}: {message}", self.where(position))

    def unsupported(self, message: str, position: int | None = None) -> UnsupportedConstraint:
        return UnsupportedConstraint(f"regex {shown(self.text)}: {message}", self.where(position))

    def where(self, position: int | None) -> str:
        return f"position {self.at if position is None else position}"

    # -- escapes (the cursor is behind the backslash)

    def escaped_set(self, flags: Flags, start: int) -> u.Ranges:
        """A class such as `\\d`, or the code point of any other escape; case is ignored in none but classes of ECMA."""
        letter = self.peek()
        if not letter:
            raise self.broken("the pattern ends in a backslash", start)
        if letter in "wdsWDS":
            self.at += 1
            ranges = self.named_class(letter.lower(), flags)
            return ranges if letter.islower() else u.invert(ranges)
        if letter in "pP" and self.text[self.at + 1 : self.at + 2] == "{":
            return self.property(start)
        code = self.escaped_code(start)
        return ((code, code),)

    def named_class(self, letter: str, flags: Flags) -> u.Ranges:
        if self.ecma:
            return self.cased(_ECMA_ASCII[letter], flags)
        return _PYTHON_ASCII[letter] if flags.a else u.python_class(letter)

    def cased(self, ranges: u.Ranges, flags: Flags) -> u.Ranges:
        if not flags.i:
            return ranges
        return u.ignore_case_ecma(ranges) if self.ecma else u.ignore_case(ranges, flags.a)

    def property(self, start: int) -> u.Ranges:
        negative = self.text[self.at] == "P"
        end = self.text.find("}", self.at)
        name = self.text[self.at + 2 : end] if end >= 0 else ""
        found = u.category(name)
        if found is None:
            raise self.unsupported(f"the property {name!r} is not known: general categories are", start)
        self.at = end + 1
        return u.invert(found) if negative else found

    def escaped_code(self, start: int) -> int:
        letter = self.text[self.at]
        self.at += 1
        controls = _CONTROLS if self.ecma else _PYTHON_CONTROLS
        if letter in controls:
            return controls[letter]
        if letter in "xuU" and not (letter == "U" and self.ecma):
            return self.hex_escape(letter, start)
        if letter in "01234567":
            return self.octal(letter, start)
        if self.ecma and letter == "c" and self.peek().isascii() and self.peek().isalpha():
            self.at += 1
            return ord(self.text[self.at - 1]) % 32
        if not self.ecma and letter == "N" and self.take("{"):
            return self.named_code(start)
        if letter.isascii() and letter.isalnum():
            raise self.broken(f"bad escape \\{letter}", start)
        return ord(letter)

    def hex_escape(self, letter: str, start: int) -> int:
        if self.ecma and letter == "u" and self.take("{"):
            digits = self.take_while(_HEX)
            if not digits or not self.take("}"):
                raise self.broken("incomplete escape \\u{", start)
            code = int(digits, 16)
        else:
            size = {"x": 2, "u": 4, "U": 8}[letter]
            digits = self.take_while(_HEX, size)
            if len(digits) < size:
                raise self.broken(f"incomplete escape \\{letter}{digits}", start)
            code = self.with_low_surrogate(int(digits, 16))
        if code > u.LAST:
            raise self.broken("the escape is beyond U+10FFFF", start)
        return code

    def with_low_surrogate(self, code: int) -> int:
        back = self.at
        if self.ecma and 0xD800 <= code < 0xDC00 and self.take("\\u"):
            digits = self.take_while(_HEX, 4)
            low = int(digits, 16) if len(digits) == 4 else 0
            if 0xDC00 <= low < 0xE000:
                return 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)
            self.at = back
        return code

    def octal(self, first: str, start: int) -> int:
        if self.ecma:
            if first != "0" or self.peek().isdigit():
                raise self.broken("octal escapes are not allowed", start)
            return 0
        digits = first + self.take_while("01234567", 2)
        if int(digits, 8) > 0o377:
            raise self.broken("octal escape beyond 0o377", start)
        return int(digits, 8)

    def named_code(self, start: int) -> int:
        end = self.text.find("}", self.at)
        name = self.text[self.at : end] if end >= 0 else ""
        try:
            code = ord(unicodedata.lookup(name))
        except (KeyError, TypeError):
            raise self.broken(f"undefined character name {name!r}", start) from None
        self.at = end + 1
        return code

    # -- classes (the cursor is behind the opening bracket)

    def char_class(self, flags: Flags) -> u.Ranges:
        start = self.at - 1
        negative = self.take("^")
        first = self.at
        parts: list[u.Ranges] = []
        named: list[u.Ranges] = []
        while not ((self.ecma or self.at != first) and self.take("]")):  # Python: a leading bracket is itself
            if self.at >= len(self.text):
                raise self.broken("unterminated character set", start)
            kind = named if self.text.startswith(_NAMED, self.at) else parts
            kind.append(self.class_item(flags))
        ranges = u.union(self.cased(u.union(*parts), flags), *named)
        return u.invert(ranges) if negative else ranges

    def class_item(self, flags: Flags) -> u.Ranges:
        start = self.at
        low = self.class_atom(flags)
        if self.peek() != "-" or self.text[self.at + 1 : self.at + 2] in ("]", ""):
            return low
        self.at += 1
        high = self.class_atom(flags)
        if len(low) != 1 or len(high) != 1 or low[0][0] != low[0][1] or high[0][0] != high[0][1]:
            if self.ecma:  # as in annex B: a class beside a hyphen makes the hyphen a literal
                return u.union(low, high, ((45, 45),))
            raise self.broken(f"bad character range {self.text[start : self.at]}", start)
        if low[0][0] > high[0][0]:
            raise self.broken(f"bad character range {self.text[start : self.at]}", start)
        return ((low[0][0], high[0][0]),)

    def class_atom(self, flags: Flags) -> u.Ranges:
        start = self.at
        if not self.take("\\"):
            if self.at >= len(self.text):
                raise self.broken("unterminated character set", start)
            self.at += 1
            return ((ord(self.text[start]), ord(self.text[start])),)
        if self.take("b"):
            return ((8, 8),)
        return self.escaped_set(flags, start)
