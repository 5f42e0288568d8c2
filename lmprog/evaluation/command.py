"""What `lmprog eval` does and prints."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from ..commands import load_model
from ..compiling import program_of
from ..errors import EvaluationError
from ..jobs.target import named
from ..programs import Program
from ..visible import inline
from .data import read
from .figures import Figures, Share
from .measure import evaluate
from .metrics import COMPARE, EXPECTED, Metric
from .result import Evaluation
from .statistics import Interval, mean_interval
from .store import CacheWarning

ERRORS = 5  # that are printed


@dataclass(frozen=True)
class Asked:
    """The options of the command, for all programs that it compares."""

    metrics: tuple[str, ...]
    model: str | None
    expected: str
    limit: int | None
    seed: int | None
    concurrency: int
    cache: Path | bool
    progress: bool


def evaluated(name: str, slots: Path | None, against: Sequence[str], data: Path, asked: Asked) -> list[Evaluation]:
    """Of the program, and of those that it is compared with. Raises LmprogError, OSError."""
    programs = [program_of(name, slots), *[_other(name, other) for other in against]]
    rows = _labelled(read(data), asked.expected, data)[: asked.limit]
    found = [_metric(metric) for metric in asked.metrics]
    model = load_model(asked.model) if asked.model else None
    with told():
        return [_evaluated(program, rows, found, model, asked) for program in programs]


def _other(name: str, other: str) -> Program[..., Any]:
    return program_of(name, Path(other)) if Path(other).suffix in (".toml", ".json") else program_of(other)


def _labelled(rows: list[dict[str, Any]], label: str, data: Path) -> list[dict[str, Any]]:
    if label == EXPECTED:
        return rows
    for n, row in enumerate(rows):
        if label not in row:
            raise EvaluationError(f"{data}: row {n} has no field {label!r}; it has {', '.join(row)}")
    return [{**row, EXPECTED: row[label]} for row in rows]


def _metric(name: str) -> Metric:
    if name in COMPARE or ":" not in name:
        return name
    found = named(name)
    if not callable(found):
        raise EvaluationError(f"{name} is not a function of a row and its run: it is {found!r}")
    metric: Callable[..., float] = found
    return metric


def _evaluated(program: Program[..., Any], rows: Any, metrics: list[Metric], model: Any, asked: Asked) -> Evaluation:
    chosen = model or program.model or load_model(None)
    how: dict[str, Any] = {"seed": asked.seed, "concurrency": asked.concurrency, "progress": asked.progress}
    return evaluate(program, rows, metrics, model=chosen, cache=asked.cache, **how)


@contextmanager
def told() -> Iterator[None]:
    """Trouble with the cache as a line each."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", CacheWarning)
        show = warnings.showwarning

        def line(message: Warning | str, category: type[Warning], *rest: Any, **more: Any) -> None:
            if issubclass(category, CacheWarning):
                typer.echo(f"lmprog: {message}", err=True)
            else:
                show(message, category, *rest, **more)

        setattr(warnings, "showwarning", line)  # noqa: B010  # its type names every argument
        yield


def printed(results: Sequence[Evaluation], as_json: bool) -> None:
    """The figures, on stdout."""
    if as_json:
        typer.echo(json.dumps(summary(results), indent=2, ensure_ascii=False))
        return
    console = Console()
    console.print(_table(results))
    for other in results[1:]:
        console.print(f"against {inline(other.program)}: {results[0].compare(other)}", highlight=False, markup=False)
    for error in results[0].errors[:ERRORS]:
        said = inline(f"row {error.index}: {error.type}: {error.message}")
        console.print(f"{said} (in the metric)" if error.where == "metric" else said, highlight=False, markup=False)
    if more := len(results[0].errors[ERRORS:]):
        console.print(f"and {more} more rows that failed")
    if results[0].uncached:
        console.print(f"not kept in the cache: {inline(results[0].uncached)}", highlight=False, markup=False)


def _table(results: Sequence[Evaluation]) -> Table:
    table = Table("", *[f"{inline(r.program)} on {inline(r.model)}" for r in results], box=None, header_style="bold")
    for name in results[0].metrics:
        columns = [result.columns[name] for result in results]
        table.add_row(name, *[f"{sum(c) / len(c):.3f} {mean_interval(c)!r}".replace("[", r"\[") for c in columns])
    for label, text in LINES.items():
        table.add_row(label, *[text(result.figures) for result in results])
    table.add_row("rows", *[_rows(result) for result in results])
    return table


def _rows(result: Evaluation) -> str:
    cached, failed = sum(row.cached for row in result.rows), len(result.errors)
    return f"{len(result.rows)}, {failed} failed, {cached} from the cache, {result.seconds:.1f} s"


def _share(share: Share) -> str:
    return f"{share.value:.1%} ({share.part} of {share.whole})" if share.whole else "–"


def _number(value: float, digits: int) -> str:
    return f"{value:,.{digits}f}" if math.isfinite(value) else "–"


LINES: dict[str, Callable[[Figures], str]] = {
    "valid": lambda f: _share(f.valid),
    "calls that ran": lambda f: _share(f.executed),
    "tokens per success": lambda f: _number(f.tokens, 0),
    "seconds per success": lambda f: _number(f.seconds, 3),
    "cost per success": lambda f: "–" if f.cost is None else _number(f.cost, 1),
    "seconds p50, p95": lambda f: f"{_number(f.p50, 3)}, {_number(f.p95, 3)}",
}


def summary(results: Sequence[Evaluation]) -> dict[str, Any]:
    """The figures as a JSON value."""
    first, *others = results
    against = [{**_figures(other), "compared": _compared(first, other)} for other in others]
    return {**_figures(first), **({"against": against} if others else {})}


def _figures(result: Evaluation) -> dict[str, Any]:
    found = result.figures
    return {
        "program": result.program,
        "model": result.model,
        "decoder": result.decoder,
        "seed": result.seed,
        "rows": len(result.rows),
        "failed": len(result.errors),
        "cached": sum(row.cached for row in result.rows),
        "metrics": {n: {"mean": sum(c) / len(c), **_ends(mean_interval(c))} for n, c in result.columns.items()},
        "valid": _finite(found.valid.value),
        "executed": _finite(found.executed.value),
        "tokens_per_success": _finite(found.tokens),
        "seconds_per_success": _finite(found.seconds),
        "cost_per_success": None if found.cost is None else _finite(found.cost),
        "p50": _finite(found.p50),
        "p95": _finite(found.p95),
        "usage": vars(result.usage),
        "cached_usage": vars(result.cached_usage),
        "uncached": result.uncached,
        "errors": [vars(error) for error in result.errors],
    }


def _compared(first: Evaluation, other: Evaluation) -> dict[str, Any]:
    found = first.compare(other)
    return {**vars(found), **_ends(found.interval)}


def _ends(interval: Interval) -> dict[str, Any]:
    return {"interval": [interval.low, interval.high], "method": interval.kind}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
