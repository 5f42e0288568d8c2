"""`lmprog why`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..terminal import console, errors


def why(
    run: Annotated[Path, typer.Argument(help="A run that Run.save wrote.")],
    field: Annotated[
        str, typer.Option(help="A capture's name; kind[0]: the first one of that name; card/age: a value in its JSON.")
    ],
    model: Annotated[
        str | None, typer.Option(help="Model folder, cached hub id, or random:SEED. [default: Gemma 3 270M]")
    ] = None,
    unit: Annotated[str, typer.Option(help="auto, token, word, line, sentence or slot.")] = "auto",
    replacement: Annotated[str, typer.Option(help="What parts are replaced by: model, uniform or delete.")] = "model",
    samples: Annotated[int, typer.Option(help="Replacements for each part.")] = 5,
    masked: Annotated[bool, typer.Option(help="Measure under the language of the hole.")] = True,
    check: Annotated[int, typer.Option(help="Random sets of parts to be replaced together.")] = 0,
    seed: Annotated[int, typer.Option(help="What replacements are drawn by.")] = 0,
    budget: Annotated[int, typer.Option(help="Tokens that may be computed, about.")] = 500_000,
    html: Annotated[Path | None, typer.Option(help="Write the run as a page, with what was found.")] = None,
    save: Annotated[Path | None, typer.Option(help="Save the run with what was found, as JSON.")] = None,
) -> None:
    """Say which parts of the text before a field of a saved run cause its value."""
    from ..commands import load_model
    from ..run import Run

    with errors():
        from .fields import field_of
        from .finding import Options, find

        options = Options(unit, replacement, samples, masked, check, seed, budget, True)  # type: ignore[arg-type]
        loaded = Run.load(run)
        field_of(loaded, field)  # before a model is loaded
        with console.status("loading the model"):
            asked = load_model(model)
        loaded.causes[field] = found = find(loaded, field, asked, options)
        found.show()
        if save is not None:
            loaded.save(save)
        if html is not None:
            loaded.html(html)
