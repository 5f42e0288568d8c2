"""Which document kills the workers that read it.

All documents that a worker had when it died are suspects. They are tried again in groups of an eighth, each group on a
worker of its own, until those that kill are alone: found after a few deaths, while all others were soon answered.
(Considered: each suspect alone at once. With hundreds in flight that is hundreds of single requests after any death,
where most workers die of something else: a machine that was taken away, memory that another process used up.)
"""

from __future__ import annotations

from collections import Counter

from .work import Numbered

PARTS = 8
STRIKES = 2  # deaths with nothing but this document at hand


class Suspects:
    """Documents to be tried again, as groups; the smallest, which are the nearest to a verdict, come first."""

    def __init__(self) -> None:
        self._groups: list[list[Numbered]] = []
        self._strikes: Counter[int] = Counter()

    def __bool__(self) -> bool:
        return bool(self._groups)

    def take(self) -> list[Numbered]:
        """A group to be given to a worker that does nothing else meanwhile; empty when there are no suspects."""
        return self._groups.pop() if self._groups else []

    def died(self, docs: list[Numbered]) -> list[Numbered]:
        """A worker died with these documents, if any. Those that are guilty; the others are to be tried again."""
        if len(docs) == 1:
            number = docs[0][0]
            self._strikes[number] += 1
            if self._strikes[number] == STRIKES:
                return docs
        size = max(1, len(docs) // PARTS)
        self._groups += [docs[i : i + size] for i in range(0, len(docs), size)]
        return []
