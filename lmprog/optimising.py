"""`lmprog optimise`."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from .terminal import console, errors

if TYPE_CHECKING:
    from .tuning import Optimised


def optimise(
    program: Annotated[str, typer.Argument(help="module:name or file.py:name of a program with slots.")],
    data: Annotated[Path, typer.Argument(help="Rows to search on: JSONL or CSV of arguments and `expected`.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The values of the slots that were found: .toml or .json.")],
    metric: Annotated[
        str | None, typer.Option(help="Its name, or module:name or file.py:name of a function (row, run) -> score.")
    ] = None,
    method: Annotated[
        Literal["joint", "random", "tpe", "bootstrap", "mutual-information", "likelihood", "perplexity"],
        typer.Option(help="How to search; see docs/optimise.md."),
    ] = "joint",
    space: Annotated[
        Path | None, typer.Option(help="JSON file: by slot the list of its candidates. [default: they are made]")
    ] = None,
    tokens: Annotated[int | None, typer.Option(min=1, help="Most tokens, of prompts and values.")] = None,
    seconds: Annotated[float | None, typer.Option(help="Most seconds, over all sessions.")] = None,
    evaluations: Annotated[
        int | None, typer.Option(min=1, help="Most configurations. [default: 30 without any limit]")
    ] = None,
    minibatch: Annotated[int | None, typer.Option(min=1, help="Rows to try a configuration on at first.")] = None,
    state: Annotated[
        Path | None, typer.Option(help="Keep everything here; the same command goes on from there.")
    ] = None,
    test: Annotated[
        Path | None, typer.Option(help="Other rows, to compare the found program with the old one.")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page of all trials.")] = None,
    model: Annotated[
        str | None, typer.Option(help="Model folder, cached hub id, or random:SEED. [default: Gemma 3 270M]")
    ] = None,
    proposer: Annotated[str | None, typer.Option(help="Model that writes instructions. [default: the same]")] = None,
    seed: Annotated[int, typer.Option(help="Of the search.")] = 0,
) -> None:
    """Search for the values of a program's slots under which it scores highest, and write them to a file."""
    from .commands import load_model
    from .errors import ProgramError
    from .evaluation.data import read
    from .jobs.target import named
    from .programs import Program
    from .tuning import Budget
    from .tuning import optimise as search

    with errors():
        found = named(program)
        if not isinstance(found, Program):
            raise ProgramError(f"{program} is not a program: it is {found!r}")
        if out.suffix not in (".toml", ".json"):
            raise ProgramError(f"-o is a .toml or .json file, not {out}")
        for path in (out, html or out):
            if not path.parent.is_dir():
                raise ProgramError(f"there is no folder {path.parent} to write {path.name} in")
        held = None if test is None else read(test)
        candidates = None if space is None else _space(space)
        with console.status("loading the model"):
            own = load_model(model) if model is not None or found.model is None else found.model
            other = None if proposer is None else load_model(proposer)
        result = search(
            found,
            data,
            metric if metric is None or ":" not in metric else named(metric),
            space=candidates,
            method=method,
            budget=Budget(tokens, seconds, evaluations),
            minibatch=minibatch,
            proposer=other,
            model=own,
            seed=seed,
            state=state,
            progress=True,
        )
        result.save(out)
        _tell(result, out, html)
        if held is not None:
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always")
                typer.echo(f"on {test}: {result.compare(held)}")
            for line in told:
                typer.echo(f"lmprog: {line.message}", err=True)


def _tell(result: Optimised, out: Path, html: Path | None) -> None:
    """What was found, on stdout."""
    typer.echo(f"start {result.start.score:.3f}, best {result.best.score:.3f} of {len(result.trials)} trials")
    typer.echo(f"written: {out}")
    if html is not None:
        result.html(html)
        typer.echo(f"written: {html}")


def _space(path: Path) -> Any:
    """Raises TuningError."""
    import json

    from .errors import TuningError

    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise TuningError(f"{path} is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise TuningError(f"{path} holds no space: an object with the candidates of each slot")
    return found
