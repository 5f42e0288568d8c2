"""Whether a model's logits under our attention are the stock model's.

Some architectures take the replacement without an error and give wrong numbers (attention biases built elsewhere,
chunked attention, recurrent layers). So every model is tried at load time on a small ragged batch: chunked prefill, a
prefix shared within a step, decodes, a narrow head.
"""

from __future__ import annotations

import inspect
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

TOLERANCE = {
    torch.float64: 1e-6,
    torch.float32: 1e-4,
}  # of the largest logit; others: 5 %; some softmax is float32 always
LENGTH, LEAST = 45, 16  # of the longer of two sequences; where the context is shorter
COPIES = 9  # of one sequence, to see whether they are alike
Part = tuple[Ids, Slots, int, int]  # ids, their slots, start, end
Logits = NDArray[np.floating]


def compare_with_stock(runner: HFRunner) -> None:
    """Raises ModelMismatch."""
    n = min(LENGTH, runner.context)
    if n < LEAST:
        raise ModelMismatch(f"a context of {runner.context} positions is too small to check the model: {LEAST} will do")
    m, shared = n * 2 // 3, n // 4
    ids = np.random.default_rng(0).integers(0, runner.width, n + m).astype(np.int32)
    a, b = ids[:n], ids[n:]
    b[:shared] = a[:shared]
    runner.reserve(n + m)
    for batch, where in _steps(a, b, shared, runner.width):
        ours = _ours(runner, batch)
        for columns, (sequence, at), got in zip(batch.columns, where, ours, strict=True):
            want = _stock(runner, (a, b)[sequence][: at + 1])
            _compare(runner, want if columns is None else want[columns], got)
    _check_kinds(runner)


def _ours(runner: HFRunner, batch: Batch) -> list[Logits]:
    try:
        return runner.forward(batch)
    except Exception as error:
        raise ModelMismatch(f"{type(runner.model).__name__} does not run with replaced attention: {error}") from error


def _steps(a: Ids, b: Ids, shared: int, width: int) -> list[tuple[Batch, list[tuple[int, int]]]]:
    """Three steps, each with the (sequence, position) of its rows of logits.

    The first computes most of a, and of b what is not in a's first `shared` slots, but for one token; the second the
    rest: of a more tokens than are attended to together, of b a single one. The third computes the last token of both
    once more, and few columns.
    """
    n, m, cut = len(a), len(b), len(a) * 3 // 5
    columns = np.arange(0, width, max(1, width // 7), dtype=np.int32)
    ta = np.arange(n)[::-1].copy()
    tb = np.concatenate([ta[:shared], np.arange(n, n + m - shared)])
    first = _batch((a, ta, 0, cut), (b, tb, shared, m - 1), [cut - 1], [None])
    second = _batch((a, ta, cut, n), (b, tb, m - 1, m), [n - cut - 1, n - cut], [None, columns])
    third = _batch((a, ta, n - 1, n), (b, tb, m - 1, m), [0, 1], [columns, columns[1:]])
    return [(first, [(0, cut - 1)]), (second, [(0, n - 1), (1, m - 1)]), (third, [(0, n - 1), (1, m - 1)])]


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


def check_invariance(runner: HFRunner) -> None:
    """Raises ModelMismatch if a sequence's logits depend on its company, on chunks or on slots, in any bit."""
    n = min(LENGTH, runner.context)
    ids = np.random.default_rng(1).integers(0, runner.width, n).astype(np.int32)
    runner.reserve(COPIES * n)
    last: set[bytes] = set()
    for copies in (1, 2, COPIES):
        tables = np.random.default_rng(copies).permutation(COPIES * n)[: copies * n].reshape(copies, n)
        for chunk in (n, 7, 1):
            for i in range(0, n, chunk):
                j = min(n, i + chunk)
                spans = [Span((j - i) * row, j - i, table[:j]) for row, table in enumerate(tables)]
                rows = np.arange(1, copies + 1) * (j - i) - 1 if j == n else np.zeros(0, np.int64)
                tokens, positions = np.tile(ids[i:j], copies), np.tile(np.arange(i, j, dtype=np.int32), copies)
                batch = Batch(tokens, positions, tables[:, i:j].ravel(), spans, rows, [None] * len(rows))
                last |= {row.tobytes() for row in runner.forward(batch)}
    if len(last) != 1:
        raise ModelMismatch(
            f"{type(runner.model).__name__}: {len(last)} different logits for the same tokens in different steps; "
            "this model cannot run with deterministic=True here"
        )


def _check_kinds(runner: HFRunner) -> None:
    """What short sequences do not show: attention in chunks, windows that only the model's own masks know of."""
    name, config = type(runner.model).__name__, runner.model.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ())
    if unknown := kinds - {"full_attention", "sliding_attention"}:
        raise ModelMismatch(f"{name} has layers of a kind that lmprog does not know: {', '.join(sorted(unknown))}")
    if "sliding_attention" in kinds and runner.windows <= {None}:
        raise ModelMismatch(f"{name} has sliding windows, but does not tell its attention function of them")


@torch.inference_mode()
def _stock(runner: HFRunner, ids: Ids) -> Logits:
    """The stock model's logits after these ids."""
    few = {"logits_to_keep": 1} if "logits_to_keep" in inspect.signature(runner.model.forward).parameters else {}
    inputs = torch.from_numpy(ids.astype(np.int64))[None].to(runner.device)
    logits = runner.model(inputs, use_cache=False, **few).logits[0, -1]
    return np.asarray((logits if logits.dtype == torch.float64 else logits.float()).cpu().numpy())


def _compare(runner: HFRunner, want: Logits, got: Logits) -> None:
    scale = float(np.abs(want).max())
    error = float(np.abs(want - got).max()) / scale if scale else 0.0
    if not error <= TOLERANCE.get(runner.dtype, 0.05) * (50 if runner.coarse else 1):
        raise ModelMismatch(
            f"{type(runner.model).__name__}: logits differ from the stock model's by {error:.2g} of the largest one; "
            "this architecture does something in its attention that lmprog does not know, and is refused"
        )
