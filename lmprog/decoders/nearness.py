"""How near a value stays to a draft: a weight for each edit, and a look ahead that leads SMC to near values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import SamplingError
from .method import Problem
from .places import Floats, Ids
from .potentials import AHEAD, LogWeight, Potential

Counts = npt.NDArray[np.int64]


def distance(draft: str, text: str) -> int:
    """The least number of inserted, deleted or replaced bytes of UTF-8 (Levenshtein 1966).

    >>> distance("kitten", "sitting")
    3
    """
    data = draft.encode()
    return int(_extended(_first(data), data, text.encode())[-1])


def _first(draft: bytes) -> Counts:
    return np.arange(len(draft) + 1)


def _extended(row: Counts, draft: bytes, data: bytes) -> Counts:
    """Edits from every beginning of `draft` to a text: behind `data`, where `row` is that before it (Wagner and
    Fischer 1974, by rows)."""
    letters, steps = np.frombuffer(draft, np.uint8), np.arange(len(draft) + 1)
    for byte in data:
        best = row + 1
        best[1:] = np.minimum(best[1:], row[:-1] + (letters != byte))
        row = np.minimum.accumulate(best - steps) + steps  # deletions after that
    return row


class Mind(NamedTuple):
    """`row` of the value so far; `skip`: bytes to come that belong to the text before the hole; `inside`: bool [V], the
    tokens that are pieces of the draft."""

    row: Counts
    skip: int
    inside: npt.NDArray[np.bool_]
    problem: Problem


@dataclass(frozen=True)
class Near:
    """A weight of exp(-near) for each edit that leads from `draft` to a value.

    `SMC(n, Near(draft, near).potential)` draws values by model × exp(-near × edits). As a `Twist` it
    counts the edits that the text so far needs at least, whatever is to come; where more than 64 tokens may come,
    those that are no piece of the draft count as one edit more. It knows nothing of what the language still demands.

    Raises SamplingError for a `near` that is no finite number of 0 or more.
    """

    draft: str
    near: float

    def __post_init__(self) -> None:
        if not 0 <= self.near < math.inf:
            raise SamplingError(f"near is a number of 0 or more, not {self.near!r}")

    @property
    def potential(self) -> list[Potential]:
        return [LogWeight(lambda text: -self.near * distance(self.draft, text)), self]

    def start(self, problem: Problem) -> Mind:
        data = self.draft.encode()
        inside = np.array(
            [token is not None and token != b"" and token in data for token in problem.model.vocab.token_bytes]
        )
        return Mind(_first(data), len(problem.prefix), inside, problem)

    def value(self, state: Mind) -> float:
        return -self.near * float(state.row.min())

    def ahead(self, state: Mind, tokens: Ids) -> Floats:
        looked = np.ones(len(tokens), bool) if len(tokens) <= AHEAD or state.skip else state.inside[tokens]
        values = np.full(len(tokens), self.value(state) - self.near)
        values[looked] = [self.value(self.advance(state, token)) for token in tokens[looked].tolist()]
        return values

    def advance(self, state: Mind, token: int) -> Mind:
        data = state.problem.model.vocab.token_bytes[token] or b""
        row = _extended(state.row, self.draft.encode(), data[state.skip :])
        return state._replace(row=row, skip=max(0, state.skip - len(data)))
