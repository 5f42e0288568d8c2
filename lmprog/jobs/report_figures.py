"""What a report says of a whole job: counts, and the numbers that are drawn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .calibration import kind
from .labels import is_right

BINS = 20
Record = Mapping[str, Any]


@dataclass
class FieldFigures:
    """Of all values at one place of the schema. `sure` is the sum of their confidences."""

    total: int = 0
    empty: int = 0
    abstained: int = 0
    evidence: int = 0
    rated: int = 0
    sure: float = 0.0
    known: int = 0
    right: int = 0


@dataclass
class Figures:
    """Of all records. `rated` holds, for each confidence that has a truth, both."""

    records: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    fields: dict[str, FieldFigures] = field(default_factory=dict)
    confidences: list[float] = field(default_factory=list)
    rated: list[tuple[float, bool]] = field(default_factory=list)
    prompts: list[int] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)
    misplaced: int = 0  # evidence that does not stand where it should

    def add(self, record: Record, truth: Any) -> None:
        self.records += 1
        if record["error"] is not None:
            self.errors[record["error"]["type"]] += 1
        if record.get("usage"):
            self.prompts.append(record["usage"]["prompt_tokens"])
            self.outputs.append(record["usage"]["output_tokens"])
        if record["error"] is None:
            for place, value in leaves(record["data"]):
                self._add_value(record, place, value, truth)

    def _add_value(self, record: Record, place: str, value: Any, truth: Any) -> None:
        figures = self.fields.setdefault(kind(place), FieldFigures())
        sure, right = record.get("confidence", {}).get(place), verdict(record, place, value, truth)
        figures.total += 1
        figures.empty += value is None
        figures.abstained += place in record.get("abstained", {})
        figures.evidence += place in record.get("evidence", {})
        if sure is not None:
            self.confidences.append(sure)
            figures.rated, figures.sure = figures.rated + 1, figures.sure + sure
        if right is not None:
            figures.known, figures.right = figures.known + 1, figures.right + right
            if sure is not None:
                self.rated.append((sure, right))


def leaves(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """The values that are no object and no list, with their JSON pointers.

    >>> list(leaves({"a": [1, {"b/c": None}], "d": {}}))
    [('/a/0', 1), ('/a/1/b~1c', None)]
    """
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from leaves(part, f"{place}/{key.replace('~', '~0').replace('/', '~1')}")
    elif isinstance(value, list):
        for n, part in enumerate(value):
            yield from leaves(part, f"{place}/{n}")
    else:
        yield place, value


def verdict(record: Record, place: str, value: Any, truth: Any) -> bool | None:
    """Whether a value is the true one; None where that is not known, and where it was withheld."""
    if truth is None or place in record.get("abstained", {}):
        return None
    return is_right(value, truth, place)


@dataclass(frozen=True)
class Bar:
    """One bar of a histogram; `height` is its share of the highest."""

    label: str
    count: int
    height: float


def histogram(values: Sequence[float], low: float, high: float, bins: int = BINS) -> list[Bar]:
    """Counts of values in equal steps from `low` to `high`, both included."""
    counts = [0] * bins
    width = (high - low) / bins or 1.0
    for value in values:
        counts[max(0, min(bins - 1, int((value - low) / width)))] += 1
    top = max(counts, default=0) or 1
    return [Bar(f"{low + n * width:.4g} to {low + (n + 1) * width:.4g}", k, k / top) for n, k in enumerate(counts)]


@dataclass(frozen=True)
class Step:
    """Values of about the same confidence: its mean, the share that is right, how many there are."""

    confidence: float
    right: float
    count: int


def reliability(rated: Sequence[tuple[float, bool]], bins: int = 10) -> list[Step]:
    """A reliability diagram: equal steps of confidence, those without values left out."""
    groups: list[list[tuple[float, bool]]] = [[] for _ in range(bins)]
    for sure, right in rated:
        groups[max(0, min(bins - 1, int(sure * bins)))].append((sure, right))
    return [
        Step(sum(sure for sure, _ in group) / len(group), sum(right for _, right in group) / len(group), len(group))
        for group in groups
        if group
    ]
