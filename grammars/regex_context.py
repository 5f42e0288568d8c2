"""What a regex may ask of the text on its left: a few characters, or the text's start.

Look-behind, `^`, and one side of `\\b` all come down to a `Behind`. Python's dialect bounds look-behind by its fixed
width, ECMA's by what can be listed here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

from .errors import UnsupportedConstraint
from .regex_nodes import Alt, At, Cat, Chars, Edge, Node, Repeat
from .unicode_sets import ALL, Ranges, intersect, invert

MOST_CASES = 512  # alternatives that one look-behind may come down to


@dataclass(frozen=True, slots=True)
class Behind:
    """The last characters to the left are in `sets` (nearest last); with `start`, nothing stands before them."""

    sets: tuple[Ranges, ...] = ()
    start: bool = False

    @property
    def width(self) -> int:
        return len(self.sets) + self.start

    def after(self, ranges: Ranges) -> tuple[Behind, Ranges] | None:
        """What is asked left of one character of `ranges`, and which of these it may be; None if it cannot be."""
        if not self.sets:
            return None if self.start else (self, ranges)
        met = intersect(self.sets[-1], ranges)
        return (Behind(self.sets[:-1], self.start), met) if met else None

    def meet(self, other: Behind) -> Behind | None:
        """Both at once; None when they exclude each other."""
        short, long = sorted((self, other), key=lambda b: len(b.sets))
        extra = len(long.sets) - len(short.sets)
        if short.start and extra:
            return None
        sets = [*long.sets[:extra], *map(intersect, long.sets[extra:], short.sets)]
        return Behind(tuple(sets), long.start or short.start) if all(sets) else None

    def negated(self) -> list[Behind]:
        """Alternatives that together say that this does not hold."""
        out = []
        for i in reversed(range(len(self.sets))):
            right = self.sets[i + 1 :]
            out.append(Behind(right, start=True))
            if other := invert(self.sets[i]):
                out.append(Behind((other, *right)))
        return [*out, Behind((ALL, *self.sets))] if self.start else out


FREE = Behind()
START = Behind(start=True)


def none_of(cases: list[Behind]) -> list[Behind]:
    """Alternatives that together say that no case holds."""
    return reduce(lambda left, case: _products(left, case.negated()), cases, [FREE])


def _products(left: list[Behind], right: list[Behind]) -> list[Behind]:
    met = dict.fromkeys([m for a in left for b in right if (m := a.meet(b)) is not None])
    if len(met) > MOST_CASES:
        raise UnsupportedConstraint("the look-behind has too many cases")
    return list(met)


def cases(body: Node, position: int) -> list[Behind]:
    """What a look-behind comes down to, for bodies of bounded length without assertions but line starts."""
    found = [FREE]
    try:
        found = _cases(body, found)
    except UnsupportedConstraint as e:
        raise UnsupportedConstraint(str(e), f"position {position}") from None
    return found


def _cases(node: Node, right: list[Behind]) -> list[Behind]:
    """All ways to put `node` before what `right` already asks for."""
    match node:
        case Chars(ranges):
            out = [Behind((ranges, *b.sets), b.start) for b in right if not b.start and ranges]
        case Cat(parts):
            return reduce(lambda acc, part: _cases(part, acc), reversed(parts), right)
        case Alt(parts):
            out = [b for part in parts for b in _cases(part, right)]
        case Repeat(body, low, high) if high is not None:
            out, step = [], right
            for i in range(high + 1):
                out += step if i >= low else []
                step = _cases(body, step) if i < high else []
        case At(Edge.START):
            out = [Behind(b.sets, start=True) for b in right]
        case At(Edge.LINE_START, breaks):
            out = _cases(At(Edge.START), right) + _cases(Chars(breaks), right)
        case _:
            raise UnsupportedConstraint("look-behind over unbounded repeats or other assertions is not supported")
    if len(out) > MOST_CASES:
        raise UnsupportedConstraint("the look-behind has too many cases")
    return list(dict.fromkeys(out))
