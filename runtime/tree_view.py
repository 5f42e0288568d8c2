"""The prefix tree as text and in numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .radix import Node, RadixTree

WIDTH = 60  # characters of a node's text
Decode = Callable[[list[int]], bytes]


@dataclass(frozen=True)
class TreeStats:
    """tokens, locked: slots owned, and those of them that running requests use; depth, longest: nodes and tokens on the
    longest path of each kind; shared: tokens below which the tree branches, that is, that serve several texts."""

    nodes: int
    leaves: int
    tokens: int
    locked: int
    shared: int
    depth: int
    longest: int


def tree_stats(tree: RadixTree) -> TreeStats:
    nodes = list(tree.nodes())
    return TreeStats(
        nodes=len(nodes),
        leaves=sum(not node.kids for node in nodes),
        tokens=tree.tokens,
        locked=tree.tokens - tree.evictable,
        shared=sum(len(node.ids) for node in nodes if node.kids),
        depth=max((len(node.path()) for node in nodes), default=0),
        longest=max((node.end for node in nodes), default=0),
    )


def show(tree: RadixTree, decode: Decode | None = None) -> str:
    """
    7 tokens in 3 nodes, 1 of them in use; 4 shared, the longest path has 6

        4  × 1  'You are'
        2  ├─ ' a cat'
        1  └─ ' an'

    For each node its tokens, the running requests that use it (× n), and its text, or ids without `decode`.
    """
    stats = tree_stats(tree)
    used = sum(node.refs > 0 for node in tree.nodes())
    head = (
        f"{stats.tokens} tokens in {stats.nodes} nodes, {used} of them in use; {stats.shared} shared, "
        f"the longest path has {stats.longest}"
    )
    return "\n".join([head, *(["", *_lines(tree.root, "", "", decode)] if stats.nodes else [])])


def _lines(node: Node, own: str, below: str, decode: Decode | None) -> Iterator[str]:
    """The lines of a subtree, by an explicit stack: paths may be longer than Python's own."""
    todo = [(node, own, below)]
    while todo:
        node, own, below = todo.pop()
        if node.parent is not None:
            used = f"× {node.refs}" if node.refs else ""
            yield f"{len(node.ids):6}  {used:5} {own}{_text(node, decode)}"
        kids = sorted(node.kids.items())
        inner = node.parent is not None
        for i, (_, kid) in reversed(list(enumerate(kids))):
            last = i == len(kids) - 1
            branch = ("└─ " if last else "├─ ") if inner else ""
            todo.append((kid, below + branch, below + (("   " if last else "│  ") if inner else "")))


def _text(node: Node, decode: Decode | None) -> str:
    ids = node.ids[:WIDTH].tolist()
    text = " ".join(map(str, ids)) if decode is None else repr(decode(ids).decode(errors="backslashreplace"))
    cut = len(text) > WIDTH or len(node.ids) > WIDTH
    return f"{text[: WIDTH - 1]}…" if cut else text
