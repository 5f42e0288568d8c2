"""Between engine and model: one forward pass over a packed, ragged batch.

    ids        7 8 9 | 4 | 5 5      all pending tokens of all sequences in one row, no padding
    positions  0 1 2 | 9 | 3 4
    slots      the KV slot that each of these tokens is to be written to
    segments   for each sequence: its rows, and the slots of its whole prefix up to its last pending token
    rows       the rows whose logits are wanted, `columns` which of them (None: all)
    greedy     {number of a row: its mask} of rows of which only the largest allowed logit matters: what is certain to
               be less may be -inf instead

A runner must write the keys and values of all tokens of a layer before it reads any: one segment's prefix may be
another segment of the same batch.
"""

from __future__ import annotations

from collections.abc import Sequence as Items
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .pool import Slots
from .radix import Ids
from .request import Scores
from .sampler import Pick
from .step import Step, drafted

Columns = list[NDArray[np.int32] | None]


@dataclass(slots=True)
class Span:
    """The rows [row, row + n) of a batch: the last n tokens of the prefix whose KV is in the slots `table`."""

    row: int
    n: int
    table: Slots


@dataclass(frozen=True)
class Batch:
    """T tokens to compute; see the head of this file. ids, positions: int32 [T]; slots: int64 [T]; rows: int64 [R].

    size   of the vocabulary, to which `greedy` rows without a mask (None) are confined
    """

    ids: Ids
    positions: NDArray[np.int32]
    slots: Slots
    spans: list[Span]
    rows: NDArray[np.int64]
    columns: Columns
    greedy: dict[int, NDArray[np.int32] | None] = field(default_factory=dict)
    size: int = 0


class Runner(Protocol):
    """What the engine needs of a model. A runner serves one engine."""

    width: int  # logits in a row, at least the size of the vocabulary
    context: int  # most positions

    def reserve(self, slots: int | None) -> int:
        """Make room for the KV of that many tokens (None: as many as the runner thinks fit); returns how many."""
        ...

    def forward(self, batch: Batch) -> list[NDArray[np.floating]]:
        """The logits of batch.rows: for each a full row, or its columns only. Valid until the next call."""
        ...


class DeviceRows(Protocol):
    """Logits on a device, by the samples of a step."""

    def __getitem__(self, at: int) -> NDArray[np.floating]:
        """The logits of a sample, copied to the host."""
        ...

    def wait(self) -> None:
        """Until they are computed."""
        ...

    @property
    def narrow(self) -> bool:
        """Whether only the columns that are wanted were computed."""
        ...

    def draw(self, size: int, picks: Items[Pick]) -> list[tuple[int, Scores] | Exception]:
        """A token, of the first `size`, for each pick, and its scores where they are wanted; an exception for a row
        that nothing can be drawn from."""
        ...


class Running(Protocol):
    """A step that is under way on a device."""

    def rows(self, rows: NDArray[np.int64], columns: Columns, where: list[int]) -> DeviceRows:
        """Logits as for `Batch`; sample i takes the row number `where[i]` of these. Valid until the next launch."""
        ...


class DeviceRunner(Runner, Protocol):
    """A runner that draws tokens where the logits are.

    on_device  whether it does now; else it is a runner like any other
    """

    on_device: bool

    def launch(self, batch: Batch) -> Running:
        """Begin a step. The batch's own rows and columns are not looked at: they need not be known yet."""
        ...


def pack(step: Step, size: int) -> tuple[Batch, list[int]]:
    """The batch of a step, and for each of its samples which of the batch's rows of logits it takes."""
    rows, columns, where = wanted(step)
    greedy = _greedy(step, columns, where)
    return replace(pack_tokens(step), rows=rows, columns=columns, greedy=greedy, size=size), where


def _greedy(step: Step, columns: Columns, where: list[int]) -> dict[int, NDArray[np.int32] | None]:
    """The full rows of which all who take them want the same: the likeliest token under one mask."""
    found: dict[int, NDArray[np.int32] | None] = {}
    spoilt: set[int] = set()
    for sample, row in zip(step.samples, where, strict=True):
        choice = sample.greedy
        if choice is None or columns[row] is not None or (row in found and found[row] is not choice.row):
            spoilt.add(row)
        else:
            found[row] = choice.row
    return {row: mask for row, mask in found.items() if row not in spoilt}


def pack_tokens(step: Step) -> Batch:
    """The batch of a step, with no rows of logits."""
    segments = step.segments
    starts, rows = np.array([(s.start, s.row) for s in segments], np.int32).T
    counts = [s.n for s in segments]
    ids = [s.ids for s in segments]
    positions = [np.arange(sum(counts), dtype=np.int32) + np.repeat(starts - rows, counts)]
    spans = [Span(s.row, n, s.table) for s, n in zip(segments, counts, strict=True)]
    for branch in step.branches:
        span = Span(branch.row, len(branch.nodes), branch.table)
        spans.append(span)
        ids.append(drafted(branch.seq, branch.nodes))
        positions.append(np.arange(len(span.table) - span.n, len(span.table), dtype=np.int32))
    slots = np.concatenate(step.slots)
    return Batch(np.concatenate(ids), np.concatenate(positions), slots, spans, np.zeros(0, np.int64), [])


def wanted(step: Step) -> tuple[NDArray[np.int64], Columns, list[int]]:
    """Rows and columns without repetition (repeats of a prompt share a row; states of a constraint share columns), and
    which of them each sample takes."""
    rows: list[int] = []
    columns: Columns = []
    where: list[int] = []
    seen: dict[tuple[int, int], int] = {}
    for sample in step.samples:
        narrow = sample.columns
        key = (sample.row, id(narrow))
        if key not in seen:
            seen[key] = len(rows)
            rows.append(sample.row)
            columns.append(narrow)
        where.append(seen[key])
    return np.array(rows, np.int64), columns, where
