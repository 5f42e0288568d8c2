"""The radix tree against a naive model: a dictionary from every cached prefix to its slot."""

from __future__ import annotations

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from lmprog.runtime.radix import Node, RadixTree

Prefix = tuple[int, ...]
IDS = st.lists(st.integers(0, 2), max_size=9).map(tuple)


def array(ids: Prefix) -> np.ndarray:
    return np.array(ids, np.int32)


class AgainstNaive(RuleBasedStateMachine):
    """`slots` maps each cached prefix to its slot, `used` to the time of its last use, `locks` counts its holders."""

    held = Bundle("held")

    def __init__(self) -> None:
        super().__init__()
        self.tree = RadixTree()
        self.slots: dict[Prefix, int] = {}
        self.used: dict[Prefix, int] = {}
        self.locks: dict[Prefix, int] = {}
        self.fresh = self.clock = 0

    def longest(self, ids: Prefix) -> Prefix:
        return next(ids[:n] for n in range(len(ids), -1, -1) if n == 0 or ids[:n] in self.slots)

    def touch(self, ids: Prefix) -> None:
        self.clock += 1
        for n in range(1, len(ids) + 1):
            self.used[ids[:n]] = self.clock

    @rule(ids=IDS)
    def match(self, ids: Prefix) -> None:
        expected = self.longest(ids)
        assert len(expected) == self.tree.peek(array(ids))
        node = self.tree.match(array(ids))
        self.touch(expected)

        assert len(expected) == node.end
        assert [self.slots[ids[:n]] for n in range(1, len(expected) + 1)] == self.tree.slots(node).tolist()

    @rule(ids=IDS)
    def insert(self, ids: Prefix) -> None:
        slots = np.arange(self.fresh, self.fresh + len(ids))
        self.fresh += len(ids)
        node, there = self.tree.insert(self.tree.root, array(ids), slots)

        assert len(self.longest(ids)) == there
        for n in range(there + 1, len(ids) + 1):
            self.slots[ids[:n]] = int(slots[n - 1])
            self.locks[ids[:n]] = 0
        self.touch(ids)
        assert len(ids) == node.end

    @rule(head=IDS, tail=IDS)
    def insert_below(self, head: Prefix, tail: Prefix) -> None:
        node = self.tree.match(array(head))
        head = self.longest(head)
        self.touch(head)
        slots = np.arange(self.fresh, self.fresh + len(tail))
        self.fresh += len(tail)
        _, there = self.tree.insert(node, array(tail), slots)

        assert len(self.longest(head + tail)) - len(head) == there
        for n in range(there + 1, len(tail) + 1):
            self.slots[head + tail[:n]] = int(slots[n - 1])
            self.locks[head + tail[:n]] = 0
        self.touch(head + tail)

    @rule(target=held, ids=IDS)
    def lock(self, ids: Prefix) -> tuple[Node, Prefix]:
        node, ids = self.tree.match(array(ids)), self.longest(ids)
        self.touch(ids)
        self.tree.lock(node)
        for n in range(1, len(ids) + 1):
            self.locks[ids[:n]] += 1
        return node, ids

    @rule(entry=consumes(held))
    def unlock(self, entry: tuple[Node, Prefix]) -> None:
        node, ids = entry
        assert len(ids) == node.end
        self.tree.unlock(node)
        for n in range(1, len(ids) + 1):
            self.locks[ids[:n]] -= 1

    @rule(n=st.integers(1, 12))
    def evict(self, n: int) -> None:
        freed = self.tree.evict(n).tolist()

        evictable = sum(count == 0 for count in self.locks.values())
        assert min(n, evictable) == len(freed)
        for slot in freed:  # each was, when it went, an unused end, and the one that had not been used for longest
            prefix = next(p for p, s in self.slots.items() if s == slot)
            assert self.locks[prefix] == 0
        gone = {p for p, s in self.slots.items() if s in set(freed)}
        for prefix in gone:
            del self.slots[prefix], self.locks[prefix]
        assert all(p[:-1] in self.slots or len(p) == 1 for p in self.slots), "a prefix went before what continues it"
        if gone:
            self.check_oldest_first(gone)
        for prefix in gone:
            del self.used[prefix]

    def check_oldest_first(self, gone: set[Prefix]) -> None:
        kept = [p for p in self.slots if not self.locks[p] and not any(q[:-1] == p for q in self.slots)]
        newest = max(self.used[p] for p in gone)
        assert all(self.used[p] >= newest for p in kept)

    @invariant()
    def counts(self) -> None:
        assert len(self.slots) == self.tree.tokens
        assert sum(count == 0 for count in self.locks.values()) == self.tree.evictable

    @invariant()
    def structure(self) -> None:
        for node in self.tree.nodes():
            assert node.parent is not None
            assert len(node.ids) == len(node.slots) > 0
            assert node.end == node.parent.end + len(node.ids)
            assert node.parent.kids[int(node.ids[0])] is node
            assert node.parent is self.tree.root or node.parent.refs >= sum(k.refs for k in node.parent.kids.values())


AgainstNaive.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestAgainstNaive = AgainstNaive.TestCase


def test_evicts_the_least_recently_used_leaf_from_its_end() -> None:
    tree = RadixTree()
    tree.insert(tree.root, array((1, 2, 3)), np.array([0, 1, 2]))
    tree.insert(tree.root, array((1, 2, 4, 5)), np.array([9, 9, 3, 4]))
    tree.match(array((1, 2, 3)))

    assert tree.evict(1).tolist() == [4]
    assert tree.evict(2).tolist() == [3, 2]
    assert tree.peek(array((1, 2, 3))) == 2
