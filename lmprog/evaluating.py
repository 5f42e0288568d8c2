"""`lmprog eval`: outputs beside the truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from .terminal import errors

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def evaluate() -> None:
    """Compare outputs with the truth."""


@app.command()
def tables(
    out: Annotated[Path, typer.Argument(help="The output of an extraction job (JSONL of id and data).")],
    truth: Annotated[Path, typer.Option(help="JSONL of id and the true table, for instance the input of the job.")],
    at: Annotated[str, typer.Option(help="JSON pointer to the table in data. [default: data, or its only list]")] = "",
    key: Annotated[list[str] | None, typer.Option(help="Pair rows by this column. Repeat it.")] = None,
    ordered: Annotated[bool, typer.Option("--ordered", help="Rows count in their order only.")] = False,
    text: Annotated[
        Literal["exact", "loose"], typer.Option(help="loose: case, blanks and punctuation at the ends do not count.")
    ] = "exact",
    absolute: Annotated[float, typer.Option(min=0, help="How far a number may be from the true one.")] = 0.0,
    relative: Annotated[float, typer.Option(min=0, help="The same, as a share of the true one.")] = 0.0,
    truth_field: Annotated[str, typer.Option(help="Field of the truth file that holds it.")] = "truth",
    json: Annotated[Path | None, typer.Option(help="Write the figures to this file.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page with the worst tables beside the truth.")] = None,
) -> None:
    """Cells, rows and whole tables of a job that are right: precision, recall and F1.

    Rows belong together so that most cells agree. Empty cells count nowhere; a failed record has nothing right.
    """
    from rich.console import Console

    from .jobs.same import Same
    from .jobs.table_report import Settings, evaluated, page, shown
    from .jobs.truth import read_truths

    with errors():
        truths = read_truths(truth, truth_field)
        report = evaluated(out, truths, Settings(Same(text, absolute, relative), tuple(key or ()), ordered, at))
        Console().print(shown(report))
        if json is not None:
            json.write_text(report.json(), encoding="utf-8")
        if html is not None:
            html.write_text(page(report), encoding="utf-8")
