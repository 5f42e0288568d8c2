from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pydantic
import pytest

from lmprog import Captures, EvaluationError, Run, Usage
from lmprog.evaluation.metrics import metrics


class Item(pydantic.BaseModel):
    name: str
    price: float


@dataclass
class Pair:
    left: int
    right: list[int]


def run(value: Any) -> Run[Any]:
    return Run(value, "", Captures(), Usage())


CASES: list[tuple[str, Any, Any, float]] = [
    ("exact", "a", "a", 1),
    ("exact", "a ", "a", 0),
    ("exact", 3, "3", 1),
    ("exact", "3.0", 3, 0),
    ("exact", True, "true", 1),
    ("exact", True, "True", 1),
    ("exact", True, 1, 0),
    ("exact", 1, 1.0, 1),
    ("exact", None, None, 1),
    ("exact", ["a"], ["a"], 1),
    ("exact", "b", ["a", "b"], 1),
    ("exact", "c", ["a", "b"], 0),
    ("exact", "c", [], 0),
    ("normalised", "The  Cat!", "a cat", 1),
    ("normalised", "cats", "cat", 0),
    ("choice", " Poem\n", "poem", 1),
    ("choice", True, "true", 1),
    ("contains", "it is Paris.", "Paris", 1),
    ("contains", "it is paris.", "Paris", 0),
    ("contains", {"city": "Paris"}, "Paris", 1),
    ("f1", "the cat sat", "a cat sat down", 0.8),
    ("f1", "x", "y", 0),
    ("f1", "", "", 1),
    ("f1", "the", "the cat", 0),
    ("f1", "cat sat", ["dog", "cat sat"], 1),
    ("numeric", "so it is 1,234.50", 1234.5, 1),
    ("numeric", 7, "7.0000001", 1),
    ("numeric", 7, 7.1, 0),
    ("numeric", "from 3 to 4", 4, 1),
    ("numeric", "none", 4, 0),
    ("numeric", True, 1, 0),
    ("numeric", "-5", -5, 1),
    ("json", '{"b": 1, "a": [true]}', {"a": [True], "b": 1.0}, 1),
    ("json", {"a": 1}, {"a": True}, 0),
    ("json", [1, 2], [2, 1], 0),
    ("json", Item(name="x", price=2), {"name": "x", "price": 2}, 1),
    ("json", "not JSON", {"a": 1}, 0),
    ("fields", Item(name="x", price=2), {"name": "x", "price": 3}, 0.5),
    ("fields", Pair(1, [2, 3]), {"left": 1, "right": [2]}, 0.8),
    ("fields", {}, {}, 1),
    ("fields", {"a": {"b": 1}}, {}, 0),
]


@pytest.mark.parametrize(("name", "value", "expected", "score"), CASES, ids=repr)
def test_metric(name: str, value: Any, expected: Any, score: float) -> None:
    (function,) = metrics(name).values()

    assert pytest.approx(score) == function({"expected": expected}, run(value))


def test_several_and_weighted() -> None:
    def length(row: dict[str, Any], run: Run[Any]) -> float:
        return len(run.value)

    assert ["f1", "exact", "length"] == [*metrics(["f1", "exact", length])]
    weighted = metrics({"f1": 3, "exact": 1})
    assert ["weighted", "f1", "exact"] == [*weighted]
    assert 0.75 == weighted["weighted"]({"expected": "the cat"}, run("cat"))


@pytest.mark.parametrize("given", ["exactly", [], ["exact", "exact"], {"exact": -1}, {"exact": 0}, {}, 3, [3]])
def test_no_metrics(given: Any) -> None:
    with pytest.raises((EvaluationError, TypeError)):
        metrics(given)
