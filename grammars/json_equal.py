"""JSON values as they are equal, whatever their spelling: keys of values, and all texts of the values of a key.

A value is a nested tuple: ("n", negative, digits, exponent) for numbers, ("s", text), ("l", *items), ("o", frozenset
of (name, value)), ("true",) and so on.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from .expr import EMPTY, EPS, Expr, Lazy, alt, both, chars, concat, options, repeat, text
from .json_numbers import LEAST_EXPONENT, MANTISSA_DIGITS, MOST_EXPONENT

if TYPE_CHECKING:
    from .json_values import Values

Value = tuple[Any, ...]


def read(data: bytes) -> Value:
    """The value of a JSON text; of members with the same name the last one counts."""
    return key_of(json.loads(data, parse_int=Decimal, parse_float=Decimal))


def key_of(value: Any) -> Value:
    match value:
        case None | bool():
            return (json.dumps(value),)
        case str():
            return ("s", value)
        case list():
            return ("l", *map(key_of, value))
        case dict():
            return ("o", frozenset([(name, key_of(v)) for name, v in value.items()]))
    negative, digits, exponent = value.as_tuple()
    written = "".join(map(str, digits)).lstrip("0")
    return ("n", bool(negative and written), written.rstrip("0"), exponent + len(written) - len(written.rstrip("0")))


class Equal:
    """All texts, in a style, of given values; more spellings of numbers than the style has."""

    def __init__(self, values: Values) -> None:
        self.values, self.style = values, values.style
        self._lists: dict[tuple[frozenset[Value], frozenset[str]], Expr] = {}
        self._known: dict[tuple[Value, frozenset[str]], Expr] = {}

    def any_of(self, values: frozenset[Value], once: frozenset[str]) -> Expr:
        """once: names that no object has twice."""
        found = self._lists.get((values, once))
        if found is None:
            found = self._lists[values, once] = self._any_of(values, once)
        return found

    def _any_of(self, values: Iterable[Value], once: frozenset[str]) -> Expr:
        strings = sorted([value[1] for value in values if value[0] == "s"])
        others = [self.expr(value, once) for value in values if value[0] != "s"]
        return alt(*others, self.string(strings)) if strings else alt(*others)

    def expr(self, value: Value, once: frozenset[str] = frozenset()) -> Expr:
        found = self._known.get((value, once))
        if found is None:
            found = self._known[value, once] = self._new(value, once)
        return found

    def _new(self, value: Value, once: frozenset[str]) -> Expr:
        kind, *parts = value
        match kind:
            case "n":
                return number(*parts)
            case "s":
                return self.string(parts)
            case "l":
                return self.listed("[", [self.expr(part) for part in parts], "]")
            case "o":
                return self.members(dict(parts[0]), once)
        return text(kind)

    def string(self, words: list[str]) -> Expr:
        return self.style.string(self.values.strings.options(words))

    def listed(self, opening: str, parts: list[Expr], closing: str) -> Expr:
        joined = [x for part in parts for x in (self.style.comma, part)][1:]
        inner = self.style.inner
        return concat(text(opening), inner, *joined, *([inner] if parts else []), text(closing))

    def members(self, members: dict[str, Value], once: frozenset[str]) -> Expr:
        """The last value of each name is the right one."""
        if not members:
            return self.listed("{", [], "}")
        return both(*[self._ends_with(members, name, once) for name in members])

    def _ends_with(self, members: dict[str, Value], name: str, once: frozenset[str]) -> Expr:
        anything = self.values.expr(self.values.forms.anything)
        pairs = {n: self._pair(n, self.expr(value) if n in once else anything) for n, value in members.items()}
        before = repeat(concat(alt(*pairs.values()), self.style.comma), 0)
        del pairs[name]
        after = repeat(concat(self.style.comma, alt(*pairs.values())), 0)
        return self.listed("{", [concat(before, self._pair(name, self.expr(members[name])), after)], "}")

    def _pair(self, name: str, value: Expr) -> Expr:
        return concat(self.string([name]), self.style.colon, value)


_ZEROS = repeat(text("0"), 0)
_FRACTION = repeat(concat(text("."), repeat(text("0"), 1)), 0, 1)
_E = chars([(69, 69), (101, 101)])


def number(negative: bool, digits: str, exponent: int) -> Expr:
    """`digits` * 10 ** `exponent`, in all spellings that have exponents as in json_numbers.py."""
    if not digits:
        power = concat(_E, repeat(options("+-"), 0, 1), repeat(chars([(48, 57)]), 1))
        return concat(repeat(text("-"), 0, 1), text("0"), _FRACTION, repeat(power, 0, 1))
    decade = len(digits) + exponent - 1
    wide = [
        concat(_shifted(digits, places - 1), _power(decade - places + 1)) for places in range(1, MANTISSA_DIGITS + 1)
    ]
    small = concat(text("0."), _below_one(digits, decade + 1))
    return concat(text("-") if negative else EPS, alt(_shifted(digits, decade), *wide, small))


def _shifted(digits: str, decade: int) -> Expr:
    """0.ddd or d.ddd or ddd000, with the first of the digits at 10 ** decade."""
    if decade < 0:
        return concat(text("0." + "0" * (-decade - 1) + digits), _ZEROS)
    whole, rest = digits[: decade + 1].ljust(decade + 1, "0"), digits[decade + 1 :]
    return concat(text(f"{whole}.{rest}"), _ZEROS) if rest else concat(text(whole), _FRACTION)


def _below_one(digits: str, power: int) -> Expr:
    """The digits with any number of zeros before them; `power`: the exponent that makes up for the point."""
    here = concat(text(digits), _ZEROS, _power(power)) if power >= LEAST_EXPONENT else EMPTY
    if power >= MOST_EXPONENT:
        return here
    more = concat(
        text("0"), Lazy("zeros", concat(text(digits), _power(power + 1)), lambda: _below_one(digits, power + 1))
    )
    return alt(here, more)


def _power(exponent: int) -> Expr:
    zeros = concat(repeat(text("0"), 0, 2), text(str(abs(exponent))))
    signs = [text("-")] if exponent < 0 else [EPS, text("+"), *([text("-")] if exponent == 0 else [])]
    return concat(_E, alt(*signs), zeros)
