"""Regular grammars written down as regular expressions, in the part of the notation that all engines share."""

from __future__ import annotations

from .chars_automaton import CharsAutomaton
from .ebnf_parse import Alt, Chars, Name, Node, Repeat, Seq, Text
from .errors import UnsupportedConstraint
from .expr import Expr, Ref
from .grammar import Grammar
from .productions import NOTHING, Productions, either, seq
from .to_gbnf import bounds, spans

MOST_STATES = 200  # of an automaton that becomes an expression
MOST_CHARS = 100_000
SPECIAL = set("\\^$.|?*+()[]{}-/\"'&~#")
NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def to_regex(grammar: Grammar) -> str:
    """The same language as a regular expression that the whole text has to match: literals, classes, groups, counters.

    Characters beyond ASCII stand for themselves. Raises UnsupportedConstraint where the language is not regular, or
    the expression would be too long; EmptyLanguage.

    >>> from lmprog.grammars import regex
    >>> to_regex(regex("(?!00)[0-9]{2}"))
    '(?:0[1-9]|[1-9][0-9])'
    """
    return _written(_Regular().whole(grammar.expr), inside=True)


class _Regular(Productions):
    """Without rules: they are written where they are used, those that refer to themselves by their automata."""

    def __init__(self) -> None:
        super().__init__()
        self._open: list[Ref] = []

    def _rule(self, e: Ref) -> Node:
        if e in self._open or _refers_to_itself(e):
            return self.automaton(e)
        self._open.append(e)
        try:
            return self.node(e.resolved())
        finally:
            self._open.pop()

    def shared(self, node: Node) -> Node:
        return node

    def automaton(self, e: Expr) -> Node:
        return eliminated(CharsAutomaton(e, MOST_STATES, "the grammar is not regular, or"))


def _refers_to_itself(rule: Ref) -> bool:
    from .derive import children

    seen: set[int] = set()
    todo: list[object] = [rule.resolved()]
    while todo:
        e = todo.pop()
        if e is rule:
            return True
        if isinstance(e, Expr) and e.uid not in seen:
            seen.add(e.uid)
            todo += children(e)
    return False


def eliminated(states: CharsAutomaton) -> Node:
    """The expression of an automaton: states are taken out one by one, those with the fewest ways through first
    (Brzozowski and McCluskey 1963)."""
    n = len(states.moves)
    begin, end = n, n + 1
    edges: dict[int, dict[int, Node]] = {s: {t: Chars(r) for r, t in moves} for s, moves in enumerate(states.moves)}
    for s, final in enumerate(states.final):
        if final:
            edges[s][end] = NOTHING
    edges[begin], edges[end] = {0: NOTHING}, {}
    left = set(range(n))
    while left:
        into: dict[int, list[int]] = {s: [] for s in left}
        for s, targets in edges.items():
            for t in targets:
                if t in left and t != s:
                    into[t].append(s)
        gone = min(left, key=lambda s: (len(into[s]) * len(edges[s].keys() - {s}), -s))
        _take_out(edges, gone, into[gone])
        left.remove(gone)
    return edges[begin][end]


def _take_out(edges: dict[int, dict[int, Node]], gone: int, sources: list[int]) -> None:
    outgoing = edges.pop(gone)
    loop = outgoing.pop(gone, None)
    again = [] if loop is None else [Repeat(loop, 0, None)]
    for s in sources:
        before = edges[s].pop(gone)
        for t, after in outgoing.items():
            way = seq([before, *again, after])
            known = edges[s].get(t)
            edges[s][t] = way if known is None else either([known, way])
            if size(edges[s][t]) > MOST_CHARS:
                raise UnsupportedConstraint("as a regular expression the constraint is too long")


def size(node: Node) -> int:
    match node:
        case Seq(parts) | Alt(parts):
            return 1 + sum(map(size, parts))
        case Repeat(body):
            return 1 + size(body)
        case Text(value):
            return len(value)
        case Chars(ranges):
            return len(ranges)
        case Name():
            return 1


def _written(node: Node, inside: bool = False) -> str:
    match node:
        case Text(value):
            return "".join(map(char, value))
        case Chars(ranges):
            return f"[{spans(ranges, char)}]"
        case Repeat(body, low, high):
            return _atom(body) + bounds(low, high)
        case Seq(parts):
            return "".join([_written(part, inside=True) for part in parts])
        case Alt(parts):
            ways = "|".join([_written(part) for part in parts])
            return f"(?:{ways})" if inside else ways
        case Name(value):
            raise AssertionError(value)


def _atom(node: Node) -> str:
    written = _written(node, inside=True)
    single = isinstance(node, Chars | Alt) or (isinstance(node, Text) and len(node.value) == 1)
    return written if single else f"(?:{written})"


def char(c: str) -> str:
    if c in NAMED:
        return NAMED[c]
    if c in SPECIAL:
        return f"\\{c}"
    return c if c.isprintable() or ord(c) >= 0x10000 else f"\\x{ord(c):02x}" if ord(c) < 0x100 else f"\\u{ord(c):04x}"
