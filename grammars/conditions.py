"""Conditions on the rest of a text: an expression that everything from here to the end must satisfy.

`ALL` asks for nothing.
"""

from __future__ import annotations

from functools import lru_cache

from .byteset import END, Dag
from .derive import derive, minlen, nullable, segments
from .errors import UnsupportedConstraint
from .expr import ALL, EMPTY, EPS, INF, Expr, _leaf, alt
from .linear import Equation, solve_linear

MOST_STATES = 1_000


@lru_cache(maxsize=1 << 14)
def concerns(condition: Expr, words: Expr) -> bool:
    """Whether the condition asks anything of a text that begins with one of `words`, as the first byte tells."""
    return condition is not ALL and any(
        derive(condition, low) is not ALL
        for low, _ in segments(alt(condition, words))
        if derive(words, low) is not EMPTY
    )


def restricted(words: Expr, condition: Expr) -> dict[Expr, Expr]:
    """The words that may begin a text on which the condition lies, by what it asks of the text behind them."""
    if not concerns(condition, words):
        return {ALL: words}
    todo = [(words, condition)]
    edges: dict[tuple[Expr, Expr], list[tuple[Expr, tuple[Expr, Expr]]]] = {}
    for state in todo:
        if state in edges:
            continue
        out = edges[state] = []
        for low, high, to in _steps(*state):
            out.append((_leaf(Dag.of([(low, high - 1, END)])), to))
            todo.append(to)
        if len(edges) > MOST_STATES:
            raise UnsupportedConstraint("what may follow a terminal depends on too much of the text behind it")
    found = {}
    ends = [rest for word, rest in edges if rest is ALL or nullable(word)]
    for asked in dict.fromkeys(ends):
        equations: dict[tuple[Expr, Expr], Equation[tuple[Expr, Expr]]] = {
            (word, rest): (_ends(word, rest, asked), [] if rest is ALL else terms)
            for (word, rest), terms in edges.items()
        }
        value = solve_linear(equations, [(words, condition)], "terminal")[words, condition]
        if value is not EMPTY:
            found[asked] = value
    return found


def _steps(word: Expr, rest: Expr) -> list[tuple[int, int, tuple[Expr, Expr]]]:
    if rest is ALL:
        return []
    steps = [(low, high, (derive(word, low), derive(rest, low))) for low, high in segments(alt(word, rest))]
    return [(low, high, to) for low, high, to in steps if to[0] is not EMPTY and minlen(to[1]) < INF]


def _ends(word: Expr, rest: Expr, asked: Expr) -> Expr:
    if rest is ALL:
        return word if asked is ALL else EMPTY
    return EPS if nullable(word) and rest is asked else EMPTY
