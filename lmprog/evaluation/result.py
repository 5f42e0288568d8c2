"""What an evaluation found, and the comparison of two."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import EvaluationError, RunError
from ..run import Run, Usage
from ..saved import from_plain, plain, to_plain
from .figures import Figures, figures
from .metrics import same
from .statistics import Interval, binary, mcnemar, mean_interval, paired_interval, permutation

FORMAT, VERSION = "lmprog evaluation", 1


@dataclass(frozen=True)
class RowError:
    """Why a row failed. `index`: its number in the data; `where`: "run" or "metric"."""

    index: int
    type: str
    message: str
    where: str = "run"


@dataclass(frozen=True)
class Scored:
    """A row. `data` is all of it; `run` has value, text, captures, usage and messages, and is None where it failed;
    `scores` are as many as there are metrics; `cached`: the run was done before; `executed` of its `calls` of tools ran
    without an exception."""

    index: int
    data: dict[str, Any]
    run: Run[Any] | None
    scores: tuple[float, ...]
    error: RowError | None = None
    cached: bool = False
    calls: int = 0
    executed: int = 0

    @property
    def usage(self) -> Usage:
        return Usage() if self.run is None else self.run.usage


@dataclass(frozen=True)
class Comparison:
    """Two evaluations on the same rows, the first against the second.

    difference   of the means, first - second
    interval     its 95 % interval: Newcombe's for scores that are 0 or 1, else the BCa bootstrap over the rows
    p_value      two-sided, that there is no difference; `test` says by which test: McNemar's exact one for scores that
                 are 0 or 1, else a permutation test
    wins, losses, ties   rows on which the first scores higher, lower, the same
    """

    difference: float
    interval: Interval
    p_value: float
    test: str
    wins: int
    losses: int
    ties: int

    def __str__(self) -> str:
        rows = f"{self.wins} wins, {self.losses} losses, {self.ties} ties"
        return f"{self.difference:+.3f} {self.interval!r}, p = {self.p_value:.3g} ({self.test}); {rows}"


@dataclass(frozen=True, repr=False)
class Evaluation:
    """Scores of a program on data, with the runs they are of.

    program, model, decoder, seed   what was run
    metrics   their names; `scores`, `mean`, `interval` and comparisons are of the first
    rows      each with its data, run, scores and error, in the order of the data
    seconds   wall time of all
    uncached  why runs were not kept, or not those of some rows; "" where all were, or none was to be
    """

    program: str
    model: str
    decoder: str
    seed: int | None
    metrics: tuple[str, ...]
    rows: tuple[Scored, ...] = field(repr=False)
    seconds: float = 0.0
    uncached: str = ""

    @property
    def scores(self) -> list[float]:
        """Of the first metric; 0 for rows that failed."""
        return [row.scores[0] for row in self.rows]

    @property
    def columns(self) -> dict[str, list[float]]:
        """The scores by metric."""
        return {name: [row.scores[n] for row in self.rows] for n, name in enumerate(self.metrics)}

    @property
    def mean(self) -> float:
        return float(np.mean(self.scores))

    @cached_property
    def interval(self) -> Interval:
        """95 %, of the mean: `low, high = result.interval`; `result.interval.kind` says how it was made."""
        return mean_interval(self.scores)

    @property
    def errors(self) -> list[RowError]:
        return [row.error for row in self.rows if row.error is not None]

    @property
    def usage(self) -> Usage:
        """What was spent now, on runs that did not come from the cache."""
        return sum([row.usage for row in self.rows if not row.cached], Usage())

    @property
    def cached_usage(self) -> Usage:
        """What the runs from the cache cost when they were done."""
        return sum([row.usage for row in self.rows if row.cached], Usage())

    @property
    def figures(self) -> Figures:
        """How often it worked, what a success cost, how long rows took."""
        return figures(self)

    def compare(self, other: Evaluation) -> Comparison:
        """This one against another on the same rows. Raises EvaluationError when rows or metrics are not the same."""
        _comparable(self, other)
        first, second = np.array(self.scores), np.array(other.scores)
        difference, both = first - second, binary(first) and binary(second)
        wins, losses = int((difference > 0).sum()), int((difference < 0).sum())
        return Comparison(
            difference=float(difference.mean()),
            interval=paired_interval(first, second),
            p_value=mcnemar(wins, losses) if both else permutation(difference),
            test="exact McNemar" if both else "permutation test",
            wins=wins,
            losses=losses,
            ties=len(first) - wins - losses,
        )

    def html(self, path: str | Path | None = None, *, against: Evaluation | Sequence[Evaluation] = ()) -> str:
        """The evaluation as a page that needs nothing else, beside others on the same rows; written to a given `path`.

        Raises EvaluationError when the others are not of the same rows and metrics.
        """
        from .page import page

        text = page([self, *([against] if isinstance(against, Evaluation) else against)])
        if path is not None:
            Path(path).write_text(text, encoding="utf-8")
        return text

    def save(self, path: str | Path) -> None:
        """Write it as JSON, with data, values and texts of all rows. Raises OSError."""
        about = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "rows"}
        head = json.dumps({"format": FORMAT, "version": VERSION, **about}, ensure_ascii=False)
        rows = ",\n  ".join([json.dumps(_written(row), ensure_ascii=False, allow_nan=False) for row in self.rows])
        Path(path).write_text(f'{head[:-1]}, "rows": [\n  {rows}\n]}}\n', encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Evaluation:
        """Read one that `save` wrote; values are what JSON can say of them. Raises EvaluationError, OSError."""
        try:
            data = json.loads(Path(path).read_text(encoding="utf-8"))
            if (data.pop("format"), data.pop("version")) != (FORMAT, VERSION):
                raise EvaluationError(f"{path} is no saved evaluation of this version")
            rows = tuple([_read(row) for row in data.pop("rows")])
            return cls(**{**data, "metrics": tuple(data["metrics"]), "rows": rows})
        except (ValueError, KeyError, TypeError, AttributeError, RunError) as error:
            raise EvaluationError(f"{path} is no saved evaluation: {error!r}") from None

    def __repr__(self) -> str:
        failed = f", {len(self.errors)} failed" if self.errors else ""
        score = f"{self.metrics[0]} {self.mean:.3f} {self.interval!r}"
        return f"<{self.program} on {self.model}: {score}, {len(self.rows)} rows{failed}>"


def _comparable(first: Evaluation, second: Evaluation) -> None:
    if first.metrics[0] != second.metrics[0]:
        raise EvaluationError(f"the scores are of {first.metrics[0]} and of {second.metrics[0]}")
    if len(first.rows) != len(second.rows):
        raise EvaluationError(f"one evaluation has {len(first.rows)} rows, the other {len(second.rows)}")
    for a, b in zip(first.rows, second.rows, strict=True):
        if a.index != b.index or not same(plain(a.data), plain(b.data)):
            raise EvaluationError(f"row {a.index} of one evaluation is not row {b.index} of the other")


def _written(row: Scored) -> dict[str, Any]:
    run = None if row.run is None else to_plain(row.run)
    error = None if row.error is None else asdict(row.error)
    about = {name: getattr(row, name) for name in ABOUT}
    return {**about, "error": error, "data": plain(row.data), "run": run}


ABOUT = ("index", "scores", "cached", "calls", "executed")


def _read(row: dict[str, Any]) -> Scored:
    error = None if row["error"] is None else RowError(**row["error"])
    run = None if row["run"] is None else from_plain(row["run"], f"row {row['index']}")
    about = {name: row[name] for name in ABOUT}
    return Scored(data=row["data"], run=run, error=error, **{**about, "scores": tuple(row["scores"])})
