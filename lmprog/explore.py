"""From single paths through a body to the graph of all of them.

A preview follows one path, and says where it split. The path with the first answer everywhere comes first, then each
question's other answers, the earliest first. Trying all combinations would take a run for each: seven questions, 128
runs. Instead, two nodes from where the body does the same when it gets first answers only are taken for the same node,
so that what comes after a branch is explored once: seven questions, 8 to 15 runs. That is a guess; a run that finds the
plan wrong goes on without it.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence

from .plan import Branch, End, Item, Node, nodes

PATHS = 256
SECONDS = 0.05  # of the processor
FEW, LONG = 16, 0.5  # so many paths may take so many seconds: what is new is compiled at first
Path = Callable[[Sequence[int]], list[Item]]  # the items of the path with these answers, an End last


class Explorer:
    """`merge`: take nodes for the same as above. `cut`: what comes next is not explored."""

    def __init__(self, path: Path, *, merge: bool, paths: int = PATHS, seconds: float | None = SECONDS) -> None:
        self.path, self.merge, self.left, self.seconds = path, merge, paths, seconds
        self.cut = Node(End("budget", "too many paths"), [])
        self._todo: deque[tuple[Node, int, list[int]]] = deque()
        self._known: dict[tuple[Item, int], Node] = {}

    def explore(self) -> Node:
        began, most = time.thread_time(), self.left
        root = self._follow([])
        while self._todo and self.left and self._soon(time.thread_time() - began, most - self.left):
            node, cell, answers = self._todo.popleft()
            node.next[cell] = self._follow([*answers, cell])
        return root

    def _soon(self, spent: float, paths: int) -> bool:
        return self.seconds is None or spent < (LONG if paths < FEW else self.seconds)

    @property
    def complete(self) -> bool:
        return not self._todo

    def _follow(self, answers: list[int]) -> Node:
        """The node after the last of the answers. Its branches are given first nodes, and put down for the others."""
        self.left -= 1
        items = self.path(answers)
        given, asked = len(answers), sum([isinstance(item, Branch) for item in items])
        if asked < given:
            return self.cut  # the body does not do the same again
        node, new = self._known.setdefault((items[-1], 0), Node(items[-1], [])), []
        for item in reversed(items[:-1]):
            if isinstance(item, Branch):
                if asked == given:
                    break
                asked -= 1
            node, fresh = self._node(item, node)
            if fresh and isinstance(item, Branch):
                new.append((node, [*answers, *[0] * (asked - given)]))
        for branch, before in reversed(new):
            self._todo += [(branch, cell, before) for cell in range(1, len(branch.next))]
        return node

    def _node(self, item: Item, after: Node) -> tuple[Node, bool]:
        key = item, id(after)
        if self.merge and key in self._known:
            return self._known[key], False
        rest = [self.cut] * (len(item.cells) - 1) if isinstance(item, Branch) else []
        node = self._known[key] = Node(item, [after, *rest])
        return node, True


def canonical(root: Node) -> Node:
    """The same graph with equal nodes only once, and without branches whose ways are all the same."""
    known: dict[tuple[Item, tuple[int, ...]], Node] = {}
    new: dict[int, Node] = {}
    for node in reversed(list(nodes(root))):
        item, after = node.item, [new[id(n)] for n in node.next]
        if isinstance(item, Branch):
            item, after = _flat(item, after)
            if len(after) == 1:
                new[id(node)] = after[0]
                continue
        new[id(node)] = known.setdefault((item, tuple([id(n) for n in after])), Node(item, after))
    return new[id(root)]


def _flat(branch: Branch, after: list[Node]) -> tuple[Branch, list[Node]]:
    """The branch with those on the same value that follow at once taken in: one cell for each node after it."""
    cells: dict[int, tuple[list[str], Node]] = {}
    for cell, node in zip(branch.cells, after, strict=True):
        for part, end in _parts(cell, branch.back, node):
            cells.setdefault(id(end), ([], end))[0].extend(part)
    texts = tuple([tuple(texts) for texts, _ in cells.values()])
    return Branch(branch.back, branch.name, texts), [node for _, node in cells.values()]


def _parts(cell: tuple[str, ...], back: int, node: Node) -> list[tuple[list[str], Node]]:
    if not isinstance(node.item, Branch) or node.item.back != back:
        return [([*cell], node)]
    known = zip(node.item.cells, node.next, strict=True)
    return [(part, after) for inner, after in known if (part := [text for text in cell if text in inner])]


def explore(path: Path) -> Node:
    """The graph that a run uses: as far as one can see in a short time."""
    return canonical(Explorer(path, merge=True).explore())


def explore_all(path: Path) -> tuple[Node, bool]:
    """The graph of every path, if there are not too many; otherwise (False) like nodes merged."""
    every = Explorer(path, merge=False, seconds=None)
    root = every.explore()
    if every.complete:
        return canonical(root), True
    return canonical(Explorer(path, merge=True, seconds=None).explore()), False
