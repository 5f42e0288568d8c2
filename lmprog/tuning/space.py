"""What a search may choose from: for each slot some values."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import TuningError

Choice = tuple[int, ...]  # of each slot the number of one of its candidates
Values = Mapping[str, Any]  # by slot
Grid = NDArray[np.intp]  # choices, one a row
ALL, DRAWN = 4096, 1024  # choices that are listed; of larger spaces so many are drawn


@dataclass(frozen=True)
class Space:
    """The candidates of each slot, no two of them the same."""

    candidates: Mapping[str, tuple[Any, ...]]

    @classmethod
    def of(cls, given: Mapping[str, Sequence[Any]]) -> Space:
        """Raises TuningError for slots without candidates."""
        for name, values in given.items():
            if isinstance(values, str | bytes | Mapping) or not isinstance(values, Sequence) or not values:
                raise TuningError(f"space: the slot {name!r} takes a list of its candidates, not {values!r:.60}")
        return cls({name: _distinct(values) for name, values in given.items()})

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.candidates)

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        return tuple([len(values) for values in self.candidates.values()])

    @cached_property
    def size(self) -> int:
        return math.prod(self.sizes)

    def values(self, choice: Choice) -> dict[str, Any]:
        return {name: self.candidates[name][n] for name, n in zip(self.names, choice, strict=True)}

    def find(self, values: Values) -> Choice | None:
        """The choice that has these values; None where there is none, or some slots are not said."""
        places = [_place(self.candidates[name], values.get(name)) for name in self.names]
        return None if None in places else tuple([place for place in places if place is not None])

    def more(self, given: Mapping[str, Sequence[Any]]) -> Space:
        """With more candidates, behind those that there are: choices stay what they were."""
        both = {name: [*self.candidates.get(name, ()), *given.get(name, ())] for name in {**self.candidates, **given}}
        return Space.of(both)

    def each(self) -> Iterator[Choice]:
        return itertools.product(*map(range, self.sizes))

    def pool(self, seen: set[Choice], near: Sequence[Choice], rng: np.random.Generator) -> Grid:
        """Choices that were not seen yet: all of a small space; of a large one neighbours of `near`, and random ones.

        intp[choices, slots], possibly none
        """
        some = self.each() if self.size <= ALL else self._some(near, rng)
        left = [choice for choice in dict.fromkeys(some) if choice not in seen]
        return np.array(left, np.intp).reshape(len(left), len(self.sizes))

    def _some(self, near: Sequence[Choice], rng: np.random.Generator) -> Iterator[Choice]:
        for choice in near:
            for slot, size in enumerate(self.sizes):
                yield from [(*choice[:slot], n, *choice[slot + 1 :]) for n in range(size)]
        yield from map(tuple, rng.integers(self.sizes, size=(DRAWN, len(self.sizes))).tolist())


def key(values: Values) -> str:
    """The same text for the same values, whatever their order."""
    return json.dumps(dict(values), sort_keys=True, ensure_ascii=False, default=repr)


def _distinct(values: Sequence[Any]) -> tuple[Any, ...]:
    return tuple({key({"": value}): value for value in values}.values())


def _place(candidates: Sequence[Any], value: Any) -> int | None:
    keys = [key({"": candidate}) for candidate in candidates]
    own = key({"": value})
    return keys.index(own) if own in keys else None
