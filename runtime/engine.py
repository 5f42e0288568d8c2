"""The engine: schedule → run → sample → commit, on a thread of its own."""

from __future__ import annotations

import atexit
import threading
import time
import weakref
from collections import deque
from collections.abc import Sequence as Items
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from .choice import accept, begin, prepare
from .errors import ContextOverflow, EngineClosed, OutOfSlots, RequestError
from .handle import Handle
from .request import Request, Result, Vocab
from .runner import Runner, pack
from .sampler import generator, logprob, pick
from .scheduler import Scheduler, Step
from .sequence import Sequence
from .stats import Stats

LINGER = 5.0  # seconds that the thread waits for more work; the next submit starts another one


class Engine:
    """Runs requests on one model, many at a time, sharing the KV of their common prefixes.

    runner            the model
    vocab             says how many tokens there are, and which of them end a text
    slots             tokens whose KV is kept (None: as many as the runner thinks fit)
    max_batch_tokens  most tokens in a step: long prompts are computed in chunks of that size, beside the decodes
    max_running       most requests under way at once
    reuse             keep and share the KV of prefixes
    """

    def __init__(
        self,
        runner: Runner,
        vocab: Vocab,
        *,
        slots: int | None = None,
        max_batch_tokens: int = 2048,
        max_running: int = 64,
        reuse: bool = True,
    ) -> None:
        if vocab.size > runner.width:
            raise ValueError(f"the vocabulary has {vocab.size} tokens, but the model gives {runner.width} logits")
        self.runner, self.vocab = runner, vocab
        self._scheduler = Scheduler(runner.reserve(slots), max_batch_tokens, max_running, reuse)
        self._stats = Stats()
        self._wake = threading.Condition()
        self._inbox: deque[Sequence] = deque()
        self._cancels: deque[Sequence] = deque()
        self._handles: dict[Sequence, Handle] = {}
        self._thread: threading.Thread | None = None
        self._closed: str | None = None
        _OPEN.add(self)

    # -- the caller's side ---------------------------------------------------------------------------------------

    def submit(self, request: Request) -> Handle:
        """Start a request; any thread may. Raises at once what can be known at once: ContextOverflow, OutOfSlots,
        BudgetError, RequestError, EngineClosed."""
        return self.submit_many([request])[0]

    def submit_many(self, requests: Items[Request]) -> list[Handle]:
        """Start several requests together, so that repeats share even their last token. On an error none is started."""
        seqs = [self._enter(request) for request in requests]
        with self._wake:
            if self._closed is not None:
                raise EngineClosed(self._closed)
            handles = [Handle(partial(self._request_cancel, seq)) for seq in seqs]
            self._handles.update(zip(seqs, handles, strict=True))
            self._inbox.extend(seqs)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="lmprog-engine", daemon=True)
                self._thread.start()
            self._wake.notify()
        return handles

    def generate(self, requests: Items[Request]) -> list[Result]:
        """Run requests together and wait for all. Raises the first request's error, after all have ended."""
        handles = self.submit_many(requests)
        try:
            for handle in handles:
                handle.future.exception()
        except BaseException:  # Ctrl-C
            for handle in handles:
                handle.cancel()
            raise
        return [handle.result() for handle in handles]

    @property
    def closed(self) -> bool:
        """Whether it takes no more requests: closed, or broken down."""
        return self._closed is not None

    @property
    def stats(self) -> Stats:
        """A copy of the counters."""
        scheduler = self._scheduler
        return replace(self._stats, evicted=scheduler.evicted, preempted=scheduler.preempted, cached=scheduler.cached)

    def close(self) -> None:
        """Stop after the running step; requests under way fail with EngineClosed. Closing twice is fine."""
        with self._wake:
            self._closed = self._closed or "the engine was closed"
            thread = self._thread
            self._wake.notify()
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _enter(self, request: Request) -> Sequence:
        seq = Sequence(request)
        longest = seq.prompt + request.max_tokens
        if seq.prompt == 0 or request.max_tokens < 1:
            raise RequestError("a request needs at least one prompt token (the BOS, say) and max_tokens of 1 or more")
        if int(seq.ids[: seq.prompt].min()) < 0 or int(seq.ids[: seq.prompt].max()) >= self.runner.width:
            raise RequestError(f"prompt ids must lie in [0, {self.runner.width})")
        if longest > self.runner.context:
            raise ContextOverflow(
                f"{seq.prompt} prompt tokens and max_tokens={request.max_tokens} make {longest}, "
                f"but the model's context is {self.runner.context}: shorten the prompt or lower max_tokens"
            )
        if longest > self._scheduler.pool.size:
            raise OutOfSlots(
                f"{seq.prompt} prompt tokens and max_tokens={request.max_tokens} need {longest} KV slots, "
                f"the engine has {self._scheduler.pool.size}: load the model with more slots"
            )
        seq.rng = generator(request.sampling)
        begin(seq)
        return seq

    def _request_cancel(self, seq: Sequence) -> None:
        with self._wake:
            self._cancels.append(seq)
            self._wake.notify()

    # -- the engine's thread -------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while self._intake():
                self._step()
        except BaseException as error:  # a bug of ours: nobody may be left waiting for ever
            with self._wake:
                self._closed = f"the engine broke down: {error!r}"
                self._thread = None
            self._fail_all(error)
            raise

    def _intake(self) -> bool:
        """Take in what callers sent; wait when there is nothing to do. False: the thread ends."""
        with self._wake:
            while True:
                if self._closed is not None:
                    self._thread = None
                    self._fail_all(EngineClosed(self._closed))
                    return False
                fresh, self._inbox = self._inbox, deque()
                cancels, self._cancels = self._cancels, deque()
                if fresh or cancels or self._scheduler.busy:
                    break
                self._scheduler.check()
                if not self._wake.wait(LINGER) and not (self._inbox or self._cancels or self._closed):
                    self._thread = None
                    return False
        for seq in fresh:
            self._start(seq)
        for seq in cancels:
            self._cancel(seq)
        return True

    def _start(self, seq: Sequence) -> None:
        self._stats.requests += 1
        self._stats.prompt_tokens += seq.prompt
        with _Timer(self._stats, "mask_seconds"), _Guard(seq):
            prepare(seq, self.vocab.eos)
        if seq.error is None and seq.finish is None:
            self._scheduler.add(seq)
        else:
            self._settle(seq)

    def _cancel(self, seq: Sequence) -> None:
        if seq in self._handles:
            seq.finish = "cancelled"
            self._scheduler.remove(seq)
            self._settle(seq)

    def _step(self) -> None:
        """One turn of the engine."""
        with _Timer(self._stats, "schedule_seconds"):
            step = self._scheduler.schedule()
        if not step.tokens:
            return
        logits = self._forward(step)
        if logits is None:
            return
        with _Timer(self._stats, "schedule_seconds"):
            self._scheduler.commit(step)
        self._stats.steps += 1
        for (seq, _), row in zip(step.samples, logits, strict=True):
            self._advance(seq, row)

    def _forward(self, step: Step) -> list[NDArray[np.floating]] | None:
        """Logits for each sample; None when the model failed, which ends the request at fault."""
        batch, where = pack(step)
        try:
            with _Timer(self._stats, "forward_seconds"):
                rows = self.runner.forward(batch)
        except Exception as error:
            self._scheduler.rollback(step)
            if len(step.segments) == 1:
                step.segments[0].seq.error = error
                self._leave(step.segments[0].seq)
            return None
        return [rows[i] for i in where]

    def _advance(self, seq: Sequence, logits: NDArray[np.floating]) -> None:
        request, stats = seq.request, self._stats
        assert seq.choice is not None
        with _Guard(seq):
            with _Timer(stats, "sample_seconds"):
                token = pick(logits, self.vocab.size, seq.choice, request.sampling, seq.rng)
                chance = logprob(logits, token) if request.logprobs else float("nan")
            stats.sampled += 1
            stats.narrow += seq.choice.columns is not None and not request.logprobs
            with _Timer(stats, "mask_seconds"):
                accept(seq, token, chance, self.vocab.eos)
        if seq.error is not None or seq.finish is not None:
            self._leave(seq)

    def _leave(self, seq: Sequence) -> None:
        self._scheduler.remove(seq)
        self._settle(seq)

    def _settle(self, seq: Sequence) -> None:
        """Tell the caller."""
        self._stats.prompt_tokens_computed += seq.computed
        self._stats.forced += seq.forced
        future = self._handles.pop(seq).future
        if seq.error is not None:
            future.set_exception(seq.error)
        else:
            future.set_result(seq.result())

    def _fail_all(self, error: BaseException) -> None:
        handles, self._handles = self._handles, {}
        for handle in handles.values():
            handle.future.set_exception(error)


class _Timer:
    """Adds the time spent in a block to a counter."""

    def __init__(self, stats: Stats, name: str) -> None:
        self.stats, self.name = stats, name

    def __enter__(self) -> None:
        self.start = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        setattr(self.stats, self.name, getattr(self.stats, self.name) + time.perf_counter() - self.start)


class _Guard:
    """Keeps an error inside a block to the one request that it belongs to."""

    def __init__(self, seq: Sequence) -> None:
        self.seq = seq

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, Exception):
            self.seq.error = error
            return True
        return False


def _close_all() -> None:
    """A thread that is inside the model when the interpreter goes would take the process down."""
    for engine in list(_OPEN):
        engine.close()


_OPEN: weakref.WeakSet[Engine] = weakref.WeakSet()
atexit.register(_close_all)
