"""Evaluations as a page: scores with their intervals, what a success cost, and every row. One file, no network.

The rows are data in it, drawn by its script a few at a time; of more than 10,000 the worst are in it.
"""

from __future__ import annotations

import heapq
import json
import math
from collections.abc import Sequence
from typing import Any

from ..rendering import data, resource, script, template
from ..saved import plain
from ..visible import visible
from .figures import Share
from .result import Comparison, Evaluation, Scored
from .statistics import Interval, mean_interval

MOST, ROOM, LONGEST, SHORTEST = 10_000, 20_000_000, 4000, 200  # rows; characters of all, and of one text
WIDTH, LEFT, LINE = 640, 200, 26  # of the plot


def page(results: Sequence[Evaluation]) -> str:
    """The first one, and others on the same rows beside it. Raises EvaluationError where they are of other rows."""
    first, others = results[0], results[1:]
    comparisons = [first.compare(other) for other in others]
    shown = heapq.nsmallest(MOST, range(len(first.rows)), key=lambda n: (first.rows[n].scores[0], n))
    room = max(SHORTEST, min(LONGEST, ROOM // max(1, len(shown) * (2 + len(results)))))
    rows = [_row([result.rows[n] for result in results], room) for n in sorted(shown)]
    names = _names(results)
    return template("evaluation.html.j2").render(
        title=f"{first.program}: {first.metrics[0]}",
        columns=[_column(name, result) for name, result in zip(names, results, strict=True)],
        metrics=first.metrics,
        measures=_measures(results),
        comparisons=[_compared(name, found) for name, found in zip(names[1:], comparisons, strict=True)],
        plot=_plot(names, results),
        omitted=len(first.rows) - len(rows),
        data=data({"rows": rows, "variants": [visible(name) for name in names]}),
        **script("listed.js", "evaluation.js"),
        style=resource("run.css") + resource("report.css") + resource("evaluation.css"),
    )


def _names(results: Sequence[Evaluation]) -> list[str]:
    """What tells them apart."""
    programs = [result.program for result in results]
    if len({*programs}) == len(programs):
        return programs
    names = [f"{result.program} on {result.model}" for result in results]
    return names if len({*names}) == len(names) else [f"{n}: {name}" for n, name in enumerate(names, 1)]


def _column(name: str, result: Evaluation) -> dict[str, Any]:
    seed = "no seed" if result.seed is None else f"seed {result.seed}"
    rows = f"{len(result.rows)} rows, {len(result.errors)} failed"
    cached = sum(row.cached for row in result.rows)
    kept = f"{cached} from the cache" if cached else "none from the cache"
    return {"name": name, "about": [result.model, result.decoder, seed, rows, kept, f"{result.seconds:.1f} s in all"]}


def _measures(results: Sequence[Evaluation]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Lines of the summary: what, and for each variant a figure and a note."""
    lines = [
        (name, [_scored(result.columns.get(name)) for result in results])
        for name in dict.fromkeys(name for result in results for name in result.metrics)
    ]
    figures = [result.figures for result in results]
    lines += [
        ("valid: runs that ended with a value", [_share(f.valid) for f in figures]),
        ("calls of tools that ran", [_share(f.executed) for f in figures]),
        ("tokens per success", [(_number(f.tokens, 0), "") for f in figures]),
        ("seconds per success", [(_number(f.seconds, 3), "") for f in figures]),
        ("cost per success, of cascades", [("–" if f.cost is None else _number(f.cost, 1), "") for f in figures]),
        ("seconds of a run, p50", [(_number(f.p50, 3), "") for f in figures]),
        ("seconds of a run, p95", [(_number(f.p95, 3), "") for f in figures]),
    ]
    return lines


def _scored(scores: list[float] | None) -> tuple[str, str]:
    return ("–", "") if scores is None else (f"{sum(scores) / len(scores):.3f}", _ends(mean_interval(scores)))


def _share(share: Share) -> tuple[str, str]:
    if share.interval is None:
        return "–", ""
    return f"{share.value:.1%}", f"{share.part} of {share.whole}, {_ends(share.interval)}"


def _ends(interval: Interval) -> str:
    return f"{interval.low:.3f} to {interval.high:.3f} ({interval.kind})"


def _number(value: float, digits: int) -> str:
    return f"{value:,.{digits}f}" if math.isfinite(value) else "–"


def _compared(name: str, found: Comparison) -> dict[str, Any]:
    return {"name": name, "found": found, "interval": _ends(found.interval), "apart": not _holds(found.interval, 0.0)}


def _holds(interval: Interval, value: float) -> bool:
    return interval.low <= value <= interval.high


def _plot(names: Sequence[str], results: Sequence[Evaluation]) -> dict[str, Any]:
    """A line for each variant: its mean, and the interval as a bar, on one scale."""
    ends = [0.0, 1.0, *[end for result in results for end in result.interval]]
    low, high = min(ends), max(ends)

    def x(value: float) -> str:
        return f"{LEFT + (WIDTH - LEFT - 20) * (value - low) / (high - low):.1f}"

    lines = [
        {"name": name, "y": LINE * n + 18, "mean": x(result.mean), "ends": [x(end) for end in result.interval]}
        | {"note": f"{result.mean:.3f}, {_ends(result.interval)}"}
        for n, (name, result) in enumerate(zip(names, results, strict=True))
    ]
    ticks = [(x(low + (high - low) * n / 4), f"{low + (high - low) * n / 4:.2f}") for n in range(5)]
    return {"lines": lines, "ticks": ticks, "width": WIDTH, "left": LEFT, "height": LINE * len(lines) + 30}


def _row(rows: Sequence[Scored], room: int) -> dict[str, Any]:
    """As evaluation.js reads it."""
    given = {name: value for name, value in rows[0].data.items() if name != "expected"}
    wanted = rows[0].data.get("expected")
    return {
        "index": rows[0].index,
        "given": [[visible(name), _short(_said(value), room)] for name, value in given.items()],
        "expected": None if wanted is None else _short(_said(wanted), room),
        "runs": [_run(row, room) for row in rows],
    }


def _run(row: Scored, room: int) -> list[Any]:
    """Score, value, text, error, notes."""
    error = "" if row.error is None else f"{row.error.type} ({row.error.where}): {row.error.message}"
    value, text = ("", "") if row.run is None else (_said(row.run.value), row.run.text)
    usage = row.usage
    notes = f"{usage.prompt_tokens + usage.sampled_tokens + usage.forced_tokens} tokens · {usage.seconds:.3f} s"
    notes += f" · {row.executed} of {row.calls} calls ran" if row.calls else ""
    cached = " · from the cache" if row.cached else ""
    return [round(row.scores[0], 6), _short(value, room), _short(text, room), _short(error, room), notes + cached]


def _said(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(plain(value), ensure_ascii=False)


def _short(text: str, room: int) -> str:
    """The middle gives way."""
    return visible(text if len(text) <= room else f"{text[: room // 2]} […] {text[-room // 2 :]}")
