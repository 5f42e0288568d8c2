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
from .screen import Screen

Project = Callable[[Tensor], Tensor]
Apart = Callable[[Project, Tensor], Tensor]
Columns = list[NDArray[np.int32] | None]


class Head:
    """Stands in for `module.forward`. `project` computes full rows (the module's own forward, or a packed product);
    `apart` says how a function of rows is called when no row may depend on another; `screen` finds out which columns
    matter of rows that are wanted for their largest logit only."""

    def __init__(
        self, module: nn.Module, project: Project, apart: Apart | None = None, screen: Screen | None = None
    ) -> None:
        self.module, self._project, self._apart, self._screen = module, project, apart, screen
        self._narrow = type(module) is nn.Linear
        self._computed: Columns = []
        self._sparse = Sparse(self.width)

    def forward(self, batch: Batch, hidden: Tensor) -> Tensor:
        """hidden [1, T, D] → [1, 1, N]: the logits of batch.rows, one piece behind the other, for `split` to cut."""
        if not len(batch.rows):
            return hidden.new_empty(1, 1, 0)
        picked = hidden[0].index_select(0, torch.from_numpy(batch.rows).to(hidden.device))
        self._computed = columns_of = self._wanted(batch, picked)
        wide = [i for i, c in enumerate(columns_of) if c is None]
        pieces: list[Tensor] = [picked] * len(batch.rows)
        if wide:
            rows = self._project(picked if len(wide) == len(batch.rows) else picked[wide])
            if len(wide) == len(batch.rows):
                return rows.view(1, 1, -1)
            for i, row in zip(wide, rows, strict=True):
                pieces[i] = row
        for columns, rows_of in _groups(columns_of):
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
        ends = np.cumsum([width if c is None else len(c) for c in self._computed])
        rows = np.split(values, ends[:-1])
        if not self._narrow:
            return [row if c is None else row[c] for row, c in zip(rows, batch.columns, strict=True)]
        screened = [i for i in batch.greedy if self._computed[i] is not None]
        for i, row in zip(screened, self._sparse.rows(len(screened)), strict=True):
            columns = self._computed[i]
            assert columns is not None
            rows[i] = self._sparse.filled(row, columns, rows[i])
        return rows

    @property
    def width(self) -> int:
        weight = self.module.weight
        assert isinstance(weight, Tensor)
        return weight.shape[0]

    def _wanted(self, batch: Batch, picked: Tensor) -> Columns:
        """batch.columns, with those that matter of rows that are wanted for their largest logit."""
        if not self._narrow:
            return [None] * len(batch.rows)
        columns, greedy = list(batch.columns), list(batch.greedy)
        if self._screen is not None and greedy:
            hidden = picked if len(greedy) == len(columns) else picked[greedy]
            masks = [batch.greedy[i] for i in greedy]
            for i, found in zip(greedy, self._screen.candidates(hidden, masks, batch.size), strict=True):
                columns[i] = found
        return columns

    def _columns(self, hidden: Tensor, columns: NDArray[np.int32]) -> Tensor:
        index = torch.tensor(columns, device=hidden.device)  # a copy: the constraint's own array is read-only
        weight, bias = self.module.weight, self.module.bias
        assert isinstance(weight, Tensor)
        weight, bias = weight.index_select(0, index).to(hidden.dtype), None if bias is None else bias[index]  # type: ignore[index]
        project = partial(F.linear, weight=weight, bias=bias)
        return project(hidden) if self._apart is None else self._apart(project, hidden)


class Sparse:
    """Full rows that are -inf but for a few places. They are kept, and what was written is taken back before the next
    use: filling a row anew costs more than finding its largest number."""

    def __init__(self, width: int) -> None:
        self._kept = np.empty((0, width), np.float32)
        self._written: list[tuple[NDArray[np.float32], NDArray[np.int32]]] = []

    def rows(self, n: int) -> NDArray[np.float32]:
        """n rows [n, width] of -inf; those of the last call are no longer valid."""
        if len(self._kept) < n:
            self._kept = np.full((n, self._kept.shape[1]), -np.inf, np.float32)
        else:
            for row, columns in self._written:
                row[columns] = -np.inf
        self._written = []
        return self._kept[:n]

    def filled(
        self, row: NDArray[np.float32], columns: NDArray[np.int32], values: NDArray[np.floating]
    ) -> NDArray[np.float32]:
        row[columns] = values
        self._written.append((row, columns))
        return row


def _groups(columns_of: Columns) -> list[tuple[NDArray[np.int32], list[int]]]:
    """Rows that want the same columns; memoised constraints hand out the same array for the same state."""
    groups: dict[int, tuple[NDArray[np.int32], list[int]]] = {}
    for i, columns in enumerate(columns_of):
        if columns is not None:
            groups.setdefault(id(columns), (columns, []))[1].append(i)
    return list(groups.values())
