"""The progress bar of `Program.map`, on stderr."""

from __future__ import annotations

import threading
import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from .run import Usage


class RowsBar:
    """Rows done, rows and tokens a second, the share of prompt tokens found in the prefix cache, failed rows."""

    def __init__(self, title: str, total: int | None) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rates]}"),
        )
        self._progress = Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True))
        self._task = self._progress.add_task(title, total=total, rates="")
        self._lock = threading.Lock()
        self._usage, self._failed, self._rows = Usage(), 0, 0

    def __enter__(self) -> RowsBar:
        self._began = time.perf_counter()
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, usage: Usage, failed: bool) -> None:
        with self._lock:
            self._usage += usage
            self._failed += failed
            self._rows += 1
            self._progress.update(self._task, advance=1, rates=self._rates())

    def _rates(self) -> str:
        seconds = max(time.perf_counter() - self._began, 1e-9)
        tokens = self._usage.sampled_tokens + self._usage.forced_tokens
        failed = f" · {self._failed} failed" if self._failed else ""
        rates = f"{self._rows / seconds:.1f} rows/s · {tokens / seconds:.0f} tokens/s"
        return f"{rates} · cache {self._usage.cached:.0%}{failed}"
