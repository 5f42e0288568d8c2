"""The engine's own side: schedule → run → sample → commit, on the engine's thread.

What may fail, and what becomes of it:

    code of one request (constraint, callback, NaN logits)   that request ends with the error
    the model, in a step of many                              they are run one at a time, to find whose fault it is
    the model, in a step of one                               that request ends with the error
    memory, in the model                                      the step is done again in halves, for some time
    anything else, that is a fault of ours or of the thread   `restart`: nothing cached, all requests compute again
    the same again, before any step was done                  the requests under way end with EngineFault
"""

from __future__ import annotations

import heapq
import logging
import time
from collections.abc import Callable
from collections.abc import Sequence as Items
from typing import cast

import numpy as np
from numpy.typing import NDArray

from .choice import Ahead, accept, look_ahead, prepare, take
from .errors import EngineFault
from .request import UNKNOWN, Scores, Vocab
from .runner import DeviceRows, DeviceRunner, Runner, pack, pack_tokens, wanted
from .sampler import Pick, pick
from .scheduler import Scheduler
from .scores import answer, scores_of
from .sequence import Sequence
from .speculation.drafter import Drafter
from .speculation.speculator import Speculator
from .stats import Stats
from .step import Step
from .uniforms import rewound

STUCK = 1000  # plans in a row without a token
log = logging.getLogger("lmprog")

Row = NDArray[np.floating]


class Loop:
    """Used by one thread at a time.

    admitted   called with each request that begins to run
    ended      called with each request that is over: `error` or `finish` says how
    drafters   propose tokens ahead; none: there is no speculation
    """

    def __init__(
        self,
        runner: Runner,
        vocab: Vocab,
        scheduler: Scheduler,
        admitted: Callable[[Sequence], None],
        ended: Callable[[Sequence], None],
        drafters: Items[Drafter] = (),
    ) -> None:
        self.runner, self.size, self.eos, self.scheduler = runner, vocab.size, vocab.eos, scheduler
        self.device = cast(DeviceRunner, runner) if getattr(runner, "on_device", False) else None
        self._late: list[tuple[Sequence, Ahead]] = []
        self.stats = Stats()
        self.speculator = Speculator(drafters, vocab, self.stats) if drafters else None
        self.live: dict[Sequence, None] = {}  # started and not ended, oldest first
        self._admitted, self._ended = admitted, ended
        self._deadlines: list[tuple[float, int, Sequence]] = []
        self._fresh = False  # has failed, and has not done a step since
        self._idle = 0

    @property
    def busy(self) -> bool:
        return self.scheduler.busy

    # -- requests come and go ------------------------------------------------------------------------------------

    def start(self, seq: Sequence) -> None:
        stats = self.stats
        stats.requests += 1
        stats.prompt_tokens += seq.prompt
        self.live[seq] = None
        if seq.request.timeout is not None:
            heapq.heappush(self._deadlines, (seq.started + seq.request.timeout, stats.requests, seq))
        with stats.timed("mask_seconds"):
            try:
                if not seq.asks:
                    prepare(seq, self.eos)
                tell(seq)
            except BaseException as error:
                seq.error = error
        if seq.error is None and seq.finish is None:
            self.scheduler.add(seq)
        else:
            self._end(seq)

    def cancel(self, seq: Sequence) -> None:
        if seq in self.live:
            seq.finish = "cancelled"
            self._leave(seq)

    def expire(self) -> None:
        """End the requests whose time is over."""
        now = time.perf_counter()
        while self._deadlines and self._deadlines[0][0] <= now:
            seq = heapq.heappop(self._deadlines)[-1]
            if seq in self.live:
                seq.finish = "deadline"
                self._leave(seq)
        if len(self._deadlines) > 2 * len(self.live) + 64:  # do not hold on to what has ended long before its time
            self._deadlines = [entry for entry in self._deadlines if entry[-1] in self.live]
            heapq.heapify(self._deadlines)

    def fail_all(self, error: BaseException) -> None:
        """The scheduler is not told: it is to be restarted, or not used again."""
        for seq in list(self.live):
            seq.error = error
            self._end(seq)

    def restart(self, error: BaseException) -> None:
        """After a fault of the engine itself: start afresh with the same requests, but only once in a row."""
        log.error("the engine failed and starts afresh", exc_info=error)
        self.stats.faults += 1
        if self._fresh:
            fault = EngineFault(f"the engine failed twice in a row, the last time with {error!r}")
            fault.__cause__ = error
            self.fail_all(fault)
        for seq in list(self.live):
            if seq.error is not None or seq.finish is not None:
                self._end(seq)
            else:
                seq.rng = rewound(seq.rng, seq.request.sampling, seq.sampled)  # the last one may have been lost
        self.scheduler.restart(list(self.live))
        self._fresh = True

    def _leave(self, seq: Sequence) -> None:
        self.scheduler.remove(seq)
        self._end(seq)

    def _end(self, seq: Sequence) -> None:
        del self.live[seq]
        if self.speculator is not None:
            self.speculator.ended(seq)
        stats = self.stats
        stats.prompt_tokens_computed += seq.computed
        stats.forced += seq.forced
        stats.ended["error" if seq.error is not None else str(seq.finish)] += 1
        stats.latency.add(time.perf_counter() - seq.started)
        self._ended(seq)

    # -- a step --------------------------------------------------------------------------------------------------

    def step(self) -> None:
        with self.stats.timed("schedule_seconds"):
            step = self.scheduler.schedule()
        for seq in step.admitted:
            self._admitted(seq)
        if not step.tokens:
            self._idle += 1
            assert self._idle < STUCK, "requests wait, but none can run"
            return
        self._idle = 0
        if self.speculator is not None:
            with self.stats.timed("draft_seconds"):
                self.speculator.draft(step, self.scheduler)
        rows = self._forward(step)
        if rows is None:
            return
        with self.stats.timed("schedule_seconds"):
            self.scheduler.commit(step)
        self.stats.steps += 1
        roots = [sample.seq for sample in step.samples if sample.last]
        self._sample(roots, rows)
        if self.speculator is not None:
            with self.stats.timed("draft_seconds"):
                self.speculator.learn()
        asking = self._answer(step, rows)
        with self.stats.timed("schedule_seconds"):
            self.scheduler.settle(step)
        for seq in roots:
            self._tell(seq)
            if seq.error is not None or seq.finish is not None:
                self._leave(seq)
        for seq in asking:
            if seq.error is not None or seq.finish is not None:
                self._leave(seq)
        self._fresh = False

    def _answer(self, step: Step, rows: list[Row] | DeviceRows) -> list[Sequence]:
        """Answer what can be answered. Returns the sequences that asked."""
        asked = [(sample, at) for at, sample in enumerate(step.samples) if sample.ask is not None]
        with self.stats.timed("sample_seconds"):
            for (seq, *_, ask), at in asked:
                assert ask is not None
                try:
                    seq.answers[ask] = answer(ask, rows[at])
                    seq.asks.remove(ask)
                except BaseException as error:
                    seq.error = error
                if not seq.asks:
                    seq.finish = "length"
        return list(dict.fromkeys(sample.seq for sample, _ in asked))

    def _sample(self, seqs: list[Sequence], rows: list[Row] | DeviceRows) -> None:
        """A token for each of the sequences, whose rows come first; then, for those whose token was drafted, one more
        from the row behind it, and so on. So a draft decides which rows there are, and never which token."""
        places = [(seq, at) for at, seq in enumerate(seqs) if seq.choice is not None]
        if self._late:
            places += [(seq, at) for seq, ahead in self._late if (at := self._take(seq, ahead)) >= 0]
        while places:
            with self.stats.timed("sample_seconds"):
                picked = self._pick_all(places, rows)
            with self.stats.timed("mask_seconds"):
                further = [self._accept(seq, *pick) for (seq, _), pick in zip(places, picked, strict=True)]
            places = [(seq, at) for (seq, _), at in zip(places, further, strict=True) if at >= 0]

    def _forward(self, step: Step) -> list[Row] | DeviceRows | None:
        """Logits for each sample; None when the model failed, which ends the request at fault."""
        start, masks = time.perf_counter(), self.stats.mask_seconds
        try:
            if self.device is not None:
                return self._launch(self.device, step, start)
            batch, where = pack(step, self.size)
            rows = self.runner.forward(batch)
            if self.speculator is not None:
                self.speculator.computed(step, time.perf_counter() - start)
            return [rows[i] for i in where]
        except BaseException as error:
            self._undo(step, error)
            return None
        finally:
            seconds = time.perf_counter() - start - (self.stats.mask_seconds - masks)
            self.stats.prefill_seconds += seconds * step.prompt / step.tokens
            self.stats.decode_seconds += seconds * (1 - step.prompt / step.tokens)

    def _launch(self, device: DeviceRunner, step: Step, start: float) -> DeviceRows:
        """The model starts, and while it runs come the masks that were put off."""
        running = device.launch(pack_tokens(step))
        with self.stats.timed("mask_seconds"):
            self._choose([sample.seq for sample in step.samples if sample.last])
        rows = running.rows(*wanted(step))
        if self.speculator is not None:
            rows.wait()
            self.speculator.computed(step, time.perf_counter() - start)
        return rows

    def _choose(self, seqs: list[Sequence]) -> None:
        """What was put off: choices, or else what turns out to be forced, which waits until the step is committed."""
        self._late = []
        for seq in seqs:
            if seq.choice is None:
                try:
                    ahead = look_ahead(seq.request, seq.state, seq.remaining, self.eos)
                except BaseException as error:
                    seq.error = error
                    continue
                if ahead.forced or ahead.finish is not None:
                    self._late.append((seq, ahead))
                else:
                    seq.choice = ahead.choice

    def _take(self, seq: Sequence, ahead: Ahead) -> int:
        """Go on without sampling. Returns a place as `_accept` does."""
        before = seq.length
        take(seq, ahead)
        return self._follow(seq, before)

    def _undo(self, step: Step, error: BaseException) -> None:
        if self.speculator is not None:
            self.speculator.failed(step)
        if out_of_memory(error) and self.scheduler.shrink(step):
            log.warning("a step of %d tokens did not fit in memory: going on in halves", step.tokens)
            return
        seq = step.culprit
        self.scheduler.rollback(step)
        if seq is not None:
            seq.error = error
            self._leave(seq)

    def _pick_all(self, places: list[tuple[Sequence, int]], rows: list[Row] | DeviceRows) -> list[tuple[int, Scores]]:
        for seq, _ in places:
            self._begin(seq)
        if isinstance(rows, list):
            return [self._pick(seq, rows[at]) for seq, at in places]
        self.stats.narrow += len(places) if rows.narrow else 0
        drawn = rows.draw(self.size, [_wish(seq, at) for seq, at in places]) if places else []
        return [self._drawn(seq, one) for (seq, _), one in zip(places, drawn, strict=True)]

    def _begin(self, seq: Sequence) -> None:
        """A token is about to be sampled."""
        if not seq.sampled:
            seq.first = time.perf_counter()
            self.stats.first_token.add(seq.first - seq.started)
        self.stats.sampled += 1
        if seq.penalties is not None:
            seq.penalties.count(seq.generated)

    def _pick(self, seq: Sequence, logits: Row) -> tuple[int, Scores]:
        request, choice = seq.request, seq.choice
        assert choice is not None
        try:
            token = pick(logits, self.size, choice, request.sampling, seq.rng, seq.penalties)
            if request.scored:
                return token, scores_of(token, logits, self.size, seq)
            self.stats.narrow += choice.columns is not None
            return token, UNKNOWN
        except BaseException as error:
            seq.error = error
            return -1, UNKNOWN

    def _drawn(self, seq: Sequence, drawn: tuple[int, Scores] | Exception) -> tuple[int, Scores]:
        if isinstance(drawn, tuple):
            return drawn
        seq.error = drawn
        return -1, UNKNOWN

    def _accept(self, seq: Sequence, token: int, scores: Scores) -> int:
        """Take a token in. Returns the place of the row that the next one may be sampled from, or -1."""
        if seq.error is not None:
            return -1
        before = seq.length
        try:
            accept(seq, token, scores, self.eos, later=self.device is not None and self.speculator is None)
        except BaseException as error:
            seq.error = error
        return self._follow(seq, before)

    def _follow(self, seq: Sequence, before: int) -> int:
        """The place of the row after the tokens from `before` on, if all of them were drafted; else -1."""
        if seq.draft is None:
            return -1
        further = seq.draft.follow(seq.ids[before : seq.length].tolist())
        return further if seq.error is None and seq.finish is None else -1

    def _tell(self, seq: Sequence) -> None:
        if seq.error is None:
            try:
                tell(seq)
            except BaseException as error:
                seq.error = error


def _wish(seq: Sequence, at: int) -> Pick:
    assert seq.choice is not None
    request = seq.request
    top = request.top_logprobs if request.scored else None
    return Pick(at, seq.choice, request.sampling, seq.rng, seq.penalties, top)


def tell(seq: Sequence) -> None:
    """Hand new tokens on to those who want them as they come."""
    on_tokens = seq.request.on_tokens
    if on_tokens is not None and (tokens := seq.since(seq.told)):
        seq.told += len(tokens)
        on_tokens(tokens)
    for watcher in seq.watchers:
        watcher()


def out_of_memory(error: BaseException) -> bool:
    """Also torch's own ways to say it, without importing torch."""
    kind = type(error).__name__
    return isinstance(error, MemoryError) or kind == "OutOfMemoryError" or "can't allocate memory" in str(error)
