"""The figures of a job."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Protocol


class Counters(Protocol):
    """The counters of an engine that a job reads (`lmprog.runtime.stats.Stats`)."""

    prompt_tokens: int
    prompt_tokens_computed: int
    sampled: int
    forced: int
    mask_seconds: float


@dataclass(frozen=True)
class Summary:
    """Records of the whole job; tokens and seconds of this run of it (`resumed` records came from other runs: earlier
    ones, or those of other processes).

    Tokens are those of requests that ended. `mask_seconds` is time spent on masks and automaton states.
    """

    records: int
    failed: int
    resumed: int = 0
    seconds: float = 0.0
    prompt_tokens: int = 0
    prompt_tokens_computed: int = 0
    sampled_tokens: int = 0
    forced_tokens: int = 0
    mask_seconds: float = 0.0

    @property
    def valid(self) -> int:
        return self.records - self.failed

    @property
    def output_tokens(self) -> int:
        return self.sampled_tokens + self.forced_tokens

    @property
    def tokens_per_second(self) -> float:
        """Output tokens, sampled and forced."""
        return self.output_tokens / self.seconds if self.seconds else 0.0

    @property
    def records_per_second(self) -> float:
        """Records that this run did itself."""
        return (self.records - self.resumed) / self.seconds if self.seconds else 0.0

    @property
    def hit_rate(self) -> float:
        """Share of the prompts' tokens that came out of the prefix cache."""
        return 1 - self.prompt_tokens_computed / self.prompt_tokens if self.prompt_tokens else 0.0

    @property
    def mask_share(self) -> float:
        return self.mask_seconds / self.seconds if self.seconds else 0.0


def counting(model: Any) -> Any:
    """What of a model has counters, as `stats`: its engine, or itself; None: nothing."""
    return next((one for one in (getattr(model, "engine", None), model) if hasattr(one, "stats")), None)


class Meter:
    """What the job at hand has used of an engine that others may have used before."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self._start: Counters | None = engine and engine.stats
        self._time = time.perf_counter()

    def read(self, records: int, failed: int, resumed: int) -> Summary:
        seconds = time.perf_counter() - self._time
        if self._start is None:
            return Summary(records, failed, resumed, seconds)
        now, start = self._engine.stats, self._start
        return Summary(
            records,
            failed,
            resumed,
            seconds,
            now.prompt_tokens - start.prompt_tokens,
            now.prompt_tokens_computed - start.prompt_tokens_computed,
            now.sampled - start.sampled,
            now.forced - start.forced,
            now.mask_seconds - start.mask_seconds,
        )
