"""The progress of `Run.why`, on stderr."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class Bar:
    """One line for each thing that is done; nothing, if it is not wanted."""

    def __init__(self, wanted: bool) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=Console(stderr=True), disable=not wanted)
        self._task = self._progress.add_task("", total=0, visible=False)

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def about(self, what: str, count: int) -> None:
        """So many things are to be done now."""
        if count:
            self._task = self._progress.add_task(what, total=count)

    def done(self, count: int) -> None:
        self._progress.advance(self._task, count)
