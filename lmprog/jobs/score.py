"""How often the answers agree with the truth, next to what always giving the most frequent value would reach."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Field:
    """Counts of one top-level field."""

    right: int = 0
    total: int = 0
    values: Counter[str] = field(default_factory=Counter)

    @property
    def accuracy(self) -> float:
        return self.right / self.total

    @property
    def most_frequent(self) -> float:
        """The share of the most frequent true value."""
        return self.values.most_common(1)[0][1] / self.total


@dataclass
class Score:
    """Agreement over the records that have a truth; a failed record is wrong in every field."""

    fields: dict[str, Field] = field(default_factory=dict)
    records: int = 0
    exact: int = 0

    @property
    def accuracy(self) -> float:
        """The mean over the fields."""
        return sum(f.accuracy for f in self.fields.values()) / len(self.fields)

    @property
    def most_frequent(self) -> float:
        return sum(f.most_frequent for f in self.fields.values()) / len(self.fields)


def score(pairs: Iterable[tuple[Any, Any]]) -> Score | None:
    """Compare answers with truths, (answer, truth) each; None when there is no truth at all."""
    total = Score()
    for answer, truth in pairs:
        if truth is not None:
            _add(total, answer, truth)
    return total if total.records else None


def _add(total: Score, answer: Any, truth: Any) -> None:
    truths = truth if isinstance(truth, dict) else {"value": truth}
    answers = answer if isinstance(truth, dict) else {"value": answer}
    total.records += 1
    total.exact += _key(answer) == _key(truth)
    for name, value in truths.items():
        counts = total.fields.setdefault(name, Field())
        counts.total += 1
        counts.values[_key(value)] += 1
        counts.right += isinstance(answers, dict) and _key(answers.get(name)) == _key(value)


def _key(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
