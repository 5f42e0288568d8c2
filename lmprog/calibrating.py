"""The command `lmprog calibrate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .terminal import console, errors

if TYPE_CHECKING:
    from rich.table import Table

    from .jobs.calibrate import Quality


def calibrate(
    records: Annotated[Path, typer.Argument(help="A finished output of lmprog extract --confidence.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The file to write, for lmprog extract --calibration.")],
    truth: Annotated[Path | None, typer.Option(help="JSONL of id and truth (or data), e.g. the job's input.")] = None,
    review: Annotated[Path | None, typer.Option(help="A review file that was filled in.")] = None,
    truth_field: Annotated[str, typer.Option(help="Field of the truth file that holds it.")] = "truth",
    holdout: Annotated[float, typer.Option(min=0.1, max=0.9, help="Share of documents to measure on.")] = 0.5,
) -> None:
    """Learn from labels what the confidences of a job mean, and say how good they are.

    Part of the documents is held out: the figures come from them, and the calibration from the others. AUROC is the
    chance that a right value has a higher confidence than a wrong one; ECE how far confidences are from the share that
    is right. In brackets are 95 % intervals (bootstrap over documents).
    """
    from rich.console import Console

    from .jobs.calibrate import calibrate as learn
    from .jobs.errors import JobError

    with errors():
        if truth is None and review is None:
            raise JobError("nothing says which values are right: give --truth or --review")
        made = learn(records, truth, review=review, truth_field=truth_field, holdout=holdout)
        made.calibration.save(out)
        Console().print(_table(made.quality))
    console.print(f"done: {out}", soft_wrap=True, highlight=False)


def _table(quality: list[Quality]) -> Table:
    from rich.table import Table

    table = Table("field", "labels", "held out", "right", "AUROC", "ECE", "ECE calibrated", box=None)
    for q in quality:
        name = q.field if q.own else f"{q.field or 'the value'} (pooled)"
        table.add_row(name, str(q.learnt), str(q.held), f"{q.right:.0%}", str(q.auroc), str(q.raw), str(q.ece))
    return table
