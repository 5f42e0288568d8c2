"""The prefix cache: a radix tree over token ids whose nodes own KV slots.

    root ── "You are" ──┬── " a cat"       a node owns the slots of its own ids only;
                        └── " a dog" ── …  a path from the root spells a prefix whose KV is in the slots along it

Who may touch what:

    a node with refs > 0     in use by running sequences: never evicted, though it may be split (the lower half keeps
                             the identity, so that holders of a node still hold the same path)
    a node with refs == 0    evictable; refs never grow downwards, so everything below it is evictable as well
    a leaf with refs == 0    may be cut from its end, least recently used leaf first

Pure bookkeeping over numpy arrays. A tree of single tokens was considered and rejected: a prompt of 2,000 tokens would
cost 2,000 dictionary look-ups a match, here it costs one array comparison per branching point.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from .pool import Slots

Ids = NDArray[np.int32]


class Node:
    __slots__ = ("end", "ids", "kids", "parent", "queued", "refs", "slots", "tick")

    def __init__(self, ids: Ids, slots: Slots, parent: Node | None, tick: int) -> None:
        self.ids, self.slots, self.parent, self.tick = ids, slots, parent, tick
        self.kids: dict[int, Node] = {}
        self.refs = 0
        self.queued = False
        self.end: int = len(ids) + (parent.end if parent is not None else 0)  # length of the prefix that ends here

    def path(self) -> list[Node]:
        """The nodes from below the root down to this one."""
        nodes, node = [], self
        while node.parent is not None:
            nodes.append(node)
            node = node.parent
        return nodes[::-1]


class RadixTree:
    """Longest-prefix matching, insertion, reference counts and eviction of the least recently used leaves."""

    def __init__(self) -> None:
        self.root = Node(np.zeros(0, np.int32), np.zeros(0, np.int64), None, 0)
        self.tokens = 0  # slots owned by all nodes
        self.evictable = 0  # ... by those with refs == 0
        self._clock = 0
        self._leaves: list[tuple[int, int, Node]] = []  # heap of leaves by age; may hold outdated entries

    def peek(self, ids: Ids) -> int:
        """Length of the longest prefix of ids in the tree; changes nothing."""
        return self._descend(ids)[1]

    def match(self, ids: Ids) -> Node:
        """The node whose path is the longest prefix of ids in the tree (the root if none); splits a node at need."""
        node, n = self._descend(ids)
        if n < node.end:
            node = self._split(node, n - (node.end - len(node.ids)))
        self._touch(node)
        return node

    def insert(self, node: Node, ids: Ids, slots: Slots) -> tuple[Node, int]:
        """Put ids below node; the tree now owns slots, except the first n of them.

        Returns (the node that ends there, n): the first n ids were there already, the caller keeps those slots.
        """
        start = node.end
        below, n = self._descend(ids, node)
        n -= start
        if start + n < below.end:
            below = self._split(below, len(below.ids) - (below.end - start - n))
        if n < len(ids):
            parent, below = below, Node(ids[n:].copy(), slots[n:].copy(), below, 0)
            parent.kids[int(ids[n])] = below
            self.tokens += len(below.ids)
            self.evictable += len(below.ids)
        self._touch(below)
        self._queue(below)
        return below, n

    def slots(self, node: Node) -> Slots:
        """The slots of the whole prefix that ends at node."""
        path = node.path()
        return np.concatenate([n.slots for n in path]) if path else self.root.slots

    def lock(self, node: Node) -> None:
        """Keep the path to node from being evicted until `unlock`. Locks nest."""
        for n in node.path():
            if n.refs == 0:
                self.evictable -= len(n.ids)
            n.refs += 1

    def unlock(self, node: Node) -> None:
        for n in node.path():
            n.refs -= 1
            assert n.refs >= 0, "unlocked more often than locked"
            if n.refs == 0:
                self.evictable += len(n.ids)
        self._queue(node)

    def evict(self, n: int) -> Slots:
        """Give up n slots, or as many as are evictable, from the ends of the least recently used leaves."""
        freed: list[Slots] = []
        while n > 0 and self._leaves:
            node = self._pop_leaf()
            if node is not None:
                keep = max(0, len(node.ids) - n)
                n -= len(node.ids) - keep
                freed.append(self.cut(node, keep))
        return np.concatenate(freed) if freed else self.root.slots

    def cut(self, node: Node, keep: int) -> Slots:
        """Drop all but the first `keep` ids of an unused leaf; the caller owns the slots returned."""
        assert node.parent is not None, "the root owns nothing"
        assert node.refs == 0, "a node in use may not be cut"
        assert not node.kids, "only leaves may be cut"
        slots, lost = node.slots[keep:], len(node.ids) - keep
        self.tokens -= lost
        self.evictable -= lost
        if keep == 0:
            del node.parent.kids[int(node.ids[0])]
            parent, node.parent = node.parent, None
            self._queue(parent)
        else:
            node.ids, node.slots = node.ids[:keep].copy(), node.slots[:keep].copy()
            node.end -= lost
            self._queue(node)
        return slots

    def nodes(self) -> Iterator[Node]:
        """All nodes but the root."""
        todo = list(self.root.kids.values())
        while todo:
            node = todo.pop()
            yield node
            todo.extend(node.kids.values())

    def _descend(self, ids: Ids, node: Node | None = None) -> tuple[Node, int]:
        """(the last node reached below `node`, length matched from the root); it may end inside that last node."""
        node = self.root if node is None else node
        n, done, total = node.end, 0, len(ids)
        while done < total:
            kid = node.kids.get(int(ids[done]))
            if kid is None:
                break
            same = _common(kid.ids, ids[done : done + len(kid.ids)])
            node, n, done = kid, n + same, done + same
            if same < len(kid.ids):
                break
        return node, n

    def _split(self, node: Node, at: int) -> Node:
        """Cut a node in two after `at` ids. Returns the new upper half."""
        parent = node.parent
        assert parent is not None
        upper = Node(node.ids[:at].copy(), node.slots[:at].copy(), parent, node.tick)
        upper.refs = node.refs
        parent.kids[int(upper.ids[0])] = upper
        node.ids, node.slots, node.parent = node.ids[at:].copy(), node.slots[at:].copy(), upper
        upper.kids[int(node.ids[0])] = node
        return upper

    def _touch(self, node: Node) -> None:
        self._clock += 1
        for n in node.path():
            n.tick = self._clock

    def _queue(self, node: Node) -> None:
        if node.refs == 0 and not node.kids and node.parent is not None and not node.queued:
            node.queued = True
            heapq.heappush(self._leaves, (node.tick, id(node), node))

    def _pop_leaf(self) -> Node | None:
        """The least recently used leaf, or None when the oldest entry was outdated (and has been put right)."""
        tick, _, node = heapq.heappop(self._leaves)
        node.queued = False
        if node.parent is None or node.refs or node.kids:
            return None
        if node.tick != tick:  # used since it was queued
            self._queue(node)
            return None
        return node


def _common(a: Ids, b: Ids) -> int:
    """Length of the common prefix."""
    n = min(len(a), len(b))
    differ = (a[:n] != b[:n]).nonzero()[0]
    return int(differ[0]) if len(differ) else n
