"""Prompts without a part: a slot, at its place, or a text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import SamplingError
from ..models import LanguageModel
from .method import Problem


def names_slot(method: object) -> bool:
    """Whether it drops what may be the name of a slot."""
    drop = getattr(method, "drop", None)
    return isinstance(drop, str) and all([name.isidentifier() for name in drop.split(".")])


def dropped(problem: Problem, drop: str) -> list[int]:
    """The ids of the prompt without the texts of the slot `drop` or, where the run has none of that name before the
    hole, without the text `drop`, where it stands last. Raises SamplingError where neither stands there."""
    ids, model = list(problem.request.ids), problem.model
    places = [place for place in problem.places if place.slot == drop]
    for place in reversed(places):
        ids = without(ids, place.text, model, place.nth) if place.text else ids
    return ids if places else without(ids, drop, model)


def without(ids: Sequence[int], drop: str, model: LanguageModel, nth: int | None = None) -> list[int]:
    """The ids of a text without `drop`, where it stands last, or for the nth time (counted from 0); what is around it
    in the same tokens is spelt anew.

    Raises SamplingError where it does not stand.
    """
    texts = [model.vocab.token_bytes[i] or b"" for i in ids]
    ends = np.cumsum([len(text) for text in texts])
    data = b"".join(texts)
    begin = data.rfind(drop.encode()) if nth is None else _find(data, drop.encode(), nth)
    if begin < 0:
        raise SamplingError(f"the text before the hole does not have what is to be dropped: {drop[:60]!r}")
    end = begin + len(drop.encode())
    first, last = int(np.searchsorted(ends, begin, side="right")), int(np.searchsorted(ends, end))
    left = data[int(ends[first]) - len(texts[first]) : begin] + data[end : int(ends[last])]
    return [*ids[:first], *model.vocab.encode(left), *ids[last + 1 :]]


def _find(data: bytes, part: bytes, nth: int) -> int:
    """Where it stands for the nth time, without overlap; -1: nowhere."""
    begin = data.find(part)
    for _ in range(nth if begin >= 0 else 0):
        begin = data.find(part, begin + len(part))
        if begin < 0:
            break
    return begin
