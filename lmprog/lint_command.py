"""`lmprog lint`."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .terminal import errors

if TYPE_CHECKING:
    from .linting.findings import Finding


def lint(
    program: Annotated[str, typer.Argument(help="file.py:name or module:name of a program, a file.py, a file.j2.")],
    arg: Annotated[
        list[str] | None, typer.Option(help="An argument, as name=value; JSON where it is, else text. Repeat it.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Rows of arguments: JSONL or CSV.")] = None,
    model: Annotated[
        str | None, typer.Option(help="Counts tokens: folder, hub id, or random:SEED. [default: the program's, if any]")
    ] = None,
    select: Annotated[str | None, typer.Option(help="Only these rules: LM01,LM3 (all that begin with LM3).")] = None,
    ignore: Annotated[str | None, typer.Option(help="Not these rules.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Say what is wrong with programs, or dear, without running them. Exit code 1 when there is something."""
    from json import dumps

    from .linting.findings import wanted

    with errors():
        found = wanted(_found(program, arg or (), data, model), _codes(select), _codes(ignore) or ())
    if json:
        typer.echo(dumps([finding.to_dict() for finding in found], ensure_ascii=False, indent=2))
    else:
        typer.echo("\n".join(map(str, found)) or "nothing found")
    raise typer.Exit(1 if found else 0)


def _found(name: str, arg: list[str] | tuple[()], data: Path | None, model: str | None) -> list[Finding]:
    from .commands import load_model
    from .compiling import argument
    from .linting.rules import found, rows_of
    from .linting.subject import Subject
    from .linting.targets import targets

    given = dict(map(argument, arg))
    with redirect_stdout(sys.stderr):  # what modules print when they are imported
        programs = targets(name)
    loaded = None if model is None else load_model(model)
    findings: list[Finding] = []
    for program, home in programs:
        rows = None if data is None else rows_of(program, data, given)
        subject = Subject(program, given, rows, loaded or program.model, home)
        if not subject.rows:
            typer.echo(f"{program.__name__}: only its source was read; give its arguments by --arg or --data", err=True)
        findings += found(subject)
    return findings


def _codes(given: str | None) -> list[str] | None:
    return None if given is None else [code.strip() for code in given.split(",") if code.strip()]
