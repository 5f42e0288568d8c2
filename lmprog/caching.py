"""`lmprog cache`: the runs that evaluations keep."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .terminal import errors

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
Cache = Annotated[Path | None, typer.Option(help="Its file. [default: the one in lmprog's cache folder]")]


@app.callback()
def caching() -> None:
    """The runs that evaluations keep, so that they need not be done again."""


@app.command()
def show(cache: Cache = None) -> None:
    """Say what is kept: runs and bytes, by program and model."""
    from rich.console import Console
    from rich.table import Table

    from .evaluation.cache import store_at
    from .visible import inline

    with errors(), store_at(cache) as store:
        table = Table("program", "model", "runs", "bytes", box=None, header_style="bold")
        for program, model, runs, size in store.summary():
            table.add_row(inline(program), inline(model), f"{runs:,}", f"{size:,}")
        typer.echo(store.path)
        Console().print(table)


@app.command()
def clear(cache: Cache = None) -> None:
    """Forget all runs."""
    from .evaluation.cache import store_at

    with errors(), store_at(cache) as store:
        typer.echo(f"{store.clear():,} runs forgotten: {store.path}")
