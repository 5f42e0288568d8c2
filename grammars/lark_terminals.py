"""Lark's terminals as texts, each with what may follow it.

`[a-z]+` matches "abc" in "abc;" because no longer match follows: a condition on the rest of the text (conditions.py).
Lark's lexers differ in how much they ask:

- dynamic: the match that `re.match` prefers, each terminal for itself;
- dynamic_complete: that one and the shorter ones;
- basic: one list of terminals, by priority and length; the first that matches hides the others, also strings that
  a pattern matches as a whole ("if" hidden by NAME is still an IF).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from .derive import nullable
from .errors import ConstraintError, UnsupportedConstraint
from .expr import ALL, EMPTY, EPS, Expr, alt, both, complement, concat, options, text
from .lark_match import Matcher, OrderedParser
from .linear import Equation, solve_linear
from .regex import PLAIN, whole
from .regex_nodes import Alt, Cat, Chars, Node

MOST_WORDS = 64  # of an alternation of literals that needs no automaton


@dataclass(frozen=True)
class Pattern:
    """A terminal as Lark gives it; `literal`: the text of a string terminal."""

    name: str
    shown: str  # the name, or the pattern of a terminal without one
    regex: str
    literal: str | None
    priority: int
    flags: frozenset[str]
    max_width: int
    source_length: int


class Terminal:
    """`conditions`: what may be asked of the rest; `words(some of them)`: the texts that ask that."""

    def __init__(
        self, conditions: Iterable[Expr], solve: Callable[[frozenset[Expr]], Expr], every: Expr | None
    ) -> None:
        self.conditions = frozenset(conditions)
        self._solve, self._known = solve, {} if every is None else {self.conditions: every}

    def words(self, conditions: frozenset[Expr]) -> Expr:
        conditions &= self.conditions
        if conditions not in self._known:
            self._known[conditions] = self._solve(conditions)
        return self._known[conditions]


def fixed(words: Expr) -> Terminal:
    """Texts that may be followed by anything."""
    return Terminal([ALL], lambda _: EMPTY, words)


def dynamic(pattern: Pattern, complete: bool) -> Terminal:
    """A terminal of the lexers "dynamic" and "dynamic_complete"."""
    if pattern.literal is not None and not pattern.flags:
        return fixed(text(pattern.literal))
    try:
        return _dynamic(pattern, complete)
    except ConstraintError as e:
        raise type(e)(f"the terminal {pattern.shown}: {e}") from None


def _dynamic(pattern: Pattern, complete: bool) -> Terminal:
    node = OrderedParser(pattern.regex, "python").parse()
    words = _few_words(node)
    if words is not None and not any(a != b and b.startswith(a) for a in words for b in words):
        return fixed(options(words))
    matcher = Matcher([(pattern.name, node)])
    cases = _Cases(matcher, pattern.name)
    every = None if matcher.cut or cases.asks_for_more() else whole(pattern.regex, "python", PLAIN)
    found = Terminal(cases.conditions.values(), cases.words, every)
    if not complete:
        return found
    if cases.looks_ahead:
        raise UnsupportedConstraint("look-ahead beyond the end is not supported with lexer='dynamic_complete'")
    return fixed(found.words(found.conditions))


def _few_words(node: Node) -> list[str] | None:
    """The words of an alternation of literals, if it is no more."""
    match node:
        case Chars(((low, high),)) if low == high:
            return [chr(low)]
        case Cat(parts):
            lists = [_few_words(part) for part in parts]
            if any(words is None or len(words) != 1 for words in lists):
                return None
            return ["".join([words[0] for words in lists if words])]
        case Alt(parts) if len(parts) <= MOST_WORDS:
            lists = [_few_words(part) for part in parts]
            return None if None in lists else [word for words in lists if words for word in words]
    return None


def basic(patterns: list[Pattern], ignored: list[Pattern]) -> dict[Pattern, Terminal]:
    """All terminals of the lexer "basic"; a string that an ignored pattern matches is ignored."""
    order = sorted(patterns, key=lambda p: (-p.priority, -p.max_width, -p.source_length, p.name))
    inside = {p.name: _strings_inside(p, order) for p in order if p.literal is None}
    embedded = {s.name for p in order for s in inside.get(p.name, ()) if s.flags <= p.flags}
    scanned = [p for p in order if p.name not in embedded]
    strings = [s.literal or "" for strings in inside.values() for s in strings]
    matcher = Matcher([(p.name, OrderedParser(p.regex, "python").parse()) for p in scanned], strings)
    found: dict[str, list[Terminal]] = {p.name: [] for p in order}
    for p in scanned:
        names = {s.literal or "": s.name for s in inside.get(p.name, ()) if p not in ignored}
        cases = _Cases(matcher, p.name, frozenset(names))
        found[p.name].append(Terminal(cases.conditions.values(), cases.words, None))
        for string, name in names.items():
            found[name].append(_joined([_fixed_if(string, condition) for condition in cases.after(string)]))
    return {p: _joined(found[p.name]) for p in patterns}


def _strings_inside(pattern: Pattern, patterns: list[Pattern]) -> list[Pattern]:
    """String terminals of the same priority that the pattern matches as a whole."""
    strings = [p for p in patterns if p.literal is not None and p.priority == pattern.priority]
    return [p for p in strings if (m := re.match(pattern.regex, p.literal or "")) and m.group(0) == p.literal]


def _fixed_if(string: str, condition: Expr) -> Terminal:
    return Terminal([condition], lambda _: EMPTY, text(string))


def _joined(terminals: list[Terminal]) -> Terminal:
    conditions = {condition for terminal in terminals for condition in terminal.conditions}
    return Terminal(conditions, lambda some: alt(*[terminal.words(some) for terminal in terminals]), None)


class _Cases:
    """The matches of one terminal of a matcher, but for `hidden` strings, by what they ask of the rest."""

    def __init__(self, matcher: Matcher, name: str, hidden: frozenset[str] = frozenset()) -> None:
        self.matcher, self.name, self.hidden = matcher, name, hidden
        self._prefixes = {string[:n] for string in hidden for n in range(len(string) + 1)}
        ends = [at for at, state in enumerate(matcher.states) if state.match == name]
        longest = {at: complement(later) for at, later in _later(matcher, ends).items()}
        asked = {at: both(matcher.states[at].rest, longest[at]) for at in ends}
        same = matcher.classes.canonical([*asked.values(), *longest.values()])
        self.conditions = {at: matcher.classes.real(same[e]) for at, e in asked.items() if same[e] is not EMPTY}
        self.looks_ahead = any([same[longest[at]] is not same[asked[at]] for at in ends])

    def asks_for_more(self) -> bool:
        """Whether some match is possible only when more text follows."""
        return not all([nullable(condition) for condition in self.conditions.values()])

    def words(self, conditions: frozenset[Expr]) -> Expr:
        ends = {at for at, condition in self.conditions.items() if condition in conditions}
        equations: dict[_Place, Equation[_Place]] = {}
        starts: list[_Place] = [(at, "" if self.hidden else None) for at in self.matcher.starts]
        todo = list(starts)
        for at, done in todo:
            if (at, done) not in equations:
                steps = self._steps(at, done)
                accepted = at in ends and done not in self.hidden
                terms = [(self.matcher.classes.chars(letters), to) for to, letters in steps.items()]
                equations[at, done] = EPS if accepted else EMPTY, terms
                todo += steps
        values = solve_linear(equations, starts, self.name)
        return alt(*[values[start] for start in starts])

    def _steps(self, at: int, done: str | None) -> dict[_Place, int]:
        """Where letters lead, as bits; `done` is the text so far while it begins a hidden string."""
        nexts = [] if done is None else [p for p in self._prefixes if len(p) == len(done) + 1 and p.startswith(done)]
        prefixes = {self.matcher.classes.letter(prefix[-1]): prefix for prefix in nexts}
        out: dict[_Place, int] = {}
        for letter, to in self.matcher.moves[at]:
            place = (to, prefixes.get(letter))
            out[place] = out.get(place, 0) | 1 << letter
        return out

    def after(self, string: str) -> set[Expr]:
        """What a match of this very text asks of the rest."""
        at = set(self.matcher.starts)
        for char in string:
            letter = self.matcher.classes.letter(char)
            at = {to for a in at for read, to in self.matcher.moves[a] if read == letter}
        return {self.conditions[a] for a in at if a in self.conditions}


_Place = tuple[int, str | None]


def _later(matcher: Matcher, ends: Iterable[int]) -> dict[int, Expr]:
    """For each state, the texts (in letters) on which a further match comes after at least one character."""
    states = matcher.states
    equations: dict[int, Equation[int]] = {}
    for at in range(len(states)):
        steps = [(matcher.classes.leaf(letters), to) for to, letters in matcher.steps(at).items()]
        matches = [concat(leaf, states[to].rest) for leaf, to in steps if states[to].match]
        go_on = [(leaf, to) for leaf, to in steps if not states[to].match or states[to].rest is not ALL]
        equations[at] = alt(*matches), go_on
    return solve_linear(equations, ends, "match")
