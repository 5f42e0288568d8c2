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

import numpy as np
from numpy.typing import NDArray

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
DEAD, CLOSED = -1, -2
Moves = NDArray[np.int64]
Flags = NDArray[np.bool_]

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
    if len(known) < len(atoms):
        return None
    product = _Product(logic, function, known, len(classes)).machine()
    return None if product is None else _written(product, classes, alphabet)


def simplified(build: Callable[[Alphabet], Expr], alphabet: Alphabet) -> Expr | None:
    """What `build` makes, without intersections and complements; None when that takes too many states."""
    classes = _classes([build])
    if len(classes) > MOST_CLASSES:
        return None
    small = _alphabet_of(classes)
    table = _table(build(small), small.text, len(classes))
    if table is None:
        return None
    return _written(_Machine(np.array(table.rows), np.array(table.final)), classes, alphabet)


def _written(machine: _Machine, classes: list[Ranges], alphabet: Alphabet) -> Expr | None:
    merged = _merged(_alive(machine))
    if len(merged.moves) > MOST_MERGED:
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
class _Machine:
    """moves: int64 [states, classes], DEAD where nothing follows; final: bool [states]. State 0 is the start."""

    moves: Moves
    final: Flags


class _Product:
    """The tables side by side, each only as long as its assertion is open; layer by layer from the start.

    A state is a row of numbers: the function that is left, then the state of each table (CLOSED when it is decided).
    """

    def __init__(self, logic: Logic, function: Node, tables: dict[Atom, _Table], size: int) -> None:
        self.logic, self.size, self.atoms = logic, size, list(tables)
        self.moves = [np.array([*t.rows, [DEAD] * size]) for t in tables.values()]  # the last row: dead
        self.status = [np.array([2 * u for u in t.universal] + [1]) for t in tables.values()]
        self.final = [np.array([*t.final, False]) for t in tables.values()]
        self.nodes: list[Node] = []
        self.numbers: dict[int, int] = {}
        self.settled: dict[tuple[int, int], tuple[int, NDArray[np.bool_]]] = {}
        self.start = function

    def machine(self) -> _Machine | None:
        """None when the states are more than MOST_STATES."""
        first = np.zeros((1, len(self.atoms)), np.int64)
        layer = self._settle(np.zeros((1,), np.int64), first, {0: self.start})
        if layer[0, 0] == DEAD:
            return _Machine(np.zeros((0, self.size), np.int64), np.zeros(0, np.bool_))
        known = {layer[0].tobytes(): 0}
        moves, final = [], []
        while len(layer):
            final.append(self._ends(layer))
            after = self._after(layer)
            rows, which = np.unique(after, axis=0, return_inverse=True)
            new = [row for row in rows if row[0] != DEAD and row.tobytes() not in known]
            known |= {row.tobytes(): i for i, row in enumerate(new, len(known))}
            if len(known) > MOST_STATES:
                return None
            places = np.array([known.get(row.tobytes(), DEAD) for row in rows])
            moves.append(places[which.reshape(-1)].reshape(len(layer), self.size))
            layer = np.array(new, np.int64).reshape(len(new), after.shape[1])
        return _Machine(np.concatenate(moves), np.concatenate(final))

    def _after(self, layer: Moves) -> Moves:
        """The states behind all symbols, one state's after the other's."""
        at = layer[:, 1:]
        stepped = np.full((len(layer), self.size, len(self.atoms)), CLOSED)
        for k, moves in enumerate(self.moves):
            open_ = at[:, k] != CLOSED
            stepped[open_, :, k] = moves[at[open_, k]]
        nodes = np.repeat(layer[:, 0], self.size)
        return self._settle(nodes, stepped.reshape(-1, len(self.atoms)), dict(enumerate(self.nodes)))

    def _settle(self, nodes: Moves, at: Moves, functions: dict[int, Node]) -> Moves:
        """Assertions that are decided are put into the functions; DEAD where nothing can be met any more."""
        codes = np.zeros(len(at), np.int64)
        for k, status in enumerate(self.status):
            codes += np.where(at[:, k] == CLOSED, 0, status[at[:, k]]) * 3**k
        kinds, which = np.unique(np.stack([nodes, codes], 1), axis=0, return_inverse=True)
        found = [self._left(int(node), int(code), functions[int(node)]) for node, code in kinds]
        numbers = np.array([number for number, _ in found])[which.reshape(-1)]
        open_ = np.array([flags for _, flags in found])[which.reshape(-1)]
        return np.concatenate([numbers[:, None], np.where(open_, at, CLOSED)], 1)

    def _left(self, number: int, code: int, node: Node) -> tuple[int, NDArray[np.bool_]]:
        key = (node.uid, code)
        if key not in self.settled:
            decided = {a: code // 3**k % 3 == 2 for k, a in enumerate(self.atoms) if code // 3**k % 3}
            left = self.logic.restrict(node, decided)
            support = set(self.logic.support(left))
            number = DEAD if left is self.logic.false else self.numbers.setdefault(left.uid, len(self.nodes))
            if number == len(self.nodes):
                self.nodes.append(left)
            self.settled[key] = number, np.array([a in support for a in self.atoms], np.bool_)
        return self.settled[key]

    def _ends(self, layer: Moves) -> Flags:
        bits = np.zeros(len(layer), np.int64)
        for k, final in enumerate(self.final):
            at = layer[:, k + 1]
            bits += np.where(at == CLOSED, 0, final[at]) << k
        kinds, which = np.unique(np.stack([layer[:, 0], bits], 1), axis=0, return_inverse=True)
        ends = [
            self.logic.holds(self.nodes[node], {a: bool(code >> k & 1) for k, a in enumerate(self.atoms)}.__getitem__)
            for node, code in kinds.tolist()
        ]
        return np.array(ends, np.bool_)[which.reshape(-1)]


def _alive(machine: _Machine) -> _Machine:
    """Moves to states that cannot reach an end become dead; the states themselves may stay."""
    moves = machine.moves
    sources, classes = np.nonzero(moves != DEAD)
    order = np.argsort(moves[sources, classes], kind="stable")
    sources = sources[order]
    first = np.searchsorted(moves[moves != DEAD][order], np.arange(len(moves) + 1))
    alive = machine.final.copy()
    layer = np.flatnonzero(alive)
    while len(layer):
        before = np.concatenate([sources[first[s] : first[s + 1]] for s in layer.tolist()])
        layer = np.unique(before[~alive[before]])
        alive[layer] = True
    return _Machine(np.where((moves != DEAD) & alive[moves], moves, DEAD), machine.final)


def _merged(machine: _Machine) -> _Machine:
    """One state for all that accept the same (Moore 1956), told apart by hashes; checked, so that it is exact."""
    moves, final = machine.moves, machine.final
    for seed in range(len(moves) and 1 << 30):
        factors = np.random.default_rng(seed).integers(1, 1 << 63, moves.shape[1] + 1, np.uint64) | np.uint64(1)
        group, count = final.astype(np.int64), 0
        while True:
            seen = np.append(group, DEAD)[np.column_stack([np.arange(len(moves)), moves])].astype(np.uint64)
            _, firsts, group = np.unique((seen * factors).sum(1), return_index=True, return_inverse=True)
            if len(firsts) == count:
                break
            count = len(firsts)
        rank = np.argsort(np.argsort(firsts))
        group, firsts = np.append(rank[group], DEAD), np.sort(firsts)
        merged = _Machine(group[moves[firsts]], final[firsts])
        if np.array_equal(merged.moves[group[:-1]], group[moves]) and np.array_equal(merged.final[group[:-1]], final):
            return merged
    return machine


# -- rules


class _Rules:
    """Writes a machine as an expression: loops become rules, all else is nested. State 0 is the start."""

    def __init__(self, machine: _Machine, classes: list[Ranges], alphabet: Alphabet) -> None:
        self.moves, self.final = machine.moves.tolist(), machine.final.tolist()
        self.classes, self.alphabet = classes, alphabet
        self.done: dict[int, Expr | None] = {}
        self.rules: dict[int, Ref] = {}

    def expr(self) -> Expr:
        return self.of(0) if self.moves else EMPTY

    def of(self, state: int) -> Expr:
        if state not in self.done:
            self.done[state] = None
            found = self.written(state)
            self.done[state] = self.rules[state].define(found) if state in self.rules else found
        known = self.done[state]
        return self.rules.setdefault(state, ref("string state")) if known is None else known

    def written(self, state: int) -> Expr:
        moves: dict[int, list[Ranges]] = {}
        for symbol, after in enumerate(self.moves[state]):
            if after != DEAD:
                moves.setdefault(after, []).append(self.classes[symbol])
        onward = [concat(self.chars(sets), self.of(after)) for after, sets in moves.items() if after != state]
        rest = alt(EPS if self.final[state] else EMPTY, *onward)
        return concat(repeat(self.chars(moves[state]), 0), rest) if state in moves else rest

    def chars(self, sets: list[Ranges]) -> Expr:
        return self.alphabet.chars(union(*sets))
