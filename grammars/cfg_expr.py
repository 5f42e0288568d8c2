"""Rule automata to expressions."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from .cfg import Net, Nets, Symbol, Times, determinise, rule_of, tidy
from .cfg_counts import counted
from .cfg_recursion import without_left_recursion
from .components import components
from .expr import EMPTY, EPS, Expr, Kind, alt, ref, repeat
from .linear import solve_linear

MOST_INLINED = 64  # states of a group, parts of a rule
DEEPEST = 200  # rules in place inside each other


def to_expr(nets: Nets, start: str) -> Expr:
    """The language of a rule."""
    return to_exprs(nets, [start])[start]


def to_exprs(nets: Nets, starts: Iterable[str]) -> dict[str, Expr]:
    """The languages of some rules; terminals are non-empty expressions."""
    starts = list(starts)
    plain, nullable = tidy(nets)
    emitter = _Emitter(counted(normal(plain, starts)))
    bodies = {start: emitter.call(start) if start in plain else EMPTY for start in starts}
    return {start: alt(body, EPS) if start in nullable else body for start, body in bodies.items()}


def normal(nets: Nets, starts: Collection[str]) -> Nets:
    """Equal nets of the `starts` and of what they call, without left recursion, with loops and groups (rules named
    "__...") in the nets of their callers."""
    return _inlined(without_left_recursion(nets, starts))


def _inlined(nets: Nets) -> Nets:
    groups = {name: net for name, net in nets.items() if name.startswith("__") and name not in _calls(net)}
    among = components(groups, lambda name: [rule for rule in _calls(groups[name]) if rule in groups])
    done, simple = dict(nets), set[str]()
    for name in [*(name for group in among for name in group), *(name for name in nets if name not in groups)]:
        done[name] = determinise(nets[name], done, lambda _, moves: [s for s in moves if s in simple], apart=False)
        if [name] in among and len(done[name].edges) <= MOST_INLINED:
            simple.add(name)
    return done


def _calls(net: Net) -> list[str]:
    return [rule for symbol in net.symbols() if (rule := rule_of(symbol)) is not None]


def recursive_rules(nets: Nets) -> set[str]:
    """Rules that call themselves, directly or not."""
    groups = components(nets, lambda name: _calls(nets[name]))
    return {name for group in groups for name in group if len(group) > 1 or name in _calls(nets[name])}


def _is_long(e: Expr) -> bool:
    length = 0
    while e.kind is Kind.CAT and length <= MOST_INLINED:
        e = e.args[1]
        length += 1
    return length > MOST_INLINED


class _Emitter:
    """Rules that call themselves become references, the others are put in place."""

    def __init__(self, nets: Nets) -> None:
        self.nets, self.recursive = nets, recursive_rules(nets)
        self.known: dict[str, Expr] = {}
        self.depth: dict[str, int] = {}  # of rules in place, the name being that of the outermost

    def symbol(self, symbol: Symbol) -> Expr:
        if isinstance(symbol, Times):
            return repeat(self.symbol(symbol.symbol), symbol.low, symbol.high)
        if isinstance(symbol, str):
            return self.call(symbol)
        assert isinstance(symbol, Expr)
        return symbol

    def call(self, name: str) -> Expr:
        found = self.known.get(name)
        if found is None:
            rule = ref(name) if name in self.recursive else None
            if rule is not None:
                self.known[name] = rule
            body = self.body(name)
            self.depth[name] = 1 + max([self.depth.get(called, 0) for called in _calls(self.nets[name])], default=0)
            if rule is None and (_is_long(body) or self.depth[name] > DEEPEST):  # in place, it would be copied
                rule, self.depth[name] = ref(name), 0
            found = self.known[name] = body if rule is None else rule.define(body)
        return found

    def body(self, name: str) -> Expr:
        net = self.nets[name]
        equations = {
            at: (EPS if at in net.final else EMPTY, [(self.symbol(symbol), end) for symbol, end in edges])
            for at, edges in enumerate(net.edges)
        }
        return solve_linear(equations, [0], name)[0]
