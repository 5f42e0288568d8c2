"""HTTP with patience: retries, limits, and every failure as an error that names the URL."""

from __future__ import annotations

import asyncio
import email.utils
import json
import random
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx

from ..errors import ContextOverflow
from .errors import BackendAnswer, BackendBusy, BackendError, BackendRefused, BackendUnreachable
from .pace import Pace
from .urls import without_password

FIRST, LONGEST = 0.5, 30.0  # seconds before the first retry (doubled each time), and at most
AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
SHOWN = 300  # characters of an answer in a message
CODE = '"context_length_exceeded"'  # OpenAI's and lmprog's; for others there are the words of their messages
TOO_LONG = ("context length", "context size", "maximum model length", "too many tokens", "longer than the")


class Http:
    """One server. The key goes into a header and nowhere else.

    base     the URL of its API, such as http://host:8000/v1
    retries  after failures that may pass: no connection, no answer, 408, 409, 425, 429, 5xx
    timeout  seconds of silence before an answer counts as lost
    """

    def __init__(self, base: str, key: str | None, pace: Pace, *, retries: int, timeout: float) -> None:
        parts = urlsplit(base)
        auth = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
        self.base, self.pace, self.retries = without_password(base).rstrip("/"), pace, retries
        self.root = self.base.removesuffix("/v1")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        self._client = httpx.AsyncClient(
            headers=headers, auth=auth, timeout=httpx.Timeout(timeout, connect=10), limits=limits
        )

    async def close(self) -> None:
        await self._client.aclose()
        await asyncio.sleep(0)  # the loop closes the sockets in its next round

    async def look(self, path: str) -> tuple[int, Any]:
        """Status and JSON (None: it is none) of a path below the root, asked once; 0 where nobody answers."""
        try:
            response = await self._client.get(self.root + path)
        except httpx.HTTPError:
            return 0, None
        try:
            return response.status_code, response.json()
        except ValueError:
            return response.status_code, None

    async def get(self, path: str) -> Any:
        """The answer's JSON object; asked again once at most. Raises BackendError."""
        return await self._patiently("GET", self.base + path, None, min(1, self.retries))

    async def post(self, path: str, body: dict[str, Any]) -> Any:
        """The answer's JSON object. Raises BackendError, ContextOverflow."""
        return await self._patiently("POST", self.base + path, body, self.retries)

    async def stream(self, path: str, body: dict[str, Any]) -> AsyncIterator[Any]:
        """The JSON objects of an answer that comes in pieces. After the first piece nothing is retried."""
        url = self.base + path
        for attempt in range(self.retries + 1):
            begun = False
            try:
                async with self._client.stream("POST", url, json=body) as response:
                    if response.status_code != 200:
                        await response.aread()
                        raise self._failure(url, response)
                    async for data in _events(response, self.base):
                        begun = True
                        yield data
                return
            except httpx.HTTPError as error:
                failure: BackendError = _lost(url, error)
            except BackendError as error:
                failure = error
            if begun or attempt == self.retries or not _may_pass(failure):
                raise failure
            await _pause(failure, attempt)

    async def _patiently(self, method: str, url: str, body: dict[str, Any] | None, retries: int) -> Any:
        attempt = 0
        while True:
            try:
                return await self._once(method, url, body)
            except BackendError as error:
                if attempt == retries or not _may_pass(error):
                    raise
                await _pause(error, attempt)
                attempt += 1

    async def _once(self, method: str, url: str, body: dict[str, Any] | None) -> Any:
        try:
            response = await self._client.request(method, url, json=body)
        except httpx.InvalidURL as error:
            raise BackendRefused(f"{url} is no URL: {error}", url) from None
        except httpx.HTTPError as error:
            raise _lost(url, error) from error
        if response.status_code != 200:
            raise self._failure(url, response)
        return _json(url, response.text)

    def _failure(self, url: str, response: httpx.Response) -> BackendError | ContextOverflow:
        status, said = response.status_code, _said(response)
        if status in (400, 413, 422) and (CODE in response.text or any(words in said.lower() for words in TOO_LONG)):
            return ContextOverflow(f"{url}: {said}")
        if status == 429:
            error: BackendError = BackendBusy(
                f"{url} takes no more requests for now (429): {said}. Set requests_per_minute=, tokens_per_minute= "
                "or a smaller concurrency=",
                url,
                status,
            )
        elif status >= 500 or status in AGAIN:
            error = BackendUnreachable(f"{url} failed ({status}): {said}", url, status)
        else:
            error = BackendRefused(f"{url} refuses ({status}): {said}{_mend(status)}", url, status)
        error.wait = _retry_after(response)
        return error


def _mend(status: int) -> str:
    match status:
        case 401 | 403:
            return ". Give the right key as api_key=, or in OPENAI_API_KEY"
        case 404:
            return ". The URL should end in /v1, and model= name a model that the server has"
    return ""


def _lost(url: str, error: httpx.HTTPError) -> BackendUnreachable:
    kind = "does not answer in time" if isinstance(error, httpx.TimeoutException) else "cannot be reached"
    if isinstance(error, httpx.RemoteProtocolError | httpx.ReadError):
        kind = "broke off its answer"
    why = str(error) or type(error).__name__
    return BackendUnreachable(f"{url} {kind}: {why}. Is the server running there? timeout= sets its time", url)


def _may_pass(error: BackendError) -> bool:
    return isinstance(error, BackendUnreachable | BackendBusy)


async def _pause(error: BackendError, attempt: int) -> None:
    """As long as the server asks for; else twice as long each time, with jitter, so that clients that failed together
    do not come back together."""
    own = min(LONGEST, FIRST * 2.0**attempt) * random.uniform(0.5, 1.0)
    await asyncio.sleep(own if error.wait is None else error.wait)


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds that the server asks to wait: a number or a date."""
    text = response.headers.get("retry-after", "")
    try:
        return min(LONGEST, max(0.0, float(text)))
    except ValueError:
        pass
    try:
        return min(LONGEST, max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time()))
    except (TypeError, ValueError):
        return None


async def _events(response: httpx.Response, url: str) -> AsyncIterator[Any]:
    """Server-sent events, up to [DONE]."""
    async for line in response.aiter_lines():
        data = line.removeprefix("data:").strip()
        if data == "[DONE]":
            return
        if line.startswith("data:"):
            event = _json(url, data)
            if "error" in event:
                raise BackendUnreachable(f"{url} failed in the middle of its answer: {str(event)[:SHOWN]}", url)
            yield event
    raise BackendUnreachable(f"{url} broke off its answer: the stream ended without [DONE]", url)


def _json(url: str, text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise BackendAnswer(
            f"{url} does not answer in JSON but {text[:SHOWN]!r}: is this the URL of an OpenAI-compatible API?", url
        )
    return value


def _said(response: httpx.Response) -> str:
    """What the server says of an error, on one line."""
    try:
        body = response.json()
        error = body.get("error", body) if isinstance(body, dict) else body
        text = str(error.get("message", error) if isinstance(error, dict) else error)
    except ValueError:
        text = response.text
    return " ".join(text.split())[:SHOWN] or "no reason given"
