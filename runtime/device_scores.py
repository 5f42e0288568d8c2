"""Log-probabilities on a device, for a whole batch: what scores.py gives for a row."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from .device_masks import to_device
from .device_sampler import narrowed
from .exponentials import COLDEST
from .request import Scores
from .sampler import Pick
from .sampling import Sampling

Columns = tuple[Tensor, Tensor, Tensor]  # of the tokens [n]; of the likeliest ones [n, k], and which these are


def scores(logits: Tensor, held: Tensor, picks: Sequence[Pick], tokens: Sequence[int]) -> list[Scores]:
    """Of tokens that were drawn. logits [n, W]: the full rows; held [n, V]: the rows of the vocabulary after penalties
    and masks."""
    size, k = held.shape[1], max(pick.top or 0 for pick in picks)
    token = to_device(np.array(tokens), logits.device)
    one = torch.ones(len(picks), dtype=torch.float64, device=logits.device)
    raw = _scored(logits, logits, one, token, min(k, size), size)
    settings = [_drawn_from(pick.sampling) for pick in picks]
    heat = to_device(np.array([max(s.temperature, COLDEST) for s in settings]), logits.device)
    weights = narrowed(held, heat, settings)
    filtered = to_device(np.array([s.filters for s in settings]), logits.device)
    among = held.masked_fill(filtered[:, None] & (weights == 0), -torch.inf)
    masked = _scored(among, held, heat, token, min(k, size), size)
    numbers = torch.cat([x.double() if x.ndim == 2 else x[:, None] for part in (raw, masked) for x in part], 1)
    now = time.perf_counter()
    return [_row(row, pick, size, now) for row, pick in zip(numbers.cpu().numpy(), picks, strict=True)]


def _drawn_from(sampling: Sampling) -> Sampling:
    if sampling.greedy:
        return replace(sampling, temperature=1.0, top_k=0, top_p=1.0, min_p=0.0)
    return sampling


def _scored(among: Tensor, values: Tensor, heat: Tensor, token: Tensor, k: int, size: int) -> Columns:
    """Under the distribution of the values that are finite in `among`, at a temperature."""
    top = values.amax(1).double()
    shares = ((among - top.to(among.dtype)[:, None]) / heat.to(among.dtype)[:, None]).exp_()
    total = shares.sum(1, dtype=torch.float64).log()
    best = among[:, :size].topk(k, dim=1)
    mine = (values.gather(1, token[:, None])[:, 0].double() - top) / heat - total
    return mine, (best.values.double() - top[:, None]) / heat[:, None] - total[:, None], best.indices


def _row(numbers: np.ndarray, pick: Pick, size: int, now: float) -> Scores:
    raw, masked = np.split(numbers, 2)
    tops = [_top(part[1:], pick.top or 0) for part in (raw, masked)]
    return Scores(float(raw[0]), float(masked[0]), tops[0], tops[1], pick.choice.size(size), now)


def _top(numbers: np.ndarray, k: int) -> dict[int, float]:
    values, ids = np.split(numbers, 2)
    return {int(i): float(v) for i, v in zip(ids[:k], values[:k], strict=True) if v > -np.inf}
