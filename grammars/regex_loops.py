"""Rules of regex loops that hold intersections: what the general solver of recursive rules cannot tell.

Such rules are right-linear, so their derivatives are finitely many; nullability is a fixpoint over booleans, and the
least length of a text is found breadth first.
"""

from __future__ import annotations

from collections.abc import Callable

from .derive import derive, nullable, segments
from .errors import UnsupportedConstraint
from .expr import EMPTY, INF, Expr, Kind, Ref

MOST_STATES = 20_000


def solve_regular(rules: list[Ref]) -> None:
    """Fill in what `derive.solve` would: `nullable_` and `minlen_` of each rule."""
    for rule in rules:
        rule.solved, rule.nullable_ = True, False
    while any([_improve(rule) for rule in rules]):
        pass
    for rule in rules:
        rule.minlen_ = _shortest(rule)


def _improve(rule: Ref) -> bool:
    if rule.nullable_ or not _nullable(rule.resolved()):
        return False
    rule.nullable_ = True
    return True


def _nullable(e: Expr) -> bool:
    """As `derive.nullable`, but remembers nothing while rules are still being solved."""
    parts: tuple[Expr, ...] = e.args
    test: dict[Kind, Callable[[], bool]] = {
        Kind.CAT: lambda: all(map(_nullable, parts)),
        Kind.AND: lambda: all(map(_nullable, parts)),
        Kind.ALT: lambda: any(map(_nullable, parts)),
        Kind.NOT: lambda: not _nullable(parts[0]),
        Kind.REPEAT: lambda: e.args[1] == 0 or _nullable(parts[0]),
        Kind.REF: lambda: bool(e.nullable_),
    }
    return test[e.kind]() if e.kind in test else nullable(e)


def _shortest(start: Expr) -> int:
    seen, level, length = {start.uid}, [start], 0
    while level:
        if any(map(nullable, level)):
            return length
        after = {}
        for e in level:
            for low, _ in segments(e):
                state = derive(e, low)
                if state is not EMPTY and state.uid not in seen:
                    after[state.uid] = state
        seen.update(after)
        level, length = list(after.values()), length + 1
        if len(seen) > MOST_STATES:
            raise UnsupportedConstraint("a loop over look-around has too many states")
    return INF
