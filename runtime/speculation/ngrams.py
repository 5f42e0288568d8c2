"""What came after the last few tokens in this engine's earlier results, whoever asked for them."""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Sequence as Items
from itertools import islice

from ..sequence import Sequence
from .tree import ROOT, Tree

LONGEST = 4  # tokens of context
CONTEXTS = 1 << 18  # remembered; beyond, the older half goes
SHARES = (0.35, 0.6, 0.85)  # of a token among those that came after a context, between one kind and the next
BRANCHES = 3  # of one node, at most

Context = tuple[int, ...]


class Ngrams:
    """Grows a tree by its likeliest node, each below the longest context that is known.

    memory   contexts that are remembered
    """

    name = "ngrams"
    chances: tuple[float, ...] = tuple(
        share * trust for trust in (0.4, 0.6, 0.8, 0.9) for share in (0.25, 0.5, 0.75, 0.95)
    )

    def __init__(self, memory: int = CONTEXTS) -> None:
        self._memory = memory
        self._counts: dict[Context, dict[int, int]] = {}
        self._known: dict[Sequence, int] = {}

    def propose(self, seqs: Items[Sequence], limits: Items[int]) -> list[Tree]:
        for seq in seqs:
            self._learn(seq)
        return [self._propose(seq, limit) for seq, limit in zip(seqs, limits, strict=True)]

    def ended(self, seq: Sequence) -> None:
        self._learn(seq)
        del self._known[seq]

    def _learn(self, seq: Sequence) -> None:
        """Take in the new tokens of a result."""
        start = max(self._known.get(seq, seq.prompt), 1)
        self._known[seq] = seq.length
        tokens: list[int] = seq.ids[max(0, start - LONGEST) : seq.length].tolist()
        for end in range(len(tokens) - (seq.length - start), len(tokens)):
            for n in range(1, min(LONGEST, end) + 1):
                after = self._counts.setdefault(tuple(tokens[end - n : end]), {})
                after[tokens[end]] = after.get(tokens[end], 0) + 1
        if len(self._counts) > self._memory:
            for context in list(islice(self._counts, len(self._counts) // 2)):
                del self._counts[context]

    def _propose(self, seq: Sequence, limit: int) -> Tree:
        tree = Tree()
        context: Context = tuple(seq.ids[max(0, seq.length - LONGEST) : seq.length].tolist())
        heap = [(-1.0, ROOT, 0, context)]
        while heap and len(tree) < limit:
            chance, parent, depth, context = heapq.heappop(heap)
            for token, share, kind in self._after(context):
                node = tree.add(token, parent, kind)
                if depth + 1 < limit:
                    heapq.heappush(heap, (chance * share, node, depth + 1, (*context, token)[-LONGEST:]))
        return tree

    def _after(self, context: Context) -> list[tuple[int, float, int]]:
        """(token, share, kind) of the likeliest tokens after the longest end of the context that is known."""
        for n in range(len(context), 0, -1):
            counts = self._counts.get(context[-n:])
            if counts:
                total = sum(counts.values()) + 1  # one for the unknown
                best = heapq.nlargest(BRANCHES, counts.items(), key=lambda item: item[1])
                shares = [(token, count / total) for token, count in best]
                return [(t, share, (n - 1) * (len(SHARES) + 1) + bisect_right(SHARES, share)) for t, share in shares]
        return []
