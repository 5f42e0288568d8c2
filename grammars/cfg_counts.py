"""Finds rules that only count: `x x | x x x` is x{2,3}.

Lark writes the repeat `x~0..1000` as a tree of small rules; counted, it is one node again, and repeats inside of
repeats do not multiply.
"""

from __future__ import annotations

from .cfg import Net, Nets, Symbol, Times, rule_of
from .components import components
from .unicode_sets import union

_MANY = 1 << 60  # no upper bound


def counted(nets: Nets) -> Nets:
    """The nets, those that read one symbol some number of times as one counted edge."""
    known: dict[Symbol, Times] = {}
    calls = {name: [rule for s in net.symbols() if (rule := rule_of(s)) in nets] for name, net in nets.items()}
    for group in components(nets, lambda name: [rule for rule in calls[name] if rule is not None]):
        if len(group) == 1 and group[0] not in calls[group[0]]:
            found = _times(nets[group[0]], known)
            if found is not None and found.high != 1:
                known[group[0]] = found
    return {name: _one_edge(known[name]) if name in known else net for name, net in nets.items()}


def _one_edge(times: Times) -> Net:
    net = Net()
    net.edge(0, times, net.state())
    net.final.add(1)
    return net


def _times(net: Net, known: dict[Symbol, Times]) -> Times | None:
    counts = {s: known.get(s) or (s if isinstance(s, Times) else Times(s, 1, 1)) for s in net.symbols()}
    if len({times.symbol for times in counts.values()}) != 1:
        return None
    groups = components([0], lambda at: [end for _, end in net.edges[at]])
    reached: dict[int, list[tuple[int, int]]] = {0: [(0, 0)]}
    for group in reversed(groups):
        if len(group) > 1 or any(end == group[0] for _, end in net.edges[group[0]]):
            return None
        ways = union(reached[group[0]])
        for symbol, end in net.edges[group[0]]:
            low, high = counts[symbol].low, counts[symbol].high
            more = [(a + low, _MANY if high is None else min(b + high, _MANY)) for a, b in ways]
            reached.setdefault(end, []).extend(more)
    ranges = union(*[reached[at] for at in net.final])
    if len(ranges) != 1:
        return None
    [(low, high)] = ranges
    return Times(next(iter(counts.values())).symbol, low, None if high == _MANY else high)
