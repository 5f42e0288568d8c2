"""Jobs in the terminal: the list of all, and how one stands."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from datetime import datetime, timedelta

from rich.table import Column, Table

from .status import Status


def job_list(jobs: Mapping[str, Status | None]) -> Table:
    """A row for each job; None: its state is gone."""
    rows = Table("job", "state", "records", "failed", "workers", "begun", Column("output", overflow="fold"))
    for name, job in jobs.items():
        if job is None:
            rows.add_row(name, "gone")
            continue
        failed, workers = sum(job.errors.values()), len(job.workers)
        records = f"{job.done} of {job.total}"
        rows.add_row(name, job.word, records, f"{failed}", f"{workers}", _when(job.begun), str(job.out))
    return rows


def job_table(job: Status) -> Table:
    rows = Table(title=str(job.out), show_header=False, title_justify="left")
    share = f" ({job.done / job.total:.0%})" if job.total else ""
    rows.add_row("state", job.word)
    rows.add_row("records", f"{job.done} of {job.total}{share}")
    rows.add_row("failed", f"{sum(job.errors.values())}")
    for kind, count in job.errors.items():
        rows.add_row(f"  {kind}", f"{count}")
    rows.add_row("begun", _when(job.begun))
    if job.workers:
        rows.add_row("workers", ", ".join(f"process {pid}" for pid, _ in job.workers))
        rows.add_row("tokens/s", f"{job.tokens_per_second:.1f}")
        rows.add_row("prefix-cache hit rate", f"{job.hit_rate:.1%}")
        if job.seconds_left is not None:
            rows.add_row("time left", str(timedelta(seconds=round(job.seconds_left))))
    if job.command is not None:
        rows.add_row("command", shlex.join(["lmprog", "extract", *job.command]))
        rows.add_row("folder", job.folder)
    return rows


def _when(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M")
