"""Demonstrations from runs that were right: BootstrapFewShot (Khattab et al. 2023, "DSPy: Compiling Declarative
Language Model Calls into Self-Improving Pipelines").

A teacher, the program itself unless told otherwise, runs on rows that are set aside. A run whose score is high enough
becomes a demonstration: the row's arguments, and the texts of all holes that were filled. A row on which it fails may
still become one, where the label says what the holes should have held.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, zip_longest
from typing import Any

import numpy as np

from ..evaluation.data import arguments
from ..evaluation.metrics import EXPECTED
from ..evaluation.result import Evaluation, Scored
from ..programs import Program
from .assertions import mended

Demo = dict[str, Any]


def demos(program: Program[..., Any], found: Evaluation, threshold: float) -> list[tuple[Demo, Any, bool]]:
    """Of the runs that scored `threshold` or more; of the others, by their labels, where those fill the holes. With the
    label of each, None where there is none, and whether it is one that checks had mended."""
    names = next((list(row.run.captures) for row in found.rows if row.run is not None), [])
    made = []
    for row in found.rows:
        held = _held(row, threshold, names)
        if held is not None:
            own = arguments(program, row.data, f"row {row.index}")
            made.append((own | held, row.data.get(EXPECTED), mended(row)))
    return made


def _held(row: Scored, threshold: float, names: Sequence[str]) -> Demo | None:
    """What the holes held, or should have held."""
    if row.run is not None and row.scores[0] >= threshold:
        return {name: capture.text for name, capture in row.run.captures.items()}
    return _labelled(names, row.data.get(EXPECTED))


def _labelled(names: Sequence[str], expected: Any) -> Demo | None:
    """What holes of these names should have held; None where the label does not say."""
    if isinstance(expected, Mapping) and names and set(names) <= expected.keys():
        return {name: _text(expected[name]) for name in names}
    return {names[0]: _text(expected)} if len(names) == 1 and expected is not None else None


def _text(value: Any) -> str:
    """As a hole writes it: JSON where it is no text or number."""
    if isinstance(value, Mapping | list | bool):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    return str(value)


def sets(
    pool: Sequence[tuple[Demo, Any, bool]], count: int, size: int, seed: int, *, mended: bool = False
) -> list[list[Demo]]:
    """`count` different sets of `size` demonstrations or, where there are fewer, of as many as there are.

    Labels come up about equally often in each: they are dealt out in turn, in a random order. `mended`: in every other
    set those that checks had mended come first.
    """
    rng = np.random.default_rng(seed)
    made: dict[tuple[int, ...], list[Demo]] = {}
    for turn in range(4 * count if pool else 0):
        chosen = _dealt([label for _, label, _ in pool], rng)
        if mended and turn % 2 == 0:
            chosen.sort(key=lambda n: not pool[n][2])
        chosen = chosen[:size]
        made.setdefault(tuple(sorted(chosen)), [pool[n][0] for n in chosen])
        if len(made) == count:
            break
    return list(made.values())


def _dealt(labels: Sequence[Any], rng: np.random.Generator) -> list[int]:
    """The numbers of all labels, in turn of each kind."""
    kinds: dict[str, list[int]] = {}
    for n in rng.permutation(len(labels)).tolist():
        kinds.setdefault(repr(labels[n]), []).append(n)
    rounds: Iterable[tuple[int | None, ...]] = zip_longest(*kinds.values())
    return [n for n in chain.from_iterable(rounds) if n is not None]
