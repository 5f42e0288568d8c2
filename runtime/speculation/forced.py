"""Text that the constraint forces.

Most of it is appended without sampling (choice.py), in drafts too. What remains is its last token, which is left to
the model when a longer one could stand in its place: the tokenizer's own spelling is a very good guess for that one.
"""

from __future__ import annotations

from collections.abc import Sequence as Items
from typing import Protocol

from ..request import Constraint, Request
from ..sequence import Sequence
from .tree import Tree

STATES = 1 << 16  # remembered


class Spelling(Protocol):
    def encode(self, data: bytes) -> list[int]: ...


class Forced:
    """Proposes the tokens of forced text. `vocab`: spells bytes."""

    name = "forced"
    chances: tuple[float, ...] = (0.9,)

    def __init__(self, vocab: Spelling) -> None:
        self._vocab = vocab
        self._tokens: dict[tuple[Constraint, int], list[int]] = {}

    def propose(self, seqs: Items[Sequence], limits: Items[int]) -> list[Tree]:
        return [self._propose(seq, limit) for seq, limit in zip(seqs, limits, strict=True)]

    def ended(self, seq: Sequence) -> None:
        """Nothing is kept of a sequence."""

    def _propose(self, seq: Sequence, limit: int) -> Tree:
        tree = Tree()
        tokens = self.after(seq.request, seq.state)[:limit]
        tree.chain(tokens, [0] * len(tokens))
        return tree

    def after(self, request: Request, state: int | None) -> list[int]:
        """The tokens that spell what is forced at a state of the request's constraint."""
        constraint = request.constraint
        if constraint is None or state is None:
            return []
        key = constraint, state
        tokens = self._tokens.get(key)
        if tokens is None:
            if len(self._tokens) >= STATES:
                self._tokens.clear()
            tokens = self._tokens[key] = self._spelt(constraint.forced(state))
        return tokens

    def _spelt(self, data: bytes) -> list[int]:
        try:
            return self._vocab.encode(data) if data else []
        except ValueError:  # this vocabulary spells it with longer tokens only
            return []
