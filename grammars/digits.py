"""Decimal numerals within bounds, as expressions: the arithmetic behind `minimum`, `maximum` and `multipleOf`."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from .derive import solve
from .errors import UnsupportedConstraint
from .expr import EMPTY, EPS, Expr, Ref, alt, chars, concat, ref, repeat, text

DIGIT = chars([(48, 57)])
DIGITS = repeat(DIGIT, 1)
ZEROS = repeat(text("0"), 0)
MOST_REMAINDERS = 20_000


@dataclass(frozen=True, slots=True)
class Interval:
    """Real numbers from `low` to `high` (None: unbounded), the ends left out where `open`."""

    low: Fraction | None = None
    low_open: bool = False
    high: Fraction | None = None
    high_open: bool = False

    def empty(self) -> bool:
        if self.low is None or self.high is None:
            return False
        return self.low > self.high or (self.low == self.high and (self.low_open or self.high_open))

    def __contains__(self, number: Fraction) -> bool:
        above = self.low is None or number > self.low or (number == self.low and not self.low_open)
        below = self.high is None or number < self.high or (number == self.high and not self.high_open)
        return above and below

    def meet(self, other: Interval) -> Interval:
        lows = [(i.low, i.low_open) for i in (self, other) if i.low is not None]
        highs = [(-i.high, i.high_open) for i in (self, other) if i.high is not None]
        low, low_open = max(lows, default=(None, False))
        high, high_open = max(highs, default=(None, False))
        return Interval(low, low_open, None if high is None else -high, high_open)

    def mirrored(self) -> Interval:
        low, high = (None if end is None else -end for end in (self.high, self.low))
        return Interval(low, self.high_open, high, self.low_open)


def digit(low: int, high: int) -> Expr:
    return chars([(48 + low, 48 + high)]) if low <= high else EMPTY


def any_digits(count: int) -> Expr:
    return repeat(DIGIT, count, count)


# -- whole numbers


def whole(low: int, high: int | None) -> Expr:
    """The numerals, without leading zeros, of the whole numbers from `low` >= 0 to `high` (None: unbounded)."""
    if high is not None and low > high:
        return EMPTY
    size = len(str(low))
    if high is None:
        longer = concat(digit(1, 9), repeat(DIGIT, size))
        return alt(_same_length(str(low), "9" * size), longer)
    if size == len(str(high)):
        return _same_length(str(low), str(high))
    longest = len(str(high))
    between = concat(digit(1, 9), repeat(DIGIT, size, longest - 2)) if longest - size > 1 else EMPTY
    return alt(
        _same_length(str(low), "9" * size), between, _same_length("1" + "0" * (longest - 1), str(high))
    )  # fmt: skip


def _same_length(low: str, high: str) -> Expr:
    same = 0
    while same < len(low) and low[same] == high[same]:
        same += 1
    if same == len(low):
        return text(low)
    rest = len(low) - same - 1
    first, last = int(low[same]), int(high[same])
    parts = [
        concat(text(low[same]), _at_least(low[same + 1 :])),
        concat(digit(first + 1, last - 1), any_digits(rest)),
        concat(text(high[same]), _at_most(high[same + 1 :])),
    ]
    return concat(text(low[:same]), alt(*parts))


def _at_least(bound: str) -> Expr:
    """As many digits as `bound`, not below it."""
    tail = EPS
    for i, d in enumerate(reversed(bound)):
        tail = alt(concat(text(d), tail), concat(digit(int(d) + 1, 9), any_digits(i)))
    return tail


def _at_most(bound: str) -> Expr:
    tail = EPS
    for i, d in enumerate(reversed(bound)):
        tail = alt(concat(text(d), tail), concat(digit(0, int(d) - 1), any_digits(i)))
    return tail


# -- fractions: (whether no fraction at all is right, the right non-empty digit strings)

Digits = tuple[bool, Expr]
_ANY: Digits = (True, DIGITS)


def _then(first: Expr, rest: Digits) -> Expr:
    return concat(first, alt(EPS, rest[1]) if rest[0] else rest[1])


def _fraction(low: str, low_open: bool, high: str | None, high_open: bool) -> Digits:
    """Digit strings s with 0.low <= 0.s <= 0.high (None: below 1), the ends left out where open."""
    if high is None:
        return _fraction_above(low, low_open)
    if not low and not low_open:
        return _fraction_below(high, high_open)
    if not low and not high:
        return (False, EMPTY)
    first, last = (int(end[0]) if end else 0 for end in (low, high))
    if first == last:
        return (False, _then(digit(first, first), _fraction(low[1:], low_open, high[1:], high_open)))
    if first > last:
        return (False, EMPTY)
    parts = [
        _then(digit(first, first), _fraction_above(low[1:], low_open)),
        _then(digit(first + 1, last - 1), _ANY),
        _then(digit(last, last), _fraction_below(high[1:], high_open)),
    ]
    return (False, alt(*parts))


def _fraction_above(low: str, open_: bool) -> Digits:
    if not low:
        return (False, concat(ZEROS, digit(1, 9), repeat(DIGIT, 0))) if open_ else _ANY
    first = int(low[0])
    parts = [_then(digit(first, first), _fraction_above(low[1:], open_)), _then(digit(first + 1, 9), _ANY)]
    return (False, alt(*parts))


def _fraction_below(high: str, open_: bool) -> Digits:
    if not high:
        return (False, EMPTY) if open_ else (True, repeat(text("0"), 1))
    last = int(high[0])
    parts = [_then(digit(last, last), _fraction_below(high[1:], open_)), _then(digit(0, last - 1), _ANY)]
    return (True, alt(*parts))


def fraction_digits(number: Fraction) -> str:
    """The digits of a terminating decimal behind the point, without trailing zeros."""
    part, out = number - number.numerator // number.denominator, ""
    while part:
        part *= 10
        out += str(int(part))
        part -= int(part)
    return out


@lru_cache(maxsize=1024)
def decimals(bounds: Interval) -> Expr:
    """Decimals (a numeral, maybe a fraction) within `bounds`, whose `low` is not None and >= 0."""
    assert bounds.low is not None
    if bounds.empty():
        return EMPTY
    low = int(bounds.low)
    from_ = fraction_digits(bounds.low)
    if bounds.high is None:
        return alt(_decimal(whole(low, low), _fraction(from_, bounds.low_open, None, False)),
                   _decimal(whole(low + 1, None), _ANY))  # fmt: skip
    high, to = int(bounds.high), fraction_digits(bounds.high)
    if low == high:
        return _decimal(text(str(low)), _fraction(from_, bounds.low_open, to, bounds.high_open))
    return alt(
        _decimal(text(str(low)), _fraction(from_, bounds.low_open, None, False)),
        _decimal(whole(low + 1, high - 1), _ANY),
        _decimal(text(str(high)), _fraction("", False, to, bounds.high_open)),
    )


def _decimal(before: Expr, fraction: Digits) -> Expr:
    behind = concat(text("."), fraction[1])
    return concat(before, alt(EPS, behind) if fraction[0] else behind)


# -- multiples


@lru_cache(maxsize=256)
def multiples(step: Fraction) -> Expr:
    """Decimals, zero included, that are multiples of `step`; leading zeros and trailing ones do not matter."""
    places = len(fraction_digits(step))
    scaled = int(step * 10**places)
    tail = 0
    while places == 0 and scaled % 10 == 0:
        scaled, tail = scaled // 10, tail + 1
    if scaled * (places + 2) > MOST_REMAINDERS:
        raise UnsupportedConstraint(f"multiples of {float(step):g} need more than {MOST_REMAINDERS} remainders")
    return _remainders(scaled, places, text("0" * tail))


def _remainders(modulus: int, places: int, tail: Expr) -> Expr:
    """Horner's scheme: a state is the remainder so far and, behind the point, the places read."""
    zeros = alt(EPS, concat(text("."), repeat(text("0"), 1)))
    if modulus == 1 and not places:
        return concat(DIGITS, tail, zeros)
    before = [ref(f"remainder {r}") for r in range(modulus)]
    behind = [[ref(f"remainder {r} after {p} places") for r in range(modulus)] for p in range(1, places + 1)]

    def step(states: list[Ref], r: int) -> Expr:
        return alt(*[concat(text(str(d)), states[(10 * r + d) % modulus]) for d in range(10)])

    for r in range(modulus):
        ends = r * 10**places % modulus == 0
        fraction = concat(text("."), step(behind[0], r)) if places else EMPTY
        finish = (concat(tail, zeros) if not places else EPS) if ends else EMPTY
        before[r].define(alt(step(before, r), fraction, finish))
        for p in range(1, places + 1):
            ends = r * 10 ** (places - p) % modulus == 0
            more = step(behind[p], r) if p < places else EMPTY
            finish = (ZEROS if p == places else EPS) if ends else EMPTY
            behind[p - 1][r].define(alt(more, finish))
    start = step(before, 0)
    solve(start)
    return start
