"""Tree search against going through all values of a table."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

import lmprog as lp
from lmprog import gen, program
from lmprog.testing import TableModel
from lmprog.testing.enumerated import random_table
from tests.spellings import LANGUAGE, PIECES, worths

ALL = 100  # more than there are beginnings and values


@program
def one(p: lp.Prompt, hole: Any, follow: str = "") -> Any:
    return p(hole, follow)


def odd(text: str) -> float:
    """Different for all values and beginnings."""
    return (1 + int(text.replace("a", "1").replace("b", "2") or 0) * 37 % 101) / 101


@pytest.mark.parametrize("kind", [odd, lp.Prefix(odd)], ids=["drawn", "prefix"])
@pytest.mark.parametrize("power", [0.0, 1.0, 0.3])
def test_with_rollouts_enough_the_best_value_is_found_and_known_to_be(kind: Any, power: float) -> None:
    for seed in range(12):
        table, most = random_table(seed, 3), 2 + seed % 3
        exact = {}
        for ids, worth in worths(table, most).items():
            text = "".join([PIECES[i] for i in ids])
            score = math.log(odd(text)) + power * worth if power else odd(text)
            key = ids if power else text
            exact[key] = score
        hole = gen(grammar=LANGUAGE, max_tokens=most, name="x")
        decoder = lp.MCTS(kind, ALL, power=power)
        capture = one.run(hole, model=TableModel(PIECES, table), decoder=decoder, seed=seed).captures["x"]
        found = {(p.tokens if power else p.text): p.score for p in capture.particles}

        assert pytest.approx(exact, abs=1e-5) == found
        assert max(exact, key=lambda key: exact[key]) == (capture.tokens if power else capture.text)
        assert capture.certificate is not None
        assert 0 == capture.certificate.gap


# -- four letters, six places ------------------------------------------------------------------------------------------

FOUR = TableModel([*"abcd"], random_table(7, 4, 6))
HOLE = gen(regex="[abcd]{6}", name="x")


def likes(text: str) -> float:
    """The share of places that are as they should be."""
    return sum([have == want for have, want in zip(text, "dcbadc", strict=False)]) / 6


def mean_found(decoder: lp.Decoder, seeds: int = 25) -> float:
    return sum([likes(one(HOLE, model=FOUR, decoder=decoder, seed=seed)) for seed in range(seeds)]) / seeds


def test_it_finds_better_values_than_as_many_draws_and_better_ones_with_more() -> None:
    few, many, single = [mean_found(lp.MCTS(likes, n)) for n in (12, 96, 1)]
    drawn = mean_found(lp.BestOf(96, likes))

    assert single < few < many
    assert many > drawn + 0.05


@pytest.mark.parametrize("prefix", [False, True])
def test_what_is_settled_is_not_tried_otherwise(prefix: bool) -> None:
    beginnings: list[str] = []
    values: list[str] = []

    def passes(text: str) -> bool:
        values.append(text)
        return True

    def random_value(text: str) -> float:
        beginnings.append(text)
        return random.Random(text).random()

    hole = gen(regex="[abcd]{6}", where=passes, name="x")
    decoder = lp.MCTS(lp.Prefix(random_value) if prefix else random_value, 50, 1, commit=10)
    capture = one.run(hole, model=FOUR, decoder=decoder, seed=2).captures["x"]
    tried = beginnings if prefix else values

    assert capture.certificate is not None
    assert capture.certificate.gap is None
    assert len({text[:1] for text in tried[:10] if text}) > 1
    for settled in range(1, 5):
        assert 1 == len({text[:settled] for text in tried[10 * settled : 50]})


@pytest.mark.parametrize("width", [1, 4, 16])
def test_rollouts_are_a_budget_and_seeds_repeat_runs(width: int) -> None:
    asked: list[str] = []

    def counted(text: str) -> float:
        asked.append(text)
        return likes(text)

    decoder = lp.MCTS(counted, 40, width=width)
    run, again = [one.run(HOLE, model=FOUR, decoder=decoder, seed=3) for _ in range(2)]
    found = run.captures["x"].particles

    assert 2 * len(found) == len(asked) == 2 * len(set(asked)) <= 80
    assert 40 == round(sum([p.share * 40 for p in found]))
    assert [(p.text, p.score) for p in found] == [(p.text, p.score) for p in again.captures["x"].particles]
    assert run.value != one(HOLE, model=FOUR, decoder=lp.MCTS(likes, 3), seed=4)


def test_a_round_is_a_batch() -> None:
    """Of 64 rollouts, eight at a time, each a token longer at the most than the one that it began behind."""
    rounds = []
    for width in (1, 8):
        before = FOUR.engine.stats.steps
        one(HOLE, model=FOUR, decoder=lp.MCTS(likes, 64, width=width), seed=1)
        rounds.append(FOUR.engine.stats.steps - before)

    assert rounds[1] < rounds[0] / 3


def test_conditions_pass_over_values() -> None:
    hole = gen(regex="[abcd]{6}", where=lambda x: x[0] == "a", name="x")

    assert "a" == one(hole, model=FOUR, decoder=lp.MCTS(likes), seed=1)[0]
    assert "a" == one(hole, model=FOUR, decoder=lp.MCTS(lp.Prefix(lambda x: "a" in x[:1])), seed=1)[0]
    with pytest.raises(lp.NoSample, match="none of the values of 5 rollouts passes"):
        one(gen(regex="[abcd]{6}", where=lambda x: False), model=FOUR, decoder=lp.MCTS(likes, 5))


def test_what_has_no_meaning_is_refused() -> None:
    numbers = {"rollouts": 0, "width": 0, "commit": 0, "c": math.nan, "power": -1.0, "temperature": -1.0}
    for name, number in numbers.items():
        with pytest.raises(lp.SamplingError):
            lp.MCTS(likes, **{name: number})  # type: ignore[arg-type]
    for value in (3, None, "x"):
        with pytest.raises(lp.SamplingError, match="value is a function"):
            lp.MCTS(value)  # type: ignore[arg-type]
    with pytest.raises(lp.SamplingError, match="a value is a finite number, not nan"):
        one(HOLE, model=FOUR, decoder=lp.MCTS(lambda x: math.nan))
    with pytest.raises(lp.SamplingError, match="a finite number of 0 or more"):
        one(HOLE, model=FOUR, decoder=lp.MCTS(lambda x: -1.0, power=1.0))
    with pytest.raises(lp.SamplingError, match="MCTS weighs values"):
        one(gen(regex="a", repetition_penalty=2.0), model=FOUR, decoder=lp.MCTS(likes))
