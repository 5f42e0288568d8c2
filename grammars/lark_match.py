"""What Python's `re.match` picks, as an automaton: the match it prefers, given the text that follows.

A state is the list of ways in which the match may go on, in the order in which a backtracking matcher tries them;
a way behind one that is complete already is cut off (as in RE2's leftmost-first automata). The pick is the last
complete match that is passed. So it depends on the text behind it only in that no further match may come, and in what
look-ahead asks for; both are carried along as expressions over the rest of the text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .char_classes import Classes
from .derive import derive, minlen
from .errors import UnsupportedConstraint
from .expr import ALL, EMPTY, INF, Expr, alt, both, complement
from .regex_compile import Compiler
from .regex_context import Behind
from .regex_loops import solve_regular
from .regex_nodes import Alt, At, Boundary, Cat, Chars, Look, Node, Repeat
from .regex_parse import Flags, Parser
from .unicode_sets import NEWLINE, Ranges

MOST_STATES = 5_000

Way = object  # (node, way): `node` and then `way` are still to be matched; at the end the name of the terminal
Asked = list[tuple[Behind, Expr]]  # alternatives: what to find on the left, and on the right


@dataclass(frozen=True, slots=True, eq=False)
class Lazy(Repeat):
    """A repeat that tries to stop first."""


class OrderedParser(Parser):
    """Keeps lazy repeats apart, which make no difference to a language but to what is matched."""

    def quantified(self, node: Node, flags: Flags, start: int) -> Node:
        self.skip_space(flags)
        at = self.at
        lazy = self.bounds() is not None and self.peek() == "?"
        self.at = at
        found = super().quantified(node, flags, start)
        return Lazy(found.body, found.low, found.high) if lazy and isinstance(found, Repeat) else found


@dataclass(frozen=True, slots=True)
class State:
    """`ways`: a set of letters each, and what comes behind; `match`: the terminal that is complete here; `rest`: what
    look-ahead asks of the text to come, in letters; `past`: the last letters."""

    ways: tuple[tuple[int, Way], ...]
    match: str | None
    rest: Expr
    past: tuple[int, ...]


class Matcher:
    """The automaton of terminals, the first of which that matches is preferred. `starts` and `moves` are numbers of
    `states`; several moves with one letter differ in what they ask of the rest, and exclude each other."""

    def __init__(self, terminals: list[tuple[str, Node]], strings: Iterable[str] = ()) -> None:
        """The characters of `strings` get letters of their own."""
        self.cut = False  # whether a preferred match ever hides a longer one
        nodes = [node for _, node in terminals]
        own = [((ord(char), ord(char)),) for string in strings for char in string]
        self.classes = Classes([*own, *(s for node in nodes for s in _sets(node))])
        self.asked: dict[Node, Asked] = {a: _translated(a, self.classes) for node in nodes for a in _assertions(node)}
        self._width = max([len(b.sets) + b.start for asked in self.asked.values() for b, _ in asked], default=0)
        self.rounds: dict[Repeat, Repeat] = {}
        self.states: list[State] = []
        self.moves: list[dict[tuple[int, int], None]] = []  # (letter, state)
        self._numbers: dict[State, int] = {}
        first: list[Way] = [(node, name) for name, node in terminals]
        self.starts = [self._number(state) for state in self._enter(first, ALL, ())]
        for state in self.states:
            self.moves.append({(letter, self._number(to)): None for letter, to in self._after(state)})

    def steps(self, at: int) -> dict[int, int]:
        """The letters, as bits, that lead from a state to each other one."""
        out: dict[int, int] = {}
        for letter, to in self.moves[at]:
            out[to] = out.get(to, 0) | 1 << letter
        return out

    def _number(self, state: State) -> int:
        found = self._numbers.get(state)
        if found is None:
            found = self._numbers[state] = len(self.states)
            self.states.append(state)
            if found >= MOST_STATES:
                raise UnsupportedConstraint(f"it takes more than {MOST_STATES} states to find the preferred match")
        return found

    def _after(self, state: State) -> Iterator[tuple[int, State]]:
        known: dict[tuple[tuple[Way, ...], Expr, tuple[int, ...]], list[State]] = {}
        for letter in range(len(self.classes.ranges)):
            ways = tuple([rest for accepted, rest in state.ways if accepted >> letter & 1])
            if not ways or (rest := derive(state.rest, letter)) is EMPTY:
                continue
            past = (*state.past, letter)[-self._width :] if self._width else ()
            key = (ways, rest, past)
            if key not in known:
                known[key] = list(self._enter(list(ways), rest, past))
            for to in known[key]:
                yield letter, to

    def _enter(self, ways: list[Way], rest: Expr, past: tuple[int, ...]) -> Iterator[State]:
        """The states of `ways`, one for each outcome of the assertions met."""
        todo: list[tuple[dict[Expr, bool], Expr]] = [({}, rest)]
        while todo:
            decided, rest = todo.pop()
            if minlen(rest) >= INF:
                continue
            expansion = _Expansion(self, past, decided)
            undecided = expansion.run(ways)
            if undecided is not None:
                todo.append(({**decided, undecided: False}, both(rest, complement(undecided))))
                todo.append(({**decided, undecided: True}, both(rest, undecided)))
                continue
            self.cut |= expansion.hidden
            if expansion.ways or expansion.match:
                yield State(tuple(expansion.ways), expansion.match, rest, past)


def _parts(node: Node) -> tuple[Node, ...]:
    match node:
        case Cat(parts) | Alt(parts):
            return parts
        case Repeat(body) | Look(body):
            return (body,)
    return ()


def _sets(node: Node) -> Iterator[Ranges]:
    """All sets that tell characters apart."""
    match node:
        case Chars(ranges) | Boundary(ranges):
            yield ranges
        case At(_, breaks):
            yield from (breaks, NEWLINE)
    for part in _parts(node):
        yield from _sets(part)


def _assertions(node: Node) -> Iterator[Look | Boundary | At]:
    """The assertions that a match may meet; those inside of others are translated with them."""
    if isinstance(node, Look | Boundary | At):
        yield node
    else:
        for part in _parts(node):
            yield from _assertions(part)


def _translated(node: Look | Boundary | At, classes: Classes) -> Asked:
    compiler = Compiler(classes.alphabet)
    match node:
        case Look():
            asked = compiler.look(node)
        case Boundary():
            asked = compiler.boundary(node)
        case At():
            asked = compiler.edge(node)
    solve_regular(compiler.rules)
    return asked


class _Expansion:
    """Follows ways, in order, to the characters that they read next, up to the first complete match."""

    def __init__(self, matcher: Matcher, past: tuple[int, ...], decided: dict[Expr, bool]) -> None:
        self.classes, self.asked, self.rounds = matcher.classes, matcher.asked, matcher.rounds
        self.past, self.decided = past, decided
        self.ways: dict[tuple[int, Way], None] = {}
        self.match: str | None = None
        self.hidden = False
        self.seen: set[Way] = set()
        self.undecided: Expr | None = None

    def run(self, ways: list[Way]) -> Expr | None:
        """None when done, else an assertion about the rest whose outcome matters."""
        for way in ways:
            self.follow(way)
        return self.undecided

    def follow(self, way: Way) -> None:
        if way in self.seen or self.undecided is not None:
            return
        self.seen.add(way)
        if isinstance(way, str):
            self.hidden |= self.match is not None and way != self.match
            self.match = self.match or way
            return
        assert isinstance(way, tuple)
        node, rest = way
        match node:
            case Chars(ranges):
                found = (self.classes.mask(ranges), rest)
                if self.match is None:
                    self.ways[found] = None
                self.hidden |= found not in self.ways
            case Cat(parts):
                for part in reversed(parts):
                    rest = (part, rest)
                self.follow(rest)
            case Alt(parts):
                for part in parts:
                    self.follow((part, rest))
            case Repeat():
                self.repeat(node, rest)
            case _:
                if self.holds(node):
                    self.follow(rest)

    def repeat(self, node: Repeat, rest: Way) -> None:
        again = (node.body, (self.fewer(node), rest))
        if node.high == 0:
            self.follow(rest)
        elif node.low:
            self.follow(again)
        else:
            for way in (rest, again) if isinstance(node, Lazy) else (again, rest):
                self.follow(way)

    def fewer(self, node: Repeat) -> Repeat:
        """What remains after one round; nodes compare by identity, so each is made once."""
        if node.low == 0 and node.high is None:
            return node
        if node not in self.rounds:
            high = None if node.high is None else node.high - 1
            self.rounds[node] = type(node)(node.body, max(node.low - 1, 0), high)
        return self.rounds[node]

    def holds(self, node: Node) -> bool:
        right = alt(*[right for behind, right in self.asked[node] if self.is_behind(behind)])
        if right is EMPTY or right is ALL:
            return right is not EMPTY
        if right not in self.decided:
            self.undecided = right
        return self.decided.get(right, False)

    def is_behind(self, behind: Behind) -> bool:
        known = list(zip(reversed(behind.sets), reversed(self.past), strict=False))
        if not all(self.classes.mask(ranges) >> letter & 1 for ranges, letter in known):
            return False
        if len(known) < len(behind.sets) or (behind.start and len(known) == len(self.past)):
            raise UnsupportedConstraint("it looks at the text before it")
        return not behind.start
