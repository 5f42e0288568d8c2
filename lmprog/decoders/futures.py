"""How probable it is, under an HMM, that a value will be completed: a dynamic program over the automaton's states, the
hidden states and the tokens that are left.

With s a state of the automaton, n tokens left and z the hidden state that emits the next token,

    will(s, n)[z] = sum over tokens x of emit[z, x] w(x) done(s after x, n - 1)[z]   + ends(s)[z]
    done(s, n)[z] = 1 where the value is over, otherwise sum over z' of move[z, z'] will(s, n)[z']

where w(x) is the weight of an attribute, 1 without one. Tokens that lead to the same state of the automaton are added
up once (`Edges`), after which a step of the program costs edges × H. `ends` is what decoders.places calls the end.

Sources: Zhang et al. 2023, "Tractable Control for Autoregressive Language Generation" (GeLaTo), and 2024, "Adaptable
Logical Control for Large Language Models" (Ctrl-G), for the automaton; Weng et al. 2025, "TRACE Back from the Future",
for attributes that are products over tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import UnsupportedConstraint
from ..grammars import Constraint
from ..grammars.constraint import Automatic
from ..hmm import HMM, Floats, Ids
from .method import Problem

STATES = 5000  # of an automaton, at most
MEMORY = 1 << 30  # bytes of a table, at most
KEPT = 4  # tables
NEAR = 64  # states whose transitions are remembered, for every token of the vocabulary
SETTLED = 1e-12  # relative change of a table by one more token, at which more make no difference
DEAD = -1

TOO_LARGE = """\
Lookahead walks through all states of the hole's automaton, and this one has more than {states}: bound the value (a \
regex like .{{1,40}}), or use SMC or ASAp, which need no such table"""
TOO_LONG = """\
Lookahead keeps a table of all states for every token that is left, and this one would take more than a gigabyte: \
lower max_tokens"""
NO_TABLE = "Lookahead needs to see all of a hole's language beforehand, which a monitor does not show"


@dataclass(frozen=True)
class Edges:
    """From one state: those that tokens lead to, and [n, H] the probability of a token that leads there, with its
    attribute's weight; [H] that of a token that leads nowhere, and of an end."""

    reached: NDArray[np.int32]
    mass: Floats
    left: Floats


class Futures:
    """Of one constraint, HMM and attribute (log-weights [V]); grows as more states and tokens are asked for."""

    def __init__(self, constraint: Constraint, hmm: HMM, weights: Floats | None) -> None:
        if not isinstance(constraint, Automatic):
            raise UnsupportedConstraint(NO_TABLE)
        self.constraint, self.hmm = constraint, hmm
        vocab = constraint.vocab
        self._text = np.array([bool(data) for data in vocab.token_bytes])
        self._eos = np.array(sorted(vocab.eos), np.int32)
        self._seen = hmm.seen[self._text[hmm.seen]]
        self._rest = np.setdiff1d(np.flatnonzero(self._text), self._seen).astype(np.int32)
        factor = np.ones(hmm.size) if weights is None else np.exp(weights)
        self._factor = factor
        self._weighed = (hmm.tokens(self._seen) * factor[self._seen]).T  # [seen, H]
        self._edges: dict[int, Edges] = {}
        self._near: dict[int, NDArray[np.int32]] = {}
        self._tables: dict[tuple[object, ...], Table] = {}

    def table(self, problem: Problem) -> Table:
        """Of a problem of this constraint; the same for the same, as long as it is among the last few."""
        request, hole = problem.request, problem.hole
        key = (problem.state, request.max_tokens, request.open_end, problem.follow, hole.stop, hole.grammar is None)
        found = self._tables.pop(key, None) or Table(self, problem)
        self._tables[key] = found
        if len(self._tables) > KEPT:
            del self._tables[next(iter(self._tables))]
        return found

    def edges(self, s: int) -> Edges:
        found = self._edges.get(s)
        if found is None:
            found = self._edges[s] = self._new(s)
        return found

    def _new(self, s: int) -> Edges:
        to = self._walk(s)
        reached, place = np.unique(to[to >= 0]), np.full(int(to.max(initial=0)) + 2, -1, np.int64)
        place[reached] = np.arange(len(reached))
        mass = np.zeros((len(reached), self.hmm.states))
        seen = to[self._seen]
        np.add.at(mass, place[seen[seen >= 0]], self._weighed[seen >= 0])
        rest = self._rest[to[self._rest] >= 0]
        for kind in np.unique(self.hmm.of[rest]):  # a class of many tokens: few there are
            among = rest[self.hmm.of[rest] == kind]
            shares = np.bincount(place[to[among]], self.hmm.share[among] * self._factor[among], len(reached))
            mass += shares[:, None] * self.hmm.emit[None, :, kind]
        return Edges(reached.astype(np.int32), mass, self._left(to))

    def to(self, s: int) -> NDArray[np.int32]:
        """[V]: the state that each token leads to, or DEAD."""
        found = self._near.pop(s, None)
        self._near[s] = found = self._walk(s) if found is None else found
        if len(self._near) > NEAR:
            del self._near[next(iter(self._near))]
        return found

    def _walk(self, s: int) -> NDArray[np.int32]:
        to = self.constraint.destinations(s)
        to[self._eos] = DEAD
        return to

    def _left(self, to: NDArray[np.int32]) -> Floats:
        """[H]: the probability of a token that leads nowhere, or ends the text."""
        shares = np.where(to < 0, self.hmm.share, 0.0)
        found: Floats = self.hmm.emit @ np.bincount(self.hmm.of, shares, self.hmm.emit.shape[1])
        return found

    def ends(self, tokens: Iterable[int]) -> Floats:
        """[H]: the probability of one of these tokens."""
        ids = np.array(sorted(tokens), np.int32)
        found: Floats = self.hmm.tokens(ids).sum(axis=1)
        return found


class Table:
    """`done` for one problem: for all states that can be reached from its start, and up to its tokens."""

    def __init__(self, futures: Futures, problem: Problem) -> None:
        self.futures, self.problem = futures, problem
        self.constraint, self.hmm = problem.constraint, futures.hmm
        self.number = self._reach(problem.state, problem.request.max_tokens)
        self._flatten()
        self._free = problem.hole.grammar is None
        self._fill(problem.request.max_tokens)

    def done(self, s: int, left: int) -> Floats:
        """[H]: the probability that the value will be complete, by the hidden state behind its last token."""
        return self._row(self._done, s, left)

    def will(self, s: int, left: int) -> Floats:
        """[H]: the same, by the hidden state of the next token."""
        return self._row(self._will, s, left)

    def _row(self, rows: Sequence[Floats], s: int, left: int) -> Floats:
        """0 for a state that is out of reach."""
        i = self.number.get(s)
        found: Floats = np.zeros(self.hmm.states) if i is None else rows[min(left, len(rows) - 1)][i]
        return found

    def chances(self, belief: Floats, s: int, left: int, tokens: Ids) -> Floats:
        """`done` behind each of `tokens`, in expectation; `belief`: the distribution of the next hidden state."""
        hmm, to = self.hmm, self.futures.to(s)[tokens]
        alive = to >= 0
        kinds, groups = np.unique(to[alive], return_inverse=True)
        values = np.stack([np.zeros(hmm.states), *[self.done(kind, left - 1) for kind in kinds.tolist()]])[1:]
        of = hmm.of[tokens[alive]]
        classes, which = np.unique(of, return_inverse=True)
        emit = belief[:, None] * hmm.emit[:, classes]  # [H, classes]
        whole = emit.sum(axis=0)
        pairs, where = np.unique(groups * len(classes) + which, return_inverse=True)
        done = np.einsum("ph,hp->p", values[pairs // len(classes)], emit[:, pairs % len(classes)])
        base = whole[pairs % len(classes)]
        ratio = np.divide(done, base, out=np.zeros_like(done), where=base > 0)
        found = np.zeros(len(tokens))
        found[alive] = ratio[where]
        return found

    def _reach(self, start: int, tokens: int) -> dict[int, int]:
        """Breadth first, so that what cannot be completed by the tokens that are left is not looked at."""
        number, depth, todo = {start: 0}, {start: 0}, [start]
        for s in todo:
            if self.constraint.finished(s) or depth[s] == tokens:
                continue
            for to in self.futures.edges(s).reached.tolist():
                if to not in number and self.constraint.fits(to, tokens - depth[s] - 1):
                    number[to], depth[to] = len(number), depth[s] + 1
                    todo.append(to)
            if len(number) > STATES:
                raise UnsupportedConstraint(TOO_LARGE.format(states=f"{STATES:,}"))
        return number

    def _flatten(self) -> None:
        """All edges in one list, by the state that they come from."""
        c, futures, states = self.constraint, self.futures, list(self.number)
        self._over = np.array([c.finished(s) for s in states])
        self._may_end = np.array([c.accepting(s) for s in states])
        known = [None if over else futures.edges(s) for s, over in zip(states, self._over, strict=True)]
        mass, sources, targets = [np.zeros((0, self.hmm.states))], list[int](), list[int]()
        for i, edges in enumerate(known):
            near = [n for n, to in enumerate(edges.reached.tolist()) if to in self.number] if edges else []
            if edges and near:
                mass.append(edges.mass[near])
                sources += [i] * len(near)
                targets += [self.number[to] for to in edges.reached[near].tolist()]
        self._mass = np.concatenate(mass)
        self._sources, self._to = np.array(sources, np.int64), np.array(targets, np.int64)
        zero = np.zeros(self.hmm.states)
        self._leaves = np.stack([zero if edges is None else edges.left for edges in known])

    def _fill(self, tokens: int) -> None:
        eos = self.futures.ends(self.problem.model.vocab.eos)
        ends = self._leaves if self.problem.request.open_end else np.broadcast_to(eos, self._leaves.shape)
        ends = ends * self._may_end[:, None]
        last = ends if self.problem.request.open_end else self._last(eos) * self._may_end[:, None]
        over = self._over[:, None]
        self._will = [last]
        self._done = [np.ones_like(last) if self._free else np.where(over, 1.0, last @ self.hmm.move.T)]
        for _ in range(tokens):
            will = ends.copy()
            np.add.at(will, self._sources, self._mass * self._done[-1][self._to])
            done = np.where(over, 1.0, will @ self.hmm.move.T)
            settled = np.all(np.abs(done - self._done[-1]) <= SETTLED * done)
            self._will.append(will)
            self._done.append(done)
            if settled:
                return
            if 2 * done.nbytes * len(self._done) > MEMORY:
                raise UnsupportedConstraint(TOO_LONG)

    def _last(self, eos: Floats) -> Floats:
        """[S, H]: that a value whose tokens are used up ends, by the end of the text or by what follows."""
        ends = [stop.encode() for stop in self.problem.hole.stop] or [self.problem.follow] * bool(self.problem.follow)
        texts = self.problem.model.vocab.token_bytes
        ids = [i for i, t in enumerate(texts) if t and any(end.startswith(t) or t.startswith(end) for end in ends)]
        found = np.tile(eos, (len(self.number), 1))
        if ids:
            for s, i in self.number.items():
                if self._may_end[i] and not self._over[i]:
                    found[i] += self.futures.ends([t for t in ids if self.constraint.advance(s, t) is not None])
        return found
