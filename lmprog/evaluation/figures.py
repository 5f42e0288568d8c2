"""What else an evaluation tells beside its scores: how often it worked at all, what it cost, how long rows took."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..run import CascadeRun
from .statistics import Interval, wilson

if TYPE_CHECKING:
    from .result import Evaluation


@dataclass(frozen=True)
class Share:
    """`part` of `whole`, with Wilson's interval of the share; nan of nothing."""

    part: int
    whole: int

    @property
    def value(self) -> float:
        return self.part / self.whole if self.whole else math.nan

    @property
    def interval(self) -> Interval | None:
        return wilson(self.part, self.whole) if self.whole else None


@dataclass(frozen=True)
class Figures:
    """valid         rows whose run ended with a value of the program: without any error
    executed         calls of tools (`p.tool_call`) in these runs that ran without an exception
    tokens           prompt and generated, per success: of all runs, over the sum of their scores; inf without any
    seconds          the same of the time that the runs took
    cost             the same of what cascades say that they cost, at their prices; None for other programs
    p50, p95         seconds that a run took, waiting for others included: half of them less, 95 % of them less

    Runs from the cache count with what they cost when they were done. What a run cost that failed is not known.
    """

    valid: Share
    executed: Share
    tokens: float
    seconds: float
    cost: float | None
    p50: float
    p95: float


def figures(result: Evaluation) -> Figures:
    runs = [row for row in result.rows if row.run is not None]
    usage = result.usage + result.cached_usage
    success = sum(result.scores)
    costs = [row.run.cost for row in runs if isinstance(row.run, CascadeRun)]
    took = [row.usage.seconds for row in runs]
    return Figures(
        valid=Share(len(runs), len(result.rows)),
        executed=Share(sum(row.executed for row in runs), sum(row.calls for row in runs)),
        tokens=_over(usage.prompt_tokens + usage.sampled_tokens + usage.forced_tokens, success),
        seconds=_over(usage.seconds, success),
        cost=_over(math.fsum(costs), success) if costs else None,
        p50=_quantile(took, 0.5),
        p95=_quantile(took, 0.95),
    )


def _over(cost: float, success: float) -> float:
    return cost / success if success > 0 else math.inf


def _quantile(values: Sequence[float], share: float) -> float:
    return float(np.quantile(values, share)) if values else math.nan
