"""Thresholds of a cascade, chosen on data: what each costs and how many answers are then right."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .batch import map_runs
from .cascading import Cascade, Step
from .decoders import Decoder
from .errors import CascadeError, EvaluationError
from .evaluation.data import Data, arguments, read
from .evaluation.metrics import Metric, metrics, number
from .evaluation.statistics import Interval, mean_interval
from .models import Canceller
from .run import CascadeRun, Run, Tried

Floats = NDArray[np.float64]
WAYS = 20_000  # thresholds, or combinations of them, that are tried
NEVER = 1.0  # the threshold that takes no answer


@dataclass(frozen=True)
class CascadePoint:
    """What thresholds give on the rows: the mean score and cost, and the share of rows that each step answers."""

    thresholds: tuple[float, ...]
    accuracy: float
    cost: float
    shares: tuple[float, ...]


@dataclass(frozen=True)
class StepFigures:
    """A step that answers every row by itself."""

    name: str
    accuracy: float
    interval: Interval
    cost: float
    seconds: float
    failed: int


@dataclass(frozen=True)
class Table:
    """[rows, steps]: the score of each answer, its cost, and how sure it is, -inf where there is none and inf for the
    last step's."""

    scores: Floats
    costs: Floats
    sure: Floats

    def answering(self, thresholds: Sequence[float]) -> NDArray[np.int64]:
        """[rows]: which step answers. A threshold of 1 takes nothing."""
        bounds = np.array([math.inf if t >= NEVER else t for t in thresholds])
        taken = np.column_stack([self.sure[:, :-1] >= bounds, np.ones(len(self.sure), bool)])
        found: NDArray[np.int64] = taken.argmax(axis=1)
        return found

    def outcomes(self, thresholds: Sequence[float]) -> tuple[Floats, Floats]:
        """[rows] each: the scores and costs of the cascade."""
        last = self.answering(thresholds)
        rows = np.arange(len(last))
        return self.scores[rows, last], self.costs.cumsum(axis=1)[rows, last]

    def point(self, thresholds: Sequence[float]) -> CascadePoint:
        scores, costs = self.outcomes(thresholds)
        shares = np.bincount(self.answering(thresholds), minlength=self.scores.shape[1]) / len(scores)
        given = tuple([float(t) for t in thresholds])
        return CascadePoint(given, float(scores.mean()), float(costs.mean()), tuple(shares.tolist()))

    def of(self, rows: NDArray[Any]) -> Table:
        return Table(self.scores[rows], self.costs[rows], self.sure[rows])

    def points(self) -> list[CascadePoint]:
        """All that thresholds can make different; of several steps so many that there are at most 20,000."""
        gates = self.sure.shape[1] - 1
        most = max(2, int(WAYS ** (1 / gates)))
        return [self.point(given) for given in product(*[_between(self.sure[:, i], most) for i in range(gates)])]


def _between(sure: Floats, most: int) -> list[float]:
    """0, 1, and the middle between each two neighbours of what there is."""
    known = np.unique(np.clip(sure[np.isfinite(sure)], 0.0, 1.0))
    middles = (known[1:] + known[:-1]) / 2
    if len(middles) > most - 2:
        middles = middles[np.linspace(0, len(middles) - 1, most - 2).round().astype(int)]
    return [0.0, *middles.tolist(), NEVER]


@dataclass(frozen=True)
class Target:
    """What is wanted: the least cost at a mean score, or the best score at a mean cost."""

    accuracy: float | None
    cost: float | None

    def met(self, point: CascadePoint) -> bool:
        if self.accuracy is not None:
            return point.accuracy >= self.accuracy - 1e-12
        return self.cost is not None and point.cost <= self.cost * (1 + 1e-12)

    def best(self, points: Sequence[CascadePoint]) -> CascadePoint:
        """Where none meets it, the one that is nearest to it."""
        fitting = [point for point in points if self.met(point)]
        cheapest = (self.accuracy is not None) if fitting else (self.cost is not None)
        if cheapest:
            return min(fitting or points, key=lambda point: (point.cost, -point.accuracy))
        return max(fitting or points, key=lambda point: (point.accuracy, -point.cost))

    def __str__(self) -> str:
        return f"accuracy {self.accuracy:g}" if self.accuracy is not None else f"cost {self.cost:g}"


@dataclass(frozen=True, repr=False)
class CascadeFit:
    """A cascade with thresholds that were chosen on data, and what is to be expected of it.

    cascade    with the `thresholds`; use this one
    met        whether the target is met on the rows; otherwise the nearest thresholds were taken
    accuracy, cost   their means over rows that had no part in choosing the thresholds that they were answered with:
               thresholds are chosen anew without each of the `folds` parts of the data, and used on that part.
               `accuracy_interval`, `cost_interval`: 95 %
    fitted     the point that was chosen, on all rows; better than what is to be expected
    curve      of the points that no other one beats in both accuracy and cost, by cost
    steps      each answering every row by itself
    """

    cascade: Cascade
    target: Target
    met: bool
    accuracy: float
    accuracy_interval: Interval
    cost: float
    cost_interval: Interval
    fitted: CascadePoint
    curve: tuple[CascadePoint, ...]
    steps: tuple[StepFigures, ...]
    rows: int
    folds: int
    table: Table = field(compare=False)

    @property
    def thresholds(self) -> tuple[float, ...]:
        return self.fitted.thresholds

    def at(self, *thresholds: float) -> CascadePoint:
        """What other thresholds give on the rows. Raises ProgramError when they are no thresholds of the cascade."""
        self.cascade.at(*thresholds)
        return self.table.point(thresholds)

    def __str__(self) -> str:
        from .cascade_page import listing

        return listing(self)

    def __repr__(self) -> str:
        thresholds = ", ".join([f"{t:.3g}" for t in self.thresholds])
        return (
            f"<cascade fitted on {self.rows} rows: from {thresholds}; held out, accuracy {self.accuracy:.3f} "
            f"{self.accuracy_interval!r}, cost {self.cost:.4g}>"
        )

    def html(self, path: Any = None) -> str:
        """A page with the curve of accuracy against cost, the steps and the figures; written to `path` if given."""
        from .cascade_page import page

        return page(self, path)

    def _repr_html_(self) -> str:
        from .cascade_page import fragment

        return fragment(self)


def fit_cascade(
    cascade: Cascade,
    data: Data,
    metric: Metric,
    *,
    accuracy: float | None = None,
    cost: float | None = None,
    folds: int = 5,
    seed: int | None = None,
    decoder: Decoder | None = None,
    concurrency: int = 32,
    progress: bool = False,
) -> CascadeFit:
    """Choose a cascade's thresholds on data: the cheapest that reach an `accuracy`, or the best within a `cost`.

        fit = lp.fit_cascade(lp.cascade([small, big], program=card, accept=lp.Confidence("kind"), prices=[1, 20]),
                             "rows.jsonl", "exact", accuracy=0.9)
        print(fit)
        card = fit.cascade

    Every step runs on every row. `data` and `metric` are as in `lp.evaluate`, and accuracy is the metric's mean; a step
    that fails scores 0, and its answer is never taken. Of the cost, too, means over rows count.

    folds   parts of the data for the held-out figures, at most as many as rows; see `CascadeFit`
    seed, decoder, concurrency, progress   as in `map`

    Raises EvaluationError: data, metric or target that cannot be; OSError: a file that cannot be read.
    """
    target = _target(accuracy, cost)
    if not isinstance(cascade, Cascade):
        raise EvaluationError(f"fit_cascade takes what lp.cascade made, not {cascade!r:.80}")
    rows = read(data)
    if isinstance(folds, bool) or not isinstance(folds, int) or folds < 2 or len(rows) < 2:
        raise EvaluationError(f"it takes two folds and two rows at least, not {folds!r} and {len(rows)}")
    folds = min(folds, len(rows))
    calls = [arguments(cascade, row, f"row {n}") for n, row in enumerate(rows)]
    tried = _all_tried(cascade, calls, {"decoder": decoder, "seed": seed}, concurrency, progress)
    score = next(iter(metrics(metric).values()))
    scores = [[_score(score, n, rows[n], one) for one in steps] for n, steps in enumerate(tried)]
    costs = [[one.cost for one in steps] for steps in tried]
    sure = [[*[_sure(one) for one in steps[:-1]], math.inf] for steps in tried]
    table = Table(np.array(scores), np.array(costs), np.array(sure))
    points = table.points()
    chosen = target.best(points)
    held_scores, held_costs = _held_out(table, target, folds, abs(seed or 0))
    return CascadeFit(
        cascade=cascade.at(*chosen.thresholds),
        target=target,
        met=target.met(chosen),
        accuracy=float(held_scores.mean()),
        accuracy_interval=mean_interval(held_scores.tolist()),
        cost=float(held_costs.mean()),
        cost_interval=mean_interval(held_costs.tolist()),
        fitted=chosen,
        curve=_front(points),
        steps=tuple([_figures(step, table, tried, n) for n, step in enumerate(cascade.steps)]),
        rows=len(rows),
        folds=folds,
        table=table,
    )


def _target(accuracy: float | None, cost: float | None) -> Target:
    if (accuracy is None) == (cost is None):
        raise EvaluationError("say what is wanted: either accuracy= or cost=")
    value = accuracy if accuracy is not None else cost
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise EvaluationError(f"a target is a number of 0 or more, not {value!r}")
    return Target(accuracy, cost)


def _all_tried(
    cascade: Cascade, calls: Sequence[Mapping[str, Any]], own: dict[str, Any], concurrency: int, progress: bool
) -> list[tuple[Tried, ...]]:
    """[rows][steps]"""
    cascade = cascade.at(*[NEVER] * (len(cascade.steps) - 1))
    model, options = cascade.keeping(own)

    def begin(index: int, _: Any, kwargs: dict[str, Any], canceller: Canceller) -> Future[Run[Any]]:
        return cascade._start(canceller, model, options.for_row(index), cascade.body((), kwargs))

    how: dict[str, Any] = {"progress": progress, "errors": "return", "concurrency": concurrency, "title": "fit_cascade"}
    return [_steps_of(run) for run in map_runs(begin, [dict(call) for call in calls], **how)]


def _steps_of(run: Any) -> tuple[Tried, ...]:
    if isinstance(run, CascadeRun | CascadeError):
        return run.tried
    raise run


def _score(score: Any, index: int, row: dict[str, Any], tried: Tried) -> float:
    if tried.run is None:
        return 0.0
    try:
        return number(score(dict(row), tried.run))
    except Exception as error:  # whatever a user's function raises
        why = f"{type(error).__name__}: {error}"
        raise EvaluationError(f"the metric fails on row {index}, answered by {tried.name}: {why}") from error


def _sure(tried: Tried) -> float:
    return -math.inf if tried.confidence is None else tried.confidence


def _held_out(table: Table, target: Target, folds: int, seed: int) -> tuple[Floats, Floats]:
    """[rows] each: the scores and costs, with thresholds that were chosen without the row's own part of the data."""
    n = len(table.scores)
    part = np.random.default_rng(seed).permutation(n) % folds
    scores, costs = np.zeros(n), np.zeros(n)
    for fold in range(folds):
        rest, here = np.flatnonzero(part != fold), np.flatnonzero(part == fold)
        chosen = target.best(table.of(rest).points())
        scores[here], costs[here] = table.of(here).outcomes(chosen.thresholds)
    return scores, costs


def _front(points: Sequence[CascadePoint]) -> tuple[CascadePoint, ...]:
    """Those of which none is better, and no cheaper one as good; by cost."""

    def rising() -> Iterator[CascadePoint]:
        best = -math.inf
        for point in sorted(points, key=lambda point: (point.cost, -point.accuracy)):
            if point.accuracy > best:
                best = point.accuracy
                yield point

    return tuple(rising())


def _figures(step: Step, table: Table, tried: Sequence[Sequence[Tried]], n: int) -> StepFigures:
    scores, each = table.scores[:, n], [steps[n] for steps in tried]
    return StepFigures(
        name=step.name,
        accuracy=float(scores.mean()),
        interval=mean_interval(scores.tolist()),
        cost=float(table.costs[:, n].mean()),
        seconds=float(np.mean([one.usage.seconds for one in each])),
        failed=sum([one.error is not None for one in each]),
    )
