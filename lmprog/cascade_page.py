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
    marks = [(f"always {step.name}", step.cost, step.accuracy) for step in fit.steps]
    marks += [("fitted", fit.fitted.cost, fit.fitted.accuracy), ("held out", fit.cost, fit.accuracy)]
    curve = [(point.cost, point.accuracy) for point in fit.curve]
    costs = sorted([*[x for x, _ in curve], *[x for _, x, _ in marks]])
    accuracies = sorted([*[y for _, y in curve], *[y for *_, y in marks]])
    across = _scale(0.0, costs[-1], EDGE, WIDTH - EDGE)
    up = _scale(accuracies[0], accuracies[-1], HEIGHT - EDGE, EDGE)
    places: dict[tuple[float, float], list[str]] = {}
    for name, x, y in marks:
        places.setdefault((round(across(x), 1), round(up(y), 1)), []).append(name)
    line = " ".join([f"{across(x):.1f},{up(y):.1f}" for x, y in curve])
    low, bottom = EDGE - 8, HEIGHT - EDGE
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {HEIGHT}' width='{WIDTH}' "
        f"font-family='system-ui, sans-serif' font-size='12'>"
        f"<path d='M{EDGE},{EDGE / 2} V{bottom} H{WIDTH - EDGE}' fill='none' stroke='#999'/>"
        f"<polyline points='{line}' fill='none' stroke='#5b8def' stroke-width='2'/>"
        f"{''.join([_mark(x, y, names) for (x, y), names in places.items()])}"
        f"{_text(low, bottom, 'end', f'{accuracies[0]:.3f}')}{_text(low, EDGE + 4, 'end', f'{accuracies[-1]:.3f}')}"
        f"{_text(EDGE, bottom + 16, 'middle', '0')}{_text(WIDTH - EDGE, bottom + 16, 'middle', f'{costs[-1]:.4g}')}"
        f"{_text(WIDTH / 2, HEIGHT - 16, 'middle', 'cost')}{_text(EDGE, EDGE / 2 - 8, 'middle', 'accuracy')}"
        "</svg>"
    )


def _mark(x: float, y: float, names: Sequence[str]) -> str:
    chosen = bool({"fitted", "held out"} & {*names})
    colour = "#d5573b" if chosen else "#5b8def"
    right = x > WIDTH / 2
    down = 18 if right else -22 if chosen else -7  # beside the curve, which rises from the left
    label = _text(x - 9 if right else x + 9, y + down, "end" if right else "start", ", ".join(names))
    return f"<circle cx='{x}' cy='{y}' r='4' fill='{colour}'/>{label}"


def _text(x: float, y: float, anchor: str, text: str) -> str:
    return f"<text x='{x:.1f}' y='{y:.1f}' text-anchor='{anchor}'>{escape(text)}</text>"


def _scale(low: float, high: float, begin: float, end: float) -> Callable[[float], float]:
    """From values to pixels."""
    size = (high - low) or 1.0
    return lambda value: begin + (value - low) / size * (end - begin)


def _cells(tag: str, row: Row) -> str:
    return f"<tr>{''.join([f'<{tag}>{escape(part)}</{tag}>' for part in row])}</tr>"


def _interval(interval: tuple[float, float]) -> str:
    return f"{interval[0]:.3f}-{interval[1]:.3f}"
