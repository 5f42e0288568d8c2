"""The caller's end of a request or routine under way."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from collections.abc import Sequence as Items
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from .request import Result, Scores

if TYPE_CHECKING:
    from .sequence import Sequence


T = TypeVar("T")


class Pending(Generic[T]):
    """What `Engine.run` returns: the result of something under way. Safe to use from any thread.

    result = pending.result()               result = await pending

    Cancelling a task that awaits it cancels it too.
    """

    def __init__(self, cancel: Callable[[], None]) -> None:
        self._cancel = cancel
        self.future: Future[T] = Future()  # for done callbacks; do not set it
        self.future.set_running_or_notify_cancel()  # cancelling the future itself must not take it from the engine

    def result(self, timeout: float | None = None) -> T:
        """Wait for the result. Raises what went wrong, or TimeoutError. A cancelled routine raises RoutineCancelled."""
        return self.future.result(timeout)

    def done(self) -> bool:
        return self.future.done()

    def cancel(self) -> None:
        """Ask for an early end. No effect when the result is there."""
        self._cancel()

    def __await__(self) -> Generator[Any, None, T]:
        return self._wait().__await__()

    async def _wait(self) -> T:
        try:
            return await asyncio.wrap_future(self.future)
        except asyncio.CancelledError:
            self.cancel()
            raise


class Handle(Pending[Result]):
    """What `Engine.submit` returns. Safe to use from any thread.

        result = handle.result()               result = await handle
        for token in handle: ...               async for token in handle: ...

    Iterating gives the generated tokens as they come (all of them, whenever it begins), then raises what went wrong, if
    anything did. Leaving the loop does not end the request, `cancel` does: the result then has finish "cancelled".
    """

    def __init__(self, seq: Sequence, cancel: Callable[[], None]) -> None:
        super().__init__(cancel)
        self._seq = seq
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[int]:
        news = threading.Event()
        sent, ended = 0, False
        with self._watched(news.set):
            while not ended:
                news.wait()
                news.clear()
                ended = self.future.done()
                tokens = self._seq.since(sent)
                sent += len(tokens)
                yield from tokens
        self.future.result()

    async def __aiter__(self) -> AsyncIterator[int]:
        loop, news = asyncio.get_running_loop(), asyncio.Event()

        def tell() -> None:
            with suppress(RuntimeError):  # the loop has been closed, and nobody listens
                loop.call_soon_threadsafe(news.set)

        sent, ended = 0, False
        with self._watched(tell):
            while not ended:
                await news.wait()
                news.clear()
                ended = self.future.done()
                tokens = self._seq.since(sent)
                sent += len(tokens)
                for token in tokens:
                    yield token
        self.future.result()

    def tokens(self) -> list[int]:
        """The tokens so far."""
        return self._seq.since(0)

    def scores(self) -> Items[Scores]:
        """What is known of the tokens so far, if the request asked for log-probabilities; as many as `tokens`, or one
        more."""
        return self._seq.scores

    @contextmanager
    def _watched(self, tell: Callable[[], object]) -> Iterator[None]:
        """`tell` is called when there are new tokens, at the end, and once at the beginning."""
        with self._lock:
            self._seq.watchers += (tell,)
        self.future.add_done_callback(lambda _: tell())
        tell()
        try:
            yield
        finally:
            with self._lock:
                self._seq.watchers = tuple([w for w in self._seq.watchers if w is not tell])
