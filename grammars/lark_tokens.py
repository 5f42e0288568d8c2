"""Terminals under conditions, and the ignored text between them.

All of them answer the same three questions: `minds(condition)`, whether it matters that the condition lies on the
text; `left(on)`, which conditions they may leave behind when `on` lies on the text; `expr(on, leaving)`, the texts that
leave some of these.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import TypeVar

from .conditions import concerns, restricted
from .expr import ALL, EMPTY, EPS, Expr, alt, both, concat
from .lark_terminals import Terminal
from .linear import Equation, solve_linear

Conditions = frozenset[Expr]
Key = TypeVar("Key", bound=Hashable)


def grouped(conditions: Iterable[Expr], key: Callable[[Expr], Key]) -> dict[Key, Conditions]:
    out: dict[Key, set[Expr]] = {}
    for condition in conditions:
        out.setdefault(key(condition), set()).add(condition)
    return {k: frozenset(group) for k, group in out.items()}


def growing(found: dict[Key, None]) -> Iterator[Key]:
    """All keys, also those added on the way."""
    done: set[Key] = set()
    while new := [key for key in found if key not in done]:
        done.update(new)
        yield from new


class Reader:
    """One terminal, ignored text not considered."""

    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal
        self.every = terminal.words(terminal.conditions)
        self._pieces: dict[Expr, dict[Expr, Expr]] = {}

    def minds(self, condition: Expr) -> bool:
        return concerns(condition, self.every)

    def left(self, on: Expr) -> Conditions:
        return frozenset(self.pieces(on)) if self.minds(on) else self.terminal.conditions

    def expr(self, on: Expr, leaving: Conditions) -> Expr:
        if not self.minds(on):
            return self.terminal.words(leaving)
        return alt(*[words for left, words in self.pieces(on).items() if left in leaving])

    def pieces(self, on: Expr) -> dict[Expr, Expr]:
        if on not in self._pieces:
            out: dict[Expr, Expr] = {}
            for condition in self.terminal.conditions:
                for rest, words in restricted(self.terminal.words(frozenset([condition])), on).items():
                    left = both(condition, rest)
                    out[left] = alt(out.get(left, EMPTY), words)
            self._pieces[on] = out
        return self._pieces[on]


_Gap = tuple[Expr, bool]  # the condition, if it matters to ignored text, and whether the gap may end here


class Gaps:
    """Ignored terminals, any number of them."""

    def __init__(self, ignored: Iterable[Terminal]) -> None:
        self.readers = [Reader(terminal) for terminal in ignored]
        self._left: dict[Expr, Conditions] = {}
        self._known: dict[tuple[Expr, Conditions], Expr] = {}

    def minds(self, condition: Expr) -> bool:
        return any([reader.minds(condition) for reader in self.readers])

    def left(self, on: Expr) -> Conditions:
        if on not in self._left:
            found = {on: None}
            for condition in growing(found):
                for reader in self.readers:
                    found.update(dict.fromkeys(reader.left(condition)))
            self._left[on] = frozenset(found)
        return self._left[on]

    def expr(self, on: Expr, leaving: Conditions) -> Expr:
        if (on, leaving) not in self._known:
            self._known[on, leaving] = self._solved(on, leaving)
        return self._known[on, leaving]

    def _solved(self, on: Expr, leaving: Conditions) -> Expr:
        def place(condition: Expr) -> _Gap:
            return (condition if self.minds(condition) else ALL, condition in leaving)

        equations: dict[_Gap, Equation[_Gap]] = {}
        found = {place(on): None}
        for at in growing(found):
            terms = [
                (reader.expr(at[0], group), to)
                for reader in self.readers
                for to, group in grouped(reader.left(at[0]), place).items()
            ]
            equations[at] = (EPS if at[1] else EMPTY, terms)
            found.update({to: None for _, to in terms})
        return solve_linear(equations, [place(on)], "ignored")[place(on)]


class Token:
    """A terminal with the ignored text before it."""

    def __init__(self, terminal: Terminal, gaps: Gaps) -> None:
        self.reader, self.gaps = Reader(terminal), gaps
        self._left: dict[Expr, Conditions] = {}
        self._known: dict[tuple[Expr, Conditions], Expr] = {}

    def minds(self, condition: Expr) -> bool:
        return self.reader.minds(condition) or self.gaps.minds(condition)

    def left(self, on: Expr) -> Conditions:
        if on not in self._left:
            found = [self.reader.left(between) for between in self.gaps.left(on)]
            self._left[on] = frozenset[Expr]().union(*found)
        return self._left[on]

    def expr(self, on: Expr, leaving: Conditions) -> Expr:
        if (on, leaving) not in self._known:
            ways = grouped(self.gaps.left(on), lambda c: c if self.reader.minds(c) else ALL)
            parts = [(group, self.reader.expr(between, leaving)) for between, group in ways.items()]
            gaps = [(self.gaps.expr(on, group), words) for group, words in parts if words is not EMPTY]
            self._known[on, leaving] = alt(*[concat(gap, words) for gap, words in gaps])
        return self._known[on, leaving]
