"""The commands `lmprog jobs ...`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from .extracting import OUT, extract
from .terminal import console, errors

if TYPE_CHECKING:
    from .jobs.status import Status

app = typer.Typer(no_args_is_help=True, help="List, show, resume, cancel and export extraction jobs.")
Job = Annotated[str, typer.Argument(help="Its id (the beginning is enough), or the path of its output.")]


@app.command(name="list")
def list_() -> None:
    """List the jobs that were begun by this user; those whose state is gone are shown once."""
    from .jobs.errors import JobError
    from .jobs.listing import job_list
    from .jobs.registry import entries, forget
    from .jobs.status import status

    found: dict[str, Status | None] = {}
    for name, path in entries().items():
        try:
            found[name] = status(path) if path.is_file() else None
        except JobError:
            found[name] = None
    with errors():
        Console().print(job_list(found) if found else "no jobs")
        for name, state in found.items():
            if state is None:
                forget(name)


@app.command()
def show(job: Job) -> None:
    """Show how a job stands: progress, errors by type, speed, who works on it."""
    from .jobs.listing import job_table
    from .jobs.registry import find
    from .jobs.status import status

    with errors():
        Console().print(job_table(status(find(job))))


@app.command()
def resume(job: Job) -> None:
    """Go on with a job, or join those who work on it: its own command again, in its own folder, with --resume."""
    from .jobs.errors import JobError
    from .jobs.files import beside
    from .jobs.registry import find
    from .jobs.status import status

    with errors():
        state = status(find(job))
        if state.command is None:
            raise JobError(f"{state.out} was begun from Python: run that again with resume=True")
        kept = beside(state.out, "stdin") if state.command[0] == "-" and not state.finished else os.devnull
        with open(kept, encoding="utf-8") as sys.stdin:
            os.chdir(state.folder)
            raise typer.Exit(_extract([*state.command, "--resume"]))


def _extract(command: list[str]) -> int:
    single = typer.Typer(pretty_exceptions_enable=False)
    single.command()(extract)
    return typer.main.get_command(single).main(command, standalone_mode=False) or 0


@app.command()
def cancel(job: Job) -> None:
    """Stop all who work on a job, at their next record. What is done is kept, and `resume` goes on."""
    from .jobs import status
    from .jobs.registry import find

    with errors():
        path = find(job)
        state = status.status(path)
        if not state.finished:
            status.cancel(path)
    told = f"{len(state.workers)} told to stop; " if state.workers else ""
    what = "is done already" if state.finished else f"cancelled: {told}{state.done} of {state.total} records are kept"
    console.print(f"{job} {what}", soft_wrap=True, highlight=False)


@app.command()
def export(
    job: Job,
    out: Annotated[Path, typer.Option("-o", "--out", help=OUT)],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
) -> None:
    """Write what is done so far, or all of a finished job, to another place, in another format if you like."""
    from .jobs.registry import find
    from .jobs.status import export

    with errors():
        count = export(find(job), out, overwrite)
    console.print(f"{count} records: {out}", soft_wrap=True, highlight=False)
