"""The answers for several pieces of one document as one answer.

    null and absent   lose against anything else
    objects           field by field
    lists             one after the other; what two pieces both have counts once
    other values      the surest one; of equally sure ones the first

An item of a list is the same in two pieces if it has the same value and, where both have quotes, if these are of the
same place in the document; quotes of the same places also make items the same whose other values differ, and these are
then merged. Equal items of one piece stay: the model gave both.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from .leaves import Leaf, Tree, data, leaves


def merge(answers: Sequence[Tree], by_value: bool = False) -> Tree:
    """`answers` in the order of the pieces; `by_value`: equal items are the same wherever they were quoted from."""
    known = [answer for answer in answers if not (isinstance(answer, Leaf) and answer.value is None)]
    if len(known) < 2:
        return known[0] if known else answers[0]
    kind = type(max(known, key=_surety))
    alike = [answer for answer in known if isinstance(answer, kind)]
    if kind is dict:
        return _objects(alike, by_value)
    return _lists(alike, by_value) if kind is list else max(alike, key=_surety)


def _surety(answer: Tree) -> float:
    """The mean confidence; 0 where there is none."""
    every = [leaf.confidence or 0.0 for _, leaf in leaves(answer)]
    return sum(every) / len(every) if every else 0.0


def _objects(answers: Sequence[dict[str, Tree]], by_value: bool) -> dict[str, Tree]:
    names = dict.fromkeys(name for answer in sorted(answers, key=len, reverse=True) for name in answer)
    return {name: merge([answer[name] for answer in answers if name in answer], by_value) for name in names}


def _lists(answers: Sequence[list[Tree]], by_value: bool) -> list[Tree]:
    found: list[Tree] = []
    for items in answers:
        before = len(found)
        free = list(range(before))
        for item in items:
            twin = next((i for i in free if _same(found[i], item, by_value)), None)
            if twin is None:
                found.append(item)
            else:
                free.remove(twin)
                found[twin] = _joined(found[twin], item)
    return found


def _joined(a: Tree, b: Tree) -> Tree:
    """Of two that are the same item: the surer values."""
    if isinstance(a, dict) and isinstance(b, dict):
        return _objects([a, b], by_value=False)
    return max((a, b), key=_surety)


def _same(a: Tree, b: Tree, by_value: bool) -> bool:
    equal = _key(a) == _key(b)
    places = (_places(a), _places(b))
    if by_value or not all(places):
        return equal
    return places[0] == places[1]


def _key(answer: Tree) -> str:
    return json.dumps(data(answer), sort_keys=True)


def _places(answer: Tree) -> list[Any]:
    return [(at, leaf.document, leaf.place) for at, leaf in leaves(answer) if leaf.place is not None and not leaf.found]
