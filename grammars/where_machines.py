"""Small deterministic automata over code points, as right-linear rules.

`"ox" in x` could be ANY_TEXT "ox" ANY_TEXT, but derivatives of that collect alternatives, and that nothing more can
follow in its complement takes a search to see. The automaton of Knuth, Morris and Pratt has one rule per letter of the
needle, its complement is the same automaton with the ends swapped, and its distances are known from the start.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Any, Generic, TypeVar

from .derive import minlen
from .expr import ANY_TEXT, EMPTY, EPS, INF, Expr, alt, both, chars, complement, concat, ref
from .unicode_sets import LAST, Ranges, union


@dataclass(frozen=True, slots=True)
class Condition:
    """The texts that meet a condition, and those that do not."""

    yes: Expr
    no: Expr

    def __invert__(self) -> Condition:
        return Condition(self.no, self.yes)

    def __and__(self, other: Condition) -> Condition:
        return Condition(_both(self.yes, other.yes), alt(self.no, other.no))

    def __or__(self, other: Condition) -> Condition:
        return ~(~self & ~other)


def _both(a: Expr, b: Expr) -> Expr:
    """Both are texts, so ANY_TEXT adds nothing."""
    return b if a is ANY_TEXT else a if b is ANY_TEXT else both(a, b)


def condition(yes: Expr) -> Condition:
    """Of an expression that accepts texts only."""
    return Condition(yes, both(ANY_TEXT, complement(yes)))


ALWAYS = Condition(ANY_TEXT, EMPTY)


class Fate(Enum):
    """Where a machine needs to look no further."""

    ANYTHING = "whatever follows is accepted"
    NOTHING = "whatever follows is refused"


S = TypeVar("S", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Machine(Generic[S]):
    """`step(state, c)` is asked for one code point `c` of each class; the classes cover all code points."""

    classes: Sequence[Ranges]
    start: S
    step: Callable[[S, str], S | Fate]
    final: Callable[[S], bool]

    def condition(self) -> Condition:
        moves = self._moves()
        return Condition(self._rules(moves, True), self._rules(moves, False))

    def _moves(self) -> dict[S, dict[S | Fate, Ranges]]:
        """Of every state that can be reached: where to go, and on which code points."""
        letters = [(chr(ranges[0][0]), ranges) for ranges in self.classes]
        moves: dict[S, dict[S | Fate, Ranges]] = {}
        todo = [self.start]
        while todo:
            state = todo.pop()
            if state in moves:
                continue
            grouped: dict[S | Fate, list[Ranges]] = {}
            for letter, ranges in letters:
                grouped.setdefault(self.step(state, letter), []).append(ranges)
            moves[state] = {to: union(*sets) for to, sets in grouped.items()}
            todo += [to for to in grouped if not isinstance(to, Fate)]
        return moves

    def _rules(self, moves: dict[S, dict[S | Fate, Ranges]], wanted: bool) -> Expr:
        """The texts that the machine accepts (`wanted`), or those that it does not."""
        good, bad = (Fate.ANYTHING, Fate.NOTHING) if wanted else (Fate.NOTHING, Fate.ANYTHING)
        edges = {
            state: {to: chars(ranges) for to, ranges in after.items() if to is not bad}
            for state, after in moves.items()
        }
        ends = {state for state in moves if self.final(state) == wanted}
        least = _least(edges, [*ends, good])
        rules = {state: ref("where") for state in moves if state in least}
        after: dict[S | Fate, Expr] = {good: ANY_TEXT}
        after.update(rules.items())
        for state, rule in rules.items():
            ways = [concat(step, after[to]) for to, step in edges[state].items() if to in after]
            rule.define(alt(*ways, EPS if state in ends else EMPTY))
            rule.solved, rule.nullable_, rule.minlen_ = True, state in ends, least[state]
        return rules.get(self.start, EMPTY)


def _least(edges: Mapping[Any, Mapping[Any, Expr]], ends: Iterable[Any]) -> dict[Any, int]:
    """Bytes from a state to the nearest end, of all states that have one (Dijkstra, backwards)."""
    before: dict[Any, list[tuple[Any, int]]] = {}
    for came, after in edges.items():
        for to, step in after.items():
            before.setdefault(to, []).append((came, minlen(step)))
    least: dict[Any, int] = {}
    tick = itertools.count()
    queue = [(0, next(tick), end) for end in ends]
    while queue:
        cost, _, state = heapq.heappop(queue)
        if state not in least:
            least[state] = cost
            for came, bytes_ in before.get(state, ()):
                if came not in least and bytes_ < INF:
                    heapq.heappush(queue, (cost + bytes_, next(tick), came))
    return least


def letters(text: Iterable[str]) -> list[Ranges]:
    """Classes: every letter by itself, and each gap between two of them, in order."""
    out: list[Ranges] = []
    at = 0
    for code in sorted(set(map(ord, text))):
        if at < code:
            out.append(((at, code - 1),))
        out.append(((code, code),))
        at = code + 1
    return out if at > LAST else [*out, ((at, LAST),)]


def _letters_and_others(text: str) -> list[Ranges]:
    found = letters(text)
    return [r for r in found if r[0][0] == r[0][1] and chr(r[0][0]) in text] + [
        union(*[r for r in found if chr(r[0][0]) not in text])
    ]


class _Search:
    """Knuth, Morris and Pratt: how much of the needle the text so far ends with."""

    def __init__(self, needle: str) -> None:
        self.needle = needle
        self.borders = [0]
        for c in needle[1:]:
            self.borders.append(self._longer(self.borders[-1], c))

    def _longer(self, matched: int, c: str) -> int:
        while matched and self.needle[matched] != c:
            matched = self.borders[matched - 1]
        return matched + (self.needle[matched] == c)

    def step(self, matched: int, c: str) -> int:
        return self._longer(self.borders[-1] if matched == len(self.needle) else matched, c)


@lru_cache(maxsize=256)
def contains(needle: str) -> Condition:
    search, size = _Search(needle), len(needle)

    def step(matched: int, c: str) -> int | Fate:
        longer = search.step(matched, c)
        return Fate.ANYTHING if longer == size else longer

    return Machine(_letters_and_others(needle), 0, step, lambda _: False).condition()


@lru_cache(maxsize=256)
def ends_with(needle: str) -> Condition:
    return Machine(_letters_and_others(needle), 0, _Search(needle).step, lambda m: m == len(needle)).condition()


@lru_cache(maxsize=256)
def occurrences(needle: str) -> tuple[Expr, Expr]:
    """The texts that end in the first occurrence of `needle`, and the texts without any."""
    search, size = _Search(needle), len(needle)
    first = Machine(
        _letters_and_others(needle),
        0,
        lambda m, c: Fate.NOTHING if m == size else search.step(m, c),
        lambda m: m == size,
    )
    return first.condition().yes, contains(needle).no


@lru_cache(maxsize=256)
def starts_with(prefix: str) -> Condition:
    def step(matched: int, c: str) -> int | Fate:
        if prefix[matched] != c:
            return Fate.NOTHING
        return matched + 1 if matched + 1 < len(prefix) else Fate.ANYTHING

    return Machine(_letters_and_others(prefix), 0, step, lambda _: False).condition()


@lru_cache(maxsize=256)
def before(bound: str) -> Condition:
    """The texts less than `bound` by code points."""

    def step(same: int, c: str) -> int | Fate:
        if same == len(bound) or c > bound[same]:
            return Fate.NOTHING
        return same + 1 if c == bound[same] else Fate.ANYTHING

    return Machine(letters(bound), 0, step, lambda same: same < len(bound)).condition()
