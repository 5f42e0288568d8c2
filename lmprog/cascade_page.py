"""A fitted cascade to read: as a table, and as a page with its curve of accuracy against cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .cascade_fit import CascadeFit

WIDTH, HEIGHT, EDGE = 640, 360, 56  # of the drawing, in pixels
STYLE = """
body { font: 15px system-ui, sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; color: #222 }
table { border-collapse: collapse; margin: 1em 0 } td, th { padding: .25em .8em; text-align: right }
td:first-child, th:first-child { text-align: left } tr { border-bottom: 1px solid #ddd }
"""
HEAD = ("", "accuracy", "95 %", "cost", "answers")
Row = tuple[str, ...]


def rows(fit: CascadeFit) -> list[Row]:
    """The steps by themselves, the cascade on the rows that it was fitted on, and held out."""
    shares = [f"{share:.0%}" for share in fit.fitted.shares]
    steps = [
        (f"always {step.name}", f"{step.accuracy:.3f}", _interval(step.interval), f"{step.cost:.4g}", "100%")
        for step in fit.steps
    ]
    chosen = ("cascade, fitted", f"{fit.fitted.accuracy:.3f}", "", f"{fit.fitted.cost:.4g}", " + ".join(shares))
    held = ("cascade, held out", f"{fit.accuracy:.3f}", _interval(fit.accuracy_interval), f"{fit.cost:.4g}", "")
    return [*steps, chosen, held]


def summary(fit: CascadeFit) -> str:
    thresholds = ", ".join([f"{threshold:.4g}" for threshold in fit.thresholds])
    met = "met" if fit.met else "not met by any thresholds"
    return f"{fit.rows} rows; target {fit.target}: {met}; answers taken from {thresholds} on"


def listing(fit: CascadeFit) -> str:
    table = [HEAD, *rows(fit)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *[part.rjust(w) for part, w in zip(row[1:], widths[1:], strict=True)]])
        for row in table
    ]
    return "\n".join([summary(fit), *[line.rstrip() for line in lines]])


def page(fit: CascadeFit, path: str | Path | None) -> str:
    text = f"<!doctype html><meta charset='utf-8'><title>Cascade</title><style>{STYLE}</style>{fragment(fit)}"
    if path is not None:
        Path(path).write_text(text, encoding="utf-8")
    return text


def fragment(fit: CascadeFit) -> str:
    cells = [_cells("th", HEAD), *[_cells("td", row) for row in rows(fit)]]
    return f"<p>{escape(summary(fit))}</p><table>{''.join(cells)}</table>{drawing(fit)}"


def drawing(fit: CascadeFit) -> str:
    """The curve of the points that no other beats, each step by itself, and what was chosen; as SVG."""
    marks = [(step.name, step.cost, step.accuracy) for step in fit.steps]
    marks += [("fitted", fit.fitted.cost, fit.fitted.accuracy), ("held out", fit.cost, fit.accuracy)]
    curve = [(point.cost, point.accuracy) for point in fit.curve]
    across = _scale([x for x, _ in curve] + [x for _, x, _ in marks], EDGE, WIDTH - EDGE, 0.0)
    up = _scale([y for _, y in curve] + [y for *_, y in marks], HEIGHT - EDGE, EDGE / 2, None)
    line = " ".join([f"{across(x):.1f},{up(y):.1f}" for x, y in curve])
    dots = [
        f"<circle cx='{across(x):.1f}' cy='{up(y):.1f}' r='4' fill='{'#5b8def' if n < len(fit.steps) else '#d5573b'}'/>"
        f"<text x='{across(x) + 7:.1f}' y='{up(y) + 14:.1f}'>{escape(name)} ({y:.3f})</text>"
        for n, (name, x, y) in enumerate(marks)
    ]
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {HEIGHT}' width='{WIDTH}' "
        f"font-family='system-ui, sans-serif' font-size='12'>"
        f"<path d='M{EDGE},{EDGE / 2} V{HEIGHT - EDGE} H{WIDTH - EDGE}' fill='none' stroke='#999'/>"
        f"<polyline points='{line}' fill='none' stroke='#5b8def' stroke-width='2'/>{''.join(dots)}"
        f"<text x='{WIDTH / 2}' y='{HEIGHT - 16}' text-anchor='middle'>cost</text>"
        f"<text x='16' y='{HEIGHT / 2}' text-anchor='middle' transform='rotate(-90 16 {HEIGHT / 2})'>accuracy</text>"
        "</svg>"
    )


def _scale(values: Sequence[float], begin: float, end: float, least: float | None) -> Callable[[float], float]:
    """From values to pixels, `least` (None: the least of them) at the beginning."""
    low = min(values) if least is None else least
    size = (max(values) - low) or 1.0
    return lambda value: begin + (value - low) / size * (end - begin)


def _cells(tag: str, row: Row) -> str:
    return f"<tr>{''.join([f'<{tag}>{escape(part)}</{tag}>' for part in row])}</tr>"


def _interval(interval: tuple[float, float]) -> str:
    return f"{interval[0]:.3f}-{interval[1]:.3f}"
