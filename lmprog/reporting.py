"""`lmprog report`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from .terminal import console, errors

if TYPE_CHECKING:
    from .jobs.documents import Source
    from .jobs.truth import Truths


def report(
    out: Annotated[Path, typer.Argument(help="The output of an extraction job (JSONL).")],
    docs: Annotated[str | None, typer.Option(help="The input of the job. [default: as the job was begun]")] = None,
    html: Annotated[Path | None, typer.Option("-o", "--html", help="The page to write. [default: OUT.html]")] = None,
    truth: Annotated[Path | None, typer.Option(help="JSONL of id and data to compare with.")] = None,
    format: Annotated[
        Literal["jsonl", "csv", "lines", "parquet", "file"] | None,
        typer.Option(help="Of the input, where its name does not say it."),
    ] = None,
    text_field: Annotated[str, typer.Option(help="Field or column that holds the text.")] = "text",
    id_field: Annotated[str, typer.Option(help="Field or column that holds the id.")] = "id",
    truth_field: Annotated[str, typer.Option(help="Field that holds the answer to compare with, if any.")] = "truth",
) -> None:
    """Write a page of a finished job: documents with the evidence marked, fields, confidence, errors.

    The page is one file that needs no network. Records come by doubt, the failed ones first. Without --docs the input
    is read as the job's own command said; a job that was begun from Python, or read standard input, needs it.
    """
    from .jobs.report import read_pairs
    from .jobs.report import report as page

    given = {"docs": docs, "format": format, "truth": truth}
    given |= {"text_field": text_field, "id_field": id_field, "truth_field": truth_field}
    path = (html or out.with_name(f"{out.name}.html")).absolute()
    out, back = out.absolute(), Path.cwd()
    with errors():
        try:
            texts, truths = _read(given if docs is not None else _begun(out, given))
            text = page(
                out.name,
                read_pairs(out, None if texts is None else texts.read),
                lambda record, doc: truths.get(record["id"]) if truths is not None else doc and doc.truth,
            )
        finally:
            os.chdir(back)
        path.write_text(text, encoding="utf-8")
    without = " without texts: name the input as --docs" if texts is None else ""
    console.print(f"done{without}: {path}", soft_wrap=True, highlight=False)


def _begun(out: Path, given: dict[str, Any]) -> dict[str, Any]:
    """The options of the command that began the job, in whose folder we are then; those given where there is none."""
    from .extracting import extract
    from .jobs.state import state_path
    from .jobs.status import status

    if not state_path(out).is_file():
        return given
    job = status(state_path(out))
    if job.command is None or job.command[0] == "-":
        return given
    single = typer.Typer()
    single.command()(extract)
    begun = typer.main.get_command(single).make_context("extract", [*job.command]).params
    truth = given["truth"] and Path(given["truth"]).absolute()
    os.chdir(job.folder)
    return {**begun, **({"truth": truth} if truth else {})}


def _read(options: dict[str, Any]) -> tuple[Source | None, Truths | None]:
    from .jobs.documents import Fields, source
    from .jobs.truth import read_truths

    fields = Fields(options["text_field"], options["id_field"], options["truth_field"])
    docs, truth = options["docs"], options["truth"]
    texts = None if docs is None else source(docs, fields, options["format"], options.get("query"))
    return texts, read_truths(Path(truth), fields.truth) if truth else None
