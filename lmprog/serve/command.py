"""The options of `lmprog serve`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..terminal import errors


def serve(
    model: Annotated[
        str | None, typer.Option(help="Model folder, cached hub id, or random:SEED. [default: Gemma 3 270M]")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 8000,
    name: Annotated[str | None, typer.Option(help="What the model is called. [default: its own name]")] = None,
    program: Annotated[
        list[str] | None, typer.Option(help="A program as an endpoint: file.py:name or module:name. Repeat it.")
    ] = None,
    slots: Annotated[
        list[Path] | None, typer.Option(help="A file of values for the slots of the program that it names. Repeat it.")
    ] = None,
    api_key: Annotated[
        list[str] | None, typer.Option(help="A key that requests may bring. Repeat it. [also: $LMPROG_API_KEY]")
    ] = None,
    api_key_file: Annotated[Path | None, typer.Option(help="A file of keys, one a line.")] = None,
    dtype: Annotated[str, typer.Option(help="Of the weights.")] = "float32",
    device: Annotated[str | None, typer.Option(help="cpu, cuda:0, ... [default: the first GPU, else the CPU]")] = None,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds that a request may take.")] = 300.0,
    max_tokens: Annotated[int, typer.Option(min=1, help="Most tokens of an answer.")] = 4096,
    max_body: Annotated[int, typer.Option(min=1, help="Most bytes of a body.")] = 1 << 20,
    max_constraint: Annotated[int, typer.Option(min=1, help="Most bytes of a schema, regex or grammar.")] = 1 << 16,
    compile_seconds: Annotated[float, typer.Option(min=0.01, help="That compiling a constraint may take.")] = 2.0,
    max_queue: Annotated[int, typer.Option(min=1, help="Most answers under way and waiting.")] = 1024,
    max_queue_each: Annotated[int, typer.Option(min=1, help="The same of one client.")] = 512,
    max_connections: Annotated[int, typer.Option(min=1, help="Most connections.")] = 512,
    grace: Annotated[int, typer.Option(min=0, help="Seconds for requests to end in, when told to stop.")] = 10,
) -> None:
    """Serve a model over HTTP: OpenAI's API with exact constraints, and programs as endpoints.

    Exit code: 2 when it cannot start. SIGTERM and Ctrl-C stop it; requests under way may end within --grace seconds.
    """
    try:
        from .run import keys_of, run
        from .settings import Settings
    except ModuleNotFoundError as error:
        typer.echo(f"lmprog: the server needs the extra lmprog[serve]: {error}", err=True)
        raise typer.Exit(2) from None
    with errors():
        settings = Settings(
            name=name,
            keys=keys_of(api_key or (), api_key_file),
            body=max_body,
            constraint=max_constraint,
            compile=compile_seconds,
            max_tokens=max_tokens,
            waiting=max_queue,
            waiting_each=min(max_queue, max_queue_each),
            timeout=timeout,
            connections=max_connections,
            grace=grace,
        )
        run(model, dtype, device, host, port, program or (), slots or (), settings)
