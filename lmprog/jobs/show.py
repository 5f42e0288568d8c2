"""A job in the terminal: the progress bar, and the table at the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from .extract import Watch
from .score import Score
from .summary import Summary


@contextmanager
def progress(total: int, console: Console) -> Iterator[Watch]:
    """A bar with records, output tokens a second, the prefix cache's hit rate and the time left."""
    columns = (
        TextColumn("extract"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("", total=total, rate="")

        def watch(now: Summary) -> None:
            failed = f" · {now.failed} failed" if now.failed else ""
            rate = f"{now.tokens_per_second:.0f} tokens/s · {now.hit_rate:.0%} cached{failed}"
            bar.update(task, completed=now.records, rate=rate)

        yield watch


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
