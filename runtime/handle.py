"""The caller's end of a request under way."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future

from .request import Result


class Handle:
    """What `Engine.submit` returns. Safe to use from any thread."""

    def __init__(self, cancel: Callable[[], None]) -> None:
        self._cancel = cancel
        self.future: Future[Result] = Future()  # for asyncio.wrap_future and done callbacks; do not set it
        self.future.set_running_or_notify_cancel()  # cancelling the future itself must not take it from the engine

    def result(self, timeout: float | None = None) -> Result:
        """Wait for the result. Raises what went wrong with this request, or TimeoutError."""
        return self.future.result(timeout)

    def done(self) -> bool:
        return self.future.done()

    def cancel(self) -> None:
        """Ask for an early end: the result then has finish "cancelled" (unless it was there before)."""
        self._cancel()
