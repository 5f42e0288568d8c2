"""The attention of a step by a library's kernels: which segments, and a shared prefix in a pass of its own.

When all segments are short and begin with the same long prefix, the queries of all of them see it as one segment, its
keys read once; what each sees of its own comes in a second pass, and both are merged by their sums of weights (cascade
inference; Hydragen, Juravsky et al. 2024).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from .kernels import Attend, Kind, Library, Ragged, merged, sunk
from .pool import Slots
from .runner import Span
from .views import SHORT, shared_keys

LEAST_SHARED = 256  # keys that are worth a pass of their own


class Segments:
    """Segments in the order of their rows, which are all rows of the step: `counts[i]` queries, the last ones of those
    in the slots `tables[i]`; all tables have their first `shared` in common.

    most    of static shapes, which have the same number of segments in each step: the most keys, and shared ones
    """

    def __init__(
        self,
        library: Library,
        device: torch.device,
        tables: Sequence[Slots],
        counts: Sequence[int],
        shared: int,
        most: tuple[int, int] | None = None,
    ) -> None:
        self._library, self._device, self._most = library, device, most
        self._passes: dict[Kind, Attend] = {}
        self.fill(tables, counts, shared)

    @classmethod
    def of(cls, library: Library, device: torch.device, spans: Sequence[Span]) -> Segments:
        """Of any batch."""
        spans = sorted(spans, key=lambda s: s.row)
        shared = 0
        if len(spans) > 1 and all(s.n <= SHORT for s in spans):
            first = np.array([len(s.table) - s.n for s in spans])
            _, shared = shared_keys(spans, first, least=LEAST_SHARED)
        return cls(library, device, [s.table for s in spans], [s.n for s in spans], shared)

    def fill(self, tables: Sequence[Slots], counts: Sequence[int], shared: int) -> None:
        """Another step's segments."""
        self._tables, self._counts, self.shared = tables, counts, shared
        for kind, attend in self._passes.items():
            attend.again(self._ragged(kind))

    def attend(
        self,
        query: Tensor,
        keys: Tensor,
        values: Tensor,
        scale: float,
        window: int | None,
        softcap: float | None,
        sinks: Tensor | None,
    ) -> Tensor | None:
        """query [Hq, T, D], keys and values [slots, Hkv, D] → [T, Hq, D]; None: the library does not know how."""
        heads, _, width = query.shape
        kind = Kind(heads, keys.shape[1], width, query.dtype, scale, window, softcap, True)
        if values.shape[2] != width or (self._most is not None and not self._library.graphs):
            return None
        wanted = [kind, kind._replace(causal=False)] if self.shared and window is None else [kind]
        if not all(self._library.fits(k) for k in wanted):
            return None
        q = query.transpose(0, 1)
        out = self._pass(kind)(q, keys, values)
        for other in wanted[1:]:
            out = merged(out, self._pass(other)(q, keys, values))
        return out[0] if sinks is None else sunk(out, sinks)

    def _pass(self, kind: Kind) -> Attend:
        if kind not in self._passes:
            most = None if self._most is None else self._most[0 if kind.causal else 1]
            self._passes[kind] = self._library.begin(self._ragged(kind), kind, self._device, most)
        return self._passes[kind]

    def _ragged(self, kind: Kind) -> Ragged:
        """Not causal: the pass over shared keys."""
        if not kind.causal:
            return _ragged([sum(self._counts)], [self._tables[0][: self.shared]])
        if kind.window is None:
            return _ragged(self._counts, [table[self.shared :] for table in self._tables])
        first = [max(0, len(t) - n - kind.window + 1) for t, n in zip(self._tables, self._counts, strict=True)]
        return _ragged(self._counts, [table[i:] for table, i in zip(self._tables, first, strict=True)])


def _ragged(counts: Sequence[int], tables: Sequence[Slots]) -> Ragged:
    q, k = (np.cumsum([0, *sizes], dtype=np.int32) for sizes in (counts, [len(t) for t in tables]))
    return Ragged(q, k, np.concatenate(tables).astype(np.int32))
