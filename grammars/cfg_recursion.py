"""Removes left recursion from rules, exactly, and turns recursion that is only a loop into one.

A rule `a: a x | b` is `b x*`: on its net the edge `a` from the start goes away, and every end is joined to the place
behind that edge. Where several rules begin with each other, the net of one of them is made of the nets of all: a text
begins as some rule of theirs that begins with none, and where that one ends, a rule that begins with it goes on (the
left-corner transform, Rosenkrantz and Lewis 1970). Putting rules in place of leading calls one by one (Paull) was tried
first: long circles then take quadratic time. Two further identities keep ambiguity small:

- A call of `a` at the very end of `a: a "+" a | "-" a | n` needs no loop of its own, the outer one reads the same
  text. It becomes a call of the operand, which is `a` without the loop.
- A rule that calls itself only at its very end is a loop.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from .cfg import Net, Nets, Symbol, Times, determinise, rule_of
from .components import components
from .errors import UnsupportedConstraint

MOST_STATES = 20_000  # of the nets that replace those of one circle of rules


def without_left_recursion(nets: Nets, starts: Collection[str]) -> Nets:
    """Nets of the `starts` and of all that they call, equal to those given (as `tidy` makes them), in which no rule
    begins with itself."""
    nets = dict(nets)
    for members in components(nets, lambda name: _calls(nets[name].firsts())):
        if len(members) > 1 or members[0] in _calls(nets[members[0]].firsts()):
            _resolve(members, nets, starts)
    return {name: _as_loop(name, net) for name, net in nets.items()}


def _calls(symbols: Iterable[Symbol]) -> list[str]:
    return [rule for symbol in symbols if (rule := rule_of(symbol)) is not None]


def _resolve(members: list[str], nets: Nets, starts: Collection[str]) -> None:
    """Replace the nets of rules that begin with each other; those that nothing else calls are dropped."""
    plain = {name: _single_calls(nets.pop(name), members) for name in members}
    called = {*starts, *(rule for net in nets.values() for rule in _calls(net.symbols()))}
    for net in plain.values():
        called.update(_calls(symbol for edges in net.edges[1:] for symbol, _ in edges))
    wanted = [name for name in members if name in called]
    if len(wanted) * sum(len(net.edges) for net in plain.values()) > MOST_STATES:
        raise UnsupportedConstraint(f"{len(members)} rules, among them {wanted[0]!r}, begin with each other: too many")
    for name in wanted:
        nets[name] = _direct(name, _united(name, plain), nets)


def _united(target: str, nets: Nets) -> Net:
    """The net of a rule that begins with no other of `nets` than, on one edge, itself."""
    out = Net()
    ends = {name: out.state() for name in nets}  # where a text of the rule is complete
    out.final = {ends[target]}
    for name, net in nets.items():
        shift = len(out.edges) - 1  # the start is shared
        for _ in net.edges[1:]:
            out.state()
        for at, edges in enumerate(net.edges):
            for symbol, end in edges:
                if at == 0 and symbol in nets and symbol != target:
                    out.skip(ends[str(symbol)], shift + end)
                else:
                    out.edge(shift + at if at else 0, symbol, shift + end)
        for at in net.final:
            out.skip(shift + at, ends[name])
    return determinise(out)


def _single_calls(net: Net, members: list[str]) -> Net:
    """Counted repeats of a member at the start, as one call and the remaining ones."""
    if not any(isinstance(symbol, Times) and symbol.symbol in members for symbol in net.firsts()):
        return net
    out = net.copy()
    out.edges[0] = []
    for symbol, end in net.edges[0]:
        if not isinstance(symbol, Times) or symbol.symbol not in members:
            out.edge(0, symbol, end)
            continue
        between, rest = out.state(), symbol.less()
        out.edge(0, symbol.symbol, between)
        if rest.high != 0:
            out.edge(between, Times(rest.symbol, max(rest.low, 1), rest.high), end)
        if rest.low == 0:
            out.skip(between, end)
    return determinise(out)


def _direct(name: str, net: Net, nets: Nets) -> Net:
    behind = dict(net.edges[0])[name]
    operand = f"{name} operand"
    out = net.copy()
    out.edges[0] = [edge for edge in net.edges[0] if edge[0] != name]
    found = _looped(out, behind)
    if len(found.final) == 1:
        return found
    out = _renamed_at_end(out, name, operand)
    if any(symbol == operand for edges in out.edges for symbol, _ in edges):
        nets[operand] = _as_loop(operand, determinise(out))
    return _looped(out, behind)


def _looped(net: Net, behind: int) -> Net:
    out = net.copy()
    for at in out.final:
        out.skip(at, behind)
    return determinise(out)


def _ends(net: Net) -> set[int]:
    """States at which a text of the rule, read once more, makes no difference: nothing can follow but what could
    follow that text anyhow. With one final state, what may follow there are rounds back to it."""
    return net.final if len(net.final) == 1 else {at for at in net.final if not net.edges[at]}


def _renamed_at_end(net: Net, name: str, other: str) -> Net:
    ends, out = _ends(net), net.copy()
    for at, edges in enumerate(net.edges):
        out.edges[at] = [(other if symbol == name and end in ends else symbol, end) for symbol, end in edges]
    return out


def _as_loop(name: str, net: Net) -> Net:
    """The net with calls of itself at its very end as loops."""
    ends = _ends(net)
    loops = [at for at, edges in enumerate(net.edges) if any(s == name and end in ends for s, end in edges)]
    if not loops:
        return net
    out = net.copy()
    for at in loops:
        out.edges[at] = [(symbol, end) for symbol, end in net.edges[at] if symbol != name or end not in ends]
        out.skip(at, 0)
    return determinise(out)
