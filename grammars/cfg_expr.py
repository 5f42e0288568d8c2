"""Rule automata to expressions."""

from __future__ import annotations

from .cfg import Net, Nets, Policy, Symbol, Times, determinise, rule_of, tidy
from .cfg_recursion import without_left_recursion
from .components import components
from .errors import UnsupportedConstraint
from .expr import EMPTY, EPS, Expr, Ref, alt, ref, repeat
from .linear import solve_linear

UNFOLDINGS = 8  # calls replaced by the rule's own net, per rule, so that common prefixes meet
GROWTH = 4  # times as large a rule may become by that


def to_expr(nets: Nets, start: str) -> Expr:
    """The language of `start`; terminals are non-empty expressions."""
    plain, nullable = tidy(nets)
    body = _Emitter(factored(without_left_recursion(plain))).call(start) if start in plain else EMPTY
    return alt(body, EPS) if start in nullable else body


def factored(nets: Nets) -> Nets:
    """With loops and groups (rules named "__...") as part of their callers, and alternatives of a recursive rule that
    begin alike joined: each nesting level would otherwise double the ways to read on."""
    nets, recursive, simple = dict(nets), recursive_rules(nets), _inlined(nets)
    for members in components(nets, lambda name: _calls(nets[name])):
        for name in members:
            plain = determinise(nets[name], nets, _policy(nets, simple, 0), apart=False)
            nets[name] = _with_common_prefixes(plain, nets, simple) if name in recursive else plain
    return nets


def _with_common_prefixes(net: Net, nets: Nets, simple: set[str]) -> Net:
    limit = GROWTH * len(net.edges) + 50
    try:
        return determinise(net, nets, _policy(nets, simple, UNFOLDINGS), apart=False, limit=limit)
    except UnsupportedConstraint:
        return net


def _calls(net: Net) -> list[str]:
    return [rule for symbol in net.symbols() if (rule := rule_of(symbol)) is not None]


def recursive_rules(nets: Nets) -> set[str]:
    """Rules that call themselves, directly or not."""
    groups = components(nets, lambda name: _calls(nets[name]))
    return {name for group in groups for name in group if len(group) > 1 or name in _calls(nets[name])}


def _inlined(nets: Nets) -> set[str]:
    groups = {name: net for name, net in nets.items() if name.startswith("__")}
    among = components(groups, lambda name: [rule for rule in _calls(groups[name]) if rule in groups])
    return {group[0] for group in among if len(group) == 1 and group[0] not in _calls(groups[group[0]])}


def _policy(nets: Nets, always: set[str], left: int) -> Policy:
    def unfold(_state: int, moves: dict[Symbol, set[object]]) -> list[str]:
        nonlocal left
        names = [symbol for symbol in moves if isinstance(symbol, str) and symbol in always]
        if not names and left > 0:
            names = _alike(nets, list(moves))
            left -= len(names)
        return names

    return unfold  # type: ignore[return-value]


def _alike(nets: Nets, symbols: list[Symbol]) -> list[str]:
    """The rules among `symbols` that begin with what another one is or begins with."""
    firsts = {s: set(nets[s].firsts()) if isinstance(s, str) else {s} for s in symbols}
    return [
        s
        for s in symbols
        if isinstance(s, str) and any(o is not s and (o in firsts[s] or firsts[o] & firsts[s]) for o in symbols)
    ]


class _Emitter:
    """Rules that call themselves become references, the others are put in place."""

    def __init__(self, nets: Nets) -> None:
        self.nets, self.recursive = nets, recursive_rules(nets)
        self.known: dict[str, Expr] = {}

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
            found = self.known[name] = body if rule is None else rule.define(body)
        return found

    def body(self, name: str) -> Expr:
        net = self.nets[name]
        equations = {
            at: (EPS if at in net.final else EMPTY, [(self.symbol(symbol), end) for symbol, end in edges])
            for at, edges in enumerate(net.edges)
        }
        return solve_linear(equations, 0, name)
