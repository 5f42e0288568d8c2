"""The engine: where requests go in, from any thread or coroutine, and the thread that works on them."""

from __future__ import annotations

import asyncio
import atexit
import math
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Hashable
from collections.abc import Sequence as Items
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from .check import check
from .choice import begin
from .errors import DeadlineExceeded, EngineClosed, QueueFull
from .handle import Handle, Pending
from .loop import Loop, log
from .metrics import exposition
from .penalties import Penalties
from .places import Places
from .request import Request, Result, Vocab
from .routine import Courses, Routine
from .runner import Runner
from .scheduler import Scheduler
from .sequence import Sequence
from .stats import Stats
from .tree_view import show
from .uniforms import generator

if TYPE_CHECKING:
    from .live import LiveView
    from .speculation.drafter import Drafter

LINGER = 5.0  # seconds that the thread waits for more work; the next submit starts another one
T = TypeVar("T")


class Engine:
    """Runs requests on one model, many at a time, sharing the KV of their common prefixes.

    runner            the model
    vocab             says how many tokens there are, and which of them end a text
    slots             tokens whose KV is kept (None: as many as the runner thinks fit)
    max_batch_tokens  most tokens in a step: long prompts are computed in chunks of that size, beside the decodes
    max_running       most requests under way at once
    max_queue         most requests of a group that wait to run; `submit` then waits for room (None: no limit)
    reuse             keep and share the KV of prefixes
    drafters          propose tokens ahead, which are computed in the same step where that is measured to pay; the
                      results stay the same
    """

    def __init__(
        self,
        runner: Runner,
        vocab: Vocab,
        *,
        slots: int | None = None,
        max_batch_tokens: int = 2048,
        max_running: int = 64,
        max_queue: int | None = None,
        reuse: bool = True,
        drafters: Items[Drafter] = (),
    ) -> None:
        if vocab.size > runner.width:
            raise ValueError(f"the vocabulary has {vocab.size} tokens, but the model gives {runner.width} logits")
        if max_queue is not None and max_queue < 1:
            raise ValueError(f"max_queue must be 1 or more, or None, not {max_queue}")
        self.runner, self.vocab = runner, vocab
        self._scheduler = Scheduler(runner.reserve(slots), max_batch_tokens, max_running, reuse)
        self._loop = Loop(runner, vocab, self._scheduler, self._vacate, self._settle, drafters)
        self._places = Places(max_queue)
        self._courses = Courses(self._enter, self._launch, self._places.give, self._rouse)
        self._wake = threading.Condition()
        self._inbox: deque[Sequence] = deque()
        self._cancels: deque[Sequence] = deque()
        self._calls: deque[Callable[[], None]] = deque()
        self._handles: dict[Sequence, Handle] = {}
        self._thread: threading.Thread | None = None
        self._closed: str | None = None
        self._process = os.getpid()
        _OPEN.add(self)

    @property
    def slots(self) -> int:
        """KV slots of the pool: tokens that can be kept at a time."""
        return self._scheduler.pool.size

    # -- requests ------------------------------------------------------------------------------------------------

    def submit(self, request: Request, *, block: bool = True, timeout: float | None = None) -> Handle:
        """Start a request; any thread may.

        When `max_queue` requests of its group wait already, this waits until there is room, `timeout` seconds at most;
        with block=False, and on the engine's own thread, not at all. Raises QueueFull then. Raises at once what can be
        known at once: ContextOverflow, OutOfSlots, BudgetError, RequestError, EngineClosed.
        """
        return self.submit_many([request], block=block, timeout=timeout)[0]

    def submit_many(
        self, requests: Items[Request], *, block: bool = True, timeout: float | None = None
    ) -> list[Handle]:
        """Start several requests, together if there is room for all. On an error none is started, or those that were
        are cancelled."""
        seqs = [self._enter(request) for request in requests]
        if self._places.take([seq.request.group for seq in seqs]):
            return self._launch(seqs, seqs)
        self._may_wait(block, len(seqs))
        handles: list[Handle] = []
        try:
            for seq in seqs:
                self._wait_for_place(seq.request.group, timeout, seq.request.timeout)
                handles += self._launch([seq], [seq])
        except BaseException:
            _cancel_all(handles)
            raise
        return handles

    def lend(self, request: Request) -> Handle:
        """Start a request of a routine that runs on another engine. It takes no place in the queue and never waits for
        one. Raises as `submit`."""
        return self._launch([self._enter(request)], [])[0]

    async def asubmit(self, request: Request) -> Handle:
        """`submit` for coroutines: awaits room in the queue."""
        seq = self._enter(request)
        group = request.group
        if not self._places.take([group]):
            ticket = self._places.ask(group)
            try:
                await asyncio.wrap_future(ticket)
            except BaseException:
                self._places.withdraw(ticket, group)
                raise
        return self._launch([seq], [seq])[0]

    def run(
        self, routine: Routine[T], *, group: Hashable = None, block: bool = True, timeout: float | None = None
    ) -> Pending[T]:
        """Start a routine, whose requests all belong to `group`; any thread may.

        Its code up to the first round runs here and now, the rest on the engine's thread. For its first round it takes
        one place in the queue, with `block` and `timeout` as in `submit`, and none for later ones. Raises QueueFull;
        everything else that goes wrong is in what is returned.
        """
        if not self._places.take([group]):
            self._may_wait(block, 1)
            self._wait_for_place(group, timeout)
        return self._courses.start(routine, group)

    def generate(self, requests: Items[Request]) -> list[Result]:
        """Run requests together and wait for all. Raises the first request's error, after all have ended."""
        handles = self.submit_many(requests)
        try:
            for handle in handles:
                handle.future.exception()
        except BaseException:  # Ctrl-C
            _cancel_all(handles)
            raise
        return [handle.result() for handle in handles]

    async def agenerate(self, requests: Items[Request]) -> list[Result]:
        """`generate` for coroutines; cancelling the task cancels the requests."""
        handles: list[Handle] = []
        try:
            try:
                handles += self.submit_many(requests, block=False)
            except QueueFull:
                for request in requests:
                    handles.append(await self.asubmit(request))
            for handle in handles:
                with suppress(Exception):
                    await asyncio.wrap_future(handle.future)
        except BaseException:
            _cancel_all(handles)
            raise
        return [handle.result() for handle in handles]

    # -- what it does --------------------------------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """Whether it takes no more requests: closed, or broken down."""
        return self._closed is not None

    @property
    def stats(self) -> Stats:
        """A copy of the counters."""
        stats, scheduler = self._loop.stats.copy(), self._scheduler
        stats.evicted, stats.preempted, stats.cached = scheduler.evicted, scheduler.preempted, scheduler.cached
        stats.running, stats.waiting = len(scheduler.running), len(scheduler.waiting) + len(self._inbox)
        stats.free, stats.held, stats.slots = scheduler.pool.free, scheduler.tree.tokens, scheduler.pool.size
        return stats

    def metrics(self) -> str:
        """The counters as Prometheus text, for an HTTP handler to return as text/plain; version=0.0.4."""
        return exposition(self.stats)

    def live(self) -> LiveView:
        """`with engine.live(): ...` shows in the terminal what the engine is doing."""
        from .live import LiveView

        return LiveView(lambda: self.stats)

    def show(self) -> str:
        """The prefix cache as text."""
        decode = getattr(self.vocab, "decode", None)
        return self.between_steps(lambda: show(self._scheduler.tree, decode))

    def check(self) -> None:
        """Raises AssertionError, naming the numbers, if KV slots are lost or held twice."""
        self.between_steps(self._scheduler.check)

    def between_steps(self, function: Callable[[], T]) -> T:
        """Run a function on the engine's thread, between two steps, and wait for what it returns."""
        answer: Future[T] = Future()

        def call() -> None:
            try:
                answer.set_result(function())
            except BaseException as error:
                answer.set_exception(error)

        if threading.current_thread() is self._thread:
            return function()
        with self._wake:
            if self._thread is None or not self._thread.is_alive():
                return function()
            self._calls.append(call)
            self._wake.notify()
        return answer.result()

    # -- coming and going ----------------------------------------------------------------------------------------

    def close(self) -> None:
        """Stop after the running step; requests under way fail with EngineClosed. Closing twice is fine."""
        with self._wake:
            self._closed = self._closed or "the engine was closed"
            thread = self._thread
            self._wake.notify()
        self._places.close(EngineClosed(self._closed))
        if thread is None:
            self._courses.fail_all(EngineClosed(self._closed))
        elif thread is not threading.current_thread():
            thread.join()

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- between callers and the engine's thread -----------------------------------------------------------------

    def _enter(self, request: Request) -> Sequence:
        seq = Sequence(request)
        check(seq, self.runner.width, self.runner.context, self._scheduler.pool.size)
        seq.rng = generator(request.sampling)
        if request.sampling.changes_logits:
            seq.penalties = Penalties(request.sampling, seq.ids[: seq.prompt], self.vocab.size)
        begin(seq)
        return seq

    def _may_wait(self, block: bool, n: int) -> None:
        if not block or threading.current_thread() is self._thread:
            raise QueueFull(f"no room for {n} more: {self._places.most} of a group may wait")

    def _wait_for_place(self, group: Hashable, *timeouts: float | None) -> None:
        seconds = min(math.inf if t is None else t for t in timeouts)
        ticket = self._places.ask(group)
        try:
            ticket.result(None if seconds == math.inf else seconds)
        except BaseException as error:
            self._places.withdraw(ticket, group)
            if isinstance(error, TimeoutError):
                raise QueueFull(f"no room within {seconds} s: {self._places.most} of a group may wait") from None
            raise

    def _launch(self, seqs: list[Sequence], placed: list[Sequence]) -> list[Handle]:
        """Queue sequences; those `placed` give back a place when they run."""
        handles = [Handle(seq, partial(self._request_cancel, seq)) for seq in seqs]
        for seq in placed:
            seq.placed = True
        with self._wake:
            self._rouse()
            self._handles.update(zip(seqs, handles, strict=True))
            self._inbox.extend(seqs)
        return handles

    def _request_cancel(self, seq: Sequence) -> None:
        with self._wake:
            if seq in self._handles:
                self._cancels.append(seq)
                self._wake.notify()

    def _rouse(self) -> None:
        """See to it that the thread runs and looks."""
        with self._wake:
            if self._closed is not None:
                raise EngineClosed(self._closed)
            if os.getpid() != self._process:
                raise EngineClosed("the engine belongs to the process that made it: after a fork, load the model again")
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="lmprog-engine", daemon=True)
                self._thread.start()
            self._wake.notify()

    # -- the engine's thread -------------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            try:
                while self._intake():
                    self._loop.step()
                return
            except BaseException as error:
                if not self._recover(error):
                    return

    def _recover(self, error: BaseException) -> bool:
        """Start afresh. False: that failed too, and the engine is closed."""
        try:
            with self._wake:
                lost = self._handles.keys() - self._loop.live.keys() - set(self._inbox)
                self._inbox.extend(lost)
            self._loop.restart(error)
            self._courses.recover()
        except BaseException as again:  # nobody may be left waiting for ever
            self._closed = f"the engine broke down: {again!r}"
            log.critical(self._closed, exc_info=again)
            self._fail_all(EngineClosed(self._closed))
            return False
        return True

    def _intake(self) -> bool:
        """Take in what callers sent; wait when there is nothing to do. False: the thread ends."""
        with self._wake:
            while not (self._asked or self._loop.busy):
                self._scheduler.check()
                if not self._wake.wait(LINGER) and not self._asked:
                    self._thread = None
                    return False
        for _ in range(len(self._calls)):
            self._calls.popleft()()
        if self._closed is not None:
            self._fail_all(EngineClosed(self._closed))
            return False
        self._courses.go_on()
        for _ in range(len(self._inbox)):
            self._loop.start(self._inbox.popleft())
        for _ in range(len(self._cancels)):
            self._loop.cancel(self._cancels.popleft())
        self._loop.expire()
        return True

    @property
    def _asked(self) -> bool:
        """There is news from callers, or from routines."""
        return bool(self._closed or self._inbox or self._cancels or self._calls or self._courses.ready)

    def _vacate(self, seq: Sequence) -> None:
        if seq.placed:
            seq.placed = False
            self._places.give(seq.request.group)

    def _settle(self, seq: Sequence) -> None:
        """Tell the caller."""
        self._vacate(seq)
        future = self._handles.pop(seq).future
        try:
            if seq.error is not None:
                future.set_exception(seq.error)
            elif seq.finish == "deadline":
                future.set_exception(_exceeded(seq))
            else:
                future.set_result(seq.result())
        except BaseException as error:  # of a done callback, which is the caller's code
            log.error("a callback of a request that ended failed", exc_info=error)
            if not future.done():  # or of whoever raised it in this thread: nobody may be left waiting
                future.set_exception(error)

    def _fail_all(self, error: EngineClosed) -> None:
        """The last thing that the thread does."""
        self._places.close(error)
        self._loop.fail_all(error)
        with self._wake:
            self._inbox.clear()
            self._thread = None
        for seq in list(self._handles):
            seq.error = error
            self._settle(seq)
        self._courses.fail_all(error)


def _exceeded(seq: Sequence) -> DeadlineExceeded:
    result = seq.result()
    return DeadlineExceeded(
        f"the timeout of {seq.request.timeout:g} s is over: {len(result.ids)} tokens of at most "
        f"{seq.request.max_tokens} were generated",
        result,
    )


def _cancel_all(handles: list[Handle]) -> None:
    for handle in handles:
        handle.cancel()


def _close_all() -> None:
    """A thread that is inside the model when the interpreter goes would take the process down."""
    for engine in list(_OPEN):
        engine.close()


_OPEN: weakref.WeakSet[Engine] = weakref.WeakSet()
atexit.register(_close_all)
