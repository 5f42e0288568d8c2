"""What a search may spend, and what it has spent."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..errors import TuningError


@dataclass(frozen=True)
class Budget:
    """Limits of a search; None: no limit. The search ends before the first thing that it would do beyond one, so that
    only what is already under way then goes over it: `concurrency` rows at most, or the candidates of one slot.

    tokens       of prompts and values, whether or not the prefix cache had them
    seconds      of wall time, over all sessions of a search that is resumed
    evaluations  configurations tried, with the starting point; further rows for one of them do not count again
    """

    tokens: int | None = None
    seconds: float | None = None
    evaluations: int | None = None

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not value > 0):
                raise TuningError(f"budget: {name} is a number above 0, or None, not {value!r}")

    def over(self, spent: Spent) -> bool:
        """Whether no more rows may be run."""
        return spent.tokens >= (self.tokens or math.inf) or spent.seconds >= (self.seconds or math.inf)

    def part(self, share: float) -> Budget:
        """A share of it, of evaluations at least one."""
        counted = None if self.evaluations is None else max(1, round(self.evaluations * share))
        return Budget(
            None if self.tokens is None else max(1, round(self.tokens * share)),
            None if self.seconds is None else self.seconds * share,
            counted,
        )

    def share(self, spent: Spent) -> float:
        """How much of the budget is gone, by the limit that is nearest."""
        pairs = [(getattr(spent, name), limit) for name, limit in vars(self).items() if limit]
        return min(1.0, max([used / limit for used, limit in pairs], default=0.0))


@dataclass(frozen=True)
class Spent:
    """What a search has spent so far, in the units of `Budget`; `rows` are runs of the program."""

    tokens: int = 0
    seconds: float = 0.0
    evaluations: int = 0
    rows: int = 0
