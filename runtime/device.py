"""Steps whose logits stay on the device, where tokens are drawn from them.

    launch   the model's body starts; on a GPU this returns before it has run
             … meanwhile the loop computes the masks of the step's choices …
    rows     the output matrix, and whatever the model does to its logits behind it
    draw     penalties, masks, filters and draws, in batch; ids come back, and rows only for who picks for them

A causal language model is its body (`base_model`) and what its own `forward` does with the body's output. So that the
two can run apart, body and masks overlap, and the body can be a CUDA graph, the whole model is called twice: once its
body alone, then all of it with a stand-in for the body that hands out what was computed before.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from .device_masks import MaskPool, to_device
from .device_sampler import draw
from .device_scores import scores
from .head import Apart, Project
from .patching import replaced
from .request import UNKNOWN, Scores
from .sampler import Pick

Columns = Sequence[NDArray[np.int32] | None]


class Device:
    """The two halves of a model.

    head      the output matrix; `project` computes full rows of it; `apart`: no row may depend on others
    narrow    up to how many columns of it are computed by themselves, when no row wants more; see `measure`
    """

    def __init__(self, model: Any, head: nn.Module, project: Project, apart: Apart | None) -> None:
        self.model, self.device = model, model.device
        self._module, self._project = head, project
        self._plain = type(head) is nn.Linear and apart is None
        self._columns: Tensor | None = None
        self.narrow = self.width if self._plain else 0
        self._any_id = int(getattr(model.config, "pad_token_id", None) == 0)  # some models warn of padding
        self._masks: MaskPool | None = None

    @cached_property
    def body(self) -> nn.Module:
        found: nn.Module = self.model.get_decoder()
        return found

    @property
    def width(self) -> int:
        weight = self._module.weight
        assert isinstance(weight, Tensor)
        return weight.shape[0]

    def masks(self, size: int) -> MaskPool:
        """The pool of masks; an engine has one vocabulary."""
        if self._masks is None or self._masks.size != size:
            self._masks = MaskPool(size, self.device)
        return self._masks

    @torch.inference_mode()
    def logits(self, output: Any, rows: NDArray[np.int64], union: NDArray[np.int32] | None) -> Tensor:
        """[R, C]: the logits of some rows of a body's output, of the columns `union` or all."""
        hidden = output.last_hidden_state
        picked = hidden.index_select(1, to_device(rows, self.device))
        self._columns = None if union is None else to_device(union.astype(np.int64), self.device)
        with (
            replaced(self.body, lambda *_, **__: type(output)(**{**output, "last_hidden_state": picked})),
            replaced(self._module, self._head),
        ):
            ids = torch.full((1, len(rows)), self._any_id, device=self.device)
            logits: Tensor = self.model(input_ids=ids, use_cache=False).logits
        return logits[0]

    def _head(self, hidden: Tensor) -> Tensor:
        """[1, R, D] → [1, R, C]"""
        if self._columns is None:
            return self._project(hidden[0])[None]
        weight, bias = self._module.weight, self._module.bias
        assert isinstance(weight, Tensor)
        some = weight.index_select(0, self._columns).to(hidden.dtype)
        return F.linear(hidden, some, bias.index_select(0, self._columns) if isinstance(bias, Tensor) else None)

    def union(self, columns: Columns) -> NDArray[np.int32] | None:
        """The columns to compute: all that any row wants, if these are few; None: the full rows."""
        if not self.narrow or not columns or any(c is None for c in columns):
            return None
        different = {id(c): c for c in columns}
        found = np.unique(np.concatenate(list(different.values())))
        return found if 0 < len(found) <= self.narrow else None

    def measure(self, output: Any) -> None:
        """Find the number of columns up to which a narrow product is faster than the full one."""
        if not self.narrow:
            return
        rows = np.zeros(8, np.int64)
        few, many = min(256, self.width), max(1, self.width // 4)
        unions = np.arange(few, dtype=np.int32), np.arange(many, dtype=np.int32), None
        short, long, full = (self._seconds(partial(self.logits, output, rows, union)) for union in unions)
        slope = (long - short) / max(1, many - few)
        best = many if long < full else few + (full - short) / slope if short < full and slope > 0 else 0
        self.narrow = int(best)

    def _seconds(self, function: Callable[[], object], times: int = 5) -> float:
        taken = []
        for _ in range(times + 1):
            self.wait()
            start = time.perf_counter()
            function()
            self.wait()
            taken.append(time.perf_counter() - start)
        return min(taken[1:])

    def wait(self) -> None:
        """Until the device has done what it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


class Running:
    """A step whose body is under way."""

    def __init__(self, device: Device, output: Any) -> None:
        self._device, self._output = device, output

    def rows(self, rows: NDArray[np.int64], columns: Columns, where: Sequence[int]) -> DeviceRows:
        """The logits of these rows, of which the samples of a step take the ones at `where`. Valid until the next
        launch."""
        union = self._device.union(columns)
        logits = self._device.logits(self._output, rows, union) if len(rows) else None
        return DeviceRows(self._device, logits, columns, where, union)


class DeviceRows:
    """Rows of logits by the samples of a step."""

    def __init__(
        self,
        device: Device,
        logits: Tensor | None,
        columns: Columns,
        where: Sequence[int],
        union: NDArray[np.int32] | None,
    ) -> None:
        self._device, self._logits, self._columns, self._where, self._union = device, logits, columns, where, union

    @property
    def narrow(self) -> bool:
        """Whether only some columns were computed."""
        return self._union is not None

    def __getitem__(self, at: int) -> NDArray[np.floating]:
        """The logits of a sample on the host: the columns that were wanted."""
        assert self._logits is not None
        row, columns = self._logits[self._where[at]], self._columns[self._where[at]]
        if columns is not None:
            places = columns if self._union is None else np.searchsorted(self._union, columns)
            row = row[to_device(places.astype(np.int64), self._device.device)]
        values: NDArray[np.floating] = _exact(row).cpu().numpy()
        return values

    def wait(self) -> None:
        """Until they are computed."""
        self._device.wait()

    @torch.inference_mode()
    def draw(self, size: int, picks: Sequence[Pick]) -> list[tuple[int, Scores] | Exception]:
        """A token of the first `size` for each pick, and its scores if the pick wants them."""
        assert self._logits is not None
        at = to_device(np.array([self._where[pick.at] for pick in picks]), self._device.device)
        held = (self._logits if self._union is not None else self._logits[:, :size]).index_select(0, at)
        held = _exact(held)
        mask = self._mask_wide(size, picks) if self._union is None else self._mask_narrow(picks)
        tokens = draw(held, picks, mask, self._union)
        out: list[tuple[int, Scores] | Exception] = [(t, UNKNOWN) if isinstance(t, int) else t for t in tokens]
        scored = [(i, t) for i, t in enumerate(tokens) if picks[i].top is not None and isinstance(t, int)]
        if scored:
            which = to_device(np.array([i for i, _ in scored]), self._device.device)
            rows = _exact(self._logits.index_select(0, at.index_select(0, which)))
            asked = [picks[i] for i, _ in scored]
            found = scores(rows, held.index_select(0, which), asked, [token for _, token in scored])
            for (i, token), one in zip(scored, found, strict=True):
                out[i] = token, one
        return out

    def _mask_wide(self, size: int, picks: Sequence[Pick]) -> Callable[[Tensor], None]:
        pool = self._device.masks(size)
        rows = pool.indices([pick.choice for pick in picks])
        if not any(rows):
            return lambda logits: None
        return lambda logits: pool.apply(logits, to_device(np.array(rows), self._device.device))

    def _mask_narrow(self, picks: Sequence[Pick]) -> Callable[[Tensor], None]:
        assert self._union is not None
        bias = np.full((len(picks), len(self._union)), -np.inf, np.float32)
        for i, pick in enumerate(picks):
            bias[i, np.searchsorted(self._union, pick.choice.columns)] = 0  # type: ignore[arg-type]

        def mask(logits: Tensor) -> None:
            logits += to_device(bias, self._device.device).to(logits.dtype)

        return mask


def _exact(logits: Tensor) -> Tensor:
    """In float32 at least."""
    return logits if logits.dtype == torch.float64 else logits.float()
