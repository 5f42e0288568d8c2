"""Runs a server until it is told to stop."""

from __future__ import annotations

import ipaddress
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import uvicorn

from ..runtime.model import Model
from .app import application
from .errors import ServeError
from .programs import Endpoint, endpoints_of
from .protocol import guarded
from .respond import log
from .settings import Settings

ENVIRONMENT = "LMPROG_API_KEY"


def run(
    model: str | None,
    dtype: str,
    device: str | None,
    host: str,
    port: int,
    programs: Sequence[str],
    slots: Sequence[Path],
    settings: Settings,
) -> None:
    """Load the model and serve it until SIGTERM or SIGINT. Raises LmprogError when it cannot start."""
    logging.basicConfig(stream=sys.stderr, format="%(message)s")
    log.setLevel(logging.INFO)
    endpoints = endpoints_of(programs, slots)
    with closing(listening(host, port)) as listener, loaded(model, dtype, device) as ready:
        app = application(ready, settings, endpoints)
        if not settings.keys and not _is_local(host):
            log.warning(f"warning: {host} can be reached from elsewhere, and there is no --api-key: everybody may ask")
        log.info(f"lmprog serves {app.state.service.name} on {_address(listener)}/v1")
        server(app, settings).run(sockets=[listener])


@contextmanager
def running(
    model: Model,
    settings: Settings | None = None,
    endpoints: Mapping[str, Endpoint] | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
) -> Iterator[str]:
    """A server in a thread of this process, for notebooks and tests: gives its address, such as http://127.0.0.1:8000.

    port   0: any that is free

    Raises ServeError when it cannot start. The model stays open.
    """
    settings = settings or Settings()
    with closing(listening(host, port)) as listener:
        found = server(application(model, settings, endpoints), settings)
        thread = threading.Thread(target=found.run, kwargs={"sockets": [listener]}, name="lmprog-serve")
        thread.start()
        try:
            while not found.started:
                if not thread.is_alive():
                    raise ServeError("the server could not start; its log says why")
                time.sleep(0.005)
            yield _address(listener)
        finally:
            found.should_exit = True
            thread.join()


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def server(app: object, settings: Settings) -> uvicorn.Server:
    """uvicorn, with guarded connections."""
    config = uvicorn.Config(
        app,  # type: ignore[arg-type]  # Starlette's ASGI types and uvicorn's are not the same names
        http=guarded(settings),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=settings.keep_alive,
        timeout_graceful_shutdown=settings.grace,
        h11_max_incomplete_event_size=1 << 16,
    )
    return uvicorn.Server(config)


def listening(host: str, port: int) -> socket.socket:
    """A socket that is bound. Raises ServeError."""
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        found = socket.socket(family, kind, proto)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
    except OSError as error:
        raise ServeError(f"cannot listen on {host}:{port}: {error}") from None
    return found


def keys_of(given: Sequence[str], file: Path | None) -> tuple[str, ...]:
    """All API keys: of the command line, the environment, and a file. Raises ServeError."""
    found = [*given, *filter(None, [os.environ.get(ENVIRONMENT)])]
    if file is not None:
        lines = [line.strip() for line in file.read_text("utf-8").splitlines()]
        found += (read := [line for line in lines if line and not line.startswith("#")])
        if not read:
            raise ServeError(f"{file} holds no keys")
    if bad := [key for key in found if not key.isascii() or not key.isprintable() or not key.strip() == key or not key]:
        raise ServeError(f"a key is of printable ASCII characters without blanks around it, not {bad[0]!r}")
    return tuple(dict.fromkeys(found))


def loaded(model: str | None, dtype: str = "float32", device: str | None = None) -> Model:
    """What `--model` names."""
    kind, _, seed = (model or "").partition(":")
    if kind == "random" and seed.isdigit():
        from ..testing import RandomModel

        return RandomModel(int(seed))
    from ..runtime.load import load

    return load(model, dtype=dtype, device=device)


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
