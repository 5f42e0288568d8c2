"""A real server on loopback, in a thread."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx
import openai

from lmprog.runtime.model import Model
from lmprog.serve.programs import Endpoint
from lmprog.serve.run import running
from lmprog.serve.settings import Settings


class Serving:
    """Where a server is, and what it serves."""

    def __init__(self, model: Model, url: str) -> None:
        self.model, self.url = model, url
        self.port = int(url.rpartition(":")[2])

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
    with running(model, settings, endpoints) as url:
        yield Serving(model, url)


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.005)
