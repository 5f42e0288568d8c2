"""How a job stands, read from its state by someone who does not work on it."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .database import Database, lines
from .errors import JobError
from .outputs import output
from .owners import Owner
from .summary import Summary


@dataclass(frozen=True)
class Status:
    """`workers` are those that live, by process number, with what each has used so far (None: nothing done yet)."""

    out: Path
    total: int
    outcomes: dict[str, int]
    workers: list[tuple[int, Summary | None]]
    finished: bool
    cancelled: bool
    begun: float
    command: list[str] | None
    folder: str

    @property
    def done(self) -> int:
        return sum(self.outcomes.values())

    @property
    def errors(self) -> dict[str, int]:
        """Failed records by the type of their error, the most frequent first."""
        failed = {outcome: n for outcome, n in self.outcomes.items() if outcome}
        return dict(sorted(failed.items(), key=lambda item: -item[1]))

    @property
    def word(self) -> str:
        if self.finished:
            return "done"
        if self.workers:
            return "stopping" if self.cancelled else "running"
        return "cancelled" if self.cancelled else "stopped"

    @property
    def figures(self) -> list[Summary]:
        return [figures for _, figures in self.workers if figures is not None]

    @property
    def tokens_per_second(self) -> float:
        return sum(figures.tokens_per_second for figures in self.figures)

    @property
    def hit_rate(self) -> float:
        prompts = sum(figures.prompt_tokens for figures in self.figures)
        return 1 - sum(figures.prompt_tokens_computed for figures in self.figures) / prompts if prompts else 0.0

    @property
    def seconds_left(self) -> float | None:
        """By the rates of those who work now; None when nobody does."""
        rate = sum(figures.records_per_second for figures in self.figures)
        return (self.total - self.done) / rate if rate else None


def status(path: Path) -> Status:
    """Raises JobError when `path` is not the state of a job."""
    with closing(Database(path, create=False)) as db:
        rows = db.rows("SELECT id, host, pid, born, expires, figures FROM workers")
        return Status(
            out=path.with_name(path.name.removesuffix(".state")),
            total=db.get("total", 0),
            outcomes=dict(db.rows("SELECT outcome, n FROM tally")),
            workers=[(row[2], _summary(row[5])) for row in rows if Owner(*row[:5]).alive],
            finished=db.get("stage") == "finished",
            cancelled=bool(db.get("cancelled")),
            begun=db.get("begun", 0.0),
            command=db.get("command"),
            folder=db.get("folder", "."),
        )


def _summary(figures: Any) -> Summary | None:
    values = json.loads(figures) if figures else None
    return Summary(**values) if values else None


def cancel(path: Path) -> None:
    """Make all who work on the job stop at their next record."""
    with closing(Database(path, create=False)) as db, db.write():
        db.set(cancelled=True)


def export(path: Path, out: Path, overwrite: bool = False) -> int:
    """Write the records that are done to `out`, in the format of its name; how many there are."""
    target = output(out)
    if not overwrite and target.exists():
        raise JobError(f"{out} exists: --overwrite replaces it")
    with closing(Database(path, create=False)) as db:
        target.write(lambda: lines(db), db.get("schema"))
        return sum(n for _, n in db.rows("SELECT outcome, n FROM tally"))
