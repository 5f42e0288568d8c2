"""JSON numbers that meet numeric assertions, as text.

Values are exact decimals. Which spellings of a value are produced:

- plain decimals always, with any number of trailing zeros behind the point where a fraction may stand (a whole number
  may be written 5.0 in the flexible style only);
- with an exponent: any mantissa for bounds that only concern the sign, a normalised one (1.5e-07) otherwise; none
  together with `multipleOf`. Whole numbers take exponents that surely leave no fraction. With an exponent numbers end
  where binary doubles do.
- together with `multipleOf`, what has a point has 15 significant digits at most: a reader's double keeps those.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache, reduce
from math import floor, lcm

from .derive import minlen
from .digits import DIGIT, DIGITS, ZEROS, Interval, decimals, fraction_digits, multiples, whole
from .errors import UnsupportedConstraint
from .expr import EMPTY, EPS, INF, Expr, alt, both, chars, complement, concat, options, repeat, text
from .logic import Cube, Logic, Node

MOST_EXPONENT = 308
LEAST_EXPONENT = -323
LARGEST = Fraction(17976931348623157 * 10**292)  # the largest double, as `repr` writes it
MANTISSA_DIGITS = 16  # before the point, where the mantissa is not normalised
SAFE_PLACES = 17  # digits that `repr` of a double writes behind the point


@dataclass(frozen=True, slots=True)
class AtLeast:
    bound: Fraction


@dataclass(frozen=True, slots=True)
class Above:
    bound: Fraction


@dataclass(frozen=True, slots=True)
class MultipleOf:
    step: Fraction


@dataclass(frozen=True, slots=True)
class NumberIn:
    numbers: frozenset[Fraction]


@dataclass(frozen=True, slots=True)
class WrittenWhole:
    """Draft 4's `integer`: no point and no exponent, whatever the value."""


NumberAtom = AtLeast | Above | MultipleOf | NumberIn | WrittenWhole
INTEGER = MultipleOf(Fraction(1))
MOST_CASES = 4096
MANY = 1000  # numbers of a list, which are then written as plain decimals only


def number_expr(logic: Logic, node: Node, flexible: bool) -> Expr:
    """The texts of the numbers for which `node` holds; `EMPTY` when there are none."""
    cubes = logic.cover(node, MOST_CASES)
    if cubes is None:
        raise UnsupportedConstraint(f"the numeric assertions come down to more than {MOST_CASES} cases")
    found = alt(*[_case(frozenset(cube.items()), flexible) for cube in cubes])
    return found if minlen(found) < INF else EMPTY


@lru_cache(maxsize=256)
def _case(cube: frozenset[tuple[NumberAtom, bool]], flexible: bool) -> Expr:
    return _Case(dict(cube), flexible).expr()


class _Case:
    """One conjunction of assertions."""

    def __init__(self, cube: Cube, flexible: bool) -> None:
        self.flexible = flexible
        self.bounds = reduce(Interval.meet, [_interval(atom, value) for atom, value in cube.items()], Interval())
        steps = [atom.step for atom, value in cube.items() if isinstance(atom, MultipleOf) and value]
        self.step = reduce(_common_multiple, steps) if steps else None
        self.not_steps = [atom.step for atom, value in cube.items() if isinstance(atom, MultipleOf) and not value]
        sets = [atom.numbers for atom, value in cube.items() if isinstance(atom, NumberIn) and value]
        self.only = frozenset.intersection(*sets) if sets else None
        self.never = frozenset[Fraction]().union(
            *[atom.numbers for atom, value in cube.items() if isinstance(atom, NumberIn) and not value]
        )
        self.written_whole = cube.get(WrittenWhole())

    def expr(self) -> Expr:
        if self.only is not None:
            if len(self.only) > MANY:
                return self.listed([n for n in sorted(self.only) if self.allows(n)])
            return alt(*[self.within(Interval(n, False, n, False)) for n in sorted(self.only) if self.allows(n)])
        return alt(*[self.within(piece) for piece in _without(self.bounds, sorted(self.never))])

    def listed(self, numbers: list[Fraction]) -> Expr:
        """Plain decimals."""
        if self.written_whole is not None:
            numbers = [n for n in numbers if (n.denominator == 1) == self.written_whole]
        whole, others = ([numeral(n) for n in numbers if (n.denominator == 1) == side] for side in (True, False))
        zeros = repeat(_ZERO_FRACTION, 0, 1) if self.flexible and not self.written_whole else EPS
        return alt(concat(options(whole), zeros), options(others))

    def allows(self, n: Fraction) -> bool:
        return n in self.bounds and n not in self.never and self.divides(n)

    def divides(self, n: Fraction) -> bool:
        steps = [] if self.step is None else [self.step]
        return not any(n % step for step in steps) and all(n % step for step in self.not_steps)

    def within(self, bounds: Interval) -> Expr:
        if bounds.empty():
            return EMPTY
        if not self.flexible and bounds.low is not None and bounds.low == bounds.high:
            fits = self.written_whole in (None, bounds.low.denominator == 1)
            return text(numeral(bounds.low)) if fits and self.divides(bounds.low) else EMPTY
        found = alt(
            self.zero() if Fraction(0) in bounds and self.divides(Fraction(0)) else EMPTY,
            self.magnitudes(bounds.meet(_POSITIVE)),
            concat(text("-"), self.magnitudes(bounds.mirrored().meet(_POSITIVE))),
        )
        if self.written_whole is None:
            return found
        plain = concat(repeat(text("-"), 0, 1), DIGITS)
        return both(found, plain if self.written_whole else complement(plain))

    @property
    def whole(self) -> bool:
        """Whether the value is a whole number."""
        return bool(self.written_whole) or (self.step is not None and self.step.denominator == 1)

    def zero(self) -> Expr:
        if not self.flexible:
            return concat(text("0"), EPS if self.whole else repeat(_ZERO_FRACTION, 0, 1))
        exponent = concat(_E, repeat(chars([(43, 43), (45, 45)]), 0, 1), repeat(DIGIT, 1, 3))
        return concat(_MINUS, text("0"), repeat(_ZERO_FRACTION, 0, 1), repeat(exponent, 0, 1))

    def magnitudes(self, bounds: Interval) -> Expr:
        """Positive numbers, without a sign."""
        if bounds.empty():
            return EMPTY
        plain = self.plain(bounds)
        for step in [self.step] if self.step not in (None, 1) else []:
            plain = both(plain, multiples(step), _KEPT)
        for step in self.not_steps:
            plain = both(plain, complement(multiples(step)), _KEPT)
        return alt(plain, self.scientific(bounds))

    def plain(self, bounds: Interval) -> Expr:
        if not self.whole:
            return decimals(bounds)
        assert bounds.low is not None
        low = floor(bounds.low) + 1 if bounds.low_open else -floor(-bounds.low)
        high = (
            bounds.high if bounds.high is None else -floor(-bounds.high) - 1 if bounds.high_open else floor(bounds.high)
        )
        return concat(whole(low, high), repeat(_ZERO_FRACTION, 0, 1) if self.flexible else EPS)

    # -- exponents

    def scientific(self, bounds: Interval) -> Expr:
        if self.step not in (None, 1) or any(step != 1 for step in self.not_steps) or self.written_whole:
            return EMPTY
        if self.step == 1:
            return self.whole_scientific(bounds) if self.flexible else EMPTY
        if self.not_steps:  # below one, where nothing is whole
            return self.normalised(bounds.meet(Interval(Fraction(0), True, Fraction(1), True)))
        exponent = self.exponent(LEAST_EXPONENT, MOST_EXPONENT - MANTISSA_DIGITS)
        return alt(concat(_ANY_MANTISSA, exponent) if bounds == _POSITIVE else EMPTY, self.normalised(bounds))

    def normalised(self, bounds: Interval) -> Expr:
        """One digit from 1 to 9 before the point."""
        bounds = bounds.meet(_FINITE)
        if bounds.empty():
            return EMPTY
        first, last = self.exponents(bounds)
        ends = [e for e in {first, last} if LEAST_EXPONENT <= e <= MOST_EXPONENT]
        at_ends = [concat(decimals(_scaled(bounds, e).meet(_MANTISSA)), self.exponent(e, e)) for e in ends]
        return alt(concat(decimals(_MANTISSA), self.exponent(first + 1, last - 1)), *at_ends)

    def whole_scientific(self, bounds: Interval) -> Expr:
        """Fractions no longer than the exponent, in decades that lie within the bounds as a whole."""
        first, last = self.exponents(bounds.meet(_FINITE))
        low, high = max(first + 1, 0), last - 1
        parts = [concat(digit_1_9, self.exponent(low, high))]
        for e in range(max(low, 1), min(high, SAFE_PLACES) + 1):
            most = high if e == SAFE_PLACES else e
            fraction = concat(text("."), repeat(DIGIT, 1, e))
            parts.append(concat(digit_1_9, fraction, self.exponent(e, most)))
        if bounds.high is None:
            parts.append(concat(_LAST_MANTISSA, self.exponent(MOST_EXPONENT, MOST_EXPONENT)))
        return alt(*parts)

    def exponents(self, bounds: Interval) -> tuple[int, int]:
        """The decades of the ends; beyond the limit where there is no end."""
        first = _decade(bounds.low) if bounds.low else LEAST_EXPONENT - 1
        last = _decade(bounds.high) if bounds.high is not None else MOST_EXPONENT + 1
        return max(first, LEAST_EXPONENT - 1), min(last, MOST_EXPONENT + 1)

    def exponent(self, low: int, high: int) -> Expr:
        """The exponents from `low` to `high`, with their `e`."""
        if low > high:
            return EMPTY
        zeros = repeat(text("0"), 0, 2)
        plus = concat(repeat(text("+"), 0, 1), zeros, whole(max(low, 0), high)) if high >= 0 else EMPTY
        minus = concat(text("-"), zeros, whole(max(-high, 0), -low)) if low <= 0 else EMPTY
        return concat(_E if self.flexible else text("e"), alt(plus, minus))


digit_1_9 = chars([(49, 57)])
_POSITIVE = Interval(Fraction(0), True)
_FINITE = Interval(high=LARGEST)
_MANTISSA = Interval(Fraction(1), False, Fraction(10), True)
_FRACTION = repeat(concat(text("."), DIGITS), 0, 1)
_ANY_MANTISSA = alt(
    concat(digit_1_9, repeat(DIGIT, 0, MANTISSA_DIGITS - 1), _FRACTION),
    concat(text("0."), repeat(text("0"), 0), digit_1_9, repeat(DIGIT, 0)),
)
_LAST_MANTISSA = both(
    decimals(Interval(Fraction(1), False, LARGEST / 10**MOST_EXPONENT, False)),
    concat(DIGIT, repeat(concat(text("."), repeat(DIGIT, 1, SAFE_PLACES)), 0, 1)),
)
_KEPT = alt(DIGITS, concat(repeat(chars([(46, 46), (48, 57)]), 1, 16), ZEROS))  # as doubles, or as integers
_MINUS = repeat(text("-"), 0, 1)
_ZERO_FRACTION = concat(text("."), repeat(text("0"), 1))
_E = chars([(69, 69), (101, 101)])


def numeral(number: Fraction) -> str:
    """The shortest plain decimal."""
    sign, size = "-" if number < 0 else "", abs(number)
    places = fraction_digits(size)
    return f"{sign}{size.numerator // size.denominator}{'.' if places else ''}{places}"


def _interval(atom: NumberAtom, value: bool) -> Interval:
    match atom:
        case AtLeast(bound):
            return Interval(low=bound) if value else Interval(high=bound, high_open=True)
        case Above(bound):
            return Interval(low=bound, low_open=True) if value else Interval(high=bound)
    return Interval()


def _without(bounds: Interval, points: list[Fraction]) -> list[Interval]:
    """The interval in pieces that leave out the points, given in order."""
    out = []
    for point in points:
        out.append(bounds.meet(Interval(high=point, high_open=True)))
        bounds = bounds.meet(Interval(low=point, low_open=True))
    return [*out, bounds]


def _common_multiple(a: Fraction, b: Fraction) -> Fraction:
    scale = lcm(a.denominator, b.denominator)
    return Fraction(lcm(int(a * scale), int(b * scale)), scale)


def _scaled(bounds: Interval, exponent: int) -> Interval:
    factor = Fraction(10) ** -exponent
    low, high = (None if end is None else end * factor for end in (bounds.low, bounds.high))
    return Interval(low, bounds.low_open, high, bounds.high_open)


def _decade(number: Fraction) -> int:
    """The e with 10**e <= number < 10**(e + 1)."""
    e = len(str(number.numerator)) - len(str(number.denominator))
    return e if Fraction(10) ** e <= number else e - 1
