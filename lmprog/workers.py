"""Threads for programs' bodies: a few for those that will not wait, and one each for those that will.

The body of a compiled program only takes up answers that are there, so any number of such runs share a few threads.
Should it wait all the same (its plan was wrong), another thread takes the place of its own meanwhile.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue

LINGER = 5.0  # seconds that a thread waits for more work
Work = Callable[[], object]


class Workers:
    """`most`: threads that work at once on what does not wait. Work must not raise."""

    def __init__(self, most: int = 4) -> None:
        self.most = most
        self._reset()

    def _reset(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._queue: deque[Work] = deque()
        self._idle: list[SimpleQueue[Work]] = []
        self._active = 0
        self._here = threading.local()

    def submit(self, work: Work, *, waits: bool = False) -> None:
        """Have it done soon; at once, in a thread that is its own as long, if it `waits`."""
        if os.getpid() != self._process:  # after a fork there are no threads
            self._reset()
        with self._lock:
            if waits:
                self._begin(work)
            else:
                self._queue.append(self._counted(work))
                self._take()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Around what waits: somebody else may work as long."""
        counted = getattr(self._here, "counted", False)
        self._count(-counted)
        try:
            yield
        finally:
            self._count(counted)

    def _counted(self, work: Work) -> Work:
        def run() -> None:
            self._here.counted = True
            try:
                work()
            finally:
                self._here.counted = False
                self._count(-1)

        return run

    def _count(self, change: int) -> None:
        if change:
            with self._lock:
                self._active += change
                self._take()

    def _take(self) -> None:
        while self._queue and self._active < self.most:
            self._active += 1
            self._begin(self._queue.popleft())

    def _begin(self, work: Work) -> None:
        if self._idle:
            self._idle.pop().put(work)
        else:
            mine: SimpleQueue[Work] = SimpleQueue()
            mine.put(work)
            threading.Thread(target=self._run, args=(mine,), name="lmprog-worker", daemon=True).start()

    def _run(self, mine: SimpleQueue[Work]) -> None:
        work: Work | None = mine.get()
        while work is not None:
            work()
            work = None  # an idle thread keeps nothing of a program alive
            with self._lock:
                self._idle.append(mine)
            work = self._next(mine)

    def _next(self, mine: SimpleQueue[Work]) -> Work | None:
        try:
            return mine.get(timeout=LINGER)
        except Empty:
            with self._lock:
                if mine in self._idle:
                    self._idle.remove(mine)
                    return None
            return mine.get()


WORKERS = Workers()
