"""Dependent concatenation: what follows a text depends on the text, as where items must differ from those before.

A state remembers what it has read so far of the text, and asks for what follows only when the text's end is passed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from . import derive as d
from .expr import EMPTY, Expr, alt, depend


@dataclass(frozen=True, eq=False, slots=True)
class Then(ABC):
    """What follows a text; any text that comes before must leave something, and never the empty text alone.

    longest: its shortest text is at least as long as the shortest rest of any text; states count it as that, so that
    they know an upper bound of their shortest end. steady: the shortest rest is the same for all texts.
    closing: rests that may follow any text, to their ends. stop: beginnings that any text leaves alive, to no end.
    over: at least all rests of all texts. These three save asking for each text (see native/then.c).
    """

    longest: Expr
    steady: bool
    closing: Expr
    stop: Expr
    over: Expr

    @property
    def parts(self) -> tuple[Expr, ...]:
        return self.longest, self.closing, self.stop, self.over

    @abstractmethod
    def after(self, text: bytes) -> Expr:
        """What follows `text`."""


def _rest(e: Expr) -> Expr:
    """What may follow when the text ends here."""
    _, so_far, then = e.args
    if e.derived is None:
        e.derived = {}
    if -1 not in e.derived:
        rest: Expr = then.after(so_far)
        d.solve(rest)
        e.derived[-1] = rest
    return e.derived[-1]


def cuts(e: Expr) -> int:
    current = e.args[0]
    return remembered(current) | (d.cuts(_rest(e)) if d.nullable(current) else 0)


def remembered(current: Expr) -> int:
    """The cuts of a text that is remembered: every byte of it leads elsewhere."""
    out = 0
    for low, high in d.segments(current):
        if d.derive(current, low) is not EMPTY:
            out |= ((2 << (high - low)) - 1) << low
    return out


def derive(e: Expr, byte: int) -> Expr:
    current, so_far, then = e.args
    inside = depend(d.derive(current, byte), so_far + bytes((byte,)), then)
    return alt(inside, d.derive(_rest(e), byte)) if d.nullable(current) else inside
