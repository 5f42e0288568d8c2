"""`lmprog lint`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .terminal import errors

if TYPE_CHECKING:
    from .linting.findings import Finding
    from .linting.subject import Subject


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
    formats: Annotated[
        bool, typer.Option("--formats", help="Measure how much the score depends on the format.")
    ] = False,
    posix: Annotated[bool, typer.Option("--posix", help="Measure the prompt sensitivity index over formats.")] = False,
    metric: Annotated[str, typer.Option(help="Of --formats: exact, f1, json, ... as in `lmprog eval`.")] = "exact",
    budget: Annotated[float, typer.Option(help="Of --formats: evaluations, or (up to 1) a share of all.")] = 0.2,
    tokens: Annotated[int | None, typer.Option(help="Of --formats: stop when so many tokens were computed.")] = None,
) -> None:
    """Say what is wrong with programs, or dear, without running them. Exit code 1 when there is something.

    --formats and --posix run the program on --data.
    """
    from json import dumps

    from .linting.findings import wanted

    with errors():
        look = _Look(arg or (), data, model)
        found = look.at(program)
        if formats:
            found += look.spreads(metric, budget, tokens, quiet=json)
        if posix:
            look.sensitivity(quiet=json)
        found = wanted(found, _codes(select), _codes(ignore) or ())
    if json:
        typer.echo(dumps([finding.to_dict() for finding in found], ensure_ascii=False, indent=2))
    else:
        typer.echo("\n".join(map(str, found)) or "nothing found")
    raise typer.Exit(1 if found else 0)


class _Look:
    """What is to be looked at, and how."""

    def __init__(self, arg: Sequence[str], data: Path | None, model: str | None) -> None:
        from .commands import load_model
        from .compiling import argument
        from .evaluation.data import read

        self.given = dict(map(argument, arg))
        self.rows = None if data is None else [{**row, **self.given} for row in read(data)]
        self.model = None if model is None else load_model(model)
        self.subjects: list[Subject] = []

    def at(self, name: str) -> list[Finding]:
        """What the rules find."""
        from .linting.rules import found, rows_of
        from .linting.subject import Subject
        from .linting.targets import targets

        with redirect_stdout(sys.stderr):  # what modules print when they are imported
            programs = targets(name)
        findings: list[Finding] = []
        for program, home in programs:
            rows = None if self.rows is None else rows_of(program, self.rows, self.given)
            subject = Subject(program, self.given, rows, self.model or program.model, home)
            if not subject.rows:
                typer.echo(
                    f"{program.__name__}: only its source was read; give its arguments by --arg or --data", err=True
                )
            findings += found(subject)
            self.subjects.append(subject)
        return findings

    def spreads(self, metric: str, budget: float, tokens: int | None, *, quiet: bool) -> list[Finding]:
        from .linting.spread import format_spread

        share = budget if budget <= 1 else round(budget)
        how: dict[str, Any] = {"budget": share, "tokens": tokens, "model": self.model, "progress": True}
        findings = []
        for subject in self.subjects:
            spread = format_spread(subject.program, self._rows(), metric, **how)
            typer.echo(f"{spread}\n", err=quiet)
            if (told := spread.finding()) is not None:
                findings.append(subject.finding("LM50", subject.site, *told))
        return findings

    def sensitivity(self, *, quiet: bool) -> None:
        from .linting.sensitivity import posix

        for subject in self.subjects:
            found = posix(subject.program, self._rows(), model=self.model, progress=True)
            typer.echo(f"{subject.program.__name__}: {found}\n", err=quiet)

    def _rows(self) -> list[dict[str, Any]]:
        from .errors import ProgramError

        if self.rows is None:
            raise ProgramError("--formats and --posix run the program: give the rows by --data")
        return self.rows


def _codes(given: str | None) -> list[str] | None:
    return None if given is None else [code.strip() for code in given.split(",") if code.strip()]
