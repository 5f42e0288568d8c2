"""Drafts in the scheduler: slots and rows of tokens that may come next, whatever becomes of them."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmprog.runtime.choice import ANYTHING
from lmprog.runtime.runner import pack
from lmprog.runtime.scheduler import Scheduler
from lmprog.runtime.sequence import Sequence
from lmprog.runtime.speculation.tree import ROOT, Draft
from lmprog.runtime.step import Step

from .test_scheduler import add
from .toys import prompts


def draft(*edges: tuple[int, int]) -> Draft:
    """Of (token, parent); a row is wanted behind each node."""
    tokens, parents = [token for token, _ in edges], [parent for _, parent in edges]
    return Draft(tokens, parents, [True] * len(edges), [ANYTHING] * len(edges))


def random_draft(chance: random.Random, most: int) -> Draft:
    edges: list[tuple[int, int]] = []
    for _ in range(chance.randint(0, most)):
        edge = chance.randrange(3), chance.randrange(-1, len(edges))
        if edge not in edges:
            edges.append(edge)
    return draft(*edges)


@pytest.mark.parametrize(
    ("parents", "runs"),
    [
        ([], []),
        ([-1, 0, 1], [[0, 1, 2]]),
        ([-1, -1, -1], [[0], [1], [2]]),
        ([-1, 0, 0, 1, 2, -1], [[0, 1, 3], [2, 4], [5]]),
    ],
)
def test_runs(parents: list[int], runs: list[list[int]]) -> None:
    assert runs == draft(*[(i, p) for i, p in enumerate(parents)]).runs()


def prefilled(scheduler: Scheduler, prompt: list[int]) -> Sequence:
    """A sequence that is about to compute its only pending token."""
    seq = add(scheduler, prompt, 20)
    scheduler.commit(step := scheduler.schedule())
    for sample in step.samples:
        sample.seq.append(7)
    return seq


def test_a_branch_reads_the_prefix_and_the_nodes_above_it() -> None:
    """The first run stands in the segment of the last token, the others behind all segments."""
    scheduler = Scheduler(100)
    seq, other = add(scheduler, [1, 2, 3]), add(scheduler, [4])
    scheduler.commit(scheduler.schedule())
    for each in (seq, other):
        each.append(7)
    step = scheduler.schedule()
    scheduler.graft(step, [(seq, draft((5, ROOT), (6, 0), (8, 0), (9, 2)))])
    for each in (seq, other):
        each.choice = ANYTHING
    batch, where = pack(step, 12)
    token = dict(zip(batch.slots.tolist(), batch.ids.tolist(), strict=True))
    token |= dict(zip([*seq.table[:3].tolist(), *other.table[:1].tolist()], [1, 2, 3, 4], strict=True))
    read = {span.row: (span.n, [token[slot] for slot in span.table.tolist()]) for span in batch.spans}
    scheduler.check()

    last, first = [sample.row for sample in step.samples[:2]]
    assert {(last, 7, 3), (first, 7, 1)} == {(row, batch.ids[row], batch.positions[row]) for row in (last, first)}
    assert {(3, (1, 2, 3, 7, 5, 6)), (1, (4, 7)), (2, (1, 2, 3, 7, 5, 8, 9))} == {
        (n, tuple(tokens)) for n, tokens in read.values()
    }
    assert [5, 6, 8, 9] == batch.ids[[sample.row for sample in step.samples[2:]]].tolist()
    assert [4, 5, 5, 6] == batch.positions[[sample.row for sample in step.samples[2:]]].tolist()
    assert [sample.row for sample in step.samples] == batch.rows[where].tolist()


def test_accepted_nodes_become_the_sequences_own_and_the_others_are_free_again() -> None:
    scheduler = Scheduler(100)
    seq = prefilled(scheduler, [1, 2, 3])
    step = scheduler.schedule()
    scheduler.graft(step, [(seq, draft((5, ROOT), (6, 0), (8, 0), (9, 2)))])
    scheduler.commit(step)
    drafted = seq.draft
    assert drafted is not None
    slots = drafted.slots.tolist()
    for token, place in [(5, 1), (8, 3), (4, -1)]:
        seq.append(token)
        assert place == drafted.follow([token])
    scheduler.settle(step)
    scheduler.check()

    assert [slots[0], slots[2]] == seq.table[4:6].tolist()
    assert (seq.done, seq.held, seq.pending) == (6, 6, 1)
    assert scheduler.pool.free == 100 - 6


def walk(seq: Sequence, chance: random.Random) -> None:
    """Sample anything; go on while it was drafted."""
    going = True
    while going and seq.remaining:
        token = chance.randrange(3)
        seq.append(token)
        going = seq.draft is not None and seq.draft.follow([token]) >= 0


def planned(scheduler: Scheduler, chance: random.Random) -> Step:
    step = scheduler.schedule()
    for seq in [sample.seq for sample in step.samples]:
        if seq.draft is None and chance.random() < 0.7:
            drafted = random_draft(chance, min(seq.remaining - 1, scheduler.room(step)))
            if len(drafted):
                scheduler.graft(step, [(seq, drafted)])
    return step


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 1000),
    slots=st.sampled_from([40, 60, 1000]),
    chunk=st.sampled_from([1, 3, 8, 100]),
    reuse=st.booleans(),
    data=st.data(),
)
def test_nothing_leaks(seed: int, slots: int, chunk: int, reuse: bool, data: st.DataObject) -> None:
    """Through failed steps, steps that do not fit, cancelled requests, preemption and eviction."""
    chance = random.Random(seed)
    scheduler = Scheduler(slots, max_tokens=chunk, reuse=reuse)
    for prompt in prompts(seed, 8, size=4):
        add(scheduler, prompt, chance.randint(1, 16))
    for turn in range(3000):
        if not scheduler.busy:
            break
        step = planned(scheduler, chance)
        scheduler.check()
        event = data.draw(
            st.sampled_from(["commit"] * 6 + ["rollback", "shrink", "cancel"]) if turn < 40 else st.just("")
        )
        if event in ("rollback", "shrink") and step.tokens:
            getattr(scheduler, event)(step)
        else:
            finish(scheduler, step, chance)
        if event == "cancel" and scheduler.running:
            scheduler.remove(chance.choice(scheduler.running))
        scheduler.check()

    assert not scheduler.busy
    assert scheduler.pool.size == scheduler.pool.free + scheduler.tree.evictable


def finish(scheduler: Scheduler, step: Step, chance: random.Random) -> None:
    if step.tokens:
        scheduler.commit(step)
    seqs = [sample.seq for sample in step.samples if sample.node == ROOT]
    for seq in seqs:
        walk(seq, chance)
    scheduler.check()
    scheduler.settle(step)
    scheduler.check()
    for seq in seqs:
        if seq.remaining == 0:
            scheduler.remove(seq)
