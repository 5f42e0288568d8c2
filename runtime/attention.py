"""The attention function that unmodified Hugging Face models call during a step.

transformers lets a model's attention be replaced by name (`AttentionInterface`); projections, rotary embeddings and
norms stay the model's own. Ours writes the keys and values of the step's tokens to the slot pool, then lets every
query read its own sequence's slots. A name without a mask function makes transformers build no mask. The step's plan
is in a context variable, as not every architecture hands keyword arguments down to its attention.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import AttentionInterface

from . import invariant
from .device_masks import to_device
from .errors import ModelMismatch
from .kernels import Library
from .ragged import Segments
from .runner import Batch
from .views import Long, Short, View, view

NAME = "lmprog"
Pair = tuple[Tensor, Tensor]


class KVPool:
    """Keys and values [slots + 1, Hkv, D] of every layer, the last a spare for tokens that nobody wants. Allocated when
    a layer is first seen: configurations do not agree on the names of these sizes, and values may be narrower than
    keys.
    """

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.windows: set[int | None] = set()  # that layers asked for
        self._layers: dict[int, Pair] = {}

    def layer(self, index: int, key: Tensor, value: Tensor) -> Pair:
        if index not in self._layers:
            self._layers[index] = self._empty(key), self._empty(value)
        return self._layers[index]

    def _empty(self, x: Tensor) -> Tensor:
        return x.new_empty(self.slots + 1, x.shape[1], x.shape[3])

    @property
    def spare(self) -> int:
        return self.slots

    @property
    def slot_bytes(self) -> int:
        """Bytes of one slot over the layers seen so far."""
        return sum(x[0].numel() * x.element_size() for pair in self._layers.values() for x in pair)


class AnyPlan(Protocol):
    """What the attention of one step needs to know; invariant: see invariant.py."""

    pool: KVPool
    slots: Tensor
    invariant: bool
    segments: Segments | None  # for a library's kernels

    def view(self, window: int | None) -> View: ...


class Plan:
    """The plan of any batch."""

    def __init__(
        self,
        batch: Batch,
        pool: KVPool,
        dtype: torch.dtype,
        device: torch.device,
        invariant: bool = False,
        library: Library | None = None,
    ) -> None:
        self.pool, self.slots = pool, to_device(batch.slots, device)
        self.invariant = invariant
        self.segments = None if library is None else Segments.of(library, device, batch.spans)
        self._spans, self._dtype, self._device = batch.spans, dtype, device
        self._views: dict[int | None, View] = {}

    def view(self, window: int | None) -> View:
        if window not in self._views:
            self._views[window] = view(self._spans, window, self._dtype, self._device, self.invariant)
        return self._views[window]


_plan: ContextVar[AnyPlan | None] = ContextVar("lmprog_plan", default=None)


@contextmanager
def planned(plan: AnyPlan) -> Iterator[None]:
    """Run a model under this plan."""
    token = _plan.set(plan)
    try:
        yield
    finally:
        _plan.reset(token)


def paged_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """query [1, Hq, T, D], key and value [1, Hkv, T, D], rotated already → [1, T, Hq, Dv]."""
    plan = _plan.get()
    if plan is None:
        raise RuntimeError("the model is inside an engine's step; run it from another thread when the engine is idle")
    if attention_mask is not None or kwargs.get("position_bias") is not None:
        raise ModelMismatch(f"{type(module).__name__} adds a mask or bias of its own, which lmprog cannot apply")
    keys, values = plan.pool.layer(int(module.layer_idx), key, value)  # type: ignore[arg-type]
    keys.index_copy_(0, plan.slots, key[0].transpose(0, 1))
    values.index_copy_(0, plan.slots, value[0].transpose(0, 1))
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    plan.pool.windows.add(sliding_window)
    if plan.segments is not None:
        done = plan.segments.attend(query[0], keys, values, scale, sliding_window, softcap, s_aux)
        if done is not None:
            return done.unsqueeze(0), None
    out = query.new_empty(query.shape[2], query.shape[1], value.shape[3])
    seen = plan.view(sliding_window)
    for part in seen.long:
        _attend_long(part, query[0], keys, values, scale, softcap, s_aux, out)
    attend = invariant.attend if plan.invariant else _attend_short
    for group in seen.short:
        _put(attend(group, query[0], keys, values, scale, softcap, s_aux), group, out)
    return out.unsqueeze(0), None


def _attend_long(
    part: Long,
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    scale: float,
    softcap: float | None,
    sinks: Tensor | None,
    out: Tensor,
) -> None:
    """One segment: q [Hq, n, D] over k, v [Hkv, S, D]."""
    q = query[:, part.start : part.stop]
    k, v = (_read(x, part.keys).transpose(0, 1) for x in (keys, values))
    if softcap is None and sinks is None:
        o = F.scaled_dot_product_attention(
            q[None], k[None], v[None], attn_mask=part.mask, is_causal=part.mask is None, scale=scale, enable_gqa=True
        )[0]
    else:
        heads, n = k.shape[0], q.shape[1]
        mask = part.mask if part.mask is not None else torch.ones(n, n, dtype=torch.bool, device=q.device).tril()
        bias = q.new_zeros(mask.shape).masked_fill_(~mask, -torch.inf)
        scores = _capped(q.view(heads, -1, n, q.shape[2]) @ k[:, None].mT * scale, softcap) + bias
        o = (_softmax(scores, sinks) @ v[:, None]).flatten(0, 1)
    out[part.start : part.stop] = o.transpose(0, 1)


def _attend_short(
    part: Short,
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    scale: float,
    softcap: float | None,
    sinks: Tensor | None,
) -> Tensor:
    """All short segments at once: the shared block in one product for the whole batch, the rest one per segment."""
    b, n, width = part.size
    heads, group = keys.shape[1], query.shape[0] // keys.shape[1]
    q = query if part.rows is None else query.index_select(1, part.rows)
    q = q.view(heads, group, b, n, -1).permute(2, 0, 1, 3, 4).reshape(b, heads, group * n, -1) * scale
    k, v = (x.index_select(0, part.keys).view(b, width, heads, -1).transpose(1, 2) for x in (keys, values))
    scores = q @ k.mT
    if part.shared is not None:
        ks, vs = (_read(x, part.shared).transpose(0, 1) for x in (keys, values))
        common = q.transpose(0, 1).reshape(heads, b * group * n, -1) @ ks.mT
        scores = torch.cat([scores, common.view(heads, b, group * n, -1).transpose(0, 1)], -1)
    scores = _capped(scores, softcap).view(b, heads, group, n, -1)
    scores[..., : part.bias.shape[-1]] += part.bias[:, None]
    weights = _softmax(scores, sinks).view(b, heads, group * n, -1)
    o = weights[..., :width] @ v
    if part.shared is not None:
        common = weights[..., width:].transpose(0, 1).reshape(heads, b * group * n, -1) @ vs
        o = o + common.view(heads, b, group * n, -1).transpose(0, 1)
    return o.view(b, heads, group, n, -1).permute(0, 3, 1, 2, 4).reshape(b * n, heads * group, -1)


def _put(o: Tensor, part: Short, out: Tensor) -> None:
    """The results [B * Q, Hq, Dv] of short segments into their rows."""
    if part.rows is None:
        out.copy_(o)
    elif part.real is None:
        out[part.rows] = o
    else:
        out[part.rows[part.real]] = o[part.real]


def _read(x: Tensor, slots: slice | Tensor) -> Tensor:
    return x[slots] if isinstance(slots, slice) else x.index_select(0, slots)


def _capped(scores: Tensor, softcap: float | None) -> Tensor:
    return scores if softcap is None else torch.tanh(scores / softcap) * softcap


def _softmax(scores: Tensor, sinks: Tensor | None) -> Tensor:
    """Over the last axis of [..., Hkv, G, n, S], at least in float32; a sink is one more score, without a value."""
    kind = scores.dtype if scores.dtype == torch.float64 else torch.float32
    if sinks is None:
        return torch.softmax(scores, -1, dtype=kind).to(scores.dtype)
    extra = sinks.view(scores.shape[-4], scores.shape[-3], 1, 1).expand(*scores.shape[:-1], 1)
    return torch.softmax(torch.cat([scores, extra.to(scores.dtype)], -1), -1, dtype=kind)[..., :-1].to(scores.dtype)


AttentionInterface.register(NAME, paged_attention)
