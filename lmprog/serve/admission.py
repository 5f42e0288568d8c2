"""Who may come in: API keys, and how many answers may be under way."""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter
from collections.abc import Sequence

from starlette.datastructures import Headers

from .errors import ApiError, busy, refused
from .settings import Settings


def client_of(headers: Headers, host: str, keys: Sequence[str]) -> str:
    """Whose request it is: a name of the key that it brings, or without keys its address. Raises ApiError (401).

    All keys are compared, each in constant time.
    """
    if not keys:
        return host
    scheme, _, given = headers.get("authorization", "").partition(" ")
    sent = given.strip().encode("latin-1") if scheme.lower() == "bearer" else b""
    found = [key for key in keys if hmac.compare_digest(key.encode(), sent)]
    if not found:
        wanted = {"WWW-Authenticate": "Bearer"}
        raise ApiError(401, "this server wants an API key that it knows", code="invalid_api_key", headers=wanted)
    return key_name(found[0])


def key_name(key: str) -> str:
    """A name of a key for logs and groups, from which it cannot be guessed."""
    return f"key-{hashlib.sha256(key.encode()).hexdigest()[:8]}"


class Admission:
    """Counts answers under way, and refuses when there are too many; used from one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.total = 0
        self._each: Counter[str] = Counter()

    def take(self, client: str, answers: int) -> None:
        """Raises ApiError: 400 when no server of these settings would take it, else 429."""
        settings = self._settings
        if answers > settings.choices:
            message = f"n times the number of prompts is at most {settings.choices}, not {answers}"
            raise refused(message, "n", "too_many_choices")
        if self._each[client] + answers > settings.waiting_each:
            raise busy(f"{self._each[client]} answers are under way for you, of at most {settings.waiting_each}")
        if self.total + answers > settings.waiting:
            raise busy(f"{self.total} answers are under way, of at most {settings.waiting}")
        self.total += answers
        self._each[client] += answers

    def give(self, client: str, answers: int) -> None:
        self.total -= answers
        self._each[client] -= answers
        if not self._each[client]:
            del self._each[client]
