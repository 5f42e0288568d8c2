"""`lmprog lint`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..terminal import console, errors

if TYPE_CHECKING:
    from .findings import Finding


def lint(
    program: Annotated[str, typer.Argument(help="file.py:name or module:name of a program, a file, or a template.")],
    arg: Annotated[
        list[str] | None, typer.Option(help="An argument, as name=value; JSON where it is, else text. Repeat it.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Counts tokens: model folder, cached hub id, or random:SEED. [default: the program's]")
    ] = None,
    select: Annotated[str | None, typer.Option(help="Only these rules: LM01,LM3 (LM30 and on).")] = None,
    ignore: Annotated[str | None, typer.Option(help="Not these rules.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Say what is wrong with programs, or dear, without running them. Exit code 1 when there is something."""
    with errors():
        found = _found(program, arg or (), model, _codes(select), _codes(ignore) or [])
    if json:
        import json as text

        typer.echo(text.dumps([finding.to_dict() for finding in found], ensure_ascii=False, indent=2))
    else:
        typer.echo("\n".join(map(str, found)) or "nothing found")
    raise typer.Exit(1 if found else 0)
