"""A thread with an event loop, on which all that waits for servers goes on."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


class Loop:
    """Starts with the first work and ends with `stop`."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="lmprog-remote", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._loop.run_forever()
        finally:
            self._loop.close()

    def start(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run it there."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def soon(self, call: Callable[[], object]) -> None:
        """Call it there, if the loop is still there then."""
        with suppress(RuntimeError):  # it was closed meanwhile
            self._loop.call_soon_threadsafe(call)

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run it there and wait."""
        return self.start(work).result()

    def cancel(self) -> None:
        """Cancel all work that has not ended."""
        self.call(_cancel_all())

    def stop(self) -> None:
        """Cancel all work and end the thread."""
        if not self._loop.is_closed():
            self.cancel()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()


async def _cancel_all() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
