"""Attention kernels of libraries: FlashInfer, flash-attn, or the flash attention that comes with torch.

All take segments of any length side by side, without padding; they differ in how the keys are found:

    flashinfer   reads the pool by slots (pages of one token), can be captured in CUDA graphs
    flash_attn   keys and values are gathered first
    torch        the same, and knows no softcap

They run on GPUs in 16 bits. What one does not know (a softcap, values narrower than keys, other kinds of numbers) is
done by attention.py's own code, layer by layer. Whether they are right is seen at load, with everything else.
"""

from __future__ import annotations

import math
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .device_masks import to_device

WORKSPACE = 128 << 20  # bytes of FlashInfer's scratch memory
HALF = torch.float16, torch.bfloat16
Out = tuple[Tensor, Tensor]


class Kind(NamedTuple):
    """What layers of one kind have in common. window: keys that a query sees, itself included (None: all)."""

    heads: int
    kv_heads: int
    width: int
    dtype: torch.dtype
    scale: float
    window: int | None
    softcap: float | None
    causal: bool


class Ragged(NamedTuple):
    """Segments side by side: the queries [q[i], q[i + 1]) see the keys in slots[k[i] : k[i + 1]], the last query the
    last key. int32 all."""

    q: NDArray[np.int32]
    k: NDArray[np.int32]
    slots: NDArray[np.int32]


class Attend(Protocol):
    """Attention of one step, for layers of one kind."""

    def again(self, ragged: Ragged) -> None:
        """The same for another step; with static shapes only."""
        ...

    def __call__(self, q: Tensor, keys: Tensor, values: Tensor) -> Out:
        """q [T, Hq, D], keys and values [slots, Hkv, D] → the result [T, Hq, D], and the natural logarithms [T, Hq] of
        the sums of weights."""
        ...


class Library(Protocol):
    """graphs  whether its kernels can be captured: with `most`, the number of keys that no step exceeds, and as many
    segments in each step."""

    name: str
    graphs: bool

    def fits(self, kind: Kind) -> bool: ...
    def begin(self, ragged: Ragged, kind: Kind, device: torch.device, most: int | None = None) -> Attend: ...


class Gathered:
    """The base of those that want their keys in a row."""

    graphs = False

    def fits(self, kind: Kind) -> bool:
        return kind.width <= 256 and kind.width % 8 == 0 and kind.dtype in HALF

    def begin(self, ragged: Ragged, kind: Kind, device: torch.device, most: int | None = None) -> Attend:
        assert most is None, "the gathered keys differ in number from step to step"
        return _Gathered(self, ragged, kind, device)

    def run(
        self, q: Tensor, k: Tensor, v: Tensor, starts: tuple[Tensor, Tensor], most: tuple[int, int], kind: Kind
    ) -> Out:
        """The kernel; lse as the library has it, [Hq, T]."""
        raise NotImplementedError


class _Gathered:
    def __init__(self, library: Gathered, ragged: Ragged, kind: Kind, device: torch.device) -> None:
        self._library, self._kind = library, kind
        self._starts = to_device(ragged.q, device), to_device(ragged.k, device)
        self._most = int(np.diff(ragged.q).max()), int(np.diff(ragged.k).max())
        self._slots = to_device(ragged.slots, device)

    def again(self, ragged: Ragged) -> None:
        raise NotImplementedError

    def __call__(self, q: Tensor, keys: Tensor, values: Tensor) -> Out:
        k, v = (x.index_select(0, self._slots) for x in (keys, values))
        out, lse = self._library.run(q.contiguous(), k, v, self._starts, self._most, self._kind)
        return out, lse.mT


class TorchVarlen(Gathered):
    name = "torch"

    def __init__(self) -> None:
        self._module: Any = import_module("torch.nn.attention.varlen")

    def fits(self, kind: Kind) -> bool:
        return super().fits(kind) and kind.softcap is None

    def run(
        self, q: Tensor, k: Tensor, v: Tensor, starts: tuple[Tensor, Tensor], most: tuple[int, int], kind: Kind
    ) -> Out:
        out: Out = self._module.varlen_attn(
            q, k, v, *starts, *most,
            return_aux=self._module.AuxRequest(lse=True),
            scale=kind.scale,
            window_size=_window(kind),
            enable_gqa=kind.heads != kind.kv_heads,
        )  # fmt: skip
        return out


class FlashAttn(Gathered):
    name = "flash_attn"

    def __init__(self) -> None:
        self._function: Any = import_module("flash_attn").flash_attn_varlen_func

    def run(
        self, q: Tensor, k: Tensor, v: Tensor, starts: tuple[Tensor, Tensor], most: tuple[int, int], kind: Kind
    ) -> Out:
        out, lse, _ = self._function(
            q, k, v, *starts, *most,
            softmax_scale=kind.scale,
            causal=kind.causal,
            window_size=_window(kind),
            softcap=kind.softcap or 0.0,
            return_attn_probs=True,
        )  # fmt: skip
        return out, lse


def _window(kind: Kind) -> tuple[int, int]:
    """Keys before and behind a query's own that it sees; -1: all."""
    return (-1 if kind.window is None else kind.window - 1), (0 if kind.causal else -1)


class FlashInfer:
    name, graphs = "flashinfer", True

    def __init__(self) -> None:
        self._wrapper: Any = import_module("flashinfer").BatchPrefillWithPagedKVCacheWrapper
        self._workspace: Tensor | None = None
        self._passes: dict[Kind, _FlashInfer] = {}  # of steps of any shape: one at a time is under way

    def fits(self, kind: Kind) -> bool:
        return kind.width in (64, 128, 256) and kind.dtype in HALF

    def begin(self, ragged: Ragged, kind: Kind, device: torch.device, most: int | None = None) -> Attend:
        if self._workspace is None:
            self._workspace = torch.empty(WORKSPACE, dtype=torch.uint8, device=device)
        if most is not None:
            names = "qo_indptr_buf", "paged_kv_indptr_buf", "paged_kv_indices_buf", "paged_kv_last_page_len_buf"
            sizes = len(ragged.q), len(ragged.k), most, len(ragged.k) - 1
            buffers = {n: torch.zeros(s, dtype=torch.int32, device=device) for n, s in zip(names, sizes, strict=True)}
            wrapper = self._wrapper(self._workspace, "NHD", use_cuda_graph=True, **buffers)
            return _FlashInfer(wrapper, ragged, kind, device)
        if kind not in self._passes:
            self._passes[kind] = _FlashInfer(self._wrapper(self._workspace, "NHD"), ragged, kind, device)
        else:
            self._passes[kind].again(ragged)
        return self._passes[kind]


class _FlashInfer:
    def __init__(self, wrapper: Any, ragged: Ragged, kind: Kind, device: torch.device) -> None:
        self._wrapper, self._kind, self._device = wrapper, kind, device
        self.again(ragged)

    def again(self, ragged: Ragged) -> None:
        kind = self._kind
        self._wrapper.plan(
            torch.from_numpy(ragged.q),
            torch.from_numpy(ragged.k),
            to_device(ragged.slots[: ragged.k[-1]], self._device),
            torch.ones(len(ragged.k) - 1, dtype=torch.int32),
            kind.heads,
            kind.kv_heads,
            kind.width,
            1,
            causal=kind.causal,
            sm_scale=kind.scale,
            window_left=-1 if kind.window is None else kind.window - 1,
            logits_soft_cap=kind.softcap,
            q_data_type=kind.dtype,
            kv_data_type=kind.dtype,
        )

    def __call__(self, q: Tensor, keys: Tensor, values: Tensor) -> Out:
        out, lse = self._wrapper.run(q.contiguous(), (keys.unsqueeze(1), values.unsqueeze(1)), return_lse=True)
        return out, lse * math.log(2)  # its logarithms are to the base of 2


LIBRARIES: dict[str, tuple[str, type[Library]]] = {
    "flashinfer": ("flashinfer", FlashInfer),
    "flash_attn": ("flash_attn", FlashAttn),
    "torch": ("torch.nn.attention.varlen", TorchVarlen),
}


def library(name: str | None = None) -> Library | None:
    """The library of that name, or the first that is installed; None: there is none. Raises ImportError for a name."""
    if name is not None:
        return LIBRARIES[name][1]()
    for module, kind in LIBRARIES.values():
        if find_spec(module.split(".")[0]) is not None:
            try:
                return kind()
            except ImportError:  # built for another torch, say
                continue
    return None


def merged(first: Out, second: Out) -> Out:
    """Attention over two sets of keys as over their union."""
    (a, one), (b, two) = first, second
    both = torch.logaddexp(one, two)
    mine, theirs = ((lse - both).exp()[..., None].to(a.dtype) for lse in (one, two))
    return a * mine + b * theirs, both


def sunk(out: Out, sinks: Tensor) -> Tensor:
    """With one more score for each head, which has no value."""
    result, lse = out
    return result * torch.sigmoid(lse - sinks.to(lse.dtype))[..., None].to(result.dtype)
