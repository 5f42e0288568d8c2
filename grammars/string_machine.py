"""Look-around, and functions of string assertions, as small deterministic machines.

An intersection may stay symbolic, but then every state of it asks for a search whether it is alive, and searches over
products of unanchored patterns are long. So they are worked out beforehand as long as they stay small: each assertion
becomes a table over classes of characters, the tables run side by side, dead ends are cut, equal states merged (Moore
1956), and what is left is written as plain rules.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from .byteset import END, Dag
from .derive import derive, nullable, segments
from .expr import EMPTY, EPS, Expr, Kind, Ref, _leaf, alt, concat, ref, repeat, text
from .logic import Atom, Logic, Node
from .regex_compile import Alphabet
from .unicode_sets import ALL, Ranges, contains, union

MOST_CLASSES = 200
MOST_TABLE = 1_000  # states of one assertion
MOST_NODES = 50_000  # of decision diagrams in it
MOST_STATES = 100_000  # of all assertions together
MOST_MERGED = 20_000  # of these that differ
MOST_RULES = 400  # loops among them
DEAD = -1

Write = Callable[[Atom, Alphabet], Expr]


def machine(logic: Logic, function: Node, write: Write, alphabet: Alphabet) -> Expr | None:
    """Texts that meet `function`, in `alphabet`; None when that takes too many states.

    `write` writes one assertion in any alphabet.
    """
    atoms = logic.support(function)
    classes = _classes([partial(write, atom) for atom in atoms])
    if len(classes) > MOST_CLASSES:
        return None
    small = _alphabet_of(classes)
    tables = {atom: _table(write(atom, small), small.text, len(classes)) for atom in atoms}
    known = {atom: table for atom, table in tables.items() if table is not None}
    rows = _product(logic, function, known, len(classes)) if len(known) == len(atoms) else None
    return None if rows is None else _written(rows, classes, alphabet)


def simplified(build: Callable[[Alphabet], Expr], alphabet: Alphabet) -> Expr | None:
    """What `build` makes, without intersections and complements; None when that takes too many states."""
    classes = _classes([build])
    if len(classes) > MOST_CLASSES:
        return None
    small = _alphabet_of(classes)
    table = _table(build(small), small.text, len(classes))
    if table is None:
        return None
    return _written([_Row(*row) for row in zip(table.final, table.rows, strict=True)], classes, alphabet)


def _written(rows: list[_Row], classes: list[Ranges], alphabet: Alphabet) -> Expr | None:
    merged = _merged(_alive(rows))
    if len(merged) > MOST_MERGED:
        return None
    rules = _Rules(merged, classes, alphabet)
    found = rules.expr()
    return found if len(rules.rules) <= MOST_RULES else None


# -- classes of characters


def _classes(builds: Sequence[Callable[[Alphabet], Expr]]) -> list[Ranges]:
    """The coarsest sets of characters that no assertion tells apart."""
    seen: dict[Ranges, Expr] = {}

    def record(ranges: Ranges) -> Expr:
        """A text of its own for each set: where two are taken for one, `both` may find nothing left too early."""
        return seen.setdefault(ranges, text(len(seen).to_bytes(3)))

    def record_words(words: list[str]) -> Expr:
        return alt(*[concat(*[record(((ord(char), ord(char)),)) for char in word]) for word in words])

    for build in builds:
        build(Alphabet(record, record_words, repeat(record(ALL), 0)))
    sets = list(seen)
    starts = sorted(
        {0, *[low for ranges in sets for low, _ in ranges], *[high + 1 for ranges in sets for _, high in ranges]}
    )
    members: list[set[int]] = [set() for _ in starts]
    for i, ranges in enumerate(sets):
        for low, high in ranges:
            for at in range(bisect_left(starts, low), bisect_left(starts, high + 1)):
                members[at].add(i)
    classes: dict[frozenset[int], list[tuple[int, int]]] = {}
    for at, start in enumerate(starts):
        end = starts[at + 1] - 1 if at + 1 < len(starts) else ALL[0][1]
        if start <= end:
            classes.setdefault(frozenset(members[at]), []).append((start, end))
    return [union(ranges) for ranges in classes.values()]


def _alphabet_of(classes: list[Ranges]) -> Alphabet:
    """An alphabet with one byte per class."""
    firsts = [ranges[0][0] for ranges in classes]

    def symbols(ranges: Ranges) -> Expr:
        found = [i for i, first in enumerate(firsts) if contains(ranges, first)]
        return _leaf(Dag.of((i, i, END) for i in found)) if found else EMPTY

    def words(options: list[str]) -> Expr:
        return alt(*[concat(*[symbols(((ord(c), ord(c)),)) for c in word]) for word in options])

    return Alphabet(symbols, words, repeat(symbols(ALL), 0))


# -- tables


@dataclass(slots=True)
class _Table:
    """A deterministic machine: for each state where each class leads, whether it may end, whether all may follow."""

    rows: list[list[int]]
    final: list[bool]
    universal: list[bool]


class _Functions:
    """Expressions as Boolean functions of expressions without outer alternatives, intersections and complements.

    They are the states of an alternating automaton (Chandra, Kozen and Stockmeyer 1981): where loops hold look-ahead,
    derivatives nest ever deeper, but there are finitely many functions.
    """

    def __init__(self, everything: Expr) -> None:
        self.logic = Logic()
        self.known = {EMPTY: self.logic.false, everything: self.logic.true}
        self.derived: dict[tuple[Expr, int], Node] = {}

    def of(self, e: Expr) -> Node:
        found = self.known.get(e)
        if found is None:
            found = self.known[e] = self.made(e)
        return found

    def made(self, e: Expr) -> Node:
        match e.kind:
            case Kind.ALT:
                return self.logic.disj([self.of(part) for part in e.args])
            case Kind.AND:
                return self.logic.conj([self.of(part) for part in e.args])
            case Kind.NOT:
                return self.logic.negate(self.of(e.args[0]))
        return self.logic.atom(e)

    def moves(self, state: Node, size: int) -> Iterator[tuple[int, int, Node]]:
        """(low, high, what symbols low..high-1 leave)."""
        expressions = alt(*self.logic.support(state))
        for low, high in segments(expressions):
            if low < size:
                yield low, min(high, size), self.logic.replace(state, partial(self.after, low))

    def after(self, symbol: int, e: Expr) -> Node:
        found = self.derived.get((e, symbol))
        if found is None:
            found = self.derived[e, symbol] = self.of(derive(e, symbol))
        return found


def _table(start: Expr, everything: Expr, size: int) -> _Table | None:
    functions = _Functions(everything)
    logic = functions.logic
    states = [functions.of(start)]
    numbers = {states[0].uid: 0}
    rows: list[list[int]] = []
    for state in states:  # grows
        row = [DEAD] * size
        for low, high, after in functions.moves(state, size):
            if after is not logic.false:
                if after.uid not in numbers:
                    numbers[after.uid] = len(states)
                    states.append(after)
                row[low:high] = [numbers[after.uid]] * (high - low)
        rows.append(row)
        if len(states) > MOST_TABLE or logic.size > MOST_NODES:
            return None
    return _Table(rows, [logic.holds(f, nullable) for f in states], [f is logic.true for f in states])


@dataclass(slots=True)
class _Row:
    final: bool
    moves: list[int]


def _product(logic: Logic, function: Node, tables: dict[Atom, _Table], size: int) -> list[_Row] | None:
    """The tables side by side, each only as long as its assertion is open."""
    memo: dict[tuple[int, tuple[tuple[Atom, bool], ...]], tuple[Node, list[Atom]]] = {}

    def settled(node: Node, at: dict[Atom, int]) -> tuple[int, tuple[int, ...]] | None:
        decided = tuple([(a, s != DEAD) for a, s in at.items() if s == DEAD or tables[a].universal[s]])
        key = (node.uid, decided)
        if key not in memo:
            left = logic.restrict(node, dict(decided))
            memo[key] = (left, logic.support(left))
        left, open_ = memo[key]
        nodes[left.uid] = (left, open_)
        return None if left is logic.false else (left.uid, tuple([at[a] for a in open_]))

    nodes: dict[int, tuple[Node, list[Atom]]] = {}
    start = settled(function, dict.fromkeys(tables, 0))
    numbers = {} if start is None else {start: 0}
    states = list(numbers)
    out: list[_Row] = []
    for uid, at in states:  # grows
        node, open_ = nodes[uid]
        where = dict(zip(open_, at, strict=True))
        moves = []
        for symbol in range(size):
            after = settled(node, {a: tables[a].rows[s][symbol] for a, s in where.items()})
            if after is not None and after not in numbers:
                numbers[after] = len(states)
                states.append(after)
            moves.append(DEAD if after is None else numbers[after])
        final = {a: tables[a].final[s] for a, s in where.items()}
        out.append(_Row(logic.restrict(node, final) is logic.true, moves))
        if len(states) > MOST_STATES:
            return None
    return out


def _alive(rows: list[_Row]) -> list[_Row]:
    """Moves to states that cannot reach an end become dead; the states themselves may stay."""
    sources: list[set[int]] = [set() for _ in rows]
    for i, row in enumerate(rows):
        for after in row.moves:
            if after != DEAD:
                sources[after].add(i)
    alive = [row.final for row in rows]
    todo = [i for i, row in enumerate(rows) if row.final]
    while todo:
        for source in sources[todo.pop()]:
            if not alive[source]:
                alive[source] = True
                todo.append(source)
    return [_Row(row.final, [after if after != DEAD and alive[after] else DEAD for after in row.moves]) for row in rows]


def _merged(rows: list[_Row]) -> list[_Row]:
    """One state for all that accept the same."""
    group = [int(row.final) for row in rows]
    count = 0
    while True:
        signatures: dict[tuple[int, ...], int] = {}
        group = [
            signatures.setdefault((group[i], *[a if a == DEAD else group[a] for a in row.moves]), len(signatures))
            for i, row in enumerate(rows)
        ]
        if len(signatures) == count:
            break
        count = len(signatures)
    firsts = {g: i for i, g in reversed(list(enumerate(group)))}
    return [
        _Row(rows[firsts[g]].final, [a if a == DEAD else group[a] for a in rows[firsts[g]].moves]) for g in range(count)
    ]


# -- rules


class _Rules:
    """Writes a machine as an expression: loops become rules, all else is nested. State 0 is the start."""

    def __init__(self, rows: list[_Row], classes: list[Ranges], alphabet: Alphabet) -> None:
        self.rows, self.classes, self.alphabet = rows, classes, alphabet
        self.done: dict[int, Expr | None] = {}
        self.rules: dict[int, Ref] = {}

    def expr(self) -> Expr:
        return self.of(0) if self.rows else EMPTY

    def of(self, state: int) -> Expr:
        if state not in self.done:
            self.done[state] = None
            found = self.written(state)
            self.done[state] = self.rules[state].define(found) if state in self.rules else found
        known = self.done[state]
        return self.rules.setdefault(state, ref("string state")) if known is None else known

    def written(self, state: int) -> Expr:
        moves: dict[int, list[Ranges]] = {}
        for symbol, after in enumerate(self.rows[state].moves):
            if after != DEAD:
                moves.setdefault(after, []).append(self.classes[symbol])
        onward = [concat(self.chars(sets), self.of(after)) for after, sets in moves.items() if after != state]
        rest = alt(EPS if self.rows[state].final else EMPTY, *onward)
        return concat(repeat(self.chars(moves[state]), 0), rest) if state in moves else rest

    def chars(self, sets: list[Ranges]) -> Expr:
        return self.alphabet.chars(union(*sets))
