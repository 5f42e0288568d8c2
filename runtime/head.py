"""The output projection during a step: only the rows that are sampled, and of the columns only the allowed ones.

The head's `forward` is replaced while the model runs (not the logits afterwards), so that whatever the model does to
its logits, a softcap or a scale, still happens. Such post-processing must be elementwise, as the logits come as one
flat row of pieces; the comparison at load time would show it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from .runner import Batch

Project = Callable[[Tensor], Tensor]
Apart = Callable[[Project, Tensor], Tensor]


class Head:
    """Stands in for `module.forward`. `project` computes full rows (the module's own forward, or a packed product);
    `apart` says how a function of rows is called when no row may depend on another."""

    def __init__(self, module: nn.Module, project: Project, apart: Apart | None = None) -> None:
        self.module, self._project, self._apart = module, project, apart
        self._narrow = type(module) is nn.Linear

    def forward(self, batch: Batch, hidden: Tensor) -> Tensor:
        """hidden [1, T, D] → [1, 1, N]: the logits of batch.rows, one piece behind the other, for `split` to cut."""
        if not len(batch.rows):
            return hidden.new_empty(1, 1, 0)
        picked = hidden[0].index_select(0, torch.from_numpy(batch.rows).to(hidden.device))
        wide = [i for i, c in enumerate(batch.columns) if c is None or not self._narrow]
        pieces: list[Tensor] = [picked] * len(batch.rows)
        if wide:
            rows = self._project(picked if len(wide) == len(batch.rows) else picked[wide])
            if len(wide) == len(batch.rows):
                return rows.view(1, 1, -1)
            for i, row in zip(wide, rows, strict=True):
                pieces[i] = row
        for columns, rows_of in _groups(batch, wide):
            for i, row in zip(rows_of, self._columns(picked[rows_of], columns), strict=True):
                pieces[i] = row
        return torch.cat(pieces).view(1, 1, -1)

    def split(self, batch: Batch, logits: Tensor) -> list[NDArray[np.floating]]:
        """The pieces of the model's output, for each row."""
        if not len(batch.rows):
            return []
        flat = logits.reshape(-1)
        flat = flat if flat.dtype == torch.float64 else flat.float()
        values: NDArray[np.floating] = flat.cpu().numpy()
        width = self.width
        ends = np.cumsum([width if c is None or not self._narrow else len(c) for c in batch.columns])
        rows = np.split(values, ends[:-1])
        if self._narrow:
            return rows
        return [row if c is None else row[c] for row, c in zip(rows, batch.columns, strict=True)]

    @property
    def width(self) -> int:
        weight = self.module.weight
        assert isinstance(weight, Tensor)
        return weight.shape[0]

    def _columns(self, hidden: Tensor, columns: NDArray[np.int32]) -> Tensor:
        index = torch.tensor(columns, device=hidden.device)  # a copy: the constraint's own array is read-only
        weight, bias = self.module.weight, self.module.bias
        assert isinstance(weight, Tensor)
        weight, bias = weight.index_select(0, index).to(hidden.dtype), None if bias is None else bias[index]  # type: ignore[index]
        project = partial(F.linear, weight=weight, bias=bias)
        return project(hidden) if self._apart is None else self._apart(project, hidden)


def _groups(batch: Batch, wide: list[int]) -> list[tuple[NDArray[np.int32], list[int]]]:
    """Rows that want the same columns; memoised constraints hand out the same array for the same state."""
    groups: dict[int, tuple[NDArray[np.int32], list[int]]] = {}
    for i in sorted(set(range(len(batch.rows))) - set(wide)):
        columns = batch.columns[i]
        assert columns is not None
        groups.setdefault(id(columns), (columns, []))[1].append(i)
    return list(groups.values())
