"""Which texts of a grammar fill a template: the intersection of a context-free language with a regular one.

The product of Bar-Hillel, Perles and Shamir (1961): from the states p to q of the template's automaton a rule A of the
grammar has the texts of a rule (p, A, q). Which of these have any is a least fixpoint over relations of states,
so that emptiness is decided whatever the lengths, where a search among derivatives of `both` might go on for ever.
The product is a grammar, whose masks are exact like any other's. In pieces that are not shown its bytes are left out:
that gives the texts of some holes that go with at least one filling of the rest.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from .byteset import END, Dag
from .cfg import Net, Nets
from .cfg_expr import to_expr
from .derive import children, derive, minlen, nullable, segments, solve
from .errors import UnsupportedConstraint
from .expr import INF, Expr, Kind, Ref, _leaf
from .grammar import Grammar

MOST_STATES = 2_000  # of the template, and of a regular part of the grammar
MOST_RULES = 50_000

Relation = list[int]  # for each state of the template, the set of states that a text may lead to, as bits
Move = tuple[int, int, tuple[int, ...]]  # bytes low..high-1 and the states they lead to


def filled(grammar: Grammar, pieces: Sequence[Grammar], shown: Collection[int] | None = None) -> Grammar:
    """The texts of `grammar` that consist of one text of each of the (regular) `pieces`; of these texts only what comes
    from the pieces numbered in `shown` (None: all).

    It is empty, `minlen(...) == INF`, exactly when the pieces cannot be completed to a text of the grammar.

    Raises UnsupportedConstraint where a recursive rule stands inside of an intersection or complement, where a piece
    is not regular, or has too many states.

    >>> from lmprog.grammars import gbnf, regex
    >>> pairs = gbnf('root ::= ("(" root ")")*')
    >>> hole = regex("[()]*")
    >>> filled(pairs, [regex("[(]"), hole, regex("[)][)]")], shown=[1]).matches("(()")
    True
    """
    solve(grammar.expr)
    path = _Path([piece.expr for piece in pieces], range(len(pieces)) if shown is None else shown)
    return Grammar(_Product(grammar.expr, path).expr())


def split(pieces: Sequence[Grammar], text: str) -> list[str]:
    """A text of the pieces as one text of each; of several ways the one in which the first piece is shortest, then the
    second, and so on.

    Raises ValueError when there is none.

    >>> from lmprog.grammars import regex
    >>> split([regex("a*"), regex("a?b"), regex(".*")], "aabc")
    ['a', 'ab', 'c']
    """
    data = text.encode()
    failed: set[tuple[int, int]] = set()

    def rest(i: int, begin: int) -> list[int] | None:
        """The ends of the pieces from number i on."""
        if i == len(pieces):
            return [] if begin == len(data) else None
        if (i, begin) in failed:
            return None
        at = pieces[i].expr
        solve(at)
        for end in range(begin, len(data) + 1):
            if nullable(at) and (ends := rest(i + 1, end)) is not None:
                return [end, *ends]
            if end < len(data):
                at = derive(at, data[end])
        failed.add((i, begin))
        return None

    ends = rest(0, 0)
    if ends is None:
        raise ValueError("the text does not consist of the pieces")
    return [data[a:b].decode() for a, b in zip([0, *ends], ends, strict=False)]


class _Machine:
    """The automaton of a regular expression: its derivatives."""

    def __init__(self, start: Expr) -> None:
        self.states = [start]
        self.moves: list[list[Move]] = []
        numbers = {start: 0}
        for at in self.states:
            self.moves.append([])
            for low, high in segments(at):
                after = derive(at, low)
                if minlen(after) >= INF:
                    continue
                if after not in numbers:
                    numbers[after] = len(self.states)
                    self.states.append(after)
                    if len(self.states) > MOST_STATES:
                        raise UnsupportedConstraint("infilling: a hole or a part of the grammar has too many states")
                self.moves[-1].append((low, high, (numbers[after],)))
        self.final = [nullable(e) for e in self.states]


class _Path:
    """The automaton of pieces one after the other. State 0 is the end."""

    def __init__(self, pieces: Sequence[Expr], shown: Collection[int]) -> None:
        self.moves: list[list[Move]] = [[]]
        self.shown = [False]
        entry: tuple[int, ...] = (0,)
        for i in reversed(range(len(pieces))):
            if _is_recursive(pieces[i], {}):
                raise UnsupportedConstraint("infilling: a hole's own language is regular; say the rest in grammar=")
            machine, base, after = _Machine(pieces[i]), len(self.moves), entry
            for moves in machine.moves:
                ends = [(low, high, self._reached(machine, to, base, after)) for low, high, (to,) in moves]
                self.moves.append(ends)
                self.shown.append(i in shown)
            entry = self._reached(machine, 0, base, after)
        self.entry = entry
        if len(self.moves) > MOST_STATES:
            raise UnsupportedConstraint("infilling: the template has too many states")

    @staticmethod
    def _reached(machine: _Machine, state: int, base: int, after: tuple[int, ...]) -> tuple[int, ...]:
        """A state, and, where its piece may be complete, the first ones of the next."""
        own = (base + state,) if machine.moves[state] else ()
        return own + after if machine.final[state] else own

    def __len__(self) -> int:
        return len(self.moves)


class _Product:
    def __init__(self, start: Expr, path: _Path) -> None:
        self.start, self.path = start, path
        self._recursive: dict[int, bool] = {}
        self._machines: dict[int, _Machine] = {}
        self._closed: dict[int, Relation] = {}  # of expressions without rules
        self._known: dict[int, Relation] = {}
        self._rules: dict[int, Relation] = {}
        self._todo: list[tuple[str, Expr, int, int]] = []
        self._nets: Nets = {}
        self._solve()

    def _solve(self) -> None:
        rules = _rules_below(self.start)
        self._rules = {rule.uid: [0] * len(self.path) for rule in rules}
        changed = True
        while changed:
            changed = False
            for rule in rules:
                self._known = {}
                found = self.relation(rule.resolved())
                if found != self._rules[rule.uid]:
                    self._rules[rule.uid], changed = found, True
        self._known = {}

    # -- between which states an expression has a text

    def relation(self, e: Expr) -> Relation:
        found = self._rules.get(e.uid) or self._closed.get(e.uid) or self._known.get(e.uid)
        if found is None:
            if _is_recursive(e, self._recursive):
                found = self._known[e.uid] = self._composed(e)
            else:
                found = self._closed[e.uid] = [self._walk(self.machine(e), p) for p in range(len(self.path))]
        return found

    def _composed(self, e: Expr) -> Relation:
        match e.kind:
            case Kind.CAT:
                return _then(self.relation(e.args[0]), self.relation(e.args[1]))
            case Kind.ALT:
                return [_union(rows) for rows in zip(*[self.relation(x) for x in e.args], strict=True)]
            case Kind.REPEAT:
                body, low, high = self.relation(e.args[0]), e.args[1], e.args[2]
                maybe = [row | 1 << p for p, row in enumerate(body)]
                return _then(_power(body, low), _power(maybe, len(self.path) if high < 0 else high - low))
            case _:
                raise UnsupportedConstraint(f"infilling: a recursive rule inside of {e.kind.name.lower()}")

    def machine(self, e: Expr) -> _Machine:
        if e.uid not in self._machines:
            self._machines[e.uid] = _Machine(e)
        return self._machines[e.uid]

    def _walk(self, machine: _Machine, p: int) -> int:
        seen, todo, out = {(0, p)}, [(0, p)], 0
        while todo:
            state, at = todo.pop()
            if machine.final[state]:
                out |= 1 << at
            for _, _, after, to in self._steps(machine, state, at):
                if (after, to) not in seen:
                    seen.add((after, to))
                    todo.append((after, to))
        return out

    def _steps(self, machine: _Machine, state: int, at: int) -> Iterator[tuple[int, int, int, int]]:
        for low, high, (after,) in machine.moves[state]:
            for first, last, ends in self.path.moves[at]:
                if low < last and first < high:
                    for to in ends:
                        yield max(low, first), min(high, last), after, to

    # -- the grammar of the product

    def expr(self) -> Expr:
        start = Net()
        end = start.state()
        start.final.add(end)
        for p in self.path.entry:
            if self.relation(self.start)[p] & 1:
                start.edge(0, self._symbol(self.start, p, 0), end)
        self._nets["start"] = start
        while self._todo:
            name, e, p, q = self._todo.pop()
            self._nets[name] = self._net(e, p, q)
            if len(self._nets) > MOST_RULES:
                raise UnsupportedConstraint("infilling: the template and the grammar together have too many rules")
        return to_expr(self._nets, "start")

    def _symbol(self, e: Expr, p: int, q: int) -> str:
        name = f"{e.uid}.{p}.{q}"
        if name not in self._nets:
            self._nets[name] = Net()
            self._todo.append((name, e, p, q))
        return name

    def _net(self, e: Expr, p: int, q: int) -> Net:
        if not _is_recursive(e, self._recursive):
            return self._spelt(self.machine(e), p, q)
        net = Net()
        end = net.state()
        net.final.add(end)
        if isinstance(e, Ref):
            net.edge(0, self._symbol(e.resolved(), p, q), end)
        elif e.kind is Kind.ALT:
            for part in e.args:
                if self.relation(part)[p] >> q & 1:
                    net.edge(0, self._symbol(part, p, q), end)
        elif e.kind is Kind.CAT:
            head, tail = e.args
            for r in _bits(self.relation(head)[p]):
                if self.relation(tail)[r] >> q & 1:
                    between = net.state()
                    net.edge(0, self._symbol(head, p, r), between)
                    net.edge(between, self._symbol(tail, r, q), end)
        else:
            return self._repeated(e, p, q)
        return net

    def _repeated(self, e: Expr, p: int, q: int) -> Net:
        body, low, high = e.args
        relation = self.relation(body)
        net, numbers = Net(), {(0, p): 0}
        for count, at in (todo := [(0, p)]):
            number = numbers[count, at]
            if at == q and count >= low:
                net.final.add(number)
            if count == high:
                continue
            after = count + 1 if high >= 0 else min(count + 1, low)
            for r in _bits(relation[at]):
                if (after, r) not in numbers:
                    numbers[after, r] = net.state()
                    todo.append((after, r))
                net.edge(number, self._symbol(body, at, r), numbers[after, r])
        return net

    def _spelt(self, machine: _Machine, p: int, q: int) -> Net:
        net, numbers = Net(), {(0, p): 0}
        for state, at in (todo := [(0, p)]):
            number = numbers[state, at]
            if at == q and machine.final[state]:
                net.final.add(number)
            for low, high, after, to in self._steps(machine, state, at):
                if (after, to) not in numbers:
                    numbers[after, to] = net.state()
                    todo.append((after, to))
                if self.path.shown[at]:
                    net.edge(number, _leaf(Dag.of([(low, high - 1, END)])), numbers[after, to])
                else:
                    net.skip(number, numbers[after, to])
        return net


def _is_recursive(e: Expr, known: dict[int, bool]) -> bool:
    """Whether there is a rule below."""
    if e.uid not in known:
        known[e.uid] = isinstance(e, Ref) or any([_is_recursive(x, known) for x in _parts(e)])
    return known[e.uid]


def _parts(e: Expr) -> list[Expr]:
    return [x for x in children(e) if isinstance(x, Expr)]


def _rules_below(e: Expr) -> list[Ref]:
    seen, todo, out = {e.uid}, [e], list[Ref]()
    while todo:
        at = todo.pop()
        if isinstance(at, Ref):
            out.append(at)
        for part in [at.resolved()] if isinstance(at, Ref) else _parts(at):
            if part.uid not in seen:
                seen.add(part.uid)
                todo.append(part)
    return out


def _bits(row: int) -> Iterator[int]:
    while row:
        yield (row & -row).bit_length() - 1
        row &= row - 1


def _union(rows: tuple[int, ...]) -> int:
    out = 0
    for row in rows:
        out |= row
    return out


def _then(a: Relation, b: Relation) -> Relation:
    return [_union(tuple([b[r] for r in _bits(row)])) for row in a]


def _power(a: Relation, times: int) -> Relation:
    """One after the other `times` times, by squaring."""
    out = [1 << p for p in range(len(a))]
    while times:
        if times & 1:
            out = _then(out, a)
        a, times = _then(a, a), times >> 1
    return out
