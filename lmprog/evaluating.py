"""`lmprog eval`: programs on data, and the output of jobs beside the truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from typer.core import TyperGroup

from .terminal import console, errors


class Programs(TyperGroup):
    """Whatever is no other command of the group is about a program."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        if args and args[0] not in (*self.commands, "--help"):
            args = ["program", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(cls=Programs, no_args_is_help=True, rich_markup_mode=None)


@app.callback(subcommand_metavar="[PROGRAM DATA | tables OUT] ...")
def evaluate() -> None:
    """Evaluate a program on data: lmprog eval prog.py:card data.jsonl --metric exact (see: lmprog eval program --help).
    Or compare the tables of an extraction job with the truth: lmprog eval tables."""


@app.command()
def program(
    program: Annotated[str, typer.Argument(help="module:name or file.py:name of a program.")],
    data: Annotated[Path, typer.Argument(help="JSONL or CSV: arguments of the program, and labels.")],
    metric: Annotated[
        list[str] | None,
        typer.Option(
            help="exact, choice, normalised, contains, f1, numeric, json, fields, or module:function of a row and its "
            "run. Repeat it: the first is the one that counts. [default: exact]"
        ),
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(help="Another program, or a .toml or .json file of values for this one's slots. Repeat it."),
    ] = None,
    slots: Annotated[Path | None, typer.Option(help="A .toml or .json file of values for its slots.")] = None,
    model: Annotated[
        str | None, typer.Option(help="Model folder, cached hub id, URL, or random:SEED. [default: the program's own]")
    ] = None,
    expected: Annotated[str, typer.Option(help="The field of the data with which named metrics compare.")] = "expected",
    limit: Annotated[int | None, typer.Option(min=1, help="Only so many rows, from the beginning.")] = None,
    seed: Annotated[int | None, typer.Option(help="For programs that sample.")] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Rows that are under way at once.")] = 32,
    cache: Annotated[
        Path | None, typer.Option(help="File of the cache. [default: one in lmprog's cache folder]")
    ] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Run every row.")] = False,
    at_least: Annotated[float | None, typer.Option(help="Exit with 1 when the mean is below.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page with all rows.")] = None,
    save: Annotated[Path | None, typer.Option(help="Write the evaluation of PROGRAM, for lp.Evaluation.load.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Run a program on every row of a file, and score what comes out.

    Runs that were done before are taken from the cache. Exit code 1: every row failed, or the mean is below --at-least;
    2: it could not be evaluated.
    """
    from .evaluation.command import Asked, evaluated, printed

    where = False if no_cache else cache or True
    asked = Asked(tuple(metric or ["exact"]), model, expected, limit, seed, concurrency, where, not json)
    with errors():
        results = evaluated(program, slots, against or (), data, asked)
        if html is not None:
            results[0].html(html, against=results[1:])
        if save is not None:
            results[0].save(save)
        printed(results, json)
    first = results[0]
    if len(first.errors) == len(first.rows):
        console.print("every row failed", style="red")
        raise typer.Exit(1)
    if at_least is not None and first.mean < at_least:
        console.print(f"{first.metrics[0]} is {first.mean:.3f}, below {at_least}", style="red", highlight=False)
        raise typer.Exit(1)


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
