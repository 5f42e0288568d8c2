"""Decode steps of fixed shapes, which a GPU runs as captured CUDA graphs.

A decode step of a small model takes longer to launch, some hundred kernels one by one, than to run. A graph launches
them at once, but knows fixed shapes and addresses only. So a step of n decodes is padded to B rows of W keys of their
own and S shared ones, each the next of a few sizes, and what changes from step to step lies in buffers:

    ids, positions, slots   [B]; rows beyond n compute a token that nobody wants, in the pool's spare slot
    flat                    the slots of each row's own keys, one row behind the other; expanded to [B, W] in the graph
    shared                  [S]: the slots of the prefix that all rows have in common

A graph is captured when its shape first comes up. Attention is that of views.py for short segments: the shared block
once for all rows, the rest one row each. On a CPU the same runs without a capture, for tests.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from .attention import AnyPlan, KVPool
from .device_masks import to_device
from .kernels import Library
from .pool import Slots
from .ragged import Segments
from .runner import Batch, Span
from .views import Short, View, shared_keys

ROWS = (1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
LEAST_OWN, LEAST_SHARED = 128, 256
MOST_KEYS = 1 << 19  # rows x own keys of a graph
MOST_GRAPHS = 128
log = logging.getLogger("lmprog")

Forward = Callable[[AnyPlan, Tensor, Tensor], Any]


class Shape(NamedTuple):
    rows: int
    own: int
    shared: int


@dataclass(frozen=True)
class Decodes:
    """A batch of decodes, by rows: `shared` keys in common, `own` keys of each row."""

    batch: Batch
    spans: list[Span]
    shared: int
    shape: Shape


def decodes(batch: Batch) -> Decodes | None:
    """The batch, if there is nothing but decodes in it and it is not too large."""
    n = len(batch.spans)
    if not 0 < len(batch.ids) == n <= ROWS[-1]:
        return None
    spans = sorted(batch.spans, key=lambda s: s.row)
    longest = max(len(s.table) for s in spans)
    _, shared = shared_keys(spans, np.array([len(s.table) - 1 for s in spans]), least=LEAST_SHARED)
    rows = next(size for size in ROWS if size >= n)
    shape = Shape(rows, _power(longest - shared, LEAST_OWN), _power(shared, LEAST_SHARED) if shared else 0)
    return Decodes(batch, spans, shared, shape) if rows * shape.own <= MOST_KEYS else None


def _power(n: int, least: int) -> int:
    return max(least, 1 << (n - 1).bit_length())


class StaticPlan:
    """The plan of a step whose numbers are in buffers."""

    invariant = False

    def __init__(
        self, shape: Shape, pool: KVPool, dtype: torch.dtype, device: torch.device, library: Library | None = None
    ) -> None:
        self.shape, self.pool = shape, pool
        self.segments: Segments | None = None
        self._library = library
        self._dtype, self._device = dtype, device
        rows, own, shared = shape
        self._numbers = torch.zeros(5, rows, dtype=torch.int64, device=device)
        self._flat = torch.full((rows * own + shared,), pool.spare, dtype=torch.int32, device=device)
        self.ids, self.positions, self.slots, self._starts, self._before = self._numbers
        self.clear()

    def clear(self) -> None:
        """Forget the views, which hold on to what a capture allocates."""
        self._views: dict[int | None, View] = {}

    def fill(self, decodes: Decodes) -> None:
        """Write the numbers of a step."""
        batch, spans, c = decodes.batch, decodes.spans, decodes.shared
        rows, _, shared = self.shape
        n = len(spans)
        lengths = np.array([len(s.table) - c for s in spans])
        numbers = np.zeros((5, rows), np.int64)
        numbers[0, :n], numbers[1, :n] = batch.ids, batch.positions
        numbers[2] = self.pool.spare
        numbers[2, :n] = batch.slots
        numbers[3, 1 : n + 1] = np.cumsum(lengths)[: rows - 1]
        numbers[3, n:] = lengths.sum()
        numbers[1, n:] = numbers[4] = c
        spare = [self.pool.spare] if n < rows else []
        tables = np.concatenate([*(s.table[c:] for s in spans), spare]).astype(np.int32)
        self._numbers.copy_(to_device(numbers, self._device))
        self._flat[shared : shared + len(tables)].copy_(to_device(tables, self._device))
        if c:
            self._flat[:c].copy_(to_device(spans[0].table[:c].astype(np.int32), self._device))
        if self._library is not None:
            self._fill_segments([s.table for s in spans], c)

    def _fill_segments(self, tables: list[Slots], shared: int) -> None:
        assert self._library is not None
        rows, own, _ = self.shape
        spare = np.concatenate([tables[0][:shared], [self.pool.spare]])
        tables = tables + [spare] * (rows - len(tables))
        if self.segments is None:
            most = rows * (own + self.shape.shared), self.shape.shared
            self.segments = Segments(self._library, self._device, tables, [1] * rows, shared, most)
        else:
            self.segments.fill(tables, [1] * rows, shared)

    def view(self, window: int | None) -> View:
        if window is not None and window >= self.shape.own + self.shape.shared:
            window = None  # all keys are inside
        if window not in self._views:
            self._views[window] = View([], [self._full() if window is None else self._windowed(window)])
        return self._views[window]

    def _full(self) -> Short:
        rows, own, shared = self.shape
        step = torch.arange(own, device=self._device)
        last = self.positions - self._before  # the index of each row's last own key
        hidden = step > last[:, None]
        block = None
        if shared:
            common = torch.arange(shared, device=self._device)
            block = self._flat[torch.minimum(common, self._before[0] - 1)]
            hidden = torch.cat([hidden, common >= self._before[:, None]], 1)
        keys = self._own(torch.minimum(step, last[:, None]))
        return Short((rows, 1, own), None, None, keys.flatten(), self._bias(hidden), block)

    def _windowed(self, window: int) -> Short:
        """The last `window` keys of each row, wherever they are."""
        at = self.positions[:, None] - window + 1 + torch.arange(window, device=self._device)
        own = self._own((at - self._before[:, None]).clamp(min=0))
        keys = torch.where(at < self._before[:, None], self._flat[at.clamp(0, max(0, self.shape.shared - 1))], own)
        return Short((self.shape.rows, 1, window), None, None, keys.flatten(), self._bias(at < 0), None)

    def _own(self, index: Tensor) -> Tensor:
        """Slots [B, ·] of keys by their index among a row's own. Hidden ones are read as well, so they must be its own
        too: elsewhere anything may lie, NaN as well."""
        return self._flat[self.shape.shared + self._starts[:, None] + index]

    def _bias(self, hidden: Tensor) -> Tensor:
        zero = torch.zeros(hidden.shape, dtype=self._dtype, device=self._device)
        return zero.masked_fill_(hidden, -torch.inf)[:, None, None]


class StaticDecode:
    """Runs decode steps of a runner's body: `forward(plan, ids, positions)`."""

    def __init__(
        self, forward: Forward, dtype: torch.dtype, device: torch.device, library: Library | None = None
    ) -> None:
        self._forward, self._dtype, self._device, self._library = forward, dtype, device, library
        self._steps: dict[Shape, tuple[StaticPlan, Callable[[], Any]]] = {}
        self._pool = KVPool(0)
        self._memory: Any = None
        self.replays = 0
        self.off = False

    def reset(self, pool: KVPool) -> None:
        """For another pool of slots."""
        self._steps, self._pool, self._memory = {}, pool, None

    def run(self, batch: Batch) -> Any | None:
        """The body's output, valid until the next run; None for what has to run as it is."""
        step = None if self.off else decodes(batch)
        if step is None or (step.shape not in self._steps and len(self._steps) >= MOST_GRAPHS):
            return None
        if step.shape not in self._steps and not self._prepare(step):
            return None
        plan, replay = self._steps[step.shape]
        plan.fill(step)
        self.replays += 1
        return replay()

    def _prepare(self, step: Decodes) -> bool:
        """Capture a shape, with the numbers of this step. False: the model cannot be captured."""
        plan = StaticPlan(step.shape, self._pool, self._dtype, self._device, self._library)
        plan.fill(step)

        def run() -> Any:
            plan.clear()
            return self._forward(plan, plan.ids[None], plan.positions[None])

        try:
            self._steps[step.shape] = plan, self._captured(run) if self._device.type == "cuda" else run
        except Exception as error:
            log.warning("decode steps run without CUDA graphs: %s", error)
            self.off, self._steps = True, {}
        return not self.off

    def _captured(self, run: Callable[[], Any]) -> Callable[[], Any]:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.device(self._device):
            side, main = torch.cuda.Stream(), torch.cuda.current_stream()  # type: ignore[no-untyped-call]
            side.wait_stream(main)
            with torch.cuda.stream(side):  # libraries allocate what they need, and choose their kernels
                run()
                run()
            main.wait_stream(side)
            with torch.cuda.graph(graph, pool=self._memory, capture_error_mode="thread_local"):
                output = run()
        self._memory = graph.pool()

        def replay() -> Any:
            graph.replay()
            return output

        return replay
