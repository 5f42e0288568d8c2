"""A grammar compiled for a vocabulary: token masks, transitions, forced text, distances.

A state is an int handle of the lazily built automaton and never changes, so forks, rollbacks and speculation cost
nothing, and everything learnt about a state is shared by all requests with the same grammar.
"""

from __future__ import annotations

import threading
import weakref
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ._native import Trie, try_tokens
from .algebra import algebra
from .automaton import DEAD, Automaton
from .distance import Distances
from .errors import BudgetError, EmptyLanguage
from .expr import Expr, concat, hole, text
from .grammar import Grammar
from .slices import LONGEST, Plain
from .vocabulary import Vocabulary

State = int
Mask = npt.NDArray[np.int32]

NARROW = 1024  # a state that allows at most this many tokens keeps their ids
SLICED = 4096  # least size of a vocabulary whose plain tokens are taken in bulk
STEPS = 1 << 18  # token transitions remembered per constraint
ROWS = 4096  # mask rows kept per constraint (4 * V / 32 bytes each)


class Constraint(Protocol):
    """What a decoder needs to know of a constraint."""

    vocab: Vocabulary

    def start(self, prefix: bytes = b"", follow: bytes = b"") -> State: ...
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


@dataclass(slots=True)
class Row:
    """What is known about the tokens of a state."""

    mask: Mask
    ids: Mask | None  # sorted, when there are at most NARROW
    need: int  # so many tokens always suffice after any of the allowed ones
    ends: list[int]  # the states that they lead to


class Automatic:
    """The `Constraint` of an expression; thread-safe.

    Raises EmptyLanguage when nothing is accepted, UnsupportedConstraint when that cannot be decided.
    """

    def __init__(self, expr: Expr, vocab: Vocabulary, name: str = "the constraint") -> None:
        self.vocab, self.expr = vocab, expr
        self._lock = threading.RLock()
        self._algebra, self._root = algebra(expr)
        self._automaton = Automaton(self._algebra)
        self._distances = Distances(self._automaton, vocab, self._ends)
        self._rows: dict[State, Row] = {}
        self._tight: dict[tuple[State, int], Row] = {}
        self._starts: dict[tuple[bytes, bytes], State] = {}
        self._steps: dict[tuple[State, int], State | None] = {}
        self._forced: dict[State, tuple[bytes, list[int]]] = {}
        self._ended: dict[State, bool] = {}
        self._accepting: dict[State, bool] = {}
        if self._automaton.state(self._root) == DEAD:
            raise EmptyLanguage(f"{name} accepts no text at all")
        if not vocab.complete and self._distances.infinite(self.start()):
            raise EmptyLanguage(f"{name} accepts no text that this vocabulary can spell")

    def start(self, prefix: bytes = b"", follow: bytes = b"") -> State:
        """The state before `prefix` + value; the value ends before the first `follow`, if one is given."""
        found = self._starts.get((prefix, follow))
        if found is None:
            with self._lock:
                value = hole(self.expr, follow) if follow else self.expr
                handle = self._algebra.enter(concat(text(prefix), value))
                found = self._starts[prefix, follow] = self._automaton.state(handle)
        return found

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
        if after == DEAD or (not self.vocab.complete and self._distances.infinite(after)):
            return None
        return after

    def _at_end(self, s: State) -> State:
        return s if self.finished(s) else self._automaton.state(self._algebra.enter(text(b"")))

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

        The last one is held back when a longer allowed token could cover its place, so that the model decides.
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
        states: list[State] = []
        for token in ids:
            states.append(s)
            after = self.advance(s, token)
            if after is None:
                return []
            s = after
        while ids and self._longer(states[-1], ids[-1]):
            ids, states = ids[:-1], states[:-1]
        return ids

    def _longer(self, s: State, token: int) -> bool:
        """Whether a token longer than `token` is allowed in its place."""
        own = len(self.vocab.token_bytes[token] or b"")
        row = self._row(s, None)
        ids = row.ids if row.ids is not None else self._unpacked(row.mask)
        return bool((self.vocab.lengths[ids] > own).any())

    def _unpacked(self, mask: Mask) -> Mask:
        bits = np.unpackbits(mask.view(np.uint8), bitorder="little")
        return np.flatnonzero(bits[: self.vocab.size]).astype(np.int32)

    def distance(self, s: State) -> int:
        """The least number of tokens to a state where the value may end; exact."""
        with self._lock:
            return self._distances.exact(s)

    def fits(self, s: State, budget: int) -> bool:
        """Whether a complete value is at most `budget` tokens away: `distance(s) <= budget`, cheaper."""
        with self._lock:
            return self._distances.within(s, budget)

    def _row(self, s: State, budget: int | None) -> Row:
        row = self._rows.get(s)
        if row is None:
            with self._lock:
                row = self._new_row(s)
        if budget is None or row.need < budget:
            return row
        tight = self._tight.get((s, budget))
        if tight is None:
            with self._lock:
                tight = self._new_tight(s, row, budget)
        return tight

    def _new_row(self, s: State) -> Row:
        mask = np.zeros(self.vocab.words, np.int32)
        if self.vocab.complete and self.vocab.size >= SLICED:
            ids, ends = self._plain(s, mask) or self._walk(self.vocab.trie, s, mask)
        else:
            ids, ends = self._walk(self.vocab.trie, s, mask)
            alive = [end for end in ends if not self._distances.infinite(end)]
            if len(alive) < len(ends):
                mask, ids, ends = *self._only(s, set(alive)), alive
        need = max((self._automaton.minlen(end) for end in ends), default=0)
        return _keep(self._rows, s, self._finish(s, mask, ids, need, ends), ROWS)

    def _walk(self, trie: Trie, s: State, mask: Mask) -> tuple[Mask | None, list[State]]:
        _, packed, ends = trie.walk(self._automaton.dfa, s, mask, None, NARROW)
        return None if packed is None else np.frombuffer(packed, np.int32), ends

    def _plain(self, s: State, mask: Mask) -> tuple[Mask | None, list[State]] | None:
        """The row with the plain tokens taken in bulk (see slices.py); None where they are not treated alike."""
        slices, first = self.vocab.slices, self._automaton.plain(s)
        found = self._chain(s, first)
        others = None if found is None else slices.having(found[1])
        if found is None or others is None:
            return None
        chain = found[0]
        ids, ends = self._walk(slices.rest, s, mask)
        reached = {*ends, *try_tokens(self._automaton.dfa, s, self.vocab.token_bytes, others, mask)}
        if chain:
            mask |= slices.upto(first.alive, len(chain))
            lengths = slices.lengths(first.alive)
            reached |= {end for n, end in enumerate(chain, 1) if n in lengths}
        if chain or len(others):
            ids = self._unpacked(mask) if np.bitwise_count(mask).sum() <= NARROW else None
        return ids, list(reached)

    def _chain(self, s: State, first: Plain) -> tuple[list[State], int] | None:
        """The states after 1, 2, … code points of the groups alive at `s`, and the groups that do not fit in; None when
        those groups part ways later."""
        at, here, chain, other = s, first, list[State](), first.other
        while here.target != DEAD and len(chain) < LONGEST:
            chain.append(here.target)
            if here.target == at:  # and so on for ever
                return chain + [at] * (LONGEST - len(chain)), other
            at, here = here.target, self._automaton.plain(here.target)
            other |= first.dead & ~here.dead
            if first.alive & ~here.dead == 0:
                break
            if first.alive & ~here.alive:
                return None
        return chain, other

    def _new_tight(self, s: State, row: Row, budget: int) -> Row:
        """The row without the tokens after which no complete value fits in `budget - 1` more."""
        keep = [end for end in row.ends if self._distances.within(end, budget - 1)]
        if not keep and not self.accepting(s):
            raise BudgetError(f"no complete value fits in {budget} more tokens; {self._distances.exact(s)} are needed")
        if len(keep) == len(row.ends):
            return _keep(self._tight, (s, budget), row, ROWS)
        mask, ids = self._only(s, set(keep))
        return _keep(self._tight, (s, budget), self._finish(s, mask, ids, 0, keep), ROWS // 8)

    def _only(self, s: State, ends: set[int]) -> tuple[Mask, Mask | None]:
        """The mask of the tokens that lead from `s` to one of `ends`."""
        reached = np.full(self.vocab.size, DEAD, np.int32)
        self.vocab.trie.walk(self._automaton.dfa, s, None, reached, 0)
        good = np.isin(reached, list(ends)) if ends else np.zeros(self.vocab.size, np.bool_)
        bits = np.zeros(self.vocab.words * 32, np.bool_)
        bits[: self.vocab.size] = good
        mask = np.packbits(bits, bitorder="little").view(np.int32)
        return mask, np.flatnonzero(good).astype(np.int32) if np.count_nonzero(good) <= NARROW else None

    def _finish(self, s: State, mask: Mask, ids: Mask | None, need: int, ends: list[int]) -> Row:
        if self.accepting(s):
            mask |= self.vocab.eos_row
            if ids is not None:
                ids = np.concatenate([ids, np.fromiter(self.vocab.eos, np.int32)])
        if ids is not None:
            ids = np.sort(ids)
            ids.flags.writeable = False
        mask.flags.writeable = False
        return Row(mask, ids, need, ends)

    def _ends(self, s: State) -> list[State]:
        row = self._rows.get(s)
        if row is not None:
            return row.ends
        return self.vocab.trie.walk(self._automaton.dfa, s, None, None, 0)[2]

    def __repr__(self) -> str:
        return f"<Constraint {self.expr!r}, {len(self._automaton)} states, {len(self._rows)} masks>"


def _keep(table: dict[Any, Row], key: Any, row: Row, limit: int) -> Row:
    """Store, dropping the oldest beyond `limit`."""
    while len(table) >= limit:
        table.pop(next(iter(table)), None)
    table[key] = row
    return row


_compiled: weakref.WeakKeyDictionary[Vocabulary, dict[int, Automatic]] = weakref.WeakKeyDictionary()
_compiling = threading.Lock()
KEPT = 512  # compiled constraints kept per vocabulary


def compile(grammar: Grammar | Expr, vocab: Vocabulary) -> Constraint:
    """The constraint of a grammar for a vocabulary; the same one for the same pair, so that requests share its masks.

    Raises EmptyLanguage, UnsupportedConstraint, InvalidConstraint.
    """
    expr = grammar.expr if isinstance(grammar, Grammar) else grammar
    with _compiling:
        table = _compiled.setdefault(vocab, {})
        found = table.pop(expr.uid, None) or Automatic(expr, vocab)
        table[expr.uid] = found  # last used comes last
        while len(table) > KEPT:
            table.pop(next(iter(table)))
    return found
