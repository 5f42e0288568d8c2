"""The `str.is…` methods as conditions, from the running Python's own tables."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from functools import cache

from .expr import chars, concat, repeat
from .unicode_sets import Ranges, invert, union
from .where_machines import Condition, Fate, Machine, condition

ALL_AND_ONE = ("isalnum", "isalpha", "isdecimal", "isdigit", "isnumeric", "isspace")
ALL = ("isascii", "isprintable")
METHODS = (*ALL_AND_ONE, *ALL, "isidentifier", "islower", "istitle", "isupper")


@cache
def is_method(method: str) -> Condition:
    match method:
        case "isidentifier":
            more = _where(lambda c: ("a" + c).isidentifier())
            return condition(concat(chars(_alone(method)), repeat(chars(more), 0)))
        case "islower" | "isupper":
            return _one_case(method)
        case "istitle":
            cased = _alone("istitle"), _alone("islower")
            return Machine([*cased, invert(union(*cased))], (False, False), _title, lambda state: state[1]).condition()
    return condition(repeat(chars(_alone(method)), int(method in ALL_AND_ONE)))


@cache
def _alone(method: str) -> Ranges:
    """The code points of which the method is true by themselves."""
    return _where(getattr(str, method))


def _where(holds: Callable[[str], bool]) -> Ranges:
    flags = bytes(map(holds, map(chr, range(sys.maxunicode + 1))))
    return tuple((run.start(), run.end() - 1) for run in re.finditer(b"\1+", flags))


def _one_case(method: str) -> Condition:
    """At least one character of that case, none of another."""
    wanted, caseless = _alone(method), invert(union(_alone("islower"), _alone("isupper"), _alone("istitle")))
    rest = repeat(chars(union(wanted, caseless)), 0)
    return condition(concat(repeat(chars(caseless), 0), chars(wanted), rest))


def _title(state: tuple[bool, bool], c: str) -> tuple[bool, bool] | Fate:
    """(in a word, seen a word): words start with a capital, and only they."""
    inside, seen = state
    if c.istitle() or c.islower():
        return Fate.NOTHING if inside == c.istitle() else (True, True)
    return (False, seen)
