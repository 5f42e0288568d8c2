"""Trees of tokens that may come next.

context … the | cat ── sat      node i is tokens[i], after node parents[i]; ROOT is the context's end. Parents come
              | dog ── ran      before their children, and no node has two children with the same token.
"""

from __future__ import annotations

from collections.abc import Sequence as Items
from typing import TYPE_CHECKING

import numpy as np

from ..pool import Slots

if TYPE_CHECKING:
    from ..choice import Choice

ROOT = -1


class Tree:
    """What a drafter proposes. `kinds[i]` is a small number of the drafter's own: how sure it is of node i, given the
    way there. How often nodes of a kind are right is measured."""

    __slots__ = ("_children", "kinds", "parents", "tokens")

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.parents: list[int] = []
        self.kinds: list[int] = []
        self._children: dict[tuple[int, int], int] = {}

    def __len__(self) -> int:
        return len(self.tokens)

    def add(self, token: int, parent: int = ROOT, kind: int = 0) -> int:
        """The node of that token below `parent`: a new one, or the one that is there."""
        node = self._children.get((parent, token))
        if node is None:
            node = self._children[parent, token] = len(self.tokens)
            self.tokens.append(token)
            self.parents.append(parent)
            self.kinds.append(kind)
        return node

    def chain(self, tokens: Items[int], kinds: Items[int]) -> None:
        """Add tokens one below the other."""
        node = ROOT
        for token, kind in zip(tokens, kinds, strict=True):
            node = self.add(token, node, kind)

    def child(self, node: int, token: int) -> int | None:
        return self._children.get((node, token))


class Draft:
    """The part of a tree that goes through the model.

    choices  of each node: what may come after it
    wanted   whether logits are; not so where the next token is forced
    slots    of each node, owned by the draft until the step is settled
    places   of each node: where its row stands among the step's samples; -1 if none is wanted
    path     the nodes that were accepted so far
    strides  how many tokens each sampled one brought along, itself and what it forces
    """

    __slots__ = ("_children", "choices", "parents", "path", "places", "slots", "strides", "tokens", "wanted")

    def __init__(self, tokens: list[int], parents: list[int], wanted: list[bool], choices: list[Choice]) -> None:
        self.tokens, self.parents, self.wanted, self.choices = tokens, parents, wanted, choices
        self.slots: Slots = np.zeros(0, np.int64)
        self.places = [-1] * len(tokens)
        self.path: list[int] = []
        self.strides: list[int] = []
        self._children = {edge: node for node, edge in enumerate(zip(parents, tokens, strict=True))}

    def __len__(self) -> int:
        return len(self.tokens)

    def follow(self, tokens: Items[int]) -> int:
        """Accept these tokens as far as they are in the tree. Returns the place of the row after all of them, or -1."""
        node = self.path[-1] if self.path else ROOT
        self.strides.append(len(tokens))
        for token in tokens:
            child = self._children.get((node, token))
            if child is None:
                return -1
            self.path.append(child)
            node = child
        return self.places[node] if tokens else -1

    def runs(self) -> list[list[int]]:
        """The nodes in runs, each node in one, directly behind its parent or at the beginning of a run."""
        runs: list[list[int]] = []
        last: dict[int, list[int]] = {}
        for node, parent in enumerate(self.parents):
            run = last.pop(parent, None)
            if run is None:
                run = []
                runs.append(run)
            run.append(node)
            last[node] = run
        return runs

    def way(self, node: int) -> list[int]:
        """The nodes from below the root down to this one."""
        way: list[int] = []
        while node != ROOT:
            way.append(node)
            node = self.parents[node]
        return way[::-1]
