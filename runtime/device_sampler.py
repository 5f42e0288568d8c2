"""Tokens from rows of logits on a device, for a whole batch at once; only ids and a few sums come back.

The same numbers decide as in sampler.py: one uniform number a token, mapped through the distribution function in the
order of token ids, summed up by blocks in float64. So a seeded request draws the same token here as there, unless its
number falls between two tokens to within float32 rounding; greedy ones take the first of the largest logits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from .device_masks import to_device
from .exponentials import BLOCK, COLDEST, unusable
from .sampler import Pick
from .sampling import Sampling
from .uniforms import CodePoint

FIRST = 1024  # largest weights that a nucleus is looked for in, before all are sorted


class Limits(NamedTuple):
    """Of the filters, for each row: top_k, top_p and min_p, or what never limits."""

    most: Tensor
    share: Tensor
    least: Tensor


@dataclass(frozen=True)
class Drawn:
    """Per row: the column that was drawn, the largest logit, and for draws the interval [before, end) of `total`."""

    column: NDArray[np.int64]
    top: NDArray[np.float64]
    before: NDArray[np.float64]
    end: NDArray[np.float64]
    total: NDArray[np.float64]


def draw(
    logits: Tensor,
    picks: Sequence[Pick],
    mask: Callable[[Tensor], None],
    columns: NDArray[np.int32] | None = None,
) -> list[int | Exception]:
    """A column for each pick. logits: float [S, C], may be changed; mask: takes out what is not allowed; columns: the
    tokens of the columns (None: all tokens in order). An exception stands for a row that nothing can be drawn from."""
    change(logits, picks, columns)
    mask(logits)
    targets = [0.0 if a.uniforms is None else a.uniforms.random() for a in picks]
    drawn = _draw(logits, [a.sampling for a in picks], np.array(targets))
    out: list[int | Exception] = []
    for i, pick in enumerate(picks):
        if not np.isfinite(drawn.top[i]):
            out.append(unusable(float(drawn.top[i])))
            continue
        if isinstance(pick.uniforms, CodePoint):
            pick.uniforms.took(drawn.before[i] / drawn.total[i], drawn.end[i] / drawn.total[i])
        out.append(int(drawn.column[i] if columns is None else columns[drawn.column[i]]))
    return out


def change(logits: Tensor, picks: Sequence[Pick], columns: NDArray[np.int32] | None) -> None:
    """Penalties and biases, in place."""
    parts = [(i, a.penalties.terms(columns)) for i, a in enumerate(picks) if a.penalties is not None]
    if not parts:
        return
    width = logits.shape[1]
    at = to_device(np.concatenate([i * width + terms.at for i, terms in parts]), logits.device)
    terms = np.stack([np.concatenate([np.asarray(t[k], np.float64) for _, t in parts]) for k in (1, 2, 3)])
    bias, scale, less = to_device(terms, logits.device)
    flat = logits.view(-1)
    new = flat[at].double() + bias
    new = torch.where(new < 0, new * scale, new / scale) - less
    flat[at] = new.to(logits.dtype)


def _draw(logits: Tensor, settings: Sequence[Sampling], targets: NDArray[np.float64]) -> Drawn:
    column = logits.argmax(1)
    top = logits.gather(1, column[:, None])[:, 0].double()
    out = torch.zeros(5, len(settings), dtype=torch.float64, device=logits.device)
    out[0], out[1] = column, top
    hot = [i for i, s in enumerate(settings) if not s.greedy]
    if hot:
        rows = to_device(np.array(hot), logits.device)
        numbers = np.array([[max(settings[i].temperature, COLDEST), targets[i]] for i in hot])
        heat, target = to_device(numbers.T.copy(), logits.device)
        values = logits if len(hot) == len(settings) else logits.index_select(0, rows)
        weights = narrowed(values, heat, [settings[i] for i in hot])
        found, before, end, total = _passed(weights, target)
        out[0, rows] = found.double()
        out[2:, rows] = torch.stack([before, end, total])
    numbers = out.cpu().numpy()
    return Drawn(numbers[0].astype(np.int64), *numbers[1:])


def narrowed(values: Tensor, heat: Tensor, settings: Sequence[Sampling]) -> Tensor:
    """The weights that tokens are drawn by: exp(values / heat) up to a factor, 0 for what the filters take out."""
    weights = (values - values.amax(1, keepdim=True)).div_(heat.to(values.dtype)[:, None]).exp_()
    filtered = [(i, s) for i, s in enumerate(settings) if s.filters]
    if filtered:
        _filter(values, weights, heat, filtered)
    return weights


def _passed(weights: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Where the running sum of each row passes the share `target` of the whole: the column, the sum before it and with
    it, the whole."""
    blocks = F.pad(weights, (0, -weights.shape[1] % BLOCK)).view(len(weights), -1, BLOCK)
    sums = blocks.sum(-1, dtype=torch.float64)
    ends = sums.cumsum(1)
    total = ends[:, -1]
    block, start, _ = _pass(ends, sums, target * total)
    inner = blocks.gather(1, block[:, None, None].expand(-1, 1, BLOCK))[:, 0].double()
    passed = inner.cumsum(1)
    at, before, end = _pass(passed, inner, target * total - start)
    last = passed[:, -1] == end  # what rounding leaves of a block is its last token's
    stop = ends.gather(1, block[:, None])[:, 0]
    end = torch.where(last, stop, torch.minimum(start + end, stop))
    return block * BLOCK + at, start + before, end, total


def _pass(cumulated: Tensor, values: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The first index at which the running sum exceeds the target, or the last that adds to it; the sums around it."""
    count = cumulated.shape[1]
    order = torch.arange(count, device=values.device)
    last = torch.where(values > 0, order, 0).amax(1)
    at = torch.minimum(torch.searchsorted(cumulated, target[:, None], right=True)[:, 0], last)
    end = cumulated.gather(1, at[:, None])[:, 0]
    before = torch.where(at > 0, cumulated.gather(1, (at - 1).clamp(min=0)[:, None])[:, 0], 0.0)
    return at, before, end


def _filter(values: Tensor, weights: Tensor, heat: Tensor, filtered: Sequence[tuple[int, Sampling]]) -> None:
    """top_k, top_p and min_p: zero the weights of what they take out."""
    device, width = values.device, values.shape[1]
    rows = to_device(np.array([j for j, _ in filtered]), device)
    numbers = [[s.top_k or width, s.top_p if s.top_p < 1 else np.inf, s.min_p] for _, s in filtered]
    limits = Limits(*to_device(np.array(numbers).T.copy(), device))
    held, own = values.index_select(0, rows), weights.index_select(0, rows)
    size = max(FIRST, *(s.top_k for _, s in filtered))
    count, ranked = _kept(held, own, heat.index_select(0, rows), limits, size)
    bound = ranked.gather(1, (count - 1)[:, None])
    above, equal = held > bound, held == bound
    ties = count[:, None] - above.sum(1, keepdim=True)
    keep = above | (equal & (equal.cumsum(1, dtype=torch.int32) <= ties))
    weights.index_copy_(0, rows, own.masked_fill_(~keep, 0))


def _kept(values: Tensor, weights: Tensor, heat: Tensor, limits: Limits, size: int) -> tuple[Tensor, Tensor]:
    """How many of the largest values stay in each row, and these values in descending order, `size` of them or all."""
    width = values.shape[1]
    total = weights.sum(1, dtype=torch.float64)
    while True:
        size = min(size, width)
        ranked = values.topk(size, dim=1).values
        mass = ((ranked.double() - ranked[:, :1]) / heat[:, None]).exp_()
        among = torch.arange(size, device=values.device) < limits.most[:, None]
        mass = torch.where(among, mass, 0.0)
        cumulated = mass.cumsum(1)
        share = limits.share * torch.where(limits.most < width, cumulated[:, -1], total)
        known = (cumulated[:, -1] >= share) | (mass[:, -1] < limits.least) | (limits.most <= size)
        if size == width or bool(known.all()):
            break
        size = width
    stay = (cumulated - mass < share[:, None]) & (mass >= limits.least[:, None]) & (mass > 0)
    return stay.sum(1).clamp(min=1), ranked
