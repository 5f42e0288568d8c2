"""How the steps of a model are run, and what is tried next when that fails the comparison with the stock model."""

from __future__ import annotations

from typing import NamedTuple

import torch

from .kernel_check import Tried
from .kernels import HALF, Library, library


class Way(NamedTuple):
    """device: tokens are drawn where the logits are (device.py). graphs: decodes have static shapes (static_decode.py).
    library: attention by its kernels (kernels.py)."""

    device: bool
    graphs: bool
    library: Library | None

    def __str__(self) -> str:
        parts = {"draws on the device": self.device, "graphs": self.graphs, f"{self._name} kernels": self.library}
        return ", ".join(name for name, on in parts.items() if on) or "draws on the host"

    @property
    def _name(self) -> str:
        return self.library.name if self.library else "no"


def ways(
    device: torch.device,
    dtype: torch.dtype,
    deterministic: bool,
    on_device: bool | None,
    graphs: bool | None,
    kernels: Library | str | None,
) -> list[Way]:
    """The fastest first; what was asked for is in all of them, what was left open may go."""
    if deterministic and graphs:
        raise ValueError("graphs=True pads batches, on which results depend then: it excludes deterministic=True")
    if on_device is False and graphs:
        raise ValueError("graphs=True needs tokens to be drawn on the device: it excludes on_device=False")
    gpu = device.type == "cuda"
    found = _library(kernels, gpu and dtype in HALF and not deterministic)
    if deterministic and found is not None:
        raise ValueError("a library's kernels depend on the whole step: kernels excludes deterministic=True")
    drawn = _open(True if graphs else on_device, gpu)
    static = _open(graphs, gpu and not deterministic)
    tried = None if found is None else Tried(found, device)
    libraries = [tried, None] if kernels is None and tried else [tried]
    every = [Way(d, d and s, lib) for d in drawn for s in static for lib in libraries]
    return list(dict.fromkeys(every))


def _library(kernels: Library | str | None, fast: bool) -> Library | None:
    if kernels is None:
        return library() if fast else None
    if isinstance(kernels, str):
        return None if kernels == "none" else library(kernels)
    return kernels


def _open(asked: bool | None, default: bool) -> list[bool]:
    """What to try: what was asked for; else the default, and without."""
    if asked is not None:
        return [asked]
    return [True, False] if default else [False]
