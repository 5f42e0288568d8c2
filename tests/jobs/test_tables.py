import itertools
import random
from typing import Any

import numpy as np
import pytest

from lmprog.jobs import JobError
from lmprog.jobs.assignment import align, assign
from lmprog.jobs.same import Same
from lmprog.jobs.tables import Count, compare, score_tables

LOOSE, NEAR, FAR, WIDE = Same("loose"), Same(absolute=0.05), Same(relative=0.05), Same(absolute=9)
A, B, C = {"name": "ash", "age": 1}, {"name": "oak", "age": 2}, {"name": "elm", "age": 3}


def total(weights: Any, pairs: Any) -> int:
    return int(sum(weights[i, j] for i, j in pairs))


def matchings(n: int, m: int) -> Any:
    for size in range(min(n, m) + 1):
        for left in itertools.combinations(range(n), size):
            for right in itertools.permutations(range(m), size):
                yield list(zip(left, right, strict=True))


@pytest.mark.parametrize("seed", range(60))
def test_assignments_against_all_there_are(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, m = rng.integers(0, 6, 2)
    weights = rng.integers(0, rng.choice([2, 4, 1000]), (n, m))
    every = list(matchings(n, m))
    free, ordered = assign(weights), align(weights)

    for pairs in (free, ordered):
        assert sorted(pairs) == pairs
        assert len({i for i, _ in pairs}) == len({j for _, j in pairs}) == len(pairs)
    assert max(total(weights, pairs) for pairs in every) == total(weights, free)
    kept = [pairs for pairs in every if [j for _, j in pairs] == sorted(j for _, j in pairs)]
    assert [j for _, j in ordered] == sorted(j for _, j in ordered)
    assert max(total(weights, pairs) for pairs in kept) == total(weights, ordered)


def test_a_large_assignment_is_optimal() -> None:
    """By duality: of a permuted diagonal that dominates, the pairs are known."""
    rng = np.random.default_rng(1)
    order = rng.permutation(150)
    weights = rng.integers(0, 50, (150, 150))
    weights[np.arange(150), order] += 100

    assert list(enumerate(order.tolist())) == assign(weights)


def table(rng: random.Random, rows: int) -> list[dict[str, Any]]:
    return [{c: rng.choice([0, 1, "x", None]) for c in "abc"} for _ in range(rows)]


@pytest.mark.parametrize("seed", range(60))
def test_the_most_cells_and_then_the_most_rows_that_can_agree(seed: int) -> None:
    rng = random.Random(seed)
    given, wanted = table(rng, rng.randrange(5)), table(rng, rng.randrange(5))
    match = compare(given, wanted)

    def value(pairs: Any) -> tuple[int, int]:
        rows = [(given[i], wanted[j]) for i, j in pairs]
        cells = sum(a[c] == b[c] and a[c] is not None for a, b in rows for c in "abc")
        return cells, sum(a == b and any(v is not None for v in a.values()) for a, b in rows)

    assert max(map(value, matchings(len(given), len(wanted)))) == (match.cells.right, sum(match.whole))
    assert sum(v is not None for row in given for v in row.values()) == match.cells.given


@pytest.mark.parametrize(
    ("given", "wanted", "options", "cells", "rows", "exact"),
    [
        pytest.param([A, B], [B, A], {}, (4, 4, 4), (2, 2, 2), True, id="the order does not count"),
        pytest.param([A, B], [B, A], {"ordered": True}, (2, 4, 4), (1, 2, 2), False, id="unless it is to"),
        pytest.param([C, A, B], [A, B], {"ordered": True}, (4, 6, 4), (2, 3, 2), False, id="a row too many in front"),
        pytest.param([], [], {}, (0, 0, 0), (0, 0, 0), True, id="both empty"),
        pytest.param([], [A], {}, (0, 0, 2), (0, 0, 1), False, id="empty, but should not be"),
        pytest.param([A], [], {}, (0, 2, 0), (0, 1, 0), False, id="should be empty"),
        pytest.param(None, [A], {}, (0, 0, 2), (0, 0, 1), False, id="failed"),
        pytest.param("no table", [], {}, (0, 0, 0), (0, 0, 0), False, id="no table where an empty one was wanted"),
        pytest.param([A, A], [A], {}, (2, 4, 2), (1, 2, 1), False, id="twice"),
        pytest.param([{**A, "age": None}], [A], {}, (1, 1, 2), (0, 1, 1), False, id="an empty cell"),
        pytest.param([{"name": "ash"}], [{**A, "age": None}], {}, (1, 1, 1), (1, 1, 1), True, id="empty is missing"),
        pytest.param([{**A, "x": 5}], [A], {}, (2, 3, 2), (0, 1, 1), False, id="an invented column"),
        pytest.param([{"name": "ash", "age": 2}], [A, B], {"keys": ["name"]}, (1, 2, 4), (0, 1, 2), False, id="by key"),
        pytest.param([{**A, "name": "fir"}], [A], {"keys": ["name"]}, (0, 2, 2), (0, 1, 1), False, id="no such key"),
        pytest.param([{"name": " ASH.", "age": "1"}], [A], {"same": LOOSE}, (2, 2, 2), (1, 1, 1), True, id="loose"),
        pytest.param([{"Name": "Ash", "Age": "1"}], [A], {}, (0, 2, 2), (0, 1, 1), False, id="exact"),
        pytest.param([{**A, "age": 1.04}], [A], {"same": NEAR}, (2, 2, 2), (1, 1, 1), True, id="near"),
        pytest.param([{**A, "age": 1.06}], [A], {"same": FAR}, (1, 2, 2), (0, 1, 1), False, id="far"),
        pytest.param([{**A, "age": True}], [A], {"same": WIDE}, (1, 2, 2), (0, 1, 1), False, id="true"),
        pytest.param({"n": 1, "rows": [A]}, {"n": 2, "rows": [A]}, {}, (2, 2, 2), (1, 1, 1), True, id="in an object"),
        pytest.param({"x": {"a": [A]}, "b": 1}, {"x": {"a": [A]}}, {"at": "/x/a"}, (2, 2, 2), (1, 1, 1), True, id="at"),
        pytest.param(["a", "b"], ["b", "c"], {}, (1, 2, 2), (1, 2, 2), False, id="a list of values"),
        pytest.param([{"a": [1, {"b": 2}]}], [{"a": [1, {"b": 2}]}], {}, (1, 1, 1), (1, 1, 1), True, id="nested"),
    ],
)  # fmt: skip
def test_levels(given: Any, wanted: Any, options: Any, cells: Any, rows: Any, exact: bool) -> None:
    match = compare(given, wanted, **options)
    score = score_tables([match])

    assert Count(*cells) == match.cells == score.cells
    assert Count(*rows) == score.rows
    assert exact is match.exact
    assert score.tables == Count(int(exact), int(isinstance(given, list | dict)), 1)
    assert sum(count.right for count in score.columns.values()) == cells[0]


def test_measures() -> None:
    count = Count(3, 4, 6)

    assert (0.75, 0.5, 0.6) == (count.precision, count.recall, count.f1)
    assert (1, 1, 1) == (Count().precision, Count().recall, Count().f1)
    assert 0 == Count(0, 0, 5).f1


def test_headers() -> None:
    score = score_tables(
        [compare([{"name": "ash", "colour": "red"}], [A]), compare([{"name": "oak"}], [B]), compare([], [C])]
    )

    assert Count(2, 3, 4) == score.header
    assert {"colour": 1} == score.invented
    assert {"age": 2} == score.missing
    assert (0.5 + 2 / 3 + 0) / 3 == pytest.approx(score.mean_f1)


@pytest.mark.parametrize(
    ("wanted", "options", "message"),
    [
        ("none", {}, "the truth has no table: name its place"),
        ({"a": [], "b": []}, {}, "the truth has no table"),
        ([A], {"at": "/rows"}, "the truth has no table at /rows"),
        ([A], {"keys": ["id"]}, "there is no column 'id', only name, age"),
        ([A] * 10_000, {}, "too large to be aligned"),
    ],
)
def test_refused(wanted: Any, options: Any, message: str) -> None:
    with pytest.raises(JobError, match=message):
        compare([A] * 9_000, wanted, **options)


def test_large_tables() -> None:
    rows = [{"id": n, "value": n % 7} for n in range(3000)]
    given = [{**row, "value": 0} for row in rows[::-1]]
    match = compare(given, rows)

    assert 3000 + sum(row["value"] == 0 for row in rows) == match.cells.right
