"""Hugging Face causal language models, unmodified, under our slot pool.

For the duration of a step the model's attention implementation is switched to ours, and the `forward` of its output
head (and, on CPU, of its linear layers) is replaced; then everything is put back, so that between steps the model is
the stock model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import zip_longest
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .attention import NAME, AnyPlan, KVPool, Plan, planned
from .device import Device, Running
from .device_masks import to_device
from .eight import Int8Linear, lightened, release_weights, round_to_int8
from .errors import ModelMismatch
from .half import HalfLinear, halvable, release, round_weights
from .head import Head
from .invariant import stand_ins, tiled
from .kernels import Library
from .memory import available, fits, log
from .norms import fast_norms
from .packed import LEAST, PackedHead, PackedLinear, packable, packable_layers, packed_bytes
from .patching import StandIn, replaced, replaced_all
from .runner import Batch, Span
from .screen import Screen, screenable
from .static_decode import StaticDecode
from .verify import check_invariance, compare_with_stock
from .ways import Way, ways

POOL_BYTES = 1 << 30  # default size of the KV pool on a CPU
LEAST_SLOTS, MOST_SLOTS, MOST_SLOTS_GPU = 1 << 8, 1 << 16, 1 << 18


class HFRunner:
    """Runs a `transformers` causal language model for an engine.

    model   in the dtype and on the device it is to run on
    packed  keep packed copies of the linear layers' weights (CPU, float32: up to 2.7 times as fast for 2-64 rows);
            None: if they take at most a quarter of the memory that is available
    verify  compare logits with the stock model's first; raises ModelMismatch when they differ
    deterministic  the logits after some tokens are the same, bit for bit, whatever else is in a step, however a prompt
            is cut into chunks, and whether its keys and values come from the cache (see invariant.py); raises
            ModelMismatch where that fails, as it does for mixtures of experts. Packs float32 layers unless told not to
    rounded  "float16" or "int8": round the weights of a float32 model and keep only those; arithmetic stays float32
            (see half.py and eight.py). Logits are compared with those of the rounded model, which cannot be used by
            itself any more
    graphs  run decodes as CUDA graphs (see static_decode.py), which are captured when they first come up; None: on a
            GPU, if the model allows it and need not be deterministic. True on a CPU: the same, without graphs
    kernels  attention by a library, see kernels.py: one, or its name; "none": by our own code; None: on a GPU in 16
            bits the first that is installed, if results need not be deterministic
    on_device  leave logits on the device and draw tokens there (see device.py); None: on a GPU, if the model allows it

    The logits that `forward` returns are valid until the next call.
    """

    def __init__(
        self,
        model: Any,
        *,
        packed: bool | None = None,
        verify: bool = True,
        deterministic: bool = False,
        rounded: str | None = None,
        on_device: bool | None = None,
        graphs: bool | None = None,
        kernels: Library | str | None = None,
    ) -> None:
        self.model = model.eval()
        self.device, self.dtype = model.device, model.dtype
        head = model.get_output_embeddings()
        if head is None or not isinstance(getattr(head, "weight", None), Tensor):
            raise ModelMismatch(f"{type(model).__name__} has no output matrix: it is not a causal language model")
        if rounded and self.dtype != torch.float32:
            raise ValueError(f"rounded={rounded!r} is for float32 models, this one is {self.dtype}")
        self.deterministic = deterministic
        self.coarse = rounded == "int8"  # what goes into a layer is rounded too
        self._body, project = _stand_ins(model, head, packed, rounded, deterministic)
        apart = tiled if deterministic else None
        fast = self.dtype == torch.float32 and packed is not False and not self.coarse and screenable(head)
        self._head = Head(head, project, apart, Screen(head) if fast else None)
        self._halves = Device(model, head, project, apart)
        options = ways(self.device, self.dtype, deterministic, on_device, graphs, kernels)
        self._configs = _configs(model)
        self.width = self._head.width
        self.context = _context(model)
        self._pool, self._slot_bytes = KVPool(0), 0
        self._go(options[0])
        if verify:
            self._settle(options)
            if deterministic:
                check_invariance(self)
        if rounded == "float16":
            self._body += release(model)
        elif self.coarse:
            release_weights(model)

    def _go(self, way: Way) -> None:
        """Run steps in this way."""
        self._library = way.library
        self._device = self._halves if way.device else None
        graphs = StaticDecode(self._run_body, self.dtype, self.device, way.library) if way.graphs else None
        self._static = graphs

    def _settle(self, options: list[Way]) -> None:
        """Go the first way that gives the stock model's logits. Raises ModelMismatch."""
        for way, other in zip_longest(options, options[1:]):
            self._go(way)
            try:
                compare_with_stock(self)
                if self._static is not None and self._static.off:
                    raise ModelMismatch("decode steps cannot be captured")
                break
            except ModelMismatch as error:
                if other is None:
                    raise
                log.warning("%s; trying instead: %s", error, other)
        if self._device is not None:
            one = np.zeros(1, np.int64)
            batch = Batch(one.astype(np.int32), one.astype(np.int32), one, [Span(0, 1, one)], one[:0], [])
            self._device.measure(self._body_output(batch))

    @property
    def on_device(self) -> bool:
        """Whether tokens are drawn where the logits are."""
        return self._device is not None

    @property
    def slot_bytes(self) -> int:
        """Bytes of one token's keys and values; 0 until something has been computed."""
        return self._pool.slot_bytes or self._slot_bytes

    @property
    def windows(self) -> set[int | None]:
        """Sizes of sliding windows that layers asked for since `reserve`; None: the full context."""
        return self._pool.windows

    def reserve(self, slots: int | None) -> int:
        """A new pool of that many slots; None: of 1 GiB, 65,536 at most; on a GPU of half the free memory, 262,144.

        Raises:
            OutOfSlots: they do not fit into the memory that is available; the message has the numbers.
        """
        self._slot_bytes = self.slot_bytes
        self._pool = KVPool(0)  # the old one is not in the way
        room = available(self.device)
        if slots is None:
            slots = self._fitting(room)
        fits(slots, self._slot_bytes, room, str(self.device))
        self._pool = KVPool(slots)
        if self._static is not None:
            self._static.reset(self._pool)
        return slots

    def _fitting(self, room: int) -> int:
        if not self._slot_bytes:
            raise ValueError("without `verify` the size of a slot is not known: say how many slots")
        gpu = self.device.type == "cuda"
        room, most = (room // 2, MOST_SLOTS_GPU) if gpu else (min(POOL_BYTES, room // 4), MOST_SLOTS)
        return max(LEAST_SLOTS, min(most, room // self._slot_bytes))

    @torch.inference_mode()
    def forward(self, batch: Batch) -> list[NDArray[np.floating]]:
        if self._device is not None:
            rows = self.launch(batch).rows(batch.rows, batch.columns, range(len(batch.rows)))
            return [rows[i] for i in range(len(batch.rows))]
        with replaced(self._head.module, partial(self._head.forward, batch)):
            return self._head.split(batch, self._run(self.model, *self._inputs(batch)).logits)

    def launch(self, batch: Batch) -> Running:
        """Begin a step whose tokens are drawn on the device."""
        assert self._device is not None, "on_device is not set"
        return Running(self._device, self._body_output(batch))

    @torch.inference_mode()
    def _body_output(self, batch: Batch) -> Any:
        output = None if self._static is None else self._static.run(batch)
        return self._run_body(*self._inputs(batch)) if output is None else output

    def _inputs(self, batch: Batch) -> tuple[Plan, Tensor, Tensor]:
        """Plan, ids and positions."""
        plan = Plan(batch, self._pool, self.dtype, self.device, self.deterministic, self._library)
        ids, positions = (to_device(x.astype(np.int64), self.device)[None] for x in (batch.ids, batch.positions))
        return plan, ids, positions

    def _run_body(self, plan: AnyPlan, ids: Tensor, positions: Tensor) -> Any:
        return self._run(self._halves.body, plan, ids, positions)

    def _run(self, module: Any, plan: AnyPlan, ids: Tensor, positions: Tensor) -> Any:
        """The model, or its body, under our attention."""
        with self._ours(), planned(plan):
            return module(input_ids=ids, position_ids=positions, use_cache=False)

    @contextmanager
    def _ours(self) -> Iterator[None]:
        """Attention and linear layers are ours inside."""
        stock = [(config, config._attn_implementation) for config in self._configs]
        for config, _ in stock:
            config._attn_implementation = NAME
        try:
            with replaced_all(self._body):
                yield
        finally:
            for config, name in stock:
                config._attn_implementation = name


def _stand_ins(
    model: Any, head: Any, packed: bool | None, rounded: str | None, deterministic: bool
) -> tuple[list[StandIn], Callable[[Tensor], Tensor]]:
    """For the layers of the body, and what computes full rows of the output matrix."""
    least = 1 if deterministic else LEAST
    layers = packable_layers(model, least)
    if packed is None:
        packed = deterministic or packed_bytes(layers) <= available(model.device) // 4
    body: list[StandIn] = [*fast_norms(model)]
    project: Callable[[Tensor], Tensor] = partial(tiled, head.forward) if deterministic else head.forward
    if rounded == "int8":
        round_to_int8(model)
        body += [Int8Linear(layer) for layer in lightened(model) if layer is not head]
        project = Int8Linear(head).forward if head in lightened(model) else project
    elif rounded == "float16":
        round_weights(model)
        body += [HalfLinear(layer, deterministic) for layer in halvable(model) if layer is not head]
        project = HalfLinear(head, deterministic).forward if type(head) is nn.Linear else project
    elif packed:
        body += [PackedLinear(layer, deterministic) for layer in layers if layer is not head]
        project = PackedHead(head, deterministic).forward if packable(head, least) else project
    if deterministic:
        body += stand_ins(model, {id(head), *(id(layer.module) for layer in body)})
    return body, project


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
