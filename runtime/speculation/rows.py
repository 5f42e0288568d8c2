"""Rows of a step for drafts: the first run of each directly behind its sequence's last token, where that is in a
segment of its own, so that both read the text before them together; the other runs behind all segments."""

from __future__ import annotations

import numpy as np

from ..sequence import Sequence
from ..step import Branch, Sample, Step
from .tree import Draft

Runs = dict[Sequence, list[list[int]]]


def lay_out(step: Step, drafts: list[tuple[Sequence, Draft]]) -> None:
    """Add drafts, which have their slots, to a planned step; rows that were assigned move."""
    runs = {seq: draft.runs() for seq, draft in drafts}
    _insert(step, runs)
    for seq, draft in drafts:
        for nodes in runs[seq]:
            step.branches.append(Branch(seq, nodes, draft.way(nodes[-1]), step.tokens))
            _lay(step, seq, draft, nodes)


def _insert(step: Step, runs: Runs) -> None:
    """The first runs, which are taken out of `runs`."""
    slots, moved, count = np.concatenate(step.slots), np.zeros(step.tokens, np.int64), len(step.samples)
    step.slots, step.tokens = [], 0
    for segment in step.segments:
        seq, row, n = segment.seq, segment.row, segment.n
        moved[row : row + n] = np.arange(step.tokens, step.tokens + n)
        step.slots.append(slots[row : row + n])
        segment.row = step.tokens
        step.tokens += n
        if segment.end == seq.length and segment.spare is None and runs.get(seq):
            assert seq.draft is not None
            segment.nodes = runs[seq].pop(0)
            _lay(step, seq, seq.draft, segment.nodes)
    step.samples[:count] = [sample._replace(row=int(moved[sample.row])) for sample in step.samples[:count]]


def _lay(step: Step, seq: Sequence, draft: Draft, nodes: list[int]) -> None:
    """Nodes get the next rows."""
    step.slots.append(draft.slots[nodes])
    for row, node in enumerate(nodes, step.tokens):
        if draft.wanted[node]:
            draft.places[node] = len(step.samples)
            step.samples.append(Sample(seq, row, node))
    step.tokens += len(nodes)
