"""The command line. Everything heavy is imported by the command that needs it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import typer
from rich.console import Console

from . import __version__
from .terminal import console, errors

if TYPE_CHECKING:
    from .jobs.extract import Job
    from .jobs.journal import Journal
    from .jobs.truth import Truths

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.callback(invoke_without_command=True)
def main(version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False) -> None:
    """Structured generation with your own models: extraction jobs from the command line."""
    if version:
        typer.echo(f"lmprog {__version__}")
        raise typer.Exit


@app.command()
def extract(
    docs: Annotated[str, typer.Argument(help="JSONL, CSV, a folder of text files, one text file, or - for stdin.")],
    schema: Annotated[str, typer.Option(help="A JSON Schema file, or module:Name (file.py:Name) of a Python type.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The JSONL file to write, one line a document, in order.")],
    examples: Annotated[Path | None, typer.Option(help="Documents with their truth, shown before each one.")] = None,
    instructions: Annotated[str | None, typer.Option(help="First line of the prompt.")] = None,
    model: Annotated[str | None, typer.Option(help="Model folder or cached hub id. [default: Gemma 3 270M]")] = None,
    truth: Annotated[Path | None, typer.Option(help="JSONL of id and data to compare with.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an unfinished run.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an output and start anew.")] = False,
    format: Annotated[
        Literal["jsonl", "csv", "lines"] | None, typer.Option(help="Of the input, where its name does not say it.")
    ] = None,
    text_field: Annotated[str, typer.Option(help="Field or column that holds the text.")] = "text",
    id_field: Annotated[str, typer.Option(help="Field or column that holds the id.")] = "id",
    truth_field: Annotated[str, typer.Option(help="Field that holds the answer to compare with, if any.")] = "truth",
    max_tokens: Annotated[int, typer.Option(min=1, help="Most tokens of an answer.")] = 512,
    temperature: Annotated[float, typer.Option(help="0 is greedy.")] = 0.0,
    seed: Annotated[int, typer.Option(help="For temperatures above 0.")] = 0,
    dtype: Annotated[str, typer.Option(help="Of the weights.")] = "float32",
    device: Annotated[str | None, typer.Option(help="cpu, cuda:0, ... [default: the first GPU, else the CPU]")] = None,
) -> None:
    """Write down each document as JSON that follows a schema.

    Each line of the output is an object with id, data, error and usage. A document that cannot be read or answered
    gets an error instead of data; nothing is left out. While it runs the job keeps what is done in OUT.partial, so
    that after a crash or Ctrl-C --resume goes on where it stopped and gives the same file.

    Exit code: 0 done; 1 done, some documents failed; 2 the job could not start or go on; 130 interrupted.
    """
    from .jobs.documents import Fields, source
    from .jobs.extract import Job
    from .jobs.layout import layout, read_examples
    from .jobs.target import target
    from .jobs.truth import read_truths
    from .runtime.sampling import Sampling

    with errors():
        fields = Fields(text_field, id_field, truth_field)
        goal = target(schema)
        prompt = layout(goal.schema, read_examples(examples, fields) if examples else (), instructions)
        truths = read_truths(truth, truth_field) if truth else None
        job = Job(source(docs, fields, format), goal, prompt, max_tokens, Sampling(temperature, seed=seed))
        failed = _run(job, out, Engine(model, dtype, device), resume, overwrite, truths)
    raise typer.Exit(1 if failed else 0)


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


@app.command(name="compile")
def compile_(
    program: Annotated[str, typer.Argument(help="module:name or file.py:name of a program.")],
    arg: Annotated[
        list[str] | None, typer.Option(help="An argument, as name=value; JSON where it is, else text. Repeat it.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the nodes as JSON.")] = False,
    grammar: Annotated[bool, typer.Option("--grammar", help="Print the language of all texts.")] = False,
) -> None:
    """Say what a program will do, as far as that is known without a model."""
    from .compiling import compiled

    with errors():
        typer.echo(compiled(program, arg or (), json=json, grammar=grammar))


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


class Engine(NamedTuple):
    """What `lp.load` is to load."""

    model: str | None
    dtype: str
    device: str | None


def _run(job: Job, out: Path, engine: Engine, resume: bool, overwrite: bool, truths: Truths | None) -> int:
    """Run the job or find it done; the number of failed records."""
    from .jobs.identity import identity
    from .jobs.journal import open_journal
    from .jobs.show import table
    from .jobs.summary import saved
    from .jobs.truth import score_file

    parts = job.parts(f"{identity(engine.model)} {engine.dtype}")
    journal = open_journal(out, parts, resume=resume, overwrite=overwrite)
    if journal is not None:
        with closing(journal):
            _work(job, journal, engine)
    summary = saved(out)
    Console().print(table(summary, score_file(out, job.source.read(), truths)))
    console.print(f"{'done already' if journal is None else 'done'}: {out}", soft_wrap=True, highlight=False)
    return summary.failed


def _work(job: Job, journal: Journal, engine: Engine) -> None:
    from .jobs.extract import run
    from .jobs.show import progress
    from .runtime.load import load

    try:
        with console.status("loading the model"):
            worker = job.worker(load(engine.model, dtype=engine.dtype, device=engine.device))
        with progress(job.source.total, console) as watch:
            run(job, worker, journal, watch)
    except KeyboardInterrupt:
        console.print(f"stopped: {len(journal.held())} of {job.source.total} records are kept; --resume goes on")
        raise typer.Exit(130) from None
