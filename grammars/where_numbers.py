"""`int(x)` and `float(x)` compared with constants.

`int(x)` is a number for an optional sign and ASCII digits, `float(x)` for an optional sign, digits and maybe a point
with more digits; leading zeros are allowed, exponents, spaces and underscores are not. Values are compared exactly, as
decimals. A text that is no such numeral meets no comparison.
"""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache

from .digits import ZEROS, Interval, decimals
from .digits import whole as whole_numbers
from .expr import EMPTY, EPS, Expr, alt, concat, text
from .where_machines import Condition, condition

POSITIVE = Interval(Fraction(0))


@lru_cache(maxsize=256)
def compared(kind: str, op: str, bound: int | float) -> Condition:
    """The numerals of a kind ("int" or "float") with a value that stands in relation `op` to `bound`."""
    return condition(alt(*[_numerals(kind, interval) for interval in _intervals(op, Fraction(Decimal(repr(bound))))]))


def _intervals(op: str, bound: Fraction) -> list[Interval]:
    below, above = Interval(high=bound, high_open=op in ("<", "!=")), Interval(bound, op in (">", "!="))
    return {"<": [below], "<=": [below], ">": [above], ">=": [above], "==": [below.meet(above)], "!=": [below, above]}[
        op
    ]


def _numerals(kind: str, values: Interval) -> Expr:
    spelled = _whole if kind == "int" else decimals
    plus, minus = (spelled(side.meet(POSITIVE)) for side in (values, values.mirrored()))
    return alt(concat(alt(EPS, text("+")), ZEROS, plus), concat(text("-"), ZEROS, minus))


def _whole(values: Interval) -> Expr:
    if values.empty():
        return EMPTY
    assert values.low is not None
    low = math.floor(values.low) + 1 if values.low_open else math.ceil(values.low)
    high = None if values.high is None else math.ceil(values.high) - 1 if values.high_open else math.floor(values.high)
    return whole_numbers(low, high)
