"""Who waits, and in what order they go.

    lane     the waiting requests of one group at one priority, oldest first
    service  of a group: tokens that its requests have had computed

    1. heads of lanes that have seen STARVED requests go by for each lane there was, however low their priority
    2. higher priorities
    3. within a priority, the group with the least service so far, request by request
    4. within a lane, the longest cached prefix among its first WINDOW, unless one of them was overtaken PATIENCE times

A group that waits again after a pause starts at the level of the group that went last: nobody saves up, nobody is
charged for the times when the machine was idle. (Considered: turns. A program of long requests would get many times the
share of one with short requests.)
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from itertools import islice

from .sequence import Sequence

WINDOW = 64
PATIENCE = 8
STARVED = 32


class Group:
    """`members`: its requests that wait or run."""

    __slots__ = ("members", "served")

    def __init__(self) -> None:
        self.members = self.served = 0


class Lane:
    """`due`: how many must have gone for its head to go first; `last`: the youngest arrival that went in this pass."""

    __slots__ = ("due", "group", "last", "priority", "seqs")

    def __init__(self, group: Group, priority: int, due: int) -> None:
        self.group, self.priority, self.due = group, priority, due
        self.seqs: OrderedDict[Sequence, None] = OrderedDict()
        self.last = 0

    @property
    def head(self) -> Sequence:
        return next(iter(self.seqs))

    def order(self, cached: Callable[[Sequence], int]) -> list[Sequence]:
        window = list(islice(self.seqs, WINDOW))
        if len(window) < 2 or any(seq.passed_over >= PATIENCE for seq in window):
            return window
        return sorted(window, key=lambda seq: -cached(seq))

    def overtaken(self) -> None:
        """A pass is over."""
        for seq in islice(self.seqs, WINDOW):
            seq.passed_over += seq.arrival < self.last
        self.last = 0


class Waiting:
    """The waiting requests. A sequence enters, goes (and may come back) any number of times, and leaves."""

    def __init__(self) -> None:
        self.groups: dict[Hashable, Group] = {}
        self._lanes: dict[tuple[int, Hashable], Lane] = {}
        self._arrivals = self._gone = self._level = self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Sequence]:
        return (seq for lane in self._lanes.values() for seq in lane.seqs)

    @property
    def top(self) -> int:
        """The highest priority that waits."""
        return max(priority for priority, _ in self._lanes)

    def enter(self, seq: Sequence) -> None:
        self._arrivals += 1
        seq.arrival = self._arrivals
        seq.group = self.groups.setdefault(seq.request.group, Group())
        seq.group.members += 1
        self._lane(seq).seqs[seq] = None
        self._count += 1

    def back(self, seq: Sequence) -> None:
        """It was sent back: it waits at the head of its lane."""
        lane = self._lane(seq)
        lane.seqs[seq] = None
        lane.seqs.move_to_end(seq, last=False)
        self._count += 1

    def go(self, seq: Sequence, cost: int) -> None:
        """It starts to run; `cost`: tokens that are to be computed for it."""
        lane = self._lanes[seq.request.priority, seq.request.group]
        self._gone += 1
        if lane.head is seq:
            lane.due = self._next_due()
        lane.last = max(lane.last, seq.arrival)
        self._level = max(self._level, lane.group.served)
        lane.group.served += cost
        self.drop(seq)

    def drop(self, seq: Sequence) -> None:
        """It waits no longer."""
        key = seq.request.priority, seq.request.group
        del self._lanes[key].seqs[seq]
        self._count -= 1
        if not self._lanes[key].seqs:
            del self._lanes[key]

    def leave(self, seq: Sequence) -> None:
        """It has ended. (While it runs, it belongs to its group.)"""
        assert seq.group is not None
        seq.group.members -= 1
        if not seq.group.members:
            del self.groups[seq.request.group]

    def order(self, cached: Callable[[Sequence], int]) -> Iterator[Sequence]:
        """Who may go now, best first; each must `go` before the next is asked for. `cached`: tokens that are cached."""
        for lane in [lane for lane in self._lanes.values() if lane.due <= self._gone]:
            lane.head.due = True
            yield lane.head
        for priority in sorted({priority for priority, _ in self._lanes}, reverse=True):
            lanes = [lane for lane in self._lanes.values() if lane.priority == priority]
            heap = [(lane.group.served, lane.head.arrival, iter(lane.order(cached)), lane.group) for lane in lanes]
            heapq.heapify(heap)
            while heap:
                _, arrival, seqs, group = heapq.heappop(heap)
                for seq in islice(seqs, 1):
                    yield seq
                    heapq.heappush(heap, (group.served, arrival, seqs, group))

    def end_pass(self) -> None:
        """All that can go have gone."""
        for lane in self._lanes.values():
            if lane.last:
                lane.overtaken()

    def _lane(self, seq: Sequence) -> Lane:
        group, priority = seq.group, seq.request.priority
        assert group is not None
        key = priority, seq.request.group
        if key not in self._lanes:
            group.served = max(group.served, self._level)
            self._lanes[key] = Lane(group, priority, self._next_due())
        return self._lanes[key]

    def _next_due(self) -> int:
        return self._gone + STARVED * (len(self._lanes) or 1)
