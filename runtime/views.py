"""Which keys each query of a packed step sees: index arrays and masks, made once a step for each window size.

Segments of more than SHORT tokens (prefill) attend one by one. The short ones (decodes, forced text) attend together,
those of 1, 2, 3-4, 5-8 and 9-16 tokens, padded to [B, Q] queries and [B, W] keys of their own; the keys that all of
them see, in the same slots, are a shared block that is read once for all of them:

    segment 0   [ shared 0 … c1 ][ own ]
    segment 1   [ shared 0 … c1 ][ own . . ]       with a sliding window the shared block starts at c0, the first key
    segment 2   [ shared 0 … c1 ][ own . ]         that the furthest query still sees, and own keys may lie before it

A segment of many queries over many keys is cut into pieces, so that no mask and no matrix of scores grows with the
square of a prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from .pool import Slots
from .runner import Span

SHORT = 16
LEAST_SHARED = 16  # a shared block must be worth its two extra products
MOST_PAIRS = 1 << 21  # of queries and keys in one piece of a long segment
BLOCK = 64  # keys in a block of an invariant view


@dataclass(frozen=True, slots=True)
class Long:
    """Queries at rows [start, stop) over the keys in `keys`; mask [n, S] (True: seen), None for plain causal."""

    start: int
    stop: int
    keys: slice | torch.Tensor
    mask: torch.Tensor | None


@dataclass(frozen=True, slots=True)
class Short:
    """B segments of up to Q queries: rows [B * Q] (None: they are the rows 0 … B - 1, Q = 1), real [B * Q] (False:
    padding; None: no padding), keys [B * W], bias [B, 1, Q, W] (0 or -inf), shared: the S keys that all queries see, or
    not quite all: then bias is [B, 1, Q, W + S]."""

    size: tuple[int, int, int]
    rows: torch.Tensor | None
    real: torch.Tensor | None
    keys: torch.Tensor
    bias: torch.Tensor
    shared: slice | torch.Tensor | None


@dataclass(frozen=True, slots=True)
class View:
    long: list[Long]
    short: list[Short]


def view(
    spans: Sequence[Span], window: int | None, dtype: torch.dtype, device: torch.device, invariant: bool = False
) -> View:
    """The view of a step for one attention kind: full (window None) or sliding (the last `window` keys).

    An invariant view has nothing shared and nothing long, and its keys come in whole blocks counted from position 0.
    """
    buckets: dict[int, list[Span]] = {}
    for s in (piece for span in spans for piece in _pieces(span)):
        buckets.setdefault((s.n - 1).bit_length(), []).append(s)
    long = [s for size in buckets if 1 << size > SHORT for s in buckets[size]]
    short = [buckets[size] for size in sorted(buckets) if 1 << size <= SHORT]
    if invariant:
        short += [[s] for s in long]
        return View([], [_short(group, window, dtype, device, False, BLOCK) for group in short])
    alone = len(buckets) == 1
    return View([_long(s, window, device) for s in long], [_short(g, window, dtype, device, alone) for g in short])


def _pieces(span: Span) -> list[Span]:
    """Runs of a segment's queries, each with the keys up to its own end."""
    n, total = span.n, len(span.table)
    most = max(SHORT + 1, MOST_PAIRS // total)
    if n <= most:
        return [span]
    ends = [*range(most, n, most), n]
    starts = [0, *ends[:-1]]
    return [Span(span.row + i, j - i, span.table[: total - n + j]) for i, j in zip(starts, ends, strict=True)]


def block(slots: Slots, device: torch.device) -> slice | torch.Tensor:
    """Slots as a slice when they are consecutive (reading them then copies nothing)."""
    n = len(slots)
    if n and slots[-1] - slots[0] == n - 1 and (n < 3 or bool((np.diff(slots) == 1).all())):
        return slice(int(slots[0]), int(slots[0]) + n)
    return torch.from_numpy(np.ascontiguousarray(slots)).to(device)


def _long(span: Span, window: int | None, device: torch.device) -> Long:
    n, total = span.n, len(span.table)
    first = 0 if window is None else max(0, total - n - window + 1)
    mask = None
    if total > n or (window is not None and total > window):
        query = torch.arange(total - n, total, device=device)[:, None]
        key = torch.arange(first, total, device=device)[None]
        mask = key <= query if window is None else (key <= query) & (key > query - window)
    return Long(span.row, span.row + n, block(span.table[first:], device), mask)


def _short(
    spans: list[Span], window: int | None, dtype: torch.dtype, device: torch.device, alone: bool, whole: int = 0
) -> Short:
    count = np.array([s.n for s in spans])
    total = np.array([len(s.table) for s in spans])
    b, q = len(spans), int(count.max())
    first = np.zeros(b, np.int64) if window is None else np.maximum(0, total - count - window + 1)
    if whole:
        c0 = c1 = 0
        first -= first % whole
    else:
        c0, c1 = shared_keys(spans, total - count, 0 if window is None else max(0, int(total.max()) - window))
    before = np.maximum(0, np.minimum(c0, total) - first) if c1 > c0 else np.zeros(b, np.int64)
    start = np.maximum(c1, first) if c1 > c0 else first
    width = int((before + total - start).max())
    if whole:
        width += -width % whole

    step = np.arange(width)
    position = np.where(step < before[:, None], first[:, None] + step, start[:, None] - before[:, None] + step)
    inside = position < total[:, None]
    position = np.where(inside, position, total[:, None] - 1)
    keys = np.stack([s.table[p] for s, p in zip(spans, position, strict=True)])
    query = np.minimum((total - count)[:, None] + np.arange(q), total[:, None] - 1)
    seen = inside[:, None] & (position[:, None] <= query[..., None])
    if window is not None:
        seen &= position[:, None] > query[..., None] - window

    bias = torch.zeros(b, 1, q, width, dtype=dtype).masked_fill_(torch.from_numpy(~seen[:, None]), -torch.inf)
    rows, real = _rows(spans, count, q, alone)
    return Short(
        (b, q, width),
        None if rows is None else torch.from_numpy(rows).to(device),
        None if real is None else torch.from_numpy(real).to(device),
        torch.from_numpy(keys.ravel()).to(device),
        bias.to(device),
        block(spans[0].table[c0:c1], device) if c1 > c0 else None,
    )


def shared_keys(
    spans: Sequence[Span], queries: NDArray[np.int64], c0: int = 0, least: int = LEAST_SHARED
) -> tuple[int, int]:
    """The keys [c0, c1) that all spans have in the same slots, before any of their queries, the first of which are at
    these positions; (0, 0) if fewer than `least`."""
    if len(spans) < 2:
        return 0, 0
    c1, head = int(queries.min()), spans[0].table
    for s in spans[1:]:
        if c1 - c0 < least:
            return 0, 0
        differ = (s.table[c0:c1] != head[c0:c1]).argmax() if c1 > c0 else 0
        if s.table[c0 + differ] != head[c0 + differ]:
            c1 = c0 + int(differ)
    return (c0, c1) if c1 - c0 >= least else (0, 0)


def _rows(
    spans: list[Span], count: NDArray[np.int64], q: int, alone: bool
) -> tuple[NDArray[np.int64] | None, NDArray[np.bool_] | None]:
    """Rows of the queries, padded with each segment's last; None when they are simply all the rows there are."""
    if alone and q == 1:
        return None, None
    at = np.minimum(np.arange(q), count[:, None] - 1) + np.array([s.row for s in spans])[:, None]
    real = np.arange(q) < count[:, None]
    return at.ravel(), None if bool(real.all()) else real.ravel()
