"""Best-first search against going through all values of a table."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lmprog as lp
from lmprog import gen, program
from lmprog.testing import TableModel
from lmprog.testing.enumerated import Table, random_table, sequences
from tests.spellings import LANGUAGE, PIECES, leaving, worths


@program
def one(p: lp.Prompt, hole: Any, follow: str = "") -> Any:
    return p(hole, follow)


@pytest.mark.parametrize("width", [1, 3])
@pytest.mark.parametrize("where", [None, lambda x: x.count("b") == 2], ids=["", "where"])
def test_the_most_probable_value_is_found_and_known_to_be(width: int, where: Any) -> None:
    for seed in range(40):
        table, most = random_table(seed, 3), 2 + seed % 3
        exact = worths(table, most)
        exact = {ids: worth for ids, worth in exact.items() if not where or where("".join([PIECES[i] for i in ids]))}
        hole = gen(grammar=LANGUAGE, max_tokens=most, where=where, name="x")
        run = one.run(hole, model=TableModel(PIECES, table), decoder=lp.BestFirst(width=width))
        capture = run.captures["x"]
        top = capture.particles[0]

        assert max(exact.values()) == pytest.approx(exact[top.tokens], abs=1e-5)
        assert exact[top.tokens] == pytest.approx(top.score, abs=1e-5)
        assert run.value == top.text
        assert 0 == gap(capture)


def greedy(table: Table, most: int) -> tuple[int, ...]:
    """By the most probable of the tokens that a value can be completed behind, and of the end."""
    values, ids = worths(table, most), tuple[int, ...]()
    while True:
        text, row = "".join([PIECES[i] for i in ids]), table(ids)
        may = {i for i in range(3) if any([value[: len(ids) + 1] == (*ids, i) for value in values])}
        best = max(may, key=lambda i: row[i], default=-1)
        if not may or (ids in values and leaving(text, [*row]) >= row[best]):
            return ids
        ids = (*ids, best)


def test_a_gap_is_no_less_than_the_truth_and_the_greedy_value_is_the_least() -> None:
    gaps = []
    for limit in (1, 3, 6, 12, 100):
        for seed in range(30):
            table = random_table(seed, 3)
            exact = worths(table, 4)
            model, hole = TableModel(PIECES, table), gen(grammar=LANGUAGE, max_tokens=4, name="x")
            capture = one.run(hole, model=model, decoder=lp.BestFirst(limit)).captures["x"]

            assert exact[capture.tokens] >= exact[greedy(table, 4)] - 1e-5
            assert max(exact.values()) - exact[capture.tokens] <= gap(capture) + 1e-5
            gaps.append(gap(capture))
    means = np.array(gaps).reshape(5, 30).mean(1)

    assert (np.diff(means) <= 0).all()
    assert 0 < means[0] < 2
    assert means[-1] == 0


def gap(capture: lp.Capture) -> float:
    assert capture.certificate is not None
    assert capture.certificate.gap is not None
    return capture.certificate.gap


def test_fewer_rows_than_going_through_all_beginnings() -> None:
    """The model is asked about beginnings that are more probable than the best value, and on the way to values."""
    table = random_table(5, 4, 6)
    model, hole = TableModel([*"abcd"], table), gen(regex="[abcd]{6}", name="x")
    rows = one.run(hole, model=model, decoder=lp.BestFirst(10_000, width=1)).usage.prompt_tokens_computed
    exact = {ids: chance for ids, chance, _ in sequences(table, 4, 6)}
    top = max([chance for ids, chance in exact.items() if len(ids) == 6])
    better = sum([chance > top for ids, chance in exact.items() if len(ids) < 6])

    assert better <= rows <= 2 * better < len(exact) / 10


def test_what_has_no_meaning_is_refused_and_nothing_that_passes_is_an_error() -> None:
    for wrong in ({"limit": 0}, {"width": 0}, {"limit": 2.5}):
        with pytest.raises(lp.SamplingError):
            lp.BestFirst(**wrong)
    even = TableModel([*"ab"], lambda ids: [1, 1, 0])
    with pytest.raises(lp.NoSample, match="raise limit"):
        one(gen(regex="[ab]{2}", where=lambda x: False), model=even, decoder=lp.BestFirst())
    with pytest.raises(lp.SamplingError, match="BestFirst weighs values"):
        one(gen(regex="a", repetition_penalty=2.0), model=even, decoder=lp.BestFirst())
