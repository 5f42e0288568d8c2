"""`lmprog report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from .terminal import console, errors


def report(
    out: Annotated[Path, typer.Argument(help="The output of an extraction job (JSONL).")],
    docs: Annotated[str | None, typer.Option(help="The input of the job, to show its texts.")] = None,
    html: Annotated[Path | None, typer.Option("-o", "--html", help="The page to write. [default: OUT.html]")] = None,
    truth: Annotated[Path | None, typer.Option(help="JSONL of id and data to compare with.")] = None,
    format: Annotated[
        Literal["jsonl", "csv", "lines"] | None, typer.Option(help="Of the input, where its name does not say it.")
    ] = None,
    text_field: Annotated[str, typer.Option(help="Field or column that holds the text.")] = "text",
    id_field: Annotated[str, typer.Option(help="Field or column that holds the id.")] = "id",
    truth_field: Annotated[str, typer.Option(help="Field that holds the answer to compare with, if any.")] = "truth",
) -> None:
    """Write a page of a finished job: documents with the evidence marked, fields, confidence, errors.

    The page is one file that needs no network. Records come by doubt, the failed ones first.
    """
    from .jobs.documents import Fields, source
    from .jobs.report import read_pairs
    from .jobs.report import report as page
    from .jobs.truth import read_truths

    with errors():
        texts = source(docs, Fields(text_field, id_field, truth_field), format) if docs is not None else None
        truths = read_truths(truth, truth_field) if truth else None
        text = page(
            out.name,
            read_pairs(out, None if texts is None else texts.read),
            lambda record, doc: truths.get(record["id"]) if truths is not None else doc and doc.truth,
        )
        path = html or out.with_name(f"{out.name}.html")
        path.write_text(text, encoding="utf-8")
    console.print(f"done: {path}", soft_wrap=True, highlight=False)
