"""How fast requests may go to a server: how many at once, and how many and how many tokens in a minute."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

WINDOW = 60.0  # seconds


class Pace:
    """Requests wait in `place` for their turn. Limits count over the last 60 seconds; None: no limit.

    Tokens are not known before the answer, so an estimate counts until `spent` corrects it.
    """

    def __init__(
        self,
        concurrency: int,
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._places = asyncio.Semaphore(concurrency)
        self._turn = asyncio.Lock()
        self._requests, self._tokens = requests_per_minute, tokens_per_minute
        self._clock = clock
        self._past: deque[list[float]] = deque()  # [when, tokens] of each request of the last minute

    @asynccontextmanager
    async def place(self, tokens: int) -> AsyncIterator[list[float]]:
        """Around a request of about so many tokens; gives the entry for `spent`."""
        async with self._places:
            async with self._turn:  # first come, first served
                while (wait := self._wait(tokens)) > 0:
                    await asyncio.sleep(wait)
                entry = [self._clock(), float(tokens)]
                self._past.append(entry)
            yield entry

    def _wait(self, tokens: int) -> float:
        """Seconds until there is room; a request larger than the limit waits for an empty minute."""
        now = self._clock()
        while self._past and self._past[0][0] <= now - WINDOW:
            self._past.popleft()
        wait = 0.0
        if self._requests is not None and len(self._past) >= self._requests:
            wait = self._past[len(self._past) - self._requests][0] + WINDOW - now
        if self._tokens is not None:
            over = sum([entry[1] for entry in self._past]) + tokens - self._tokens
            for when, spent in self._past:
                if over <= 0:
                    break
                over, wait = over - spent, max(wait, when + WINDOW - now)
        return wait


def spent(entry: list[float], tokens: int) -> None:
    """What a request really took."""
    entry[1] = float(tokens)
