"""Scores of a run beside what was expected: by name, or any function of a row and its run.

    exact       1 where the value is the expected one: as it is, or as text where only one of the two is a string
    normalised  as exact, without case, punctuation, English articles and differences of white space (Rajpurkar et al.
                2016, "SQuAD: 100,000+ Questions for Machine Comprehension of Text")
    choice      as exact, without case and white space at the ends: the share is the accuracy of a classification
    contains    1 where the expected text stands somewhere in the value's text
    f1          of the words of value and expected text, normalised, counted as often as they stand there (SQuAD)
    numeric     1 where the value, or the last number in its text, is the expected number up to a millionth of it
    json        1 where both are the same JSON value: the order of keys, and 1 or 1.0, do not matter
    fields      F1 of the fields of a dict, dataclass or model: one is right where the same value stands at its place

For all but json and fields a list of expected values, where the value is no list itself, means any of them: the best
one counts. Scores are at least 0, at most 1.
"""

from __future__ import annotations

import json
import math
import re
import string
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..errors import EvaluationError
from ..jobs.report_figures import leaves
from ..run import Run
from ..saved import plain

Row = Mapping[str, Any]
Function = Callable[[dict[str, Any], Run[Any]], float]  # of a row and its run; True is 1
Metric = str | Function
Compare = Callable[[Any, Any], float]  # of the value and the expected one
EXPECTED = "expected"
NUMBER = re.compile(r"[-+]?(?:\d[\d,]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
ARTICLES = re.compile(r"\b(a|an|the)\b")
CLOSE = 1e-6


def metrics(given: Metric | Sequence[Metric] | Mapping[Any, float]) -> dict[str, Function]:
    """By name, in order. Of weights, the first is the weighted mean. Raises EvaluationError."""
    if isinstance(given, Mapping):
        return _weighted(given)
    if not isinstance(given, str | Sequence) and not callable(given):
        raise EvaluationError(f"a metric is a name or a function of a row and its run, not {given!r:.80}")
    some = [given] if isinstance(given, str) or callable(given) else list(given)
    found = {_name(metric): _function(metric) for metric in some}
    if not some or len(found) < len(some):
        raise EvaluationError("give at least one metric, and metrics of different names")
    return found


def _weighted(weights: Mapping[Any, float]) -> dict[str, Function]:
    each = metrics(list(weights))
    shares = list(weights.values())
    if not all(isinstance(w, int | float) and w >= 0 and math.isfinite(w) for w in shares) or not sum(shares):
        raise EvaluationError(f"the weights of metrics are 0 or more, and not all 0: {shares}")

    def weighted(row: dict[str, Any], run: Run[Any]) -> float:
        return sum(w * number(f(row, run)) for w, f in zip(shares, each.values(), strict=True)) / sum(shares)

    return {"weighted": weighted, **each}


def _name(metric: Metric) -> str:
    return metric if isinstance(metric, str) else getattr(metric, "__name__", type(metric).__name__)


def _function(metric: Metric) -> Function:
    if not isinstance(metric, str):
        if not callable(metric):
            raise EvaluationError(f"a metric is a name or a function of a row and its run, not {metric!r}")
        return metric
    if metric not in COMPARE:
        raise EvaluationError(f"there is no metric {metric!r}; there are {', '.join(COMPARE)}, and your own functions")
    compare, alternatives = COMPARE[metric], metric not in ("json", "fields")

    def score(row: dict[str, Any], run: Run[Any]) -> float:
        if alternatives and isinstance(row[EXPECTED], list) and not isinstance(run.value, list | tuple):
            return max([compare(run.value, one) for one in row[EXPECTED]], default=0.0)
        return compare(run.value, row[EXPECTED])

    return score


def number(score: Any) -> float:
    """What a metric gave, as a float. Raises EvaluationError for what is no finite number."""
    try:
        found = float(score)
    except (TypeError, ValueError):
        raise EvaluationError(f"a metric gives a number or a bool, not {score!r}") from None
    if not math.isfinite(found) or isinstance(score, str):
        raise EvaluationError(f"a metric gives a finite number, not {score!r}")
    return found


# -- the metrics by name ---------------------------------------------------------------------------------------------


def text_of(value: Any) -> str:
    """A string as it is; None is empty; everything else as JSON."""
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(plain(value), ensure_ascii=False)


def exact(value: Any, expected: Any) -> float:
    if isinstance(value, str) != isinstance(expected, str):
        text, other = (value, expected) if isinstance(value, str) else (expected, value)
        return float(text in (text_of(other), str(other)))
    return float(same(plain(value), plain(expected)))


def normalised(value: Any, expected: Any) -> float:
    return float(words(value) == words(expected))


def choice(value: Any, expected: Any) -> float:
    return float(text_of(value).strip().casefold() == text_of(expected).strip().casefold())


def contains(value: Any, expected: Any) -> float:
    return float(text_of(expected) in text_of(value))


def f1(value: Any, expected: Any) -> float:
    return overlap(Counter(words(value)), Counter(words(expected)))


def numeric(value: Any, expected: Any) -> float:
    found, wanted = _number(value), _number(expected)
    return float(found is not None and wanted is not None and math.isclose(found, wanted, rel_tol=CLOSE, abs_tol=1e-12))


def equal(value: Any, expected: Any) -> float:
    return float(same(_json(value), _json(expected)))


def fields(value: Any, expected: Any) -> float:
    found, wanted = dict(leaves(_json(value))), dict(leaves(_json(expected)))
    right = sum(place in wanted and same(part, wanted[place]) for place, part in found.items())
    return 2 * right / (len(found) + len(wanted)) if found or wanted else 1.0


def words(value: Any) -> list[str]:
    """Of a text, normalised."""
    text = text_of(value).lower().translate(str.maketrans("", "", string.punctuation))
    return ARTICLES.sub(" ", text).split()


def overlap(found: Counter[str], wanted: Counter[str]) -> float:
    if not found or not wanted:
        return float(found == wanted)
    return 2 * (found & wanted).total() / (found.total() + wanted.total())


def same(a: Any, b: Any) -> bool:
    """JSON's equality: true is not 1, but 1 is 1.0."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b) and isinstance(a, bool) == isinstance(b, bool)


def _json(value: Any) -> Any:
    """A string that is JSON is read."""
    if isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return plain(value)


def _number(value: Any) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    found = NUMBER.findall(value) if isinstance(value, str) else []
    return float(found[-1].replace(",", "")) if found else None


COMPARE: dict[str, Compare] = {
    "exact": exact,
    "normalised": normalised,
    "choice": choice,
    "contains": contains,
    "f1": f1,
    "numeric": numeric,
    "json": equal,
    "fields": fields,
}
