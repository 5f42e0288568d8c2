"""Where a value of a language may end, and what tells that it has."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from .algebra import Algebra, algebra
from .errors import UnsupportedConstraint
from .expr import Expr

STATES = 1000  # of a language that are looked at


@lru_cache(maxsize=4096)
def goes_on(expr: Expr, mark: bytes) -> bool:
    """Whether behind some text of the language, `mark` leads on to a longer one. (False when that would take long to
    find out.)"""
    try:
        side, first = algebra(expr)
        return any([_leads_on(side, h, mark) for h in _ends(side, first)])
    except UnsupportedConstraint:
        return False


@lru_cache(maxsize=4096)
def can_go_on(expr: Expr) -> bool:
    """Whether some text of the language begins a longer one, so that a reader cannot tell where it ends. (True when
    that would take long to find out.)"""
    try:
        side, first = algebra(expr)
        ends = _ends(side, first)
        return any([side.only(h) != -1 for h in ends]) or len(_states(side, first)) >= STATES
    except UnsupportedConstraint:
        return True


@lru_cache(maxsize=4096)
def endless(expr: Expr) -> bool:
    """Whether there are texts of any length. (False when that would take long to find out.)"""
    try:
        side, first = algebra(expr)
        states = _states(side, first)
    except UnsupportedConstraint:
        return False
    if len(states) >= STATES:
        return False
    after = {h: set(_next(side, h)) for h in states}
    while done := [h for h, more in after.items() if not more & after.keys()]:
        for h in done:
            del after[h]
    return bool(after)


@lru_cache(maxsize=4096)
def starts(expr: Expr | None) -> frozenset[int]:
    """The bytes that a text of the language (None: any text) begins with."""
    if expr is None:
        return frozenset(range(256))
    try:
        side, first = algebra(expr)
    except UnsupportedConstraint:
        return frozenset()
    return frozenset([byte for byte in range(256) if side.source.expand(first, byte)[2] >= 0])


def needed(expr: Expr, mark: str) -> str:
    """As much of `mark`, which comes behind a value, as tells that the value has ended: none where the value itself
    tells, else up to the first character with which no value goes on."""
    if not can_go_on(expr):
        return ""
    return next((mark[:n] for n in range(1, len(mark)) if not goes_on(expr, mark[:n].encode())), mark)


def _ends(side: Algebra, first: int) -> Iterator[int]:
    return (h for h in _states(side, first) if side.nullable(h))


def _states(side: Algebra, first: int) -> list[int]:
    """The first states of a language."""
    seen, todo = {first}, [first]
    for h in todo:  # grows while it is gone through
        for after in _next(side, h):
            if len(todo) < STATES and after not in seen:
                seen.add(after)
                todo.append(after)
    return todo


def _next(side: Algebra, h: int) -> Iterator[int]:
    """What the bytes that can come leave."""
    low = 0
    while low < 256:
        _, low, after = side.source.expand(h, low)
        if after >= 0:
            yield after


def _leads_on(side: Algebra, h: int, data: bytes) -> bool:
    for byte in data:
        h = side.source.expand(h, byte)[2]
        if h < 0:
            return False
    return True
