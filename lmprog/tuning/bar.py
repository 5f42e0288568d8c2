"""The progress of a search, on stderr."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from .budget import Budget, Spent
from .trials import Trial, best


class Bar:
    """How much of the budget is gone, trials, the best score beside the first, tokens, and the time left."""

    def __init__(self, title: str, budget: Budget) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
        )
        self.budget = budget
        self._progress = Progress(*columns, console=Console(stderr=True))
        self._task = self._progress.add_task(title, total=1.0, figures="")

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, spent: Spent, trials: Sequence[Trial]) -> None:
        found = best(trials)
        score = "" if found is None else f" · best {found.score:.3f} (start {trials[0].score:.3f})"
        figures = f"{len(trials)} trials{score} · {spent.tokens:,} tokens"
        self._progress.update(self._task, completed=self.budget.share(spent), figures=figures)
