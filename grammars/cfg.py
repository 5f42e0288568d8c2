"""Context-free grammars as one automaton per rule (a recursive transition network).

A `Net` reads symbols: a `str` is a rule, `Times` a counted repeat of one, anything else a terminal, which is never
empty. Kept this way, loops stay loops, common prefixes are shared, and left recursion is removed by moving edges.
After `tidy` no rule accepts the empty text: an edge of a symbol that might be empty has a way around it instead.

Bodies of rules as plain expressions were tried first: eliminating recursion there means distributing concatenation
over alternatives, which undoes the sharing of prefixes.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from typing import Any

from .components import components
from .errors import UnsupportedConstraint

Symbol = Hashable
MOST_STATES = 20_000  # of one rule's automaton
MOST_ITEMS = 1_000_000  # in all of its states while it is made deterministic
SMALL = 100  # states that may be compared all with all
MOST_COMPARED = 1_000_000


@dataclass(frozen=True, slots=True)
class Times:
    """`low` to `high` (None: any number) of a rule or terminal, one after the other."""

    symbol: Symbol
    low: int
    high: int | None

    def less(self) -> Times:
        """What remains after the first."""
        return Times(self.symbol, max(self.low - 1, 0), None if self.high is None else self.high - 1)


@dataclass(eq=False, slots=True)
class Net:
    """States are numbers, 0 is the start; `skips` are edges that read nothing."""

    edges: list[list[tuple[Symbol, int]]] = field(default_factory=lambda: [[]])
    skips: list[list[int]] = field(default_factory=lambda: [[]])
    final: set[int] = field(default_factory=set)

    def state(self) -> int:
        self.edges.append([])
        self.skips.append([])
        return len(self.edges) - 1

    def edge(self, start: int, symbol: Symbol, end: int) -> None:
        self.edges[start].append((symbol, end))

    def skip(self, start: int, end: int) -> None:
        self.skips[start].append(end)

    def copy(self) -> Net:
        return Net([list(e) for e in self.edges], [list(s) for s in self.skips], set(self.final))

    def symbols(self) -> Iterable[Symbol]:
        return dict.fromkeys(symbol for edges in self.edges for symbol, _ in edges)

    def firsts(self) -> Iterable[Symbol]:
        """Symbols that a text may begin with; exact for nets without skips."""
        return [symbol for symbol, _ in self.edges[0]]


Nets = dict[str, Net]


def rule_of(symbol: Symbol) -> str | None:
    """The rule that a symbol calls, if it calls one."""
    inner = symbol.symbol if isinstance(symbol, Times) else symbol
    return inner if isinstance(inner, str) else None


def from_expansions(expansions: Iterable[Iterable[Symbol]]) -> Net:
    """The net of alternatives, as a trie."""
    net, known = Net(), dict[tuple[int, Symbol], int]()
    for expansion in expansions:
        at = 0
        for symbol in expansion:
            if (at, symbol) not in known:
                known[at, symbol] = net.state()
                net.edge(at, symbol, known[at, symbol])
            at = known[at, symbol]
        net.final.add(at)
    return net


# -- the empty text and useless symbols


def nullable_rules(nets: Nets) -> set[str]:
    """The rules that accept the empty text."""
    return _least(nets, is_empty)


def _least(nets: Nets, passes: Callable[[Symbol, set[str]], bool]) -> set[str]:
    """The rules whose end is reached by symbols that pass, given the rules found so far."""
    found: set[str] = set()
    while new := {name for name in nets.keys() - found if _reaches_end(nets[name], passes, found)}:
        found |= new
    return found


def is_empty(symbol: Symbol, nullable: set[str]) -> bool:
    """Whether a symbol may stand for the empty text, given the rules that do."""
    if isinstance(symbol, Times):
        return symbol.low == 0 or is_empty(symbol.symbol, nullable)
    return symbol in nullable if isinstance(symbol, str) else False


def _reaches_end(net: Net, passes: Callable[[Symbol, set[str]], bool], found: set[str]) -> bool:
    seen, todo = {0}, [0]
    while todo:
        at = todo.pop()
        if at in net.final:
            return True
        for after in (*net.skips[at], *(end for symbol, end in net.edges[at] if passes(symbol, found))):
            if after not in seen:
                seen.add(after)
                todo.append(after)
    return False


def tidy(nets: Nets) -> tuple[Nets, set[str]]:
    """The nets without the empty text and without symbols that accept nothing; and the rules that accepted the empty
    text. A rule that accepts nothing else is left out."""
    nullable = nullable_rules(nets)
    plain = {name: _without_empty(net, nullable) for name, net in nets.items()}
    useful = _least(plain, lambda symbol, found: (rule := rule_of(symbol)) is None or rule in found)
    return {name: _only(plain[name], useful) for name in plain if name in useful}, nullable


def _without_empty(net: Net, nullable: set[str]) -> Net:
    out = Net([], [list(s) for s in net.skips], set(net.final))
    for start, edges in enumerate(net.edges):
        out.edges.append([])
        for symbol, end in edges:
            if is_empty(symbol, nullable):
                out.skips[start].append(end)
            if isinstance(symbol, Times):
                inner = is_empty(symbol.symbol, nullable)
                symbol = Times(symbol.symbol, 1 if inner else max(symbol.low, 1), symbol.high)
            out.edges[start].append((symbol, end))
    return determinise(out)


def _only(net: Net, useful: set[str]) -> Net:
    edges = [[(s, end) for s, end in edges if (r := rule_of(s)) is None or r in useful] for edges in net.edges]
    return minimise(Net(edges, net.skips, net.final))


# -- determinisation

Item = tuple[Net, int, "Item | None"]  # a state of a net, and where to go on when its text is complete
Policy = Callable[[int, dict[Symbol, set[Item]]], list[Any]]


def determinise(net: Net, nets: Nets | None = None, unfold: Policy | None = None, apart: bool = True) -> Net:
    """An equal net without skips in which the edges of a state have different symbols. When its start is kept `apart`
    it is never entered again and not final: the empty text is dropped.

    `unfold(state, moves)` names rules whose calls from that state are to be replaced by the rules' own nets.
    """
    out = Net()
    first = _closure({(net, 0, None)})
    numbers: dict[frozenset[Item], int] = {} if apart else {first: 0}
    todo, size = [(0, first)], 0
    while todo:
        number, items = todo.pop()
        size += len(items)
        moves = _moves(items)
        while unfold is not None and nets is not None and (names := unfold(number, moves)):
            entered: set[Item] = {(nets[name], 0, back) for name in names for back in moves.pop(name)}
            for symbol, ends in _moves(_closure(entered)).items():
                moves.setdefault(symbol, set()).update(ends)
        for symbol, ends in moves.items():
            target = _closure(ends)
            if target not in numbers:
                numbers[target] = out.state()
                todo.append((numbers[target], target))
                if any(back is None and at in of.final for of, at, back in target):
                    out.final.add(numbers[target])
                if len(out.edges) > MOST_STATES or size > MOST_ITEMS:
                    raise UnsupportedConstraint("a rule of the grammar is too large")
            out.edge(number, symbol, numbers[target])
    return minimise(out, apart)


def _closure(items: set[Item]) -> frozenset[Item]:
    seen, todo = set(items), list(items)
    while todo:
        of, at, back = todo.pop()
        after: list[Item] = [(of, end, back) for end in of.skips[at]]
        if back is not None and at in of.final:
            after.append(back)
        for item in after:
            if item not in seen:
                seen.add(item)
                todo.append(item)
    return frozenset(seen)


def _moves(items: Iterable[Item]) -> dict[Symbol, set[Item]]:
    moves: dict[Symbol, set[Item]] = {}
    for of, at, back in sorted(items, key=lambda item: item[1]):
        for symbol, end in of.edges[at]:
            moves.setdefault(symbol, set()).add((of, end, back))
    return moves


def minimise(net: Net, apart: bool = True) -> Net:
    """A small equal net of a deterministic one; states without an accepted end are dropped.

    Equal states are merged; in large nets those of a circle only with each other: then long chains take linear time.
    """
    alive = _alive(net)
    after = [[(symbol, end) for symbol, end in edges if end in alive] for edges in net.edges]
    block: dict[int, int] = {}
    keys: dict[object, int] = {}
    groups = components([0, *sorted(alive)], lambda at: [end for _, end in after[at]])
    for group in [sorted(alive)] if len(alive) <= SMALL else groups:
        kinds: dict[int, object] = {at: "start" if apart and at == 0 else at in net.final for at in group}
        if len(group) > 1 or any(end == group[0] for _, end in after[group[0]]):
            names = _refined(kinds, after, block)
            block.update({at: keys.setdefault((group[0], names[at]), len(keys)) for at in group})
        else:
            moves = frozenset([(symbol, block[end]) for symbol, end in after[group[0]]])
            block[group[0]] = keys.setdefault((kinds[group[0]], moves), len(keys))
    return _merged(net, block)


def _refined(kinds: dict[int, object], after: list[list[tuple[Symbol, int]]], block: dict[int, int]) -> dict[int, int]:
    """The classes of equal states of a circle (Moore 1956); where that takes too long, each for itself."""
    names, count = kinds, 0
    for _ in range(MOST_COMPARED // len(kinds) + 1):
        keys: dict[object, int] = {}
        moves = {at: frozenset([(s, names.get(end), block.get(end)) for s, end in after[at]]) for at in kinds}
        found = {at: keys.setdefault((names[at], moves[at]), len(keys)) for at in kinds}
        if len(keys) == count:
            return found
        names, count = dict(found), len(keys)
    return {at: at for at in kinds}


def _alive(net: Net) -> set[int]:
    before: list[list[int]] = [[] for _ in net.edges]
    for at, edges in enumerate(net.edges):
        for _, end in edges:
            before[end].append(at)
    seen, todo = set(net.final), list(net.final)
    while todo:
        for at in before[todo.pop()]:
            if at not in seen:
                seen.add(at)
                todo.append(at)
    return seen | {0}


def _merged(net: Net, block: dict[int, int]) -> Net:
    """One state per block, numbered in the order of their discovery from the start."""
    out, numbers, todo = Net(), {block[0]: 0}, [0]
    while todo:
        at = todo.pop()
        number = numbers[block[at]]
        if at in net.final:
            out.final.add(number)
        for symbol, end in net.edges[at]:
            if end not in block:
                continue
            if block[end] not in numbers:
                numbers[block[end]] = out.state()
                todo.append(end)
            out.edge(number, symbol, numbers[block[end]])
    return out
