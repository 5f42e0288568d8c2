"""Whether a model's logits under our attention are the stock model's.

Some architectures take the replacement without an error and give wrong numbers (attention biases built elsewhere,
chunked attention, recurrent layers). So every model is tried at load time on a small ragged batch: chunked prefill, a
prefix shared within a step, decodes, a narrow head.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from .errors import ModelMismatch
from .pool import Slots
from .radix import Ids
from .runner import Batch, Span

if TYPE_CHECKING:
    from .hf import HFRunner

TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-4}  # of the largest logit; others: 5 %
Part = tuple[Ids, Slots, int, int]  # ids, their slots, start, end
A, B, SHARED, CUT = 45, 30, 13, 26  # lengths of two sequences, of their common prefix, of the first chunk of the first


def compare_with_stock(runner: HFRunner) -> None:
    """Raises ModelMismatch."""
    if min(runner.context, runner.width) < A:
        raise ModelMismatch(f"context {runner.context} or vocabulary {runner.width} is too small: {A} is the least")
    ids = np.random.default_rng(0).integers(0, runner.width, A + B).astype(np.int32)
    a, b = ids[:A], ids[A:]
    b[:SHARED] = a[:SHARED]
    stock = _stock(runner, a), _stock(runner, b)
    runner.reserve(A + B)
    for batch, where in _steps(a, b, runner.width):
        for columns, (which, at), got in zip(batch.columns, where, _ours(runner, batch), strict=True):
            want = stock[which][at]
            _compare(runner, want if columns is None else want[columns], got)


def _ours(runner: HFRunner, batch: Batch) -> list[NDArray[np.floating]]:
    try:
        return runner.forward(batch)
    except Exception as error:
        raise ModelMismatch(f"{type(runner.model).__name__} does not run with replaced attention: {error}") from error


def _steps(a: Ids, b: Ids, width: int) -> list[tuple[Batch, list[tuple[int, int]]]]:
    """Two steps, each with the (sequence, position) of its rows of logits."""
    columns = np.arange(0, width, max(1, width // 7), dtype=np.int32)
    ta = np.arange(A)[::-1].copy()
    tb = np.concatenate([ta[:SHARED], np.arange(A, A + B - SHARED)])
    chunks = _batch((a, ta, 0, CUT), (b, tb, SHARED, B - 1), [CUT - 1, CUT + B - 2 - SHARED], [None, columns])
    rest = _batch((a, ta, CUT, A), (b, tb, B - 1, B), [0, A - CUT - 1, A - CUT], [None, None, columns])
    return [(chunks, [(0, CUT - 1), (1, B - 2)]), (rest, [(0, CUT), (0, A - 1), (1, B - 1)])]


def _batch(x: Part, y: Part, rows: list[int], columns: list[NDArray[np.int32] | None]) -> Batch:
    """The tokens [start, end) of two sequences in one step."""
    (ids, table, i, j), (more, other, k, m) = x, y
    return Batch(
        np.concatenate([ids[i:j], more[k:m]]),
        np.concatenate([np.arange(i, j), np.arange(k, m)]).astype(np.int32),
        np.concatenate([table[i:j], other[k:m]]),
        [Span(0, j - i, table[:j]), Span(j - i, m - k, other[:m])],
        np.array(rows),
        columns,
    )


@torch.inference_mode()
def _stock(runner: HFRunner, ids: NDArray[np.int32]) -> NDArray[np.floating]:
    logits = runner.model(torch.from_numpy(ids.astype(np.int64))[None].to(runner.device), use_cache=False).logits[0]
    return np.asarray((logits if logits.dtype == torch.float64 else logits.float()).cpu().numpy())


def _compare(runner: HFRunner, want: NDArray[np.floating], got: NDArray[np.floating]) -> None:
    scale = float(np.abs(want).max())
    error = float(np.abs(want - got).max()) / scale if scale else 0.0
    if not error <= TOLERANCE.get(runner.dtype, 0.05):
        raise ModelMismatch(
            f"{type(runner.model).__name__}: logits differ from the stock model's by {error:.2g} of the largest one; "
            "this architecture does something in its attention that lmprog does not know, and is refused"
        )
