"""Counters of an engine."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace

BOUNDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


class Histogram:
    """How many values fell in (bound before, bound]; the last count is for those above all bounds."""

    def __init__(self, bounds: tuple[float, ...] = BOUNDS) -> None:
        self.bounds, self.counts, self.total = bounds, [0] * (len(bounds) + 1), 0.0

    def add(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


@dataclass
class Stats:
    """What an engine did since it was made.

    ended                    requests by their finish, "error" for those that failed
    steps, faults            forward passes; failures of the engine itself, after which it started afresh
    prompt_tokens            tokens of all prompts
    prompt_tokens_computed   those that went through the model (repeats after a preemption included)
    cached                   tokens found in the prefix cache at admission
    sampled, forced          tokens sampled (stop tokens included) and tokens appended without sampling
    narrow                   those of `sampled` for which only the allowed columns of the logits were computed
    drafted, accepted        tokens that went through the model ahead of their time, and those that turned out right
    evicted, preempted       cached tokens given up for room; requests sent back to wait for room
    running, waiting         requests, now
    free, held, slots        KV slots: free, in the prefix cache, all there are; the rest belong to running requests
    prefill_seconds …        where the engine's time went; a forward pass is shared out between prefill and decode by
                             the tokens of prompts and of results in it
    latency, first_token     seconds from submission to the end, and to the first sampled token
    """

    requests: int = 0
    ended: Counter[str] = field(default_factory=Counter)
    steps: int = 0
    faults: int = 0
    prompt_tokens: int = 0
    prompt_tokens_computed: int = 0
    cached: int = 0
    sampled: int = 0
    narrow: int = 0
    drafted: int = 0
    accepted: int = 0
    forced: int = 0
    evicted: int = 0
    preempted: int = 0
    running: int = 0
    waiting: int = 0
    free: int = 0
    held: int = 0
    slots: int = 0
    prefill_seconds: float = 0.0
    decode_seconds: float = 0.0
    mask_seconds: float = 0.0
    sample_seconds: float = 0.0
    schedule_seconds: float = 0.0
    draft_seconds: float = 0.0
    latency: Histogram = field(default_factory=Histogram)
    first_token: Histogram = field(default_factory=Histogram)

    @property
    def forward_seconds(self) -> float:
        return self.prefill_seconds + self.decode_seconds

    @property
    def hit_rate(self) -> float:
        """Share of the prompts' tokens that did not have to be computed."""
        return 1 - self.prompt_tokens_computed / self.prompt_tokens if self.prompt_tokens else 0.0

    def copy(self) -> Stats:
        """As they are now; any thread may ask."""
        ended, latency, first = Counter(self.ended), deepcopy(self.latency), deepcopy(self.first_token)
        return replace(self, ended=ended, latency=latency, first_token=first)

    @contextmanager
    def timed(self, part: str) -> Iterator[None]:
        """Adds the time spent inside to `part`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            setattr(self, part, getattr(self, part) + time.perf_counter() - start)
