"""Parts of the value that a condition may speak of: `x[0]`, `x[2:]`, `x[-3:]`, `x.strip()`.

`lift` takes a condition on the part to the condition on the whole value (its preimage). A position that a text does
not have meets no condition, as `x[0] == "a"` is false for the empty text.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .derive import nullable
from .expr import ANY_CHAR, ANY_TEXT, EMPTY, EPS, Expr, alt, both, chars, concat, repeat
from .unicode_sets import invert, python_class
from .where_machines import Condition

Lift = Callable[[Condition], Condition]


@dataclass(frozen=True, slots=True)
class Subject:
    """`source`: how it is written, which also tells two subjects apart."""

    source: str
    lift: Lift


def whole(name: str) -> Subject:
    return Subject(name, lambda condition: condition)


def part(subject: Subject, source: str, preimage: Callable[[Expr], Expr]) -> Subject:
    """A part that every text has."""
    return Subject(source, lambda c: subject.lift(Condition(preimage(c.yes), preimage(c.no))))


def _exactly(count: int) -> Expr:
    return repeat(ANY_CHAR, count, count)


def _shorter(count: int) -> Expr:
    return repeat(ANY_CHAR, 0, count - 1) if count else EMPTY


def _if_empty(language: Expr, then: Expr) -> Expr:
    return then if nullable(language) else EMPTY


def without_first(count: int) -> Callable[[Expr], Expr]:
    return lambda e: alt(concat(_exactly(count), e), _if_empty(e, _shorter(count)))


def without_last(count: int) -> Callable[[Expr], Expr]:
    return lambda e: alt(concat(e, _exactly(count)), _if_empty(e, _shorter(count)))


def first(count: int) -> Callable[[Expr], Expr]:
    return lambda e: alt(both(e, _shorter(count)), concat(both(e, _exactly(count)), ANY_TEXT))


def last(count: int) -> Callable[[Expr], Expr]:
    return lambda e: alt(both(e, _shorter(count)), concat(ANY_TEXT, both(e, _exactly(count))))


def character(subject: Subject, source: str, index: int) -> Subject:
    before, after = (_exactly(index), ANY_TEXT) if index >= 0 else (ANY_TEXT, _exactly(-index - 1))
    missing = _shorter(index + 1 if index >= 0 else -index)

    def there(e: Expr) -> Expr:
        return concat(before, both(e, ANY_CHAR), after)

    return Subject(source, lambda c: subject.lift(Condition(there(c.yes), alt(there(c.no), missing))))


def stripped(left: bool, right: bool) -> Callable[[Expr], Expr]:
    space = python_class("s")
    blank, letter = repeat(chars(space), 0), chars(invert(space))
    starts, ends = alt(EPS, concat(letter, ANY_TEXT)), alt(EPS, concat(ANY_TEXT, letter))

    def preimage(e: Expr) -> Expr:
        trimmed = both(e, *[starts] * left, *[ends] * right)
        return concat(blank if left else EPS, trimmed, blank if right else EPS)

    return preimage
