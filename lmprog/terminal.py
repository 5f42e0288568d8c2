"""What the commands share: where they talk, and how their errors look."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console

console = Console(stderr=True)


@contextmanager
def errors() -> Iterator[None]:
    """Errors of lmprog's own in a line, without a traceback; exit code 2."""
    from .grammars.errors import LmprogError

    try:
        yield
    except (LmprogError, OSError) as error:
        typer.echo(f"lmprog: {type(error).__name__}: {error}", err=True)
        raise typer.Exit(2) from None
