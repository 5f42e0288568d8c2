"""The command `lmprog extract`."""

from __future__ import annotations

import json
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import typer
from rich.console import Console

from .job_engine import Engine, Workers
from .terminal import console, errors

if TYPE_CHECKING:
    from .jobs.documents import Fields
    from .jobs.extract import Job
    from .jobs.inbox import Inbox
    from .jobs.state import State
    from .jobs.summary import Summary
    from .jobs.truth import Truths

DOCS = (
    "JSONL or CSV (also with .gz), Parquet, one file or a folder of files (text, Markdown, HTML, PDF), - for stdin,"
    " or with --query a DuckDB database (:memory: for a query that names files itself)."
)
MODEL = (
    "Model folder, cached hub id, or the URL of an OpenAI-compatible server (its key: OPENAI_API_KEY)."
    " [default: Gemma 3 270M]"
)

OUT = "What to write: NAME.jsonl, NAME.parquet, or a table as NAME.duckdb#TABLE or NAME.sqlite#TABLE."


def extract(
    context: typer.Context,
    docs: Annotated[str, typer.Argument(help=DOCS)],
    schema: Annotated[str, typer.Option(help="A JSON Schema file, or module:Name (file.py:Name) of a Python type.")],
    out: Annotated[Path, typer.Option("-o", "--out", help=OUT)],
    examples: Annotated[Path | None, typer.Option(help="Documents with their truth, shown before each one.")] = None,
    shots: Annotated[int | None, typer.Option(min=1, help="How many examples to show. [default: all]")] = None,
    choose: Annotated[
        Literal["first", "bm25"], typer.Option(help="Which: the first, or those most like the document.")
    ] = "first",
    sets: Annotated[
        int | None, typer.Option(min=1, help="Most different sets that are chosen. [default: one for 8 documents]")
    ] = None,
    instructions: Annotated[str | None, typer.Option(help="First line of the prompt.")] = None,
    model: Annotated[str | None, typer.Option(help=MODEL)] = None,
    model_name: Annotated[str | None, typer.Option(help="Which model of a server that has several.")] = None,
    requests_per_minute: Annotated[int | None, typer.Option(min=1, help="That a server is sent at most.")] = None,
    tokens_per_minute: Annotated[int | None, typer.Option(min=1, help="That a server is to read and write.")] = None,
    truth: Annotated[Path | None, typer.Option(help="JSONL of id and data to compare with.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an unfinished run, or join it.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an output and start anew.")] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Wait for more: new files in the folder, new lines of the JSONL file.")
    ] = False,
    until_idle: Annotated[
        float | None, typer.Option(help="Seconds without anything new after which --watch ends. [default: Ctrl-C]")
    ] = None,
    format: Annotated[
        Literal["jsonl", "csv", "lines", "parquet", "file"] | None,
        typer.Option(help="Of the input, where its name does not say it."),
    ] = None,
    query: Annotated[str | None, typer.Option(help="What to read from the DuckDB database DOCS, as SQL.")] = None,
    text_field: Annotated[str, typer.Option(help="Field or column that holds the text.")] = "text",
    id_field: Annotated[str, typer.Option(help="Field or column that holds the id.")] = "id",
    truth_field: Annotated[str, typer.Option(help="Field that holds the answer to compare with, if any.")] = "truth",
    max_tokens: Annotated[int, typer.Option(min=1, help="Most tokens of an answer.")] = 512,
    temperature: Annotated[float, typer.Option(help="0 is greedy.")] = 0.0,
    seed: Annotated[int, typer.Option(help="For temperatures above 0.")] = 0,
    retries: Annotated[int, typer.Option(min=0, help="Further attempts after errors of the moment.")] = 2,
    timeout: Annotated[
        float | None, typer.Option(help="Seconds that a document may take, waiting for its turn included.")
    ] = None,
    confidence: Annotated[bool, typer.Option("--confidence", help="Say how probable each value is.")] = False,
    evidence: Annotated[bool, typer.Option("--evidence", help="Say where texts stand in the document.")] = False,
    calibration: Annotated[Path | None, typer.Option(help="What lmprog calibrate wrote, for confidences.")] = None,
    abstain: Annotated[
        float | None, typer.Option(min=0, max=1, help="Values of a lower confidence become null, or are doubted.")
    ] = None,
    review: Annotated[
        Path | None, typer.Option(help="Write values to check to this JSONL or CSV file, the most doubtful first.")
    ] = None,
    chunk_tokens: Annotated[int | None, typer.Option(min=32, help="Read documents in pieces so long.")] = None,
    overlap: Annotated[int | None, typer.Option(min=0, help="Tokens that pieces share. [default: an eighth]")] = None,
    chunks: Annotated[
        Literal["auto", "never"], typer.Option(help="never: a document that does not fit is an error.")
    ] = "auto",
    corpus: Annotated[
        Path | None, typer.Option(help="Documents, or a saved corpus, that quotes are of. [default: the document read]")
    ] = None,
    dtype: Annotated[str, typer.Option(help="Of the weights.")] = "float32",
    device: Annotated[str | None, typer.Option(help="cpu, cuda:0, ... [default: the first GPU, else the CPU]")] = None,
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="Answers do not depend on what runs beside them.")
    ] = False,
    engine: Annotated[
        Literal["local", "ray"], typer.Option(help="The model in this process, or in workers of a Ray cluster.")
    ] = "local",
    workers: Annotated[int, typer.Option(min=1, help="How many, with --engine ray.")] = 2,
    ray_address: Annotated[
        str | None, typer.Option(help="The cluster, as host:port or auto. [default: one on this machine]")
    ] = None,
    worker_cpus: Annotated[float, typer.Option(min=0, help="CPUs that Ray keeps for each worker.")] = 1.0,
    worker_gpus: Annotated[float, typer.Option(min=0, help="GPUs that Ray keeps for each worker.")] = 0.0,
) -> None:
    """Write down each document as JSON that follows a schema.

    Each record of the output is an object with id, data, error and usage. A document that cannot be read or answered
    gets an error instead of data; nothing is left out. Those that failed stand in OUT.dead.jsonl as well, as an input
    for another run. The job keeps what is done in OUT.state, so that after a crash
    or Ctrl-C --resume goes on where it stopped and gives the same file. The same command with --resume in a second
    terminal works on the job together with the first.

    Exit code: 0 done; 1 done, some documents failed; 2 the job could not start or go on; 130 interrupted.
    """
    from .jobs.calibration import Calibration
    from .jobs.citing import read_corpus
    from .jobs.documents import Fields, source
    from .jobs.extract import Job
    from .jobs.layout import read_examples
    from .jobs.reading import Chunks, Reading
    from .jobs.shots import prompts
    from .jobs.target import target
    from .jobs.truth import read_truths
    from .jobs.trying import Trying
    from .runtime.sampling import Sampling

    with errors():
        fields = Fields(text_field, id_field, truth_field)
        goal = target(schema)
        pool = read_examples(examples, fields) if examples else []
        inbox = _inbox(docs, fields, watch, until_idle, choose, review)
        texts = source(docs, fields, format, query) if inbox is None else inbox.source()
        prompt = prompts(goal.schema, pool, texts, instructions, shots, choose, sets)
        if prompt.shots:
            console.print(f"{shots} of {len(pool)} examples for each document, in {len(prompt.sets)} sets")
        truths = read_truths(truth, truth_field) if truth else None
        learnt = Calibration.load(calibration) if calibration else None
        parts = Chunks(chunk_tokens, overlap, chunks == "never")
        how = Reading(confidence or review is not None, evidence, learnt, abstain, parts)
        draws, tries = Sampling(temperature, seed=seed), Trying(retries, timeout)
        job = Job(texts, goal, prompt, max_tokens, draws, how, tries, read_corpus(corpus, goal, fields))
        about = {**job.about(), "command": _command(context), "folder": str(Path.cwd())}
        crew = Workers(workers, ray_address, worker_cpus, worker_gpus) if engine == "ray" else None
        remote = {"model": model_name, "requests_per_minute": requests_per_minute}
        remote["tokens_per_minute"] = tokens_per_minute
        loader = Engine(model, dtype, device, deterministic, crew, remote)
        failed = _run(Task(job, out, loader, resume, overwrite, truths, about, review, inbox, until_idle))
    raise typer.Exit(1 if failed else 0)


def _command(context: typer.Context) -> list[str]:
    """The arguments and options that were given, but for how to begin."""
    from .runtime.remote.urls import without_password

    words: list[str] = []
    for option in context.command.params:
        value = context.params.get(option.name or "")
        value = without_password(value) if option.name == "model" and value else value
        if option.param_type_name == "argument":
            words.insert(0, str(value))
        elif value != option.default and option.name not in ("resume", "overwrite"):
            name, values = option.opts[-1], value if isinstance(value, list | tuple) else [value]
            words += [name if value is True else f"{name}={value}" for value in values]
    return words


class Task(NamedTuple):
    """A job, and how to go about it."""

    job: Job
    out: Path
    engine: Engine
    resume: bool
    overwrite: bool
    truths: Truths | None
    about: dict[str, Any]
    review: Path | None
    inbox: Inbox | None
    until_idle: float | None


def _inbox(
    docs: str, fields: Fields, watch: bool, until_idle: float | None, choose: str, review: Path | None
) -> Inbox | None:
    from .jobs.errors import JobError
    from .jobs.inbox import Inbox

    if not watch and until_idle is not None:
        raise JobError("--until-idle ends --watch: say both")
    if watch and choose != "first":
        raise JobError("examples cannot be chosen for documents that are still to come: --watch needs --choose first")
    if watch and review is not None:
        raise JobError("a file for review is made of a job that ends: --watch has none")
    return Inbox(Path(docs), fields) if watch else None


def _run(task: Task) -> int:
    """Run the job or find it done; the number of failed records."""
    from .jobs.extract import settled
    from .jobs.opening import open_state
    from .jobs.review import write_review
    from .jobs.show import table
    from .jobs.truth import score_lines

    job, out = task.job, task.out
    parts = job.parts(task.engine.parts)
    job.reading.check(parts)
    state = open_state(out, parts, job.source.total, resume=task.resume, overwrite=task.overwrite, about=task.about)
    with closing(state):
        already = state.finished
        _keep_input(job, out, already)
        summary = (settled(job, state) if task.inbox is None else None) or _work(task, state)
        compared = None if task.inbox else score_lines(state.lines(), job.source.read(), task.truths)
        Console().print(table(summary, compared))
        if task.review is not None:
            write_review(task.review, map(json.loads, state.lines()), job.source.read())
    _keep_input(job, out, done=True)
    console.print(f"{'done already' if already else 'done'}: {out}", soft_wrap=True, highlight=False)
    return summary.failed


def _keep_input(job: Job, out: Path, done: bool) -> None:
    """What came in by standard input lies beside the output until the job is done, so that it can be resumed."""
    from .jobs.files import beside, put_in_place

    if done:
        beside(out, "stdin").unlink(missing_ok=True)
    elif job.source.spool is not None:
        with open(job.source.spool, "rb") as lines:
            put_in_place(beside(out, "stdin"), lines)


def _work(task: Task, state: State) -> Summary:
    from .jobs.errors import JobCancelled
    from .jobs.extract import run
    from .jobs.follow import follow
    from .jobs.show import progress

    job, inbox = task.job, task.inbox
    try:
        with ExitStack() as stack:
            with console.status("loading the model"):
                worker = job.worker(stack.enter_context(task.engine.loaded()))
            with progress(state, console) as watch:
                if inbox is None:
                    return run(job, worker, state, watch)
                inbox.db = state.db
                return follow(job, inbox, worker, state, watch, task.until_idle)
    except (KeyboardInterrupt, JobCancelled) as stop:
        what = "cancelled" if isinstance(stop, JobCancelled) else "stopped"
        kept = f"{state.counts()[0]} of {state.total} records are kept"
        console.print(f"{what}: {kept}; --resume goes on", soft_wrap=True, highlight=False)
        raise typer.Exit(130) from None
