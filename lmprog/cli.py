"""The command line. Everything heavy is imported by the command that needs it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import __version__
from .caching import app as caching
from .calibrating import calibrate
from .evaluating import app as evaluating
from .extracting import extract
from .jobs_commands import app as jobs_commands
from .lint_command import lint
from .optimising import optimise
from .plotting import plot_bias
from .reporting import report
from .serve.command import serve
from .suite_command import run_suites
from .terminal import console, errors
from .why.command import why

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
app.add_typer(evaluating, name="eval")
app.add_typer(caching, name="cache")
app.command(name="test")(run_suites)


@app.callback(invoke_without_command=True)
def main(version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False) -> None:
    """Structured generation with your own models: extraction jobs from the command line."""
    if version:
        typer.echo(f"lmprog {__version__}")
        raise typer.Exit


app.command()(extract)
app.command()(report)
app.command()(calibrate)
app.command(name="plot-bias")(plot_bias)
app.add_typer(jobs_commands, name="jobs")
app.command()(lint)
app.command()(optimise)
app.command()(serve)


app.command()(why)


@app.command()
def show(
    run: Annotated[Path, typer.Argument(help="A run that Run.save wrote.")],
    html: Annotated[Path | None, typer.Option(help="Write it as a page instead.")] = None,
) -> None:
    """Show a saved run: its text, captures and usage."""
    from .run import Run

    with errors():
        loaded = Run.load(run)
        if html is None:
            loaded.show()
        else:
            loaded.html(html)


@app.command()
def explain(
    run: Annotated[Path, typer.Argument(help="A run that Run.save wrote, of a program run with trace=True.")],
    at: Annotated[str, typer.Option(help="A character (57), a token (token:12) or the name of a capture.")],
) -> None:
    """Say why a token of a saved run is there: what was allowed, what the model wanted, how likely it was."""
    from .run import Run

    with errors():
        Run.load(run).explain(at)


Named = Annotated[str, typer.Argument(help="module:name or file.py:name of a program.")]
Args = Annotated[
    list[str] | None, typer.Option(help="An argument, as name=value; JSON where it is, else text. Repeat it.")
]
Slots = Annotated[Path | None, typer.Option(help="A .toml or .json file of values for its slots.")]


@app.command(name="compile")
def compile_(
    program: Named,
    arg: Args = None,
    slots: Slots = None,
    json: Annotated[bool, typer.Option("--json", help="Print the nodes as JSON.")] = False,
    grammar: Annotated[bool, typer.Option("--grammar", help="Print the language of all texts.")] = False,
) -> None:
    """Say what a program will do, as far as that is known without a model."""
    from .compiling import compiled

    with errors():
        typer.echo(compiled(program, arg or (), slots, json=json, grammar=grammar))


@app.command()
def prompt(program: Named, arg: Args = None, slots: Slots = None) -> None:
    """Print the exact text that a program would send, up to what depends on the model, with its holes shown."""
    from .compiling import prompted

    with errors():
        typer.echo(prompted(program, arg or (), slots))


@app.command()
def repl(
    model: Annotated[
        str | None, typer.Option(help="Model folder, cached hub id, or random:SEED. [default: Gemma 3 270M]")
    ] = None,
    temperature: Annotated[float, typer.Option(help="0 is greedy.")] = 0.0,
    seed: Annotated[int | None, typer.Option(help="For temperatures above 0.")] = None,
) -> None:
    """Write prompts and programs line by line, with a model at hand."""
    try:
        from .repl import Terminal
    except ModuleNotFoundError as error:
        typer.echo(f"lmprog: the REPL needs the extra lmprog[repl]: {error}", err=True)
        raise typer.Exit(2) from None
    from .commands import load_model
    from .decoders import Sample

    with errors():
        decoder = Sample(temperature, seed=seed) if temperature else None
        with console.status("loading the model"):
            loaded = load_model(model)
        Terminal(loaded, decoder).loop()
