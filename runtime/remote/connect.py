"""Finding out what a server is, and a model on it."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import Any

from ...grammars.errors import LmprogError
from ...grammars.expr import text
from ..load_errors import InvalidOption
from ..request import Request
from ..wanted import Wanted
from .loop import Loop
from .model import RemoteModel
from .servers import Found, find
from .urls import is_url

PROBE = "zq"  # what no model would write by itself
FRESH = 300.0  # seconds for which what was found out about a server is not asked again
_known: dict[tuple[Any, ...], tuple[float, Found]] = {}


def connect(
    url: str,
    *,
    model: str | None = None,
    api_key: str | None = None,
    server: str | None = None,
    tries: int = 4,
    concurrency: int = 32,
    requests_per_minute: int | None = None,
    tokens_per_minute: int | None = None,
    timeout: float = 600.0,
    retries: int = 5,
) -> RemoteModel:
    """A model behind an OpenAI-compatible server, ready to run; the same as `lp.load(url)`.

    url       of the API, such as "http://host:8000/v1"
    model     its name there; None: the only one that the server has
    api_key   None: the environment's OPENAI_API_KEY, if it is set. It is in no message, repr, trace or saved run
    server    "vllm", "sglang", "llama.cpp", "lmprog", "transformers", "openai" or "other"; None: it is found out
    tries     an answer that the server could not be made to keep to its constraint is checked here, and asked for again
              so many times, with other seeds (and at temperature 0.7, where it was greedy); 0: refused at once
    concurrency, requests_per_minute, tokens_per_minute   limits that are kept here
    timeout   seconds without an answer after which a request counts as lost
    retries   of requests that failed in a way that may pass, after growing pauses, or those that the server asks for

    Raises BackendError when the server cannot be used, InvalidOption, and LmprogError when httpx is not installed.
    """
    http_class, pace = _http()
    if not is_url(url):
        raise InvalidOption(f"the URL of an API begins with http:// or https://, not {url!r}")
    if tries < 0 or concurrency < 1 or retries < 0:
        raise InvalidOption("tries and retries are 0 or more, concurrency is 1 or more")
    key = os.environ.get("OPENAI_API_KEY") if api_key is None else api_key
    asked = url, model, server, hash(key)
    when, known = _known.get(asked, (0.0, None))
    found = known if time.monotonic() < when + FRESH else None
    loop = Loop()

    async def begin() -> tuple[Any, Found]:
        limits = pace(concurrency, requests_per_minute, tokens_per_minute)
        http = http_class(url, key, limits, retries=retries, timeout=timeout)
        try:
            return http, found or await find(http, model, server)
        except BaseException:
            await http.close()
            raise

    try:
        http, there = loop.call(begin())
        remote = RemoteModel(http, there, loop, tries)
        if found is None:
            there = _tried(remote, there)
            _known[asked] = time.monotonic(), there
        return RemoteModel(http, there, loop, tries)
    except BaseException:
        loop.stop()
        raise


def _http() -> tuple[Any, Any]:
    try:
        from .http import Http
        from .pace import Pace
    except ModuleNotFoundError as error:
        raise LmprogError(f"models on servers need the extra lmprog[remote]: {error}") from None
    return Http, Pace


def _tried(model: RemoteModel, found: Found) -> Found:
    """What was found, or less when the server does not enforce a grammar that it is sent."""
    if not found.can.grammar:
        return found
    try:
        kept = model.submit(Request([*b"a"], 8, wanted=Wanted(text(PROBE)))).result().ids == [*PROBE.encode()]
    except LmprogError:
        kept = False
    return found if kept else Found(found.model, replace(found.can, grammar=False, regex=False))
