"""Priorities, groups and the bounds on waiting, on the scheduler alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmprog.runtime.request import Request
from lmprog.runtime.scheduler import Scheduler
from lmprog.runtime.sequence import Sequence
from lmprog.runtime.waiting import STARVED

from .toys import Prompt

REQUEST = st.tuples(st.integers(1, 20), st.integers(1, 6), st.integers(0, 2), st.integers(0, 3))


def add(scheduler: Scheduler, prompt: Prompt, n: int = 1, priority: int = 0, group: Hashable = None) -> Sequence:
    seq = Sequence(Request(prompt, n, priority=priority, group=group))
    scheduler.add(seq)
    return seq


def turn(scheduler: Scheduler) -> list[Sequence]:
    """One step, in which everyone draws a 0. Returns those that have finished."""
    step = scheduler.schedule()
    scheduler.commit(step)
    ended = []
    for seq in [sample.seq for sample in step.samples]:
        seq.append(0)
        if seq.remaining == 0:
            scheduler.remove(seq)
            ended.append(seq)
    scheduler.check()
    return ended


def order(scheduler: Scheduler, most: int = 5000) -> list[Sequence]:
    ended: list[Sequence] = []
    for _ in range(most):
        if not scheduler.busy:
            return ended
        ended += turn(scheduler)
    raise AssertionError("no end")


def test_a_thousand_requests_of_one_program_do_not_hold_up_another() -> None:
    scheduler = Scheduler(10_000, max_running=4)
    for i in range(1000):
        add(scheduler, [1, i], n=3, group="many")
    for _ in range(5):
        turn(scheduler)
    few = [add(scheduler, [2, i], n=3, group="few") for i in range(4)]
    ended = order(scheduler)

    assert max(ended.index(seq) for seq in few) < 12


def test_groups_share_by_tokens_not_by_requests() -> None:
    scheduler = Scheduler(10_000, max_running=4, reuse=False)
    long = [add(scheduler, [1] * 30, n=10, group="long") for _ in range(40)]
    short = [add(scheduler, [2], n=3, group="short") for _ in range(600)]
    ended = order(scheduler)
    last = min(ended.index(long[-1]), ended.index(short[-1]))
    tokens = Counter({"long": 0, "short": 0})
    for seq in ended[:last]:
        tokens[str(seq.request.group)] += len(seq.ids[: seq.length])

    assert 0.8 < tokens["long"] / tokens["short"] < 1.25


def test_a_pause_is_not_saved_up() -> None:
    scheduler = Scheduler(10_000, max_running=1, reuse=False)
    steady = [add(scheduler, [1], n=2, group="steady") for _ in range(100)]
    while steady[49].remaining:
        turn(scheduler)
    late = [add(scheduler, [2], n=2, group="late") for _ in range(20)]
    ended = order(scheduler)
    half = [seq.request.group for seq in ended[:20]]

    assert half.count("late") == pytest.approx(10, abs=1)
    assert all(seq in ended for seq in late)


def test_higher_priorities_go_first() -> None:
    scheduler = Scheduler(1000, max_running=1)
    seqs = [add(scheduler, [i], priority=i % 3) for i in range(9)]

    assert [2, 5, 8, 1, 4, 7, 0, 3, 6] == [seqs.index(seq) for seq in order(scheduler)]


def test_a_higher_priority_takes_the_place_of_a_lower_one() -> None:
    scheduler = Scheduler(1000, max_running=2)
    low = [add(scheduler, [i, 1], n=10) for i in range(2)]
    turn(scheduler)
    high = add(scheduler, [9], n=2, priority=1)
    turn(scheduler)

    assert {low[0], high} == set(scheduler.running)
    ended = order(scheduler)
    assert [high, low[0], low[1]] == ended
    assert low[1].computed == 2  # what it had computed was still cached
    assert scheduler.preempted == 1


def test_a_higher_priority_takes_the_slots_of_a_lower_one() -> None:
    scheduler = Scheduler(20)
    low = add(scheduler, [1] * 9, n=8)
    turn(scheduler)
    high = add(scheduler, [2] * 15, n=2, priority=1)
    turn(scheduler)

    assert [high] == scheduler.running
    assert [high, low] == order(scheduler)


def test_equal_priorities_do_not_chase_each_other_away() -> None:
    scheduler = Scheduler(1000, max_running=1)
    first, second = add(scheduler, [1], n=5, priority=3), add(scheduler, [2], n=5, priority=3)

    assert [first, second] == order(scheduler)
    assert scheduler.preempted == 0


@pytest.mark.parametrize("running", [1, 3])
def test_the_lowest_priority_waits_for_a_bounded_time(running: int) -> None:
    scheduler = Scheduler(1000, max_running=running)
    low = add(scheduler, [1], n=4)
    gone = 0
    while low.remaining:
        for i in range(running + 1 - len(scheduler.waiting)):
            add(scheduler, [2, i], n=2, priority=5)
        gone += len(turn(scheduler))

        assert gone <= 2 * STARVED + running * 4

    assert gone >= STARVED


def test_a_stream_of_new_groups_does_not_starve_an_old_one() -> None:
    scheduler = Scheduler(1000, max_running=1, reuse=False)
    old = [add(scheduler, [1] * 20, n=2, group="old") for _ in range(2)]
    gone = 0
    while old[1].remaining:
        add(scheduler, [2], n=1, group=gone)
        add(scheduler, [3], n=1, group=-gone - 1)
        gone += len(turn(scheduler))

        assert gone < 2000


def test_groups_leave_nothing_behind() -> None:
    scheduler = Scheduler(1000, max_running=3)
    seqs = [add(scheduler, [i], n=1 + i % 3, priority=i % 2, group=i % 5) for i in range(20)]
    turn(scheduler)
    for seq in seqs[10:]:
        if seq.remaining:
            scheduler.remove(seq)
    order(scheduler)

    assert {} == scheduler.waiting.groups
    assert 0 == len(scheduler.waiting) == len(list(scheduler.waiting))


def test_a_victim_is_of_the_lowest_priority() -> None:
    scheduler = Scheduler(24, reuse=False)
    seqs = [add(scheduler, [i] * 6, n=10, priority=priority) for i, priority in enumerate((1, 0, 2))]

    assert [seqs[2], seqs[0], seqs[1]] == order(scheduler)


@settings(max_examples=60, deadline=None)
@given(
    slots=st.sampled_from([30, 60, 1000]),
    chunk=st.sampled_from([2, 8, 100]),
    running=st.sampled_from([1, 3, 64]),
    reuse=st.booleans(),
    requests=st.lists(REQUEST, max_size=30),
    data=st.data(),
)
def test_everyone_finishes_whatever_comes(
    slots: int,
    chunk: int,
    running: int,
    reuse: bool,
    requests: list[tuple[int, int, int, int]],
    data: st.DataObject,
) -> None:
    scheduler = Scheduler(slots, chunk, running, reuse)
    todo, seqs, removed = list(requests), [], 0
    for count in range(3000):
        if todo and (count >= 50 or data.draw(st.booleans())):
            length, n, priority, group = todo.pop()
            seqs.append(add(scheduler, [1 + i % 3 for i in range(length)], n, priority, group))
        if not todo and not scheduler.busy:
            break
        step = scheduler.schedule()
        event = data.draw(st.sampled_from(["commit"] * 4 + ["fail", "shrink", "drop", "restart"])) if count < 50 else ""
        if step.tokens and event == "fail":
            scheduler.rollback(step)
        elif step.tokens and event == "shrink":
            scheduler.shrink(step)
        elif event == "restart":
            scheduler.restart([seq for seq in seqs if seq.remaining])
        elif step.tokens:
            scheduler.commit(step)
            for seq in [sample.seq for sample in step.samples]:
                seq.append(0)
                if seq.remaining == 0:
                    scheduler.remove(seq)
        if event == "drop" and (alive := [*scheduler.running, *scheduler.waiting]):
            seq = data.draw(st.sampled_from(alive))
            scheduler.remove(seq)
            seqs.remove(seq)
            removed += 1
        scheduler.check()

    assert not scheduler.busy
    assert len(requests) == len(seqs) + removed
    assert all(seq.remaining == 0 for seq in seqs)
    assert scheduler.pool.size == scheduler.pool.free + scheduler.tree.evictable
