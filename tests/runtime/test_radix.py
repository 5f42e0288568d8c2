"""The radix tree against a naive model: a dictionary from every cached prefix to its slot."""

from __future__ import annotations

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, precondition, rule

from lmprog.runtime.radix import Node, RadixTree
from lmprog.runtime.tree_view import TreeStats, show, tree_stats

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

    @precondition(lambda self: any(not node.refs and not node.kids for node in self.tree.nodes()))
    @rule(data=st.data())
    def cut(self, data: st.DataObject) -> None:
        leaves = {self.spell(node): node for node in self.tree.nodes() if not node.refs and not node.kids}
        ids = data.draw(st.sampled_from(sorted(leaves)))
        node = leaves[ids]
        keep = data.draw(st.integers(0, len(node.ids) - 1))
        gone = [ids[:n] for n in range(len(ids) - len(node.ids) + keep + 1, len(ids) + 1)]

        assert [self.slots[prefix] for prefix in gone] == self.tree.cut(node, keep).tolist()
        for prefix in gone:
            del self.slots[prefix], self.locks[prefix], self.used[prefix]

    @staticmethod
    def spell(node: Node) -> Prefix:
        return tuple(int(i) for n in node.path() for i in n.ids)

    def check_oldest_first(self, gone: set[Prefix]) -> None:
        kept = [p for p in self.slots if not self.locks[p] and not any(q[:-1] == p for q in self.slots)]
        newest = max(self.used[p] for p in gone)
        assert all(self.used[p] >= newest for p in kept)

    @invariant()
    def counts(self) -> None:
        assert len(self.slots) == self.tree.tokens
        assert sum(count == 0 for count in self.locks.values()) == self.tree.evictable

    @invariant()
    def view(self) -> None:
        stats = tree_stats(self.tree)
        assert len(self.slots) == stats.tokens
        assert sum(count > 0 for count in self.locks.values()) == stats.locked
        assert max(map(len, self.slots), default=0) == stats.longest
        assert self.slots.keys() == {self.spell(n)[:k] for n in self.tree.nodes() for k in range(1, n.end + 1)}
        lines = show(self.tree).splitlines()[2:]
        assert sorted(len(node.ids) for node in self.tree.nodes()) == sorted(int(line[:6]) for line in lines)

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


def put(tree: RadixTree, text: str, start: int = 0) -> Node:
    ids = array(tuple(text.encode()))
    return tree.insert(tree.root, ids, np.arange(start, start + len(ids)))[0]


def test_the_tree_as_text_and_in_numbers() -> None:
    tree = RadixTree()
    tree.lock(put(tree, "You are a cat"))
    for text in ("You are a dog\n", "You are two", "Hello", "You are a door"):
        put(tree, text)

    assert show(tree, bytes).splitlines() == [
        "27 tokens in 8 nodes, 3 of them in use; 12 shared, the longest path has 14",
        "",
        "     5        'Hello'",
        "     8  × 1   'You are '",
        "     2  × 1   ├─ 'a '",
        "     3  × 1   │  ├─ 'cat'",
        "     2        │  └─ 'do'",
        "     2        │     ├─ 'g\\n'",
        "     2        │     └─ 'or'",
        "     3        └─ 'two'",
    ]
    assert TreeStats(nodes=8, leaves=5, tokens=27, locked=13, shared=12, depth=4, longest=14) == tree_stats(tree)
    assert show(RadixTree()) == "0 tokens in 0 nodes, 0 of them in use; 0 shared, the longest path has 0"


def test_long_texts_are_cut_and_deep_trees_shown() -> None:
    tree = RadixTree()
    node = tree.root
    for n in range(1200):
        node, _ = tree.insert(node, array((1,)), np.array([n]))
    lines = show(tree).splitlines()

    assert len(lines) == 2 + 1200
    wide = RadixTree()
    put(wide, "x" * 500)
    assert show(wide, bytes).splitlines()[2].endswith("xxx…")


def test_forks_and_rollbacks_copy_nothing() -> None:
    """The branches hold the very slots of the trunk; going back to a shorter prefix is a match."""
    tree = RadixTree()
    trunk = put(tree, "once upon a time")
    tree.lock(trunk)
    branches = [tree.insert(trunk, array((i, i)), np.array([100 + i, 200 + i]))[0] for i in range(3)]
    back = tree.match(array(tuple(b"once upon")))

    assert [[*range(16), 100 + i, 200 + i] for i in range(3)] == [tree.slots(node).tolist() for node in branches]
    assert list(range(9)) == tree.slots(back).tolist()
    assert list(range(16)) == tree.slots(trunk).tolist()
    assert tree.tokens == 16 + 6
