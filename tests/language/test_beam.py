"""Beam search against going through all values of a table."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import lmprog as lp
from lmprog import gen, program, select
from lmprog.decoders.beam import best
from lmprog.testing import RandomModel, TableModel
from lmprog.testing.enumerated import random_table
from tests.spellings import LANGUAGE, PIECES, worths


@program
def one(p: lp.Prompt, hole: Any, follow: str = "") -> Any:
    return p(hole, follow)


@pytest.mark.parametrize("penalty", [0.0, 1.0, 2.5])
@pytest.mark.parametrize("most", [2, 3, 4])
def test_a_beam_that_holds_all_beginnings_finds_the_best_values_in_order(penalty: float, most: int) -> None:
    for seed in range(6):
        table = random_table(seed, 3)
        exact = {ids: worth / len(ids) ** penalty for ids, worth in worths(table, most).items()}
        hole = gen(grammar=LANGUAGE, max_tokens=most, name="x")
        run = one.run(hole, model=TableModel(PIECES, table), decoder=lp.Beam(81, length_penalty=penalty))
        found = run.captures["x"].particles

        assert sorted(exact, key=lambda ids: -exact[ids]) == [particle.tokens for particle in found]
        assert np.allclose([exact[particle.tokens] for particle in found], [p.score or math.nan for p in found])
        assert run.value == found[0].text
        assert abs(1 - sum([particle.share for particle in found])) < 1e-9


def test_more_beams_find_better_values_and_none_is_lost_at_the_end_of_the_budget() -> None:
    scores = []
    for k in (1, 2, 81):
        for seed in range(12):
            table = random_table(seed, 3)
            exact = worths(table, 3)
            hole = gen(grammar=LANGUAGE, max_tokens=3, name="x")
            top = one.run(hole, model=TableModel(PIECES, table), decoder=lp.Beam(k)).captures["x"].particles[0]
            scores.append(exact[top.tokens])
    mean = np.array(scores).reshape(3, 12).mean(1)

    assert mean[0] < mean[1] <= mean[2]


@pytest.mark.parametrize("k", [1, 3])
def test_beams_go_only_where_a_value_can_be_completed(k: int) -> None:
    """The model would go for twelve "a" first, for which there are not enough tokens."""
    table = TableModel(["a", "b", "ba"], lambda ids: [0.9, 0.06, 0.02, 0.02])
    hole = gen(regex="a{0,12}bababa", max_tokens=5)

    assert "ababa" in one(hole, model=table, decoder=lp.Beam(k))
    with pytest.raises(lp.BudgetError):
        one(gen(regex="a{0,12}bababa", max_tokens=2), model=table, decoder=lp.Beam(k))


def test_groups_begin_with_tokens_that_others_have_not() -> None:
    """Of four letters the first is so probable that all beams would begin with it."""
    first = TableModel([*"abcd"], lambda ids: [[0.86, 0.08, 0.04, 0.02, 0.0], [0.25] * 4 + [0.0]][min(len(ids), 1)])
    hole = gen(regex="[abcd]{3}", name="x")

    def begin(decoder: lp.Beam) -> list[str]:
        return [p.text[0] for p in one.run(hole, model=first, decoder=decoder).captures["x"].particles]

    assert [*"aaaa"] == begin(lp.Beam(4))
    assert [*"aaaa"] == begin(lp.Beam(4, groups=4, diversity=0.5))
    assert [*"aabc"] == begin(lp.Beam(4, groups=4, diversity=2.7))
    assert [*"abcd"] == begin(lp.Beam(4, groups=4, diversity=9.0))
    assert [*"aacc"] == begin(lp.Beam(4, groups=2, diversity=9.0))


def test_a_group_by_itself_is_a_beam_of_its_size() -> None:
    for seed in range(5):
        model = TableModel(PIECES, random_table(seed, 3))
        hole = gen(grammar=LANGUAGE, max_tokens=3, name="x")
        alone, groups = [
            one.run(hole, model=model, decoder=decoder).captures["x"].particles
            for decoder in (lp.Beam(2), lp.Beam(6, groups=3, diversity=0.0))
        ]
        assert {p.tokens for p in alone} <= {p.tokens for p in groups}
        assert len({p.tokens for p in groups}) == len(groups)


def test_conditions_pass_over_values() -> None:
    table = random_table(3, 3)
    exact = {ids: worth for ids, worth in worths(table, 3).items() if "".join([PIECES[i] for i in ids]).count("b") == 2}
    hole = gen(grammar=LANGUAGE, max_tokens=3, where=lambda x: x.count("b") == 2, name="x")
    run = one.run(hole, model=TableModel(PIECES, table), decoder=lp.Beam(81))

    assert max(exact, key=lambda ids: exact[ids]) == run.captures["x"].particles[0].tokens
    with pytest.raises(lp.NoSample, match="81 beams came to no value"):
        one(gen(grammar=LANGUAGE, where=lambda x: False), model=TableModel(PIECES, table), decoder=lp.Beam(81))


def test_what_has_no_meaning_is_refused() -> None:
    for wrong in ({"k": 0}, {"groups": 3}, {"length_penalty": -1.0}, {"diversity": math.inf}):
        with pytest.raises(lp.SamplingError):
            lp.Beam(**wrong)
    with pytest.raises(lp.SamplingError, match="Beam weighs values"):
        one(gen(regex="a", repetition_penalty=2.0), model=TableModel(["a"], lambda ids: [1, 1]), decoder=lp.Beam())


def test_ties_go_to_the_smaller_token() -> None:
    even = TableModel([*"abc"], lambda ids: [1, 1, 1, 0])

    assert "aa" == one(gen(regex="[abc]{2}"), model=even, decoder=lp.Beam(2))
    assert [1, 2, 0] == best(np.array([1.0, 3.0, 3.0, 1.0, -math.inf]), 3)
    assert [] == best(np.array([-math.inf]), 3)


@pytest.mark.parametrize("decoder", [lp.Beam(3), lp.Beam(4, length_penalty=1.0, groups=2)], ids=["plain", "groups"])
def test_beams_in_programs(model: RandomModel, decoder: lp.Beam) -> None:
    """Forks, attempts, choices, healed borders, stops; with and without previews, and under a small pool."""

    def forks(p: lp.Prompt) -> list[str]:
        p("Of the sea: ")
        branches = p.fork(lambda p, n: p(f"{n}", gen(regex=" [a-z ]{4,9}", where=lambda x: "e" in x), "\n"), range(3))
        p.append(branches)
        p(select(["moon", "sea", "sea of trees"], name="kind"), " and ", gen(max_tokens=5, stop=","), ", ")
        for a in p.attempts(2, feedback="none"):
            with a:
                n = p("n: ", gen(int, ge=3, le=5000), "\n")
                a.check(3 <= n <= 5000)
        return [branch.value for branch in branches]

    run, small = program(decoder=decoder)(forks).run(model=model), RandomModel(0, slots=130)
    tight = program(decoder=decoder, preview=False)(forks).run(model=small, seed=4)
    small.engine.check()
    small.close()

    assert run.text == tight.text
    assert all("e" in value for value in run.value)
