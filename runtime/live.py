"""What an engine is doing, in the terminal."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from rich.console import Console
from rich.live import Live
from rich.table import Table

from .metrics import PARTS
from .stats import Stats

SPAN = 5.0  # seconds over which rates are taken
Shot = tuple[float, Stats]


class LiveView:
    """Draws the counters of an engine anew, several times a second, while the block goes on. For use in `with`."""

    def __init__(self, stats: Callable[[], Stats], console: Console | None = None) -> None:
        self._stats = stats
        self._shots: deque[Shot] = deque([(time.perf_counter(), stats())])
        self._live = Live(console=console, get_renderable=self.table, refresh_per_second=4)

    def table(self) -> Table:
        """The figures of the last seconds."""
        now = time.perf_counter()
        self._shots.append((now, self._stats()))
        while len(self._shots) > 2 and now - self._shots[1][0] > SPAN:
            self._shots.popleft()
        return render(self._shots[0], self._shots[-1])

    def __enter__(self) -> LiveView:
        self._live.start(refresh=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()


def render(before: Shot, after: Shot) -> Table:
    """The difference between two times as a table of two columns."""
    (start, a), (end, b) = before, after
    seconds = max(end - start, 1e-9)
    table = Table.grid(padding=(0, 2))
    output = b.sampled + b.forced - a.sampled - a.forced
    table.add_row("tokens", f"{output / seconds:,.0f}/s out, {(b.prompt_tokens - a.prompt_tokens) / seconds:,.0f}/s in")
    table.add_row("cache", f"hit rate {_hit_rate(a, b):.0%}, {b.held:,} tokens, {b.free:,} of {b.slots:,} slots free")
    table.add_row("requests", f"{b.running} running, {b.waiting} waiting, {b.ended.total()} ended{_trouble(b)}")
    if b.drafted:
        table.add_row("drafts", _drafts(a, b))
    table.add_row("step", _step(a, b))
    return table


def _hit_rate(a: Stats, b: Stats) -> float:
    """Of the requests that ended in between; computed tokens are counted at the end, so starting ones do not count."""
    prompt = b.cached - a.cached + b.prompt_tokens_computed - a.prompt_tokens_computed
    return (b.cached - a.cached) / prompt if prompt else b.hit_rate


def _step(a: Stats, b: Stats) -> str:
    steps = b.steps - a.steps
    if not steps:
        return "idle"
    shown = PARTS if b.draft_seconds else PARTS[:-1]
    parts = {part: getattr(b, f"{part}_seconds") - getattr(a, f"{part}_seconds") for part in shown}
    total = sum(parts.values())
    shares = ", ".join(f"{part} {value / total if total else 0:.0%}" for part, value in parts.items())
    return f"{total / steps * 1e3:.1f} ms: {shares}"


def _drafts(a: Stats, b: Stats) -> str:
    drafted, accepted = b.drafted - a.drafted, b.accepted - a.accepted
    rate = f", {accepted / drafted:.0%} of them right" if drafted else ""
    return f"{drafted / max(1, b.steps - a.steps):.1f} tokens a step{rate}"


def _trouble(b: Stats) -> str:
    counts = {"failed": b.ended["error"], "preempted": b.preempted, "engine faults": b.faults}
    return "".join(f", {count} {name}" for name, count in counts.items() if count)
