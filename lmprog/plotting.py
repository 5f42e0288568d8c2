"""The options of `lmprog plot-bias`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .terminal import console, errors


def plot_bias(
    prompt: Annotated[str, typer.Argument(help="The text before the value.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The picture: .svg, .png or .pdf.")],
    regex: Annotated[str | None, typer.Option(help="What the value is: a regular expression, ...")] = None,
    schema: Annotated[Path | None, typer.Option(help="... or a file with a JSON Schema.")] = None,
    model: Annotated[
        str | None, typer.Option(help="Model folder, cached hub id, or random:SEED. [default: Gemma 3 270M]")
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="Of each decoder.")] = 100,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Most tokens of a value.")] = None,
    seed: Annotated[int, typer.Option(help="Of the samples.")] = 0,
) -> None:
    """Draw what masking does to the probabilities of a constraint's values, beside what is exact, ASAp and SMC.

    The exact distribution is there when the constraint has few values (2,000 beginnings in the model's tokens).
    """
    from .commands import load_model
    from .distortion import plot_bias
    from .errors import HoleError
    from .holes import gen

    with errors():
        if (regex is None) == (schema is None):
            raise HoleError("give either --regex or --schema")
        source = {"regex": regex} if regex is not None else {"json": schema and schema.read_text(encoding="utf-8")}
        hole = gen(**source, max_tokens=max_tokens)
        with console.status("loading the model"):
            loaded = load_model(model)
        with console.status("asking the model"):
            found = plot_bias(loaded, prompt, hole, out, samples=samples, seed=seed)
    for name in found.shares:
        distance = found.distance(name)
        if distance is not None and name != "exact":
            typer.echo(f"{name}: total variation {distance:.3f} from the exact distribution")
    typer.echo(f"written: {out}")
