"""`lmprog test`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .terminal import console, errors


def run_suites(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="Suites (.lmtest.yaml), folders of them, or .py files of pytest. [default: this folder]"),
    ] = None,
    model: Annotated[str | None, typer.Option(help="Run all on this one: folder, hub id, URL, or random:SEED.")] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Cases of a suite that are under way at once.")] = 32,
    junit: Annotated[Path | None, typer.Option(help="Write the results as JUnit XML.")] = None,
) -> None:
    """Run test suites: programs with arguments, and what is expected of them.

    Exit code 1: a case failed; 2: a suite cannot be run. With .py files pytest runs everything.
    """
    given = paths or [Path()]
    if any(path.suffix == ".py" for path in given):
        raise typer.Exit(_pytest(given, junit))
    from rich.console import Console

    from .commands import load_model
    from .evaluation import running, suites

    with errors():
        read = [suites.read(path) for path in running.found(given)]
        with console.status("running"):
            chosen = load_model(model) if model else None
            loaded = [running.Loaded(suite, chosen) for suite in read]
            results = [(one.suite, one.run(one.suite.cases, concurrency)) for one in loaded]
        running.shown(results, Console())
        if junit is not None:
            junit.write_bytes(running.junit(results))
    if any(verdict.why for _, verdicts in results for verdict in verdicts):
        raise typer.Exit(1)


def _pytest(paths: list[Path], junit: Path | None) -> int:
    try:
        import pytest
    except ModuleNotFoundError:
        typer.echo("lmprog: .py files are run by pytest, which is not installed", err=True)
        return 2
    report = [] if junit is None else [f"--junitxml={junit}"]
    code = int(pytest.main([*map(str, paths), *report]))
    return min(code, 2)
