"""A grammar compiled for a vocabulary: token masks, transitions, forced text, distances.

A state is an int handle of the lazily built automaton and never changes, so forks, rollbacks and speculation cost
nothing, and everything learnt about a state is shared by all requests with the same grammar.
"""

from __future__ import annotations

import threading
from typing import Protocol

import numpy as np

from .algebra import Algebra, algebra
from .automaton import DEAD, Automaton
from .errors import EmptyLanguage, UnsupportedConstraint
from .expr import EPS, Expr
from .rows import Mask, Row, Rows, State
from .vocabulary import Vocabulary

STEPS = 1 << 18  # token transitions remembered per constraint


class Constraint(Protocol):
    """What a decoder needs to know of a constraint."""

    vocab: Vocabulary

    def start(self, prefix: bytes = b"", follow: bytes = b"") -> State: ...
    def start_narrow(self, prefix: bytes, follow: bytes, also: Expr) -> State | None: ...
    def narrow(self, s: State, also: Expr) -> State | None: ...
    def run(self, s: State, data: bytes) -> State | None: ...
    def mask(self, s: State, budget: int | None = None) -> Mask: ...
    def allowed(self, s: State, limit: int = 256, budget: int | None = None) -> Mask | None: ...
    def advance(self, s: State, token: int) -> State | None: ...
    def accepting(self, s: State) -> bool: ...
    def finished(self, s: State) -> bool: ...
    def followed(self, s: State) -> int: ...
    def forced(self, s: State) -> bytes: ...
    def forced_tokens(self, s: State) -> list[int]: ...
    def distance(self, s: State) -> int: ...
    def fits(self, s: State, budget: int) -> bool: ...


class Automatic:
    """The `Constraint` of the expression number `root` of an algebra; thread-safe."""

    def __init__(self, algebra: Algebra, root: int, vocab: Vocabulary) -> None:
        self.vocab = vocab
        self._lock = threading.RLock()
        self._algebra, self._root = algebra, root
        self._expr: Expr | None = None
        self._automaton = Automaton(algebra)
        self._rows = Rows(self._automaton, vocab)
        self._starts: dict[tuple[bytes, bytes], State] = {}
        self._steps: dict[tuple[State, int], State | None] = {}
        self._forced: dict[State, tuple[bytes, list[int]]] = {}
        self._ended: dict[State, bool] = {}
        self._accepting: dict[State, bool] = {}

    @classmethod
    def of(cls, expr: Expr, vocab: Vocabulary) -> Automatic:
        """Raises EmptyLanguage when nothing is accepted, UnsupportedConstraint when that cannot be decided."""
        found = cls(*algebra(expr), vocab)
        found._expr = expr
        if found.start() == DEAD:
            raise EmptyLanguage("the constraint accepts no text at all")
        if not vocab.complete and found._rows.distances.infinite(found.start()):
            raise EmptyLanguage("the constraint accepts no text that this vocabulary can spell")
        return found

    def start(self, prefix: bytes = b"", follow: bytes = b"") -> State:
        """The state before `prefix` + value; the value ends before the first `follow`, if one is given."""
        found = self._starts.get((prefix, follow))
        if found is None:
            with self._lock:
                whole = self._algebra.surround(self._root, prefix, follow)
                found = self._starts[prefix, follow] = self._automaton.state(whole)
        return found

    def beginning(self, s: State) -> tuple[bytes, Expr, bytes] | None:
        """The prefix, value and follow that `s` is the start of; None for other states."""
        with self._lock:
            found = next((key for key, start in self._starts.items() if start == s), None)
        return None if found is None or self._expr is None else (found[0], self._expr, found[1])

    def start_narrow(self, prefix: bytes, follow: bytes, also: Expr) -> State | None:
        """`start` of the values that are texts of `also` too; None when there are none."""
        with self._lock:
            value = self._algebra.narrow(self._root, self._enter(also))
            return _alive(self._automaton.state(self._algebra.surround(value, prefix, follow)))

    def narrow(self, s: State, also: Expr) -> State | None:
        """The state from which the rest of the value, as from `s`, is a text of `also` too; None when there is none.

        Raises UnsupportedConstraint when `also` cannot be joined to this constraint.
        """
        with self._lock:
            whole = self._algebra.narrow(self._automaton.dfa.expr(s), self._enter(also))
            return _alive(self._automaton.state(whole))

    def run(self, s: State, data: bytes) -> State | None:
        """The state after bytes, tokens or not; None when they are not allowed."""
        with self._lock:
            return _alive(self._automaton.run(s, data))

    def _enter(self, also: Expr) -> int:
        try:
            return self._algebra.enter(also)
        except KeyError:
            raise UnsupportedConstraint("a grammar of this kind cannot be laid over a constraint under way") from None

    def mask(self, s: State, budget: int | None = None) -> Mask:
        """int32 [ceil(V / 32)], read-only: bit i % 32 of word i // 32 is token i; EOS bits say that the value may end.

        budget: tokens that may still be generated, this one included; only those are allowed after which a complete
        value still fits. Raises BudgetError when there is none.
        """
        return self._row(s, budget).mask

    def allowed(self, s: State, limit: int = 256, budget: int | None = None) -> Mask | None:
        """The allowed ids, sorted (EOS ids included where the value may end), when there are at most `limit`."""
        ids = self._row(s, budget).ids
        return ids if ids is not None and len(ids) <= limit else None

    def advance(self, s: State, token: int) -> State | None:
        """The state after `token`; None when it is not allowed. After EOS: the same value, finished."""
        key = (s, token)
        found = self._steps.get(key, DEAD)
        if found != DEAD:
            return found
        with self._lock:
            if len(self._steps) >= STEPS:
                self._steps.clear()
            after = self._steps[key] = self._advance(s, token)
        return after

    def _advance(self, s: State, token: int) -> State | None:
        if token in self.vocab.eos:
            return self._at_end(s) if self.accepting(s) else None
        data = self.vocab.token_bytes[token] if 0 <= token < self.vocab.size else None
        after = self._automaton.run(s, data) if data else DEAD
        if after == DEAD or (not self.vocab.complete and self._rows.distances.infinite(after)):
            return None
        return after

    def _at_end(self, s: State) -> State:
        return s if self.finished(s) else self._automaton.state(self._algebra.enter(EPS))

    def destinations(self, s: State) -> Mask:
        """int32 [V]: the state that each token leads to, -1 for those that are not allowed; ends are not among them."""
        with self._lock:
            reached = self._rows.reached(s)
            if not self.vocab.complete:
                for end in np.unique(reached[reached >= 0]).tolist():
                    if self._rows.distances.infinite(end):
                        reached[reached == end] = DEAD
            return reached

    def accepting(self, s: State) -> bool:
        """Whether the value may end here."""
        found = self._accepting.get(s)
        if found is None:
            with self._lock:
                found = self._accepting[s] = self._automaton.accepting(s)
        return found

    def finished(self, s: State) -> bool:
        """Whether the value must end here; any rest of `follow` is left to the caller."""
        found = self._ended.get(s)
        if found is None:
            with self._lock:
                found = self._ended[s] = self._automaton.ended(s)
        return found

    def followed(self, s: State) -> int:
        """How many bytes of `follow` lie behind the end of the value, at a state where it may end."""
        with self._lock:
            return self._automaton.followed(s)

    def forced(self, s: State) -> bytes:
        """The bytes that must come next; empty at a choice and where the value may end."""
        return self._forcing(s)[0]

    def forced_tokens(self, s: State) -> list[int]:
        """Tokens of the forced bytes, as the tokenizer spells them, that need no sampling.

        They end before the first place where a token is allowed that reaches over the end of the forced bytes: whether
        to take that one is for the model to decide.
        """
        return list(self._forcing(s)[1])

    def _forcing(self, s: State) -> tuple[bytes, list[int]]:
        found = self._forced.get(s)
        if found is None:
            with self._lock:
                data = self._forced_bytes(s)
                found = self._forced[s] = (data, self._settled(s, data))
        return found

    def _forced_bytes(self, s: State) -> bytes:
        out = bytearray()
        while len(out) < 1 << 16 and not self._automaton.accepting(s):
            byte = self._automaton.only_byte(s)
            if byte is None:
                break
            out.append(byte)
            s = self._automaton.run(s, bytes((byte,)))
        return bytes(out)

    def _settled(self, s: State, data: bytes) -> list[int]:
        if not data:
            return []
        try:
            ids = self.vocab.encode(data)
        except ValueError:  # this vocabulary spells it with longer tokens only
            return []
        out: list[int] = []
        for token in ids:
            after = self.advance(s, token)
            if after is None:
                return []
            if self._reached_over(s, data):
                break
            out.append(token)
            s, data = after, data[len(self.vocab.token_bytes[token] or b"") :]
        return out

    def _reached_over(self, s: State, forced: bytes) -> bool:
        """Whether a token is allowed that begins with all of the forced bytes and goes on behind them."""
        if not self.vocab.extendable(forced):
            return False
        ids = self._rows.ids(self._row(s, None))
        return bool((self.vocab.lengths[ids] > len(forced)).any())

    def distance(self, s: State) -> int:
        """The least number of tokens to a state where the value may end; exact."""
        with self._lock:
            return self._rows.distances.exact(s)

    def fits(self, s: State, budget: int) -> bool:
        """Whether a complete value is at most `budget` tokens away; too careful where `distance` is out of reach."""
        with self._lock:
            return self._rows.distances.within(s, budget)

    def _row(self, s: State, budget: int | None) -> Row:
        row = self._rows.known(s, budget)
        if row is None:
            with self._lock:
                row = self._rows.row(s, budget)
        return row

    @property
    def memory(self) -> int:
        """About how many bytes the expressions, the automaton and its masks take by now."""
        return 768 * self._algebra.size + 2048 * len(self._automaton) + 4 * self.vocab.words * len(self._rows)

    def __repr__(self) -> str:
        return f"<Constraint with {len(self._automaton)} states, {len(self._rows)} masks>"


def _alive(state: int) -> State | None:
    return None if state == DEAD else state
