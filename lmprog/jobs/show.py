"""A job in the terminal: the progress bar, and the table at the end."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from .extract import Watch
from .score import Score
from .state import State
from .summary import Summary

EVERY = 10.0  # seconds between two lines where there is no terminal


@contextmanager
def progress(state: State, console: Console) -> Iterator[Watch]:
    """A bar in a terminal, otherwise a line now and then: records, speeds, cache hit rate, failures, time left."""
    if not console.is_terminal:
        yield lines(state, console)
        return
    columns = (
        TextColumn("extract"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("", total=state.total, completed=state.counts()[0], rate="")
        yield lambda now: bar.update(task, total=state.total, completed=now.records, rate=_rates(now))


def lines(state: State, console: Console) -> Watch:
    """A line for the first records, and every ten seconds."""
    first = state.counts()[0]
    told = -math.inf

    def watch(now: Summary) -> None:
        nonlocal told
        if now.seconds - told >= EVERY:
            told = now.seconds
            rate = (now.records - first) / now.seconds if now.seconds else 0.0
            left = f" · {timedelta(seconds=round((state.total - now.records) / rate))} left" if rate else ""
            text = f"extract: {now.records} of {state.total} · {_rates(now)}{left}"
            console.print(text, soft_wrap=True, highlight=False)

    return watch


def _rates(now: Summary) -> str:
    failed = f" · {now.failed} failed" if now.failed else ""
    speed = f"{now.records_per_second:.1f} records/s · {now.tokens_per_second:.0f} tokens/s"
    return f"{speed} · {now.hit_rate:.0%} cached{failed}"


def table(summary: Summary, score: Score | None) -> Table:
    """The figures of a finished job."""
    rows = Table(title="extraction", show_header=False, title_justify="left")
    for name, value in _figures(summary):
        rows.add_row(name, value)
    if score is not None:
        rows.add_section()
        for name, value in _accuracies(score):
            rows.add_row(name, value)
    return rows


def _figures(s: Summary) -> list[tuple[str, str]]:
    resumed = f" ({s.resumed} by other runs)" if s.resumed else ""
    computed = f"{s.prompt_tokens_computed} of {s.prompt_tokens} prompt tokens computed"
    return [
        ("records", f"{s.records}{resumed}"),
        ("valid", f"{s.valid}"),
        ("failed", f"{s.failed}"),
        ("seconds", f"{s.seconds:.1f}"),
        ("tokens/s", f"{s.tokens_per_second:.1f} ({s.sampled_tokens} sampled, {s.forced_tokens} forced)"),
        ("prefix-cache hit rate", f"{s.hit_rate:.1%} ({computed})"),
        ("masks' share of time", f"{s.mask_share:.1%}"),
    ]


def _accuracies(score: Score) -> list[tuple[str, str]]:
    """Accuracy of each field, next to what the most frequent value alone would reach."""
    all_fields: list[tuple[str, Any]] = [("field accuracy", score), *score.fields.items()]
    rows = [
        (name, f"{part.accuracy:6.1%}  (most frequent value: {part.most_frequent:.1%})") for name, part in all_fields
    ]
    return [*rows, ("all fields right", f"{score.exact / score.records:6.1%}  ({score.exact} of {score.records})")]
