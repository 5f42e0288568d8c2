"""The trials of a search as a page."""

from __future__ import annotations

import json
from typing import Any

from ..rendering import resource, template
from .optimised import Optimised
from .trials import Trial

WIDTH, HEIGHT, MARGIN = 640, 300, 46  # of the drawing, in its own units
LONG = 1000  # characters of a value


def page(found: Optimised) -> str:
    """Score against tokens, and all trials, the best first; a file that needs no network."""
    full = [trial for trial in found.trials if trial.full]
    across = _axis([trial.tokens for trial in full], MARGIN, WIDTH - 12)
    up = _axis([trial.score for trial in full], HEIGHT - MARGIN, 12)
    front = found.pareto
    return template("optimised.html.j2").render(
        name=found.program.__name__,
        title=repr(found)[1:-1],
        dots=[(across(t.tokens), up(t.score), _kind(t, found, front), _note(t)) for t in full],
        line=" ".join([f"{across(t.tokens)},{up(t.score)}" for t in front]),
        ticks_across=[(across(value), f"{value:.0f}") for value in _ends([t.tokens for t in full])],
        ticks_up=[(up(value), f"{value:.3f}") for value in _ends([t.score for t in full])],
        size=(WIDTH, HEIGHT, MARGIN),
        rows=[_row(trial, found, front) for trial in sorted(found.trials, key=_rank)],
        style=resource("run.css") + resource("tables.css"),
    )


def _rank(trial: Trial) -> tuple[bool, float, float, int]:
    return (not trial.full, -trial.score, trial.tokens, trial.number)


def _kind(trial: Trial, found: Optimised, front: list[Trial]) -> str:
    if trial is found.best:
        return "best"
    return "start" if trial is found.start else "front" if trial in front else "other"


def _note(trial: Trial) -> str:
    return f"trial {trial.number}: {trial.score:.3f}, {trial.tokens:.0f} tokens a row"


def _row(trial: Trial, found: Optimised, front: list[Trial]) -> tuple[Any, ...]:
    values = [(name, _text(value)) for name, value in trial.values.items()]
    kind = _kind(trial, found, front)
    figures = f"{trial.score:.3f}", f"{trial.tokens:.0f}", trial.rows, len(trial.errors)
    return (trial.number, "" if kind == "other" else kind, *figures, values)


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= LONG else f"{text[: LONG - 1]}…"


def _ends(values: list[float]) -> list[float]:
    return sorted({min(values), max(values)})


def _axis(values: list[float], begin: float, end: float) -> Any:
    low, high = min(values), max(values)
    width = (high - low) or 1.0
    return lambda value: round(begin + (value - low) / width * (end - begin), 1)
