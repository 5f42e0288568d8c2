"""What may be sampled next, as the constraint says, and what must not be sampled because it is forced."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..grammars.errors import BudgetError
from .errors import SamplingError
from .request import Constraint, Scores
from .sequence import Sequence

NARROW = 1024  # columns up to which multiplying only those rows of the output matrix is far cheaper than all


@dataclass(frozen=True, slots=True)
class Choice:
    """The tokens that may be sampled: `columns` (their ids, ascending) when few, else `row` (packed bits), else all."""

    columns: NDArray[np.int32] | None = None
    row: NDArray[np.int32] | None = None


ANYTHING = Choice()


def begin(seq: Sequence) -> None:
    """Enter the constraint. Raises BudgetError when no complete value fits."""
    request = seq.request
    constraint = request.constraint
    if constraint is None:
        return
    seq.state = constraint.start() if request.state is None else request.state
    if not constraint.fits(seq.state, request.max_tokens):
        least = _least(constraint, seq.state, request.max_tokens)
        raise BudgetError(f"the shortest complete value takes {least} tokens, max_tokens is {request.max_tokens}")


def _least(constraint: Constraint, state: int, short: int) -> int:
    """The least budget that is known to suffice, given one that does not."""
    enough = 2 * short
    while not constraint.fits(state, enough):
        enough *= 2
    return bisect_left(range(enough), True, lo=short, key=lambda n: constraint.fits(state, n))


def prepare(seq: Sequence, eos: frozenset[int]) -> None:
    """Append what is forced; then set `choice`, or `finish` when nothing is left to choose."""
    constraint = seq.request.constraint
    if constraint is None:
        seq.choice = ANYTHING
        if seq.remaining <= 0:
            seq.finish = "length"
        return
    while seq.finish is None:
        assert seq.state is not None
        if constraint.finished(seq.state):
            seq.finish = "complete"
        elif seq.remaining <= 0:
            seq.finish = "length"
        elif not _append_forced(seq, constraint) and not _choose(seq, constraint, eos):
            return


def accept(seq: Sequence, token: int, scores: Scores, eos: frozenset[int]) -> None:
    """Take a sampled token in, and whatever it forces."""
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
    prepare(seq, eos)


def _append_forced(seq: Sequence, constraint: Constraint) -> bool:
    """Append the tokens that must come next, as far as the value can still be completed after them."""
    assert seq.state is not None
    tokens = constraint.forced_tokens(seq.state)
    while tokens:
        state = _after(constraint, seq.state, tokens)
        if state is not None and constraint.fits(state, seq.remaining - len(tokens)):
            _force(seq, tokens, state)
            return True
        tokens = tokens[:-1]
    return False


def _after(constraint: Constraint, state: int, tokens: list[int]) -> int | None:
    at: int | None = state
    for token in tokens:
        at = constraint.advance(at, token) if at is not None else None
    return at


def _force(seq: Sequence, tokens: list[int], state: int | None) -> None:
    for token in tokens:
        seq.append(token, Scores(masked=0.0, top_masked={token: 0.0} if seq.request.top_logprobs else None))
    seq.forced += len(tokens)
    seq.state = state


def _choose(seq: Sequence, constraint: Constraint, eos: frozenset[int]) -> bool:
    """Set the choice. True when there was nothing to choose, and the one token was appended or the value ended."""
    state, budget = seq.state, seq.remaining
    assert state is not None
    if seq.request.open_end and constraint.accepting(state):
        seq.choice = _open_choice(constraint, state, budget)
        return False
    columns = constraint.allowed(state, limit=NARROW, budget=budget)
    if columns is None:
        seq.choice = Choice(row=constraint.mask(state, budget=budget))
        return False
    seq.choice = Choice(columns=columns)
    if len(columns) == 0:
        raise SamplingError(f"the constraint allows no token after {len(seq.generated)} tokens, but is not finished")
    if len(columns) > len(eos) + 1:
        return False
    tokens = [int(t) for t in columns if int(t) not in eos]
    if not tokens:
        seq.finish = "length"  # the value could go on, but not within the budget
        return True
    if len(tokens) == len(columns) == 1:
        _force(seq, tokens, constraint.advance(state, tokens[0]))
        return True
    return False


def _open_choice(constraint: Constraint, state: int, budget: int) -> Choice:
    """Anything: a token outside the language ends the value. Except what stays inside it but breaks the budget."""
    legal, fits = constraint.mask(state), constraint.mask(state, budget=budget)
    return ANYTHING if fits is legal or np.array_equal(fits, legal) else Choice(row=fits | ~legal)
