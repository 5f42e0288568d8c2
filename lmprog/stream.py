"""A run as a stream of events, for `for` and for `async for`.

The run has a thread of its own, from the beginning of the loop on. Leaving the loop, in whatever way, cancels the run.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from .errors import ProgramError
from .events import Close, Done, Event, Open, Retract, Text
from .models import Canceller
from .partial_json import partial_json
from .run import Run

T = TypeVar("T")
Listen = Callable[[Event], None]


class Stream(Generic[T]):
    """The events of a run, as they happen: `for event in card.stream("cats")`, or `async for`, once.

    The last event is `Done`, with the Run; when the run fails, the loop raises its exception. Text pieces of a hole's
    value come while the model writes them, and join up to the value; a `Retract` takes text back. `stream.text` is the
    text so far, `stream.partial(name)` what is known of a hole's value.

    Streams run hole by hole, without previews.
    """

    def __init__(self, start: Callable[[Canceller, Listen], Run[T]]) -> None:
        self._start, self._canceller = start, Canceller()
        self._begun = False
        self._holes: dict[str, _Value] = {}
        self.text = ""
        self.run: Run[T] | None = None

    def partial(self, name: str) -> Any:
        """What is known so far of the value of the last hole called `name`.

        That is the value itself when the hole is filled. Before, of a JSON value (a model, a list, a number, ...) it is
        what is complete: an object with the fields that are, say; of any other the text so far. None: nothing yet.
        """
        hole = self._holes.get(name)
        return None if hole is None else hole.known()

    def cancel(self) -> None:
        """End the run: the loop then raises RunCancelled. Any thread may."""
        self._canceller.cancel()

    def __iter__(self) -> Iterator[Event]:
        queue: SimpleQueue[Event | BaseException] = SimpleQueue()
        return self._events(queue)

    def _events(self, queue: SimpleQueue[Event | BaseException]) -> Iterator[Event]:
        self._begin(queue.put)
        try:
            while True:
                yield self._read(event := queue.get())
                if isinstance(event, Done):
                    return
        finally:
            self.cancel()

    async def __aiter__(self) -> AsyncIterator[Event]:
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[Event | BaseException] = asyncio.Queue()

        def put(item: Event | BaseException) -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody reads any more
                loop.call_soon_threadsafe(queue.put_nowait, item)

        self._begin(put)
        try:
            while True:
                yield self._read(event := await queue.get())
                if isinstance(event, Done):
                    return
        finally:
            self.cancel()

    def _begin(self, put: Callable[[Event | BaseException], None]) -> None:
        if self._begun:
            raise ProgramError("a stream is read once: call stream(...) again for another run")
        self._begun = True

        def work() -> None:
            try:
                run = self._start(self._canceller, put)
                put(Done(span=(len(run.text), len(run.text)), run=run))
            except BaseException as error:
                put(error)

        threading.Thread(target=contextvars.copy_context().run, args=(work,), name="lmprog-stream", daemon=True).start()

    def _read(self, event: Event | BaseException) -> Event:
        if isinstance(event, BaseException):
            raise event
        if not event.branch:
            self.text = self.text[: event.span[0]] + event.text
            self._note(event)
        return event

    def _note(self, event: Event) -> None:
        if isinstance(event, Open):
            self._holes[event.name] = _Value(event.span[0], event.json)
        elif isinstance(event, Text) and event.hole in self._holes:
            self._holes[event.hole].text += event.text
        elif isinstance(event, Close) and event.name in self._holes:
            self._holes[event.name].close(event.value)
        elif isinstance(event, Retract):
            self._take_back(event.span[0])
        elif isinstance(event, Done):
            self.run = event.run

    def _take_back(self, at: int) -> None:
        for value in self._holes.values():
            if value.at >= at:
                value.text, value.closed = "", False


class _Value:
    """A hole's value as far as it is known. `at`: where it begins in the text."""

    def __init__(self, at: int, json: bool) -> None:
        self.at, self._json, self.text = at, json, ""
        self.closed, self._value = False, None

    def close(self, value: Any) -> None:
        self.closed, self._value = True, value

    def known(self) -> Any:
        if self.closed:
            return self._value
        return partial_json(self.text) if self._json else self.text or None
