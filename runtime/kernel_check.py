"""A library's kernels are tried on a small example of each kind of layer before they are used, sums of weights
included: the comparison of whole models at load is too short to need those.
"""

from __future__ import annotations

import logging

import numpy as np
import torch
from torch import Tensor

from .kernels import Attend, Kind, Library, Out, Ragged

TOLERANCE = 0.05  # of results of up to 4, in 16 bits
log = logging.getLogger("lmprog")


class Tried:
    """A library that only does what it was seen to do right."""

    def __init__(self, library: Library, device: torch.device) -> None:
        self._library, self._device = library, device
        self.name, self.graphs = library.name, library.graphs
        self._right: dict[Kind, bool] = {}

    def fits(self, kind: Kind) -> bool:
        if kind not in self._right:
            self._right[kind] = self._library.fits(kind) and self._try(kind)
        return self._right[kind]

    def begin(self, ragged: Ragged, kind: Kind, device: torch.device, most: int | None = None) -> Attend:
        return self._library.begin(ragged, kind, device, most)

    def _try(self, kind: Kind) -> bool:
        try:
            error = _error(self._library, kind, self._device)
        except Exception as fault:
            log.warning("attention by %s fails and is not used for %s: %s", self.name, kind, fault)
            return False
        if not error < TOLERANCE:
            log.warning("attention by %s is off by %.2g and is not used for %s", self.name, error, kind)
        return error < TOLERANCE


def _error(library: Library, kind: Kind, device: torch.device) -> float:
    """Of the results, and of the shares that the sums of weights give."""
    numbers = torch.Generator().manual_seed(0)

    def random(*sizes: int) -> Tensor:
        return torch.randn(*sizes, generator=numbers).to(device, kind.dtype)

    slots = np.random.default_rng(0).permutation(50)[:40]
    ragged = Ragged(*(np.array(x, np.int32) for x in ([0, 5, 6], [0, 7, 40], slots)))
    q, keys, values = random(6, kind.heads, kind.width), *(random(50, kind.kv_heads, kind.width) for _ in range(2))
    out, lse = library.begin(ragged, kind, device)(q, keys, values)
    want, total = reference(q, keys, values, ragged, kind)
    error = torch.maximum((out - want).abs().max(), (torch.exp(lse.float() - total) - 1).abs().max())
    return float(error)


def reference(q: Tensor, keys: Tensor, values: Tensor, ragged: Ragged, kind: Kind) -> Out:
    """What a kernel has to give, the plain way, at least in float32."""
    exact = torch.promote_types(q.dtype, torch.float32)
    out, lse = [], []
    for i in range(len(ragged.q) - 1):
        slots = torch.from_numpy(ragged.slots[ragged.k[i] : ragged.k[i + 1]].astype(np.int64)).to(q.device)
        mine = q[ragged.q[i] : ragged.q[i + 1]].to(exact).transpose(0, 1)
        k, v = (x[slots].to(exact).transpose(0, 1) for x in (keys, values))
        k, v = (x.repeat_interleave(kind.heads // kind.kv_heads, 0) for x in (k, v))
        scores = mine @ k.mT * kind.scale
        if kind.softcap is not None:
            scores = torch.tanh(scores / kind.softcap) * kind.softcap
        scores = scores.masked_fill(~_seen(mine.shape[1], len(slots), kind).to(q.device), -torch.inf)
        lse.append(scores.logsumexp(-1).mT)
        out.append((scores.softmax(-1) @ v).transpose(0, 1))
    return torch.cat(out), torch.cat(lse)


def _seen(queries: int, keys: int, kind: Kind) -> Tensor:
    at, key = torch.arange(keys - queries, keys)[:, None], torch.arange(keys)
    seen = key <= at if kind.causal else torch.ones(queries, keys, dtype=torch.bool)
    return seen if kind.window is None else seen & (key > at - kind.window)
