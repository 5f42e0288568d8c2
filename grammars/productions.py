"""An expression as rules of a context-free grammar over characters, for engines that take grammars as text.

What grammars can say is translated node by node: counters stay counters, classes of bytes become classes of code
points, rules stay rules. Intersections, complements, substrings and distinct items have no notation of their own; of
those the automaton over characters is written out, as one rule a state, where it is small enough.
"""

from __future__ import annotations

from collections.abc import Iterator

from .byteset import Dag
from .chars_automaton import CharsAutomaton, code_points
from .derive import minlen, solve
from .ebnf_parse import Alt, Chars, Name, Node, Repeat, Seq, Text
from .errors import EmptyLanguage, UnsupportedConstraint
from .expr import INF, Expr, Kind, Ref
from .unicode_sets import union

MOST_RULES = 5_000
OWN_WORDS = {
    Kind.AND: "an intersection (where=, a pattern or format beside other limits)",
    Kind.NOT: "a complement (not, except_, free text up to a mark)",
    Kind.SPAN: "a quote or many options",
    Kind.UNIQUE: "items that all differ",
    Kind.THEN: "a text on which what follows depends",
}
NOTHING = Seq(())


def productions(e: Expr, start: str = "root", most: int = MOST_RULES) -> dict[str, Node]:
    """The rules of a language's grammar, `start` first; at most so many others.

    Raises EmptyLanguage, UnsupportedConstraint for what has no notation and too large an automaton.
    """
    made = Productions(most)
    return {start: made.whole(e), **made.rules}


class Productions:
    """Rules made so far, `names` of those that expressions and automaton states have."""

    def __init__(self, most: int = MOST_RULES) -> None:
        self.most = most
        self.rules: dict[str, Node] = {}
        self._names: dict[int, str] = {}
        self._dags: dict[int, Node] = {}
        self._made: dict[int, Node] = {}
        self._kept: list[Expr] = []  # so that their uids stay theirs

    def whole(self, e: Expr) -> Node:
        """The body of the start rule."""
        solve(e)
        if minlen(e) >= INF:
            raise EmptyLanguage("the constraint accepts no text at all")
        try:
            return self.node(e)
        except RecursionError:
            raise UnsupportedConstraint("the grammar is nested too deeply to be written down") from None

    def node(self, e: Expr) -> Node:
        if (made := self._made.get(e.uid)) is None:
            made = self._node(e)
            self._made[e.uid] = made
            self._kept.append(e)
        return made

    def _node(self, e: Expr) -> Node:
        match e.kind:
            case Kind.LEAF:
                return self._dag(e.args[0])
            case Kind.TEXT:
                return Text(_decoded(e.args[0]))
            case Kind.CAT:
                return seq([self.node(part) for part in _spine(e)])
            case Kind.ALT:
                return either([self.node(part) for part in e.args if minlen(part) < INF])
            case Kind.REPEAT:
                body, low, high = e.args
                if minlen(body) >= INF:
                    return NOTHING
                return Repeat(self.node(body), low, None if high < 0 else high)
            case Kind.REF:
                assert isinstance(e, Ref)
                return self._rule(e)
            case _:
                return self.automaton(e)

    def _rule(self, e: Ref) -> Node:
        name = self._names.get(e.uid)
        if name is None:
            name = self._names[e.uid] = self.new_name()
            self._kept.append(e)
            self.rules[name] = self.node(e.resolved())
        return Name(name, 0)

    def new_name(self) -> str:
        """A name that all dialects take: letters and digits. The rule is reserved, so that their number is known."""
        name = f"r{len(self.rules) + 1}"
        if len(self.rules) == self.most:
            raise UnsupportedConstraint(f"the grammar takes more than {self.most} rules to write down")
        self.rules[name] = NOTHING
        return name

    def _dag(self, dag: Dag) -> Node:
        """Words with a common rest share its rule; one character or word is written in place."""
        made = self._dags.get(dag.uid)
        if made is None:
            ways = [seq([Chars(ranges), self._dag(after)]) for ranges, after in code_points(_dag_moves, dag)]
            made = either([*ways, *([NOTHING] if dag.final else [])])
            made = self._dags[dag.uid] = self.shared(made) if isinstance(made, Alt) else made
        return made

    def shared(self, node: Node) -> Node:
        """A node that may be used in several places."""
        name = self.new_name()
        self.rules[name] = node
        return Name(name, 0)

    def automaton(self, e: Expr) -> Node:
        """The states of its automaton as rules."""
        states = CharsAutomaton(e, self.most - len(self.rules), OWN_WORDS.get(e.kind, "this"))
        names = [self.new_name() for _ in states.moves]
        for at, name in enumerate(names):
            self.rules[name] = self._state(states, at, names)
        return Name(names[0], 0)

    def _state(self, states: CharsAutomaton, at: int, names: list[str]) -> Node:
        ways: list[Node] = []
        again: list[Node] = []
        for ranges, after in states.moves[at]:
            if after == at:
                again = [Repeat(Chars(ranges), 0, None)]
            elif not states.moves[after]:  # the end
                ways.append(Chars(ranges))
            else:
                ways.append(seq([Chars(ranges), Name(names[after], 0)]))
        ends = [NOTHING] if states.final[at] else []
        return seq([*again, either([*ways, *ends])])


def _dag_moves(dag: Dag) -> Iterator[tuple[int, int, Dag]]:
    yield from dag.edges


def _spine(e: Expr) -> Iterator[Expr]:
    while e.kind is Kind.CAT:
        yield e.args[0]
        e = e.args[1]
    yield e


def _decoded(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise UnsupportedConstraint(f"a literal that cuts a character in two, {data!r}") from None


def seq(parts: list[Node]) -> Node:
    """One after the other; neighbouring literals as one."""
    flat: list[Node] = []
    for part in parts:
        for one in part.parts if isinstance(part, Seq) else (part,):
            one = _as_text(one)
            if isinstance(one, Text) and flat and isinstance(flat[-1], Text):
                flat[-1] = Text(flat[-1].value + one.value)
            else:
                flat.append(one)
    return flat[0] if len(flat) == 1 else Seq(tuple(flat))


def either(parts: list[Node]) -> Node:
    """One of them; classes as one class."""
    flat = [one for part in parts for one in (part.parts if isinstance(part, Alt) else (part,))]
    ranges = [span for one in flat if isinstance(one, Chars) for span in one.ranges]
    classes = [Chars(union(ranges))] if ranges else []
    rest = list(dict.fromkeys([one for one in flat if not isinstance(one, Chars)]))
    parts = [*classes, *rest]
    return parts[0] if len(parts) == 1 else Alt(tuple(parts))


def _as_text(node: Node) -> Node:
    match node:
        case Chars(((low, high),)) if low == high:
            return Text(chr(low))
    return node
