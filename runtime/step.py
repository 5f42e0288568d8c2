"""One forward pass: what it computes, and who wants which of its rows of logits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .choice import NARROW, Choice
from .pool import Slots
from .radix import Ids
from .request import Ask
from .sequence import Sequence
from .speculation.tree import ROOT

NOTHING = np.zeros(0, np.int32)


@dataclass(slots=True)
class Segment:
    """The tokens [start, end) of a sequence and the first run of its draft, at rows [row, row + n) of the step.

    nodes   that run, if the segment ends at the sequence's last token
    spare   they were computed before and are computed again for their rows of logits: in these slots, which are given
            back after the step
    """

    seq: Sequence
    start: int
    end: int
    row: int
    spare: list[int] | None = None
    nodes: list[int] | None = None

    @property
    def n(self) -> int:
        return self.end - self.start + len(self.nodes or ())

    @property
    def table(self) -> Slots:
        """The slots of all tokens up to the last."""
        if self.nodes is not None:
            assert self.seq.draft is not None
            return np.concatenate([self.seq.table[: self.end], self.seq.draft.slots[self.nodes]])
        if self.spare is None:
            return self.seq.table[: self.end]
        return np.append(self.seq.table[: self.start], self.spare)

    @property
    def ids(self) -> Ids:
        ids = self.seq.ids[self.start : self.end]
        return ids if self.nodes is None else np.concatenate([ids, drafted(self.seq, self.nodes)])


@dataclass(slots=True)
class Branch:
    """Nodes of a sequence's draft, one below the other, at rows from `row` on; `path` leads to the last from the
    root."""

    seq: Sequence
    nodes: list[int]
    path: list[int]
    row: int

    @property
    def table(self) -> Slots:
        assert self.seq.draft is not None
        return np.concatenate([self.seq.table[: self.seq.length], self.seq.draft.slots[self.path]])


def drafted(seq: Sequence, nodes: list[int]) -> Ids:
    assert seq.draft is not None
    return np.array([seq.draft.tokens[node] for node in nodes], np.int32)


class Sample(NamedTuple):
    """A row of logits that a sequence wants: after its last token, or after a node of its draft, or for an `ask`.

    A sequence may want any number of rows.
    """

    seq: Sequence
    row: int
    node: int = ROOT
    ask: Ask | None = None

    @property
    def last(self) -> bool:
        """It is the row after the sequence's last token."""
        return self.node == ROOT and self.ask is None

    @property
    def columns(self) -> NDArray[np.int32] | None:
        """Which of the row's logits are wanted; None: all."""
        if self.ask is not None:
            return self.ask.tokens if self.ask.relative and len(self.ask.tokens) <= NARROW else None
        if self.seq.request.scored:
            return None
        if self.node != ROOT:
            assert self.seq.draft is not None
            return self.seq.draft.choices[self.node].columns
        return NOTHING if self.seq.choice is None else self.seq.choice.columns

    @property
    def greedy(self) -> Choice | None:
        """What the choice is between, if nothing but the likeliest token of it matters."""
        request = self.seq.request
        if self.ask is not None or request.scored or not request.sampling.greedy or self.seq.penalties is not None:
            return None
        if self.node != ROOT:
            assert self.seq.draft is not None
            return self.seq.draft.choices[self.node]
        return self.seq.choice


@dataclass(slots=True)
class Step:
    """One forward pass.

    samples   those after last tokens first, then those for asks, then those of drafts
    wide      how many of those for asks take all of a row
    slots     where keys and values go, in pieces, in the order of the rows
    drafted   the sequences with drafts
    admitted  sequences that began to run with this step
    prompt    how many of the `tokens` belong to prompts
    trial     made to find out whose fault it was that another step failed
    """

    segments: list[Segment] = field(default_factory=list)
    branches: list[Branch] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    slots: list[Slots] = field(default_factory=list)
    drafted: list[Sequence] = field(default_factory=list)
    admitted: list[Sequence] = field(default_factory=list)
    tokens: int = 0
    prompt: int = 0
    wide: int = 0
    trial: bool = False

    @property
    def culprit(self) -> Sequence | None:
        """Whose fault it must be if this step fails; None: it could be several sequences', or the drafts'."""
        seqs = {segment.seq for segment in self.segments}
        return seqs.pop() if len(seqs) == 1 and not self.drafted else None
