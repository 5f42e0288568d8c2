"""A shortcut for wide states: most tokens are plain text, and plain text is treated alike inside a string.

The tokens of a vocabulary that consist of PLAIN code points only are grouped by their length. Where all plain code
points lead from a state to one and the same state, and so on down the chain, whole groups are allowed or forbidden
at once and only the other tokens (a few thousand of 262,144) are walked. The idea of slices is llguidance's; grouping
by length makes it exact for counters (`maxLength`) as well.
"""

from __future__ import annotations

import weakref

import numpy as np
import numpy.typing as npt

from ._native import Trie, plain_lengths
from .byteset import Dag, code_points

PLAIN = ((0x20, 0x21), (0x23, 0x5B), (0x5D, 0x7E), (0x80, 0x10FFFF))  # not: controls, '"', '\\', DEL
LONGEST = 16  # code points of the longest token that is grouped


def edges(dag: Dag) -> npt.NDArray[np.int32]:
    """A byte graph as rows of (node, low byte, high byte, next node or -1 at the end), for `Dfa.common`."""
    numbers, rows, todo = {dag.uid: 0}, [], [dag]
    while todo:
        node = todo.pop()
        for low, high, child in node.edges:
            if child.edges and child.uid not in numbers:
                numbers[child.uid] = len(numbers)
                todo.append(child)
            rows.append((numbers[node.uid], low, high, numbers[child.uid] if child.edges else -1))
    return np.array(sorted(rows), np.int32)


def covers_plain(dag: Dag) -> bool:
    """Whether `dag` is a set of single code points that includes the plain ones."""
    found = _covering.get(dag)
    if found is None:
        plain = code_points(PLAIN)
        found = _covering[dag] = plain is not None and _covers(dag, plain)
    return found


_covering: weakref.WeakKeyDictionary[Dag, bool] = weakref.WeakKeyDictionary()


def _covers(dag: Dag, part: Dag) -> bool:
    if not part.edges:
        return dag is part
    return all(
        (child := dag.step(byte)) is not None and _covers(child, below)
        for low, high, below in part.edges
        for byte in range(low, high + 1)
    )


def plain_edges() -> npt.NDArray[np.int32]:
    dag = code_points(PLAIN)
    assert dag is not None
    return edges(dag)


class Slices:
    """Of one vocabulary: masks `upto[n]` (and `counts[n]`) of its plain tokens of at most n code points; the others are
    in the trie `rest`."""

    def __init__(self, token_bytes: list[bytes | None]) -> None:
        marks = plain_lengths(token_bytes, LONGEST)
        lengths = self.lengths = np.frombuffer(marks, np.uint8)
        self.rest = Trie(token_bytes, marks)
        self.upto = [self._mask(n) for n in range(LONGEST + 1)]
        self.counts = [int(((lengths > 0) & (lengths <= n)).sum()) for n in range(LONGEST + 1)]

    def _mask(self, n: int) -> npt.NDArray[np.int32]:
        bits = np.zeros(-(-len(self.lengths) // 32) * 32, np.bool_)
        bits[: len(self.lengths)] = (self.lengths > 0) & (self.lengths <= n)
        return np.packbits(bits, bitorder="little").view(np.int32)
