"""Hugging Face causal language models, unmodified, under our slot pool.

For the duration of a step the model's attention implementation is switched to ours, and the `forward` of its output
head (and, on CPU, of its linear layers) is replaced; then everything is put back, so that between steps the model is
the stock model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .attention import NAME, KVPool, Plan, planned
from .errors import ModelMismatch
from .head import Head
from .runner import Batch

DEFAULT_SLOTS = 32768


class HFRunner:
    """Runs a `transformers` causal language model for an engine.

    model   in eval mode, on the device and in the dtype it is to run in
    verify  compare logits with the stock model's first; raises ModelMismatch when they differ
    """

    def __init__(self, model: Any, *, verify: bool = True) -> None:
        self.model = model.eval()
        head = model.get_output_embeddings()
        if head is None or not isinstance(getattr(head, "weight", None), Tensor):
            raise ModelMismatch(f"{type(model).__name__} has no output matrix: it is not a causal language model")
        self._head = Head(head, head.forward)
        self._configs = _configs(model)
        self._pool = KVPool(0)
        self.width = self._head.width
        self.context = _context(model)
        self.device = model.device
        self.dtype = model.dtype
        if verify:
            from .verify import verify as check

            check(self)

    def reserve(self, slots: int | None) -> int:
        self._pool = KVPool(min(DEFAULT_SLOTS, 4 * self.context) if slots is None else slots)
        return self._pool.slots

    @torch.inference_mode()
    def forward(self, batch: Batch) -> list[NDArray[np.floating]]:
        plan = Plan(batch, self._pool, self.dtype, self.device)
        with self._ours(batch), planned(plan):
            logits = self.model(
                input_ids=torch.from_numpy(batch.ids.astype(np.int64))[None].to(self.device),
                position_ids=torch.from_numpy(batch.positions.astype(np.int64))[None].to(self.device),
                use_cache=False,
            ).logits
        return self._head.split(batch, logits)

    @contextmanager
    def _ours(self, batch: Batch) -> Iterator[None]:
        """Attention and head are ours inside."""
        stock = [(config, config._attn_implementation) for config in self._configs]
        for config, _ in stock:
            config._attn_implementation = NAME
        try:
            with replaced(self._head.module, partial(self._head.forward, batch)):
                yield
        finally:
            for config, name in stock:
                config._attn_implementation = name


@contextmanager
def replaced(module: nn.Module, forward: Callable[..., Tensor]) -> Iterator[None]:
    """A module with another forward."""
    before = module.__dict__.get("forward")
    module.__dict__["forward"] = forward
    try:
        yield
    finally:
        if before is None:
            del module.__dict__["forward"]
        else:
            module.__dict__["forward"] = before


def _configs(model: Any) -> list[Any]:
    """The configurations that say which attention runs; outer ones first, as setting one sets its inner ones too."""
    found: dict[int, Any] = {}
    for module in model.modules():
        config = getattr(module, "config", None)
        if config is not None and hasattr(config, "_attn_implementation"):
            found.setdefault(id(config), config)
    return list(found.values())


def _context(model: Any) -> int:
    config = model.config.get_text_config()
    return int(getattr(config, "max_position_embeddings", None) or 1 << 20)
