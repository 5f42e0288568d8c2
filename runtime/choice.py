"""What may be sampled next, as the constraint says, and what must not be sampled because it is forced."""

from __future__ import annotations

import math
import time
from bisect import bisect_left
from collections.abc import Sequence as Items
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..grammars.errors import BudgetError
from .errors import SamplingError
from .request import Constraint, Finish, Request, Scores
from .sequence import Sequence

NARROW = 1024  # columns up to which multiplying only those rows of the output matrix is far cheaper than all


@dataclass(frozen=True, slots=True)
class Choice:
    """The tokens that may be sampled: `columns` (their ids, ascending) when few, else `row` (packed bits), else all."""

    columns: NDArray[np.int32] | None = None
    row: NDArray[np.int32] | None = None

    def size(self, vocabulary: int) -> int:
        """How many tokens it allows."""
        if self.columns is not None:
            return len(self.columns)
        if self.row is None:
            return vocabulary
        whole, rest = divmod(vocabulary, 32)  # bits behind the vocabulary's last may be set
        count = int(np.bitwise_count(self.row[:whole].view(np.uint32)).sum())
        return count + ((int(self.row[whole]) & ((1 << rest) - 1)).bit_count() if rest else 0)

    def allows(self, token: int) -> bool:
        if self.columns is not None:
            at = int(np.searchsorted(self.columns, token))
            return at < len(self.columns) and self.columns.item(at) == token
        return self.row is None or bool(self.row.item(token >> 5) >> (token & 31) & 1)


ANYTHING = Choice()


def begin(seq: Sequence) -> None:
    """Enter the constraint. Raises BudgetError when no complete value fits."""
    request = seq.request
    constraint = request.constraint
    if constraint is None:
        return
    seq.state = constraint.start() if request.state is None else request.state
    check_fits(constraint, seq.state, request.max_tokens)


def check_fits(constraint: Constraint, state: int, max_tokens: int) -> None:
    """Raises BudgetError when no complete value fits."""
    if not constraint.fits(state, max_tokens):
        least = _least(constraint, state, max_tokens)
        raise BudgetError(f"the shortest complete value takes {least} tokens, max_tokens is {max_tokens}")


def _least(constraint: Constraint, state: int, short: int) -> int:
    """The least budget that is known to suffice, given one that does not."""
    enough = 2 * short
    while not constraint.fits(state, enough):
        enough *= 2
    return bisect_left(range(enough), True, lo=short, key=lambda n: constraint.fits(state, n))


class Ahead(NamedTuple):
    """What comes at a place: tokens that are forced, and behind them, at `state`, a choice or an end."""

    forced: Items[int]
    state: int | None
    choice: Choice | None
    finish: Finish | None


def look_ahead(request: Request, state: int | None, remaining: int, eos: frozenset[int], later: bool = False) -> Ahead:
    """From a state of the request's constraint, with `remaining` tokens left. Forced tokens are taken in as far as the
    value can still be completed after them. `later`: leave out the choice, and what only its mask can say."""
    constraint = request.constraint
    if constraint is None:
        return Ahead((), None, ANYTHING, None) if remaining > 0 else Ahead((), None, None, "length")
    forced: list[int] = []
    while True:
        assert state is not None
        left = remaining - len(forced)
        if constraint.finished(state):
            return Ahead(forced, state, None, "complete")
        if left <= 0:
            return Ahead(forced, state, None, "length")
        tokens, after = _forced(constraint, state, left)
        if not tokens:
            if later:
                return Ahead(forced, state, None, None)
            choice = _choice(request, constraint, state, left)
            only = _only(choice, eos)
            if only is None:
                return Ahead(forced, state, choice, None)
            if not only:
                return Ahead(forced, state, None, "length")  # the value could go on, but not within the budget
            tokens, after = only, constraint.advance(state, only[0])
        forced += tokens
        state = after


def prepare(seq: Sequence, eos: frozenset[int], later: bool = False) -> None:
    """Append what is forced; then set `choice`, or `finish` when nothing is left to choose. `later`: not the choice."""
    take(seq, look_ahead(seq.request, seq.state, seq.remaining, eos, later))


def take(seq: Sequence, ahead: Ahead) -> None:
    """Go on to what comes."""
    top, at = seq.request.top_logprobs, time.perf_counter() if seq.request.scored else math.nan
    for token in ahead.forced:
        seq.append(token, Scores(masked=0.0, top_masked={token: 0.0} if top else None, allowed=1, at=at))
    seq.forced += len(ahead.forced)
    seq.state, seq.choice, seq.finish = ahead.state, ahead.choice, ahead.finish


def accept(seq: Sequence, token: int, scores: Scores, eos: frozenset[int], later: bool = False) -> None:
    """Take a sampled token in, and whatever it forces. `later`: as for `prepare`."""
    request = seq.request
    if request.constraint is None:
        stopped = (token in eos and not request.ignore_eos) or token in request.stop_ids
    else:
        assert seq.state is not None
        state = None if token in eos else request.constraint.advance(seq.state, token)
        stopped = state is None
        if stopped and not (token in eos or request.open_end):
            raise SamplingError(f"the constraint's mask allows token {token}, but the token leads nowhere")
        seq.state = seq.state if stopped else state
    if stopped:
        seq.finish = "stop"
        return
    seq.append(token, scores)
    seq.sampled += 1
    prepare(seq, eos, later)


def _forced(constraint: Constraint, state: int, budget: int) -> tuple[list[int], int | None]:
    """The tokens that must come next, as far as the value can still be completed after them, and the state behind."""
    tokens = constraint.forced_tokens(state)
    while tokens:
        after = _after(constraint, state, tokens)
        if after is not None and constraint.fits(after, budget - len(tokens)):
            return tokens, after
        tokens = tokens[:-1]
    return [], state


def _after(constraint: Constraint, state: int, tokens: list[int]) -> int | None:
    at: int | None = state
    for token in tokens:
        at = constraint.advance(at, token) if at is not None else None
    return at


def _choice(request: Request, constraint: Constraint, state: int, budget: int) -> Choice:
    if request.open_end and constraint.accepting(state):
        return _open_choice(constraint, state, budget)
    columns = constraint.allowed(state, limit=NARROW, budget=budget)
    if columns is None:
        return Choice(row=constraint.mask(state, budget=budget))
    if len(columns) == 0:
        done = request.max_tokens - budget
        raise SamplingError(f"the constraint allows no token after {done} tokens, but is not finished")
    return Choice(columns=columns)


def _only(choice: Choice, eos: frozenset[int]) -> list[int] | None:
    """The one token that can be, none if only the end can be, None if there is a choice."""
    columns = choice.columns
    if columns is None or len(columns) > len(eos) + 1:
        return None
    tokens = [token for token in columns.tolist() if token not in eos]
    return tokens if not tokens or len(tokens) == len(columns) == 1 else None


def _open_choice(constraint: Constraint, state: int, budget: int) -> Choice:
    """Anything: a token outside the language ends the value. Except what stays inside it but breaks the budget."""
    legal, fits = constraint.mask(state), constraint.mask(state, budget=budget)
    return ANYTHING if fits is legal or np.array_equal(fits, legal) else Choice(row=fits | ~legal)
