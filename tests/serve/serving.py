"""A real server on loopback, in a thread."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any

import httpx
import openai

from lmprog.runtime.model import Model
from lmprog.serve.app import application
from lmprog.serve.programs import Endpoint
from lmprog.serve.run import listening, server
from lmprog.serve.settings import Settings


class Serving:
    """Where a server is, and what it serves."""

    def __init__(self, model: Model, port: int) -> None:
        self.model, self.port = model, port
        self.url = f"http://127.0.0.1:{port}"

    def openai(self, key: str = "none") -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=key, max_retries=0, timeout=60)

    def post(self, path: str, body: Any = None, **more: Any) -> httpx.Response:
        if body is not None:
            more["json"] = body
        return httpx.post(self.url + path, timeout=60, **more)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def is_idle(self) -> bool:
        """Nothing is under way, and no slot is held but by the prefix cache."""
        stats = self.model.engine.stats
        return not stats.running and not stats.waiting and stats.free + stats.held == stats.slots

    def check(self) -> None:
        """It is alive, and nothing is left behind."""
        assert 200 == httpx.get(f"{self.url}/ready", timeout=60).status_code
        until(self.is_idle)
        self.model.engine.check()


@contextmanager
def serving(
    model: Model, settings: Settings | None = None, endpoints: Mapping[str, Endpoint] | None = None
) -> Iterator[Serving]:
    settings = settings or Settings()
    with closing(listening("127.0.0.1", 0)) as listener:
        running = server(application(model, settings, endpoints), settings)
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]})
        thread.start()
        until(lambda: running.started or not thread.is_alive())
        try:
            yield Serving(model, listener.getsockname()[1])
        finally:
            running.should_exit = True
            thread.join()


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.005)
