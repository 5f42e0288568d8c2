"""What proposes tokens."""

from __future__ import annotations

from collections.abc import Sequence as Items
from typing import Protocol

from ..sequence import Sequence
from .tree import Tree


class Drafter(Protocol):
    """Proposes how sequences may go on. A proposal can never change what is generated, only when.

    name     for statistics
    chances  for each kind of node (see `Tree`): a first guess of how often such a node is right, before that has been
             measured

    Used on one thread. An exception in it is logged, and the drafter is not asked again.
    """

    @property
    def name(self) -> str: ...
    @property
    def chances(self) -> tuple[float, ...]: ...

    def propose(self, seqs: Items[Sequence], limits: Items[int]) -> list[Tree]:
        """A tree for each sequence, from its last token on, at most `limits[i]` deep. Masks need not be thought of."""
        ...

    def ended(self, seq: Sequence) -> None:
        """The sequence is over, for whatever reason."""
        ...
