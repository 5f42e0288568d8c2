"""Solves right-linear equations x = constant | coefficient·x' | ... for expressions.

A state that leads to itself becomes a repeat, states in a row a concatenation, anything else that is circular a set of
rules that call each other at their end. No concatenation is distributed over alternatives, so that what the equations
share stays shared.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Generic, TypeVar

from .components import components
from .expr import EMPTY, EPS, Expr, alt, concat, ref, repeat

Key = TypeVar("Key", bound=Hashable)
Equation = tuple[Expr, list[tuple[Expr, Key]]]


def solve_linear(equations: Mapping[Key, Equation[Key]], starts: Iterable[Key], name: str) -> dict[Key, Expr]:
    """The values of `starts` and of what they lead to; `name` is for the rules that remain."""
    solution = _Solution(equations, name)
    for members in components(starts, lambda key: [after for _, after in equations[key][1]]):
        solution.add(members)
    return solution.values


class _Solution(Generic[Key]):
    def __init__(self, equations: Mapping[Key, Equation[Key]], name: str) -> None:
        self.equations, self.name = equations, name
        self.values: dict[Key, Expr] = {}

    def add(self, members: list[Key]) -> None:
        """One component; what it leads to is known."""
        own = {key: self.reduced(key) for key in members}
        if all(constant is EMPTY for constant, _ in own.values()):
            self.values.update(dict.fromkeys(members, EMPTY))
            return
        links = {key: own.pop(key)[1][0] for key in members if _only_passes_on(key, own[key])}
        if len(own) == 1:
            [(hub, (constant, terms))] = own.items()
            back: dict[Key, Expr] = {hub: EPS}
            loops = [concat(coefficient, _chain(after, links, back)) for coefficient, after in terms]
            self.values[hub] = concat(repeat(alt(*loops), 0), constant)
        else:
            self.recursive(own, links)
        for key in links:
            _chain(key, links, self.values)

    def recursive(self, own: dict[Key, Equation[Key]], links: dict[Key, tuple[Expr, Key]]) -> None:
        rules = {key: ref(self.name) for key in own}
        self.values.update(rules)
        for key, (constant, terms) in own.items():
            rest = [concat(coefficient, _chain(after, links, self.values)) for coefficient, after in terms]
            rules[key].define(alt(constant, *rest))

    def reduced(self, key: Key) -> Equation[Key]:
        """With what is known put in; coefficients of the same value joined."""
        constant, terms = self.equations[key]
        unknown: dict[Key, list[Expr]] = {}
        known: dict[Expr, list[Expr]] = {}
        for coefficient, after in terms:
            if after in self.values:
                known.setdefault(self.values[after], []).append(coefficient)
            else:
                unknown.setdefault(after, []).append(coefficient)
        parts = [concat(alt(*coefficients), value) for value, coefficients in known.items()]
        return alt(constant, *parts), [(alt(*coefficients), after) for after, coefficients in unknown.items()]


def _chain(key: Key, links: Mapping[Key, tuple[Expr, Key]], values: dict[Key, Expr]) -> Expr:
    """The value of `key`, and of all that it passes by on the way to a known one."""
    path = []
    while key not in values:
        path.append(key)
        key = links[key][1]
    found = values[key]
    for passed in reversed(path):
        found = values[passed] = concat(links[passed][0], found)
    return found


def _only_passes_on(key: Key, equation: Equation[Key]) -> bool:
    constant, terms = equation
    return constant is EMPTY and len(terms) == 1 and terms[0][1] != key
