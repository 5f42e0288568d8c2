"""Rules over terminals to rules over texts: ignored text in between, and conditions handed on to what follows.

A condition on the rest of a text (conditions.py) lies on whatever comes next, be it inside the next rule. So a rule
is specialised by the condition that lies on its text and by those that it may leave behind: `[a-z]+` at its end
leaves "no letter next". Most conditions do not concern what can follow ("no letter next" before "+"); they are dropped
there, and rules are split only where one matters.
"""

from __future__ import annotations

from .cfg import Net, Nets, Symbol
from .cfg_expr import to_exprs
from .derive import nullable
from .errors import UnsupportedConstraint
from .expr import ALL, EMPTY, Expr, alt, concat
from .lark_terminals import Terminal
from .lark_tokens import Conditions, Gaps, Token, grouped, growing

MOST_RULES = 20_000  # specialised ones

_Key = tuple[str, Expr]  # a rule and the condition that lies on its text
_State = tuple[int, Expr, bool]  # of a rule; the condition, if it matters there; whether the text may end here


class Lexing:
    """`rules`: nets over rule names and `Terminal`s, without skips and empty texts."""

    def __init__(self, rules: Nets, ignored: list[Terminal]) -> None:
        self.rules, self.gaps = rules, Gaps(ignored)
        terminals = [s for net in rules.values() for s in net.symbols() if isinstance(s, Terminal)]
        self.tokens = {terminal: Token(terminal, self.gaps) for terminal in terminals}
        self.nets: Nets = {}
        self._firsts: dict[str, list[Token]] = {}
        self._left: dict[_Key, Conditions] = {}
        self._users: dict[_Key, dict[_Key, None]] = {}
        self._open: dict[_Key, None] = {}  # to be looked at again
        self._relevant: dict[tuple[str, int, Expr], bool] = {}
        self._minds: dict[tuple[Symbol, Expr], bool] = {}
        self._names: dict[tuple[str, Expr, Conditions], str] = {}

    def language(self, start: str, empty: bool) -> Expr:
        """The texts of a rule, ignored text around it; `empty`: whether the rule accepts the empty text as well."""
        out = [self._end(ALL)] if empty else []
        if start in self.rules:
            groups = grouped(self.left(start, ALL), self._end)
            names = {self.name(start, ALL, group): end for end, group in groups.items() if end is not EMPTY}
            exprs = to_exprs(self.nets, names)
            out += [concat(exprs[name], end) for name, end in names.items()]
        return alt(*out)

    def _end(self, on: Expr) -> Expr:
        return self.gaps.expr(on, frozenset([left for left in self.gaps.left(on) if nullable(left)]))

    # -- whether a condition matters

    def firsts(self, rule: str) -> list[Token]:
        """The terminals that a text of the rule may begin with."""
        if rule not in self._firsts:
            found: dict[Symbol, None] = {rule: None}
            for symbol in growing(found):
                if isinstance(symbol, str):
                    found.update(dict.fromkeys(self.rules[symbol].firsts()))
            self._firsts[rule] = [self.tokens[s] for s in found if isinstance(s, Terminal)]
        return self._firsts[rule]

    def minds(self, symbol: Symbol, condition: Expr) -> bool:
        if condition is ALL:
            return False
        key = (symbol, condition)
        if key not in self._minds:
            tokens = [self.tokens[symbol]] if isinstance(symbol, Terminal) else self.firsts(str(symbol))
            self._minds[key] = any([token.minds(condition) for token in tokens])
        return self._minds[key]

    def relevant(self, rule: str, at: int, condition: Expr) -> Expr:
        """The condition, when it matters to what can follow in a state of a rule."""
        if condition is ALL:
            return ALL
        key = (rule, at, condition)
        if key not in self._relevant:
            self._relevant[key] = any([self.minds(s, condition) for s, _ in self.rules[rule].edges[at]])
        return condition if self._relevant[key] else ALL

    # -- what a rule may leave behind

    def left(self, symbol: Symbol, on: Expr) -> Conditions:
        found = self._left_so_far(symbol, on, None)
        if not self._open:
            return found
        while self._open:  # the least fixpoint
            todo, self._open = self._open, {}
            for key in todo:
                new = self._one_round(key)
                if new != self._left[key]:
                    self._left[key] = new
                    self._open.update(self._users[key])
        return self._left_so_far(symbol, on, None)

    def _left_so_far(self, symbol: Symbol, on: Expr, user: _Key | None) -> Conditions:
        on = on if self.minds(symbol, on) else ALL
        if isinstance(symbol, Terminal):
            return self.tokens[symbol].left(on)
        key = (str(symbol), on)
        if key not in self._left:
            self._left[key], self._users[key], self._open[key] = frozenset(), {}, None
        if user is not None:
            self._users[key][user] = None
        return self._left[key]

    def _one_round(self, key: _Key) -> Conditions:
        rule, on = key
        net, out = self.rules[rule], set[Expr]()
        todo = {(0, on): None}
        for at, condition in growing(todo):
            for symbol, to in net.edges[at]:
                found = self._left_so_far(symbol, condition, key)
                out |= found if to in net.final else set()
                todo.update({(to, self.relevant(rule, to, left)): None for left in found})
        return frozenset(out)

    # -- specialised rules

    def name(self, rule: str, on: Expr, leaving: Conditions) -> str:
        """The rule for the texts of `rule` on which `on` lies and that leave one of `leaving`."""
        key = (rule, on, leaving)
        if key not in self._names:
            if len(self._names) >= MOST_RULES:
                raise UnsupportedConstraint("what may follow the terminals of this grammar depends on too many others")
            self._names[key] = rule if rule not in self.nets else f"{rule} {len(self._names)}"
            self.nets[self._names[key]] = Net()
            self.nets[self._names[key]] = self._specialised(rule, on, leaving)
        return self._names[key]

    def _specialised(self, rule: str, on: Expr, leaving: Conditions) -> Net:
        net, out = self.rules[rule], Net()
        numbers: dict[_State, int] = {(0, on, False): 0}
        found: dict[_State, None] = dict.fromkeys(numbers)
        for state in growing(found):
            at, condition, _ = state
            for symbol, to in net.edges[at]:
                for target, label in self._edges(rule, symbol, to, condition, leaving):
                    if target not in numbers:
                        numbers[target] = out.state()
                        found[target] = None
                        out.final |= {numbers[target]} if target[2] else set()
                    out.edge(numbers[state], label, numbers[target])
        return out

    def _edges(self, rule: str, symbol: Symbol, to: int, on: Expr, leaving: Conditions) -> list[tuple[_State, Symbol]]:
        """What an edge of a rule becomes: one edge for each state of affairs behind it."""
        final = to in self.rules[rule].final
        on = on if self.minds(symbol, on) else ALL
        groups = grouped(self.left(symbol, on), lambda c: (to, self.relevant(rule, to, c), final and c in leaving))
        if not isinstance(symbol, Terminal):
            return [(target, self.name(str(symbol), on, group)) for target, group in groups.items()]
        words = [(target, self.tokens[symbol].expr(on, group)) for target, group in groups.items()]
        return [(target, e) for target, e in words if e is not EMPTY]
