"""The scheduler alone: steps are planned and committed, no model runs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmprog.runtime.request import Request
from lmprog.runtime.scheduler import Scheduler
from lmprog.runtime.sequence import Sequence
from lmprog.runtime.step import Sample, Step
from lmprog.runtime.waiting import PATIENCE

from .toys import Prompt, edges, prompts


def add(scheduler: Scheduler, prompt: Prompt, n: int = 4) -> Sequence:
    seq = Sequence(Request(prompt, n))
    scheduler.add(seq)
    return seq


def finish_step(scheduler: Scheduler, step: Step) -> None:
    """Commit what was planned, if anything, and sample a 0 for everyone."""
    if step.tokens:
        scheduler.commit(step)
    for seq in [sample.seq for sample in step.samples]:
        seq.append(0)
        if seq.remaining == 0:
            scheduler.remove(seq)
    scheduler.check()


def drain(scheduler: Scheduler, most: int = 2000) -> list[Step]:
    steps: list[Step] = []
    while scheduler.busy:
        assert len(steps) < most, "no end"
        steps.append(scheduler.schedule())
        finish_step(scheduler, steps[-1])
    return steps


def test_a_shared_prefix_is_planned_once_within_a_step() -> None:
    scheduler = Scheduler(100)
    a, b = add(scheduler, [1, 2, 3, 4]), add(scheduler, [1, 2, 3, 5, 6])

    step = scheduler.schedule()

    assert [(a, 0, 4, 0), (b, 3, 5, 4)] == [(s.seq, s.start, s.end, s.row) for s in step.segments]
    assert [Sample(a, 3), Sample(b, 5)] == step.samples
    assert a.table[:3].tolist() == b.table[:3].tolist()


def test_repeats_share_the_row_of_their_last_token() -> None:
    scheduler = Scheduler(100)
    seqs = [add(scheduler, [1, 2, 3]) for _ in range(3)]

    step = scheduler.schedule()

    assert step.tokens == 3
    assert [Sample(seq, 2) for seq in seqs] == step.samples


def test_a_repeat_of_a_cached_prompt_computes_its_last_token_again() -> None:
    scheduler = Scheduler(100)
    add(scheduler, [1, 2, 3])
    drain(scheduler)
    seq = add(scheduler, [1, 2, 3])
    step = scheduler.schedule()

    assert [(s.start, s.end) for s in step.segments] == [(2, 3)]
    finish_step(scheduler, step)
    assert seq.computed == 1


def test_long_prompts_come_in_chunks_beside_the_decodes() -> None:
    scheduler = Scheduler(100, max_tokens=4)
    first = add(scheduler, [1, 2], n=10)
    finish_step(scheduler, scheduler.schedule())
    long = add(scheduler, list(range(10, 20)))

    chunks = []
    while not (step := scheduler.schedule()).samples or len(step.samples) == 1:
        chunks.append([(s.seq is long, s.end - s.start) for s in step.segments])
        finish_step(scheduler, step)

    assert chunks == [[(False, 1), (True, 3)]] * 3
    assert [Sample(first, 0), Sample(long, 1)] == step.samples


def test_a_prefix_in_several_chunks_is_waited_for() -> None:
    scheduler = Scheduler(200, max_tokens=5)
    head = list(range(12))
    for i in range(4):
        add(scheduler, [*head, 50 + i])

    steps = drain(scheduler)

    assert sum(s.seq.prompt > s.start for step in steps for s in step.segments for _ in range(s.start, s.end)) == 12 + 4


def test_what_a_cancelled_request_was_computing_for_others_goes_on() -> None:
    scheduler = Scheduler(100, max_tokens=4)
    leader, other = add(scheduler, list(range(10))), add(scheduler, [*range(9), 77])
    finish_step(scheduler, scheduler.schedule())
    scheduler.remove(leader)
    scheduler.check()
    drain(scheduler)

    assert leader.computed + other.computed == 4 + 6
    assert other.length - other.prompt == 4


def test_the_uncomputed_part_of_a_cancelled_prompt_leaves_no_trace() -> None:
    scheduler = Scheduler(100, max_tokens=4)
    seq = add(scheduler, list(range(10)))
    finish_step(scheduler, scheduler.schedule())
    scheduler.remove(seq)

    assert 4 == scheduler.tree.tokens == scheduler.tree.peek(np.arange(10, dtype=np.int32))
    assert scheduler.pool.free == 96


def test_what_was_generated_is_cached() -> None:
    scheduler = Scheduler(100)
    add(scheduler, [1, 2, 3], n=4)
    drain(scheduler)
    nxt = add(scheduler, [1, 2, 3, 0, 0, 0, 9])
    step = scheduler.schedule()

    assert [(s.start, s.end) for s in step.segments] == [(6, 7)]
    finish_step(scheduler, step)
    assert nxt.computed == 1


def test_old_cache_makes_room() -> None:
    scheduler = Scheduler(20)
    for i in range(5):
        add(scheduler, [i] * 12)
        drain(scheduler)

    assert scheduler.evicted == 5 * 15 - 20
    assert scheduler.preempted == 0


def test_preemption_lets_the_oldest_finish() -> None:
    scheduler = Scheduler(24, reuse=False)
    seqs = [add(scheduler, [i] * 6, n=10) for i in range(3)]
    ended = []
    while scheduler.busy:
        step = scheduler.schedule()
        finish_step(scheduler, step)
        ended += [seq for seq in seqs if seq.remaining == 0 and seq not in ended]

    assert scheduler.preempted > 0
    assert seqs == ended


def test_a_failed_step_is_repeated_one_by_one() -> None:
    scheduler = Scheduler(100)
    seqs = [add(scheduler, p) for p in ([1, 2, 3], [1, 2, 4], [5])]
    scheduler.rollback(scheduler.schedule())
    alone = []
    for _ in range(3):
        step = scheduler.schedule()
        alone.append([s.seq for s in step.segments])
        finish_step(scheduler, step)

    assert sorted(map(id, seqs)) == sorted(id(seq) for (seq,) in alone)
    assert sum(seq.computed for seq in seqs) == 3 + 1 + 1


def test_longest_cached_prefix_goes_first() -> None:
    scheduler = Scheduler(100, max_running=1)
    add(scheduler, [1, 2, 3])
    drain(scheduler)
    far, near = add(scheduler, [7, 8]), add(scheduler, [1, 2, 3, 4])
    scheduler.schedule()

    assert [near] == scheduler.running
    assert [far] == list(scheduler.waiting)


def test_overtaking_has_an_end() -> None:
    scheduler = Scheduler(1000, max_running=1)
    add(scheduler, [1, 2, 3], n=1)
    drain(scheduler)
    patient = add(scheduler, [9, 9], n=1)
    rounds = 0
    while patient.remaining:
        add(scheduler, [1, 2, 3, 10 + rounds], n=1)
        finish_step(scheduler, scheduler.schedule())
        rounds += 1

    assert rounds == PATIENCE + 1


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 1000),
    slots=st.sampled_from([40, 60, 1000]),
    chunk=st.sampled_from([1, 3, 8, 100]),
    running=st.sampled_from([1, 3, 64]),
    reuse=st.booleans(),
    data=st.data(),
)
def test_nothing_leaks_and_everyone_finishes(
    seed: int, slots: int, chunk: int, running: int, reuse: bool, data: st.DataObject
) -> None:
    scheduler = Scheduler(slots, max_tokens=chunk, max_running=running, reuse=reuse)
    todo = prompts(seed, 12, size=4)
    seqs = [add(scheduler, p, n=1 + i % 7) for i, p in enumerate(todo[:6])]
    gone = set()
    for turn in range(3000):
        if not scheduler.busy:
            break
        if turn < 6:
            seqs.append(add(scheduler, todo[6 + turn], n=5))
        step = scheduler.schedule()
        event = data.draw(st.sampled_from(["commit"] * 6 + ["rollback", "cancel"]) if turn < 40 else st.just("commit"))
        if event == "rollback":
            scheduler.rollback(step)
        else:
            finish_step(scheduler, step)
        if event == "cancel" and scheduler.running:
            gone.add(scheduler.running[0])
            scheduler.remove(scheduler.running[0])
        scheduler.check()

    assert not scheduler.busy
    assert all(seq.remaining == 0 or seq in gone for seq in seqs)
    assert scheduler.pool.size == scheduler.pool.free + scheduler.tree.evictable


def test_the_check_names_the_numbers() -> None:
    scheduler = Scheduler(10)
    add(scheduler, [1, 2, 3], n=1)
    drain(scheduler)
    scheduler.pool.take(2)

    with pytest.raises(AssertionError, match=r"5 free \+ 3 in the tree \+ 0 owned by 0 sequences = 8, not 10"):
        scheduler.check()


def test_the_edges_of_the_tree_are_what_is_computed() -> None:
    todo = [[*range(8), i] for i in range(5)] + [[*range(4), 50, i] for i in range(5)]
    for chunk in (1, 3, 1000):
        scheduler = Scheduler(500, max_tokens=chunk)
        seqs = [add(scheduler, p) for p in todo]
        drain(scheduler)

        assert edges(todo) == sum(seq.computed for seq in seqs)
