"""BestOf, Consistent and Arithmetic against the exact distribution of what masking draws."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from typing import Any

import numpy as np
import pytest

import lmprog as lp
from lmprog import gen, program, select
from lmprog.testing import RandomModel, Scripted, TableModel
from lmprog.testing.enumerated import distance, exactly, random_table, sequences

DIGITS = "0123"
TABLE = random_table(2, 4, 3)
MODEL = TableModel([*DIGITS], TABLE)
LANGUAGE = lp.regex("0..|[12]3[01]|3[0-3]2")
HOLE = gen(grammar=LANGUAGE, name="x")
VALUES = [text for text in map("".join, itertools.product(DIGITS, repeat=3)) if LANGUAGE.matches(text)]


def masking() -> dict[str, float]:
    """The distribution that masking draws from."""
    shares = {}
    for text in VALUES:
        ids, chance = tuple(map(int, text)), 1.0
        for i in range(3):
            may = {int(value[i]) for value in VALUES if value.startswith(text[:i])}
            chance *= TABLE(ids[:i])[ids[i]] / sum([TABLE(ids[:i])[token] for token in may])
        shares[text] = chance
    return shares


MASKED = masking()


@program(model=MODEL)
def one(p: lp.Prompt, hole: Any = HOLE) -> Any:
    return p(hole)


def frequencies(decoder: lp.Decoder, n: int) -> dict[str, float]:
    return {text: count / n for text, count in Counter([one(decoder=decoder, seed=s) for s in range(n)]).items()}


def turned(text: str) -> int:
    return int(text[::-1])


# -- the best of n -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 3])
def test_the_best_of_n_is_distributed_as_the_greatest_of_n_draws(n: int) -> None:
    order = sorted(VALUES, key=turned)
    below = np.cumsum([0.0, *[MASKED[text] for text in order]]) ** n
    exact = dict(zip(order, np.diff(below).tolist(), strict=True))

    assert distance(frequencies(lp.BestOf(n, turned), 500), exact) < 0.09


def test_candidates_are_on_the_capture_the_best_first() -> None:
    run = one.run(decoder=lp.BestOf(12, turned), seed=5)
    found = run.captures["x"].particles

    assert run.value == found[0].text
    assert [turned(p.text) for p in found] == [p.score for p in found] == sorted([turned(p.text) for p in found])[::-1]
    assert abs(1 - sum([p.share for p in found])) < 1e-9
    assert all(abs(p.share * 12 - round(p.share * 12)) < 1e-9 for p in found)
    assert run.usage.sampled_tokens >= 24


@pytest.mark.parametrize("most", [2, 3])
def test_scores_of_the_model_are_what_values_are_worth(most: int) -> None:
    """Values of several spellings that end by the end of text, by leaving the language, or at the end of the budget."""
    table, pieces = random_table(4, 3), ["a", "b", "ab"]
    model, language = TableModel(pieces, table), lp.regex("a[ab]{0,3}|bb")
    begins = lp.regex("(a[ab]{0,3}|b{0,2})").matches
    exact = {}
    for ids, chance, row in sequences(table, 3, most):
        text = "".join([pieces[i] for i in ids])
        ends = row[-1] + sum([row[i] for i, piece in enumerate(pieces) if not begins(text + piece)])
        exact[ids] = math.log(chance * (1.0 if text == "bb" or len(text) == 4 else ends))
    hole = gen(grammar=language, max_tokens=most, name="x")
    runs = [one.run(hole, model=model, decoder=lp.BestOf(9), seed=seed) for seed in range(20)]
    found = {p.tokens: p.score or 0.0 for run in runs for p in run.captures["x"].particles}

    assert len(found) > 4
    assert all(abs(exact[ids] - score) < 1e-5 for ids, score in found.items())
    assert all(run.captures["x"].particles[0].tokens == run.captures["x"].tokens for run in runs)


def test_another_prompt_scores_too() -> None:
    tables = {0: random_table(11, 3, 3), 1: random_table(12, 3, 3)}
    model = TableModel([*"abc"], lambda ids: tables[ids[0]](ids[1:]) if ids else [1, 1, 1, 0])
    behind = program(lambda p: p("a", gen(regex="[abc]{3}", name="x")))
    run = behind.run(model=model, decoder=lp.BestOf(20, lp.Also("b", power=0.5)), seed=1)
    found = run.captures["x"].particles

    def worth(key: int, ids: tuple[int, ...]) -> float:
        return sum([math.log(tables[key](ids[:i])[ids[i]]) for i in range(3)])

    assert len(found) > 5
    assert found[0].text == run.value
    for p in found:
        assert abs(worth(0, p.tokens) + worth(1, p.tokens) / 2 - (p.score or 0.0)) < 1e-5


def test_values_that_fail_are_passed_over_and_if_all_do_the_hole_is_filled_again() -> None:
    odd = gen(grammar=LANGUAGE, where=lambda text: text[0] != "0", name="x", tries=50)
    for decoder in (lp.BestOf(3, turned), lp.Consistent(3), lp.Arithmetic(3)):
        runs = [one.run(odd, decoder=decoder, seed=seed) for seed in range(30)]
        assert all(run.value[0] != "0" for run in runs)
        assert all(p.text[0] != "0" for run in runs for p in run.captures["x"].particles)
    with pytest.raises(lp.AttemptsExhausted):
        one(gen(grammar=LANGUAGE, where=lambda text: False, tries=2), decoder=lp.BestOf(3, turned))


def test_draws_by_another_method() -> None:
    """Of one draw each by SMC with many particles, the model's own distribution."""
    exact, _ = exactly(TABLE, DIGITS, 3, LANGUAGE.matches, lambda text: len(text) == 3)

    assert distance(MASKED, exact) > 0.15
    assert distance(frequencies(lp.BestOf(1, turned, of=lp.Rejection()), 400), exact) < 0.1
    best = one.run(decoder=lp.BestOf(4, of=lp.SMC(4)), seed=1)
    assert best.usage.sampled_tokens == 0
    assert best.usage.prompt_tokens_computed > 0


# -- no more than it takes ---------------------------------------------------------------------------------------------


def surely(score: float) -> float:
    """The values that end with 1 or 2 are right."""
    return 0.8 if score >= 100 else 0.3


GOOD = sum([share for text, share in MASKED.items() if turned(text) >= 100])


def test_draws_end_when_one_is_good_enough_and_the_value_is_as_by_rejection() -> None:
    decoder, n = lp.BestOf(5, turned, stop=surely, enough=0.8, batch=1), 600
    runs = [one.run(decoder=decoder, seed=seed) for seed in range(n)]
    drawn = [run.captures["x"].certificate.drawn or 0 for run in runs]  # type: ignore[union-attr]
    failed = 1 - GOOD
    exact = {t: share / GOOD * (1 - failed**5) for t, share in MASKED.items() if turned(t) >= 100}
    rest = sorted([text for text in VALUES if turned(text) < 100], key=turned)
    below = np.cumsum([0.0, *[MASKED[text] for text in rest]]) ** 5
    exact |= dict(zip(rest, np.diff(below).tolist(), strict=True))
    found = {text: count / n for text, count in Counter([run.value for run in runs]).items()}

    assert 0.1 < GOOD < 0.9
    assert abs(sum(exact.values()) - 1) < 1e-9
    assert distance(found, exact) < 0.09
    assert abs(np.mean(drawn) - decoder.mean_draws(GOOD)) < 4 * np.std(drawn) / n**0.5
    assert {1, 5} <= set(drawn)


@pytest.mark.parametrize(("n", "batch"), [(5, 1), (5, 2), (8, 4), (3, 7)])
def test_draws_on_average(n: int, batch: int) -> None:
    """By going through all ways in which draws are good enough or not."""
    decoder = lp.BestOf(n, turned, stop=surely, batch=batch)
    for share in (0.0, 0.3, 1.0):
        exact = 0.0
        for good in itertools.product([True, False], repeat=n):
            ends = [end for end in range(batch, n, batch) if any(good[:end])]
            exact += math.prod([share if yes else 1 - share for yes in good]) * (ends[0] if ends else n)
        assert abs(exact - decoder.mean_draws(share)) < 1e-9
    assert n == lp.BestOf(n, turned).mean_draws(0.5)


@pytest.mark.parametrize("batch", [1, 3, 8])
@pytest.mark.parametrize("score", [turned, None, lp.Also("1")], ids=["function", "model", "also"])
def test_the_draws_are_those_of_all_n_up_to_where_they_end(score: Any, batch: int) -> None:
    for seed in range(6):
        whole = one.run(decoder=lp.BestOf(8, score), seed=seed).captures["x"]
        never = one.run(decoder=lp.BestOf(8, score, stop=lambda s: 0.5, batch=batch), seed=seed).captures["x"]
        first = one.run(decoder=lp.BestOf(8, score, stop=lambda s: 1.0, batch=batch), seed=seed).captures["x"]
        alone = one.run(decoder=lp.BestOf(batch, score), seed=seed).captures["x"]

        assert whole.certificate == never.certificate
        assert first.certificate == alone.certificate
        assert first.certificate is not None
        assert batch == first.certificate.drawn


def test_a_calibrated_score_says_when_it_is_enough() -> None:
    """Fitted on draws: two in three are right from a score of 200 on, and one in ten below."""
    rng = np.random.default_rng(0)
    scores = [float(turned(one(decoder=lp.Sample(), seed=seed))) for seed in range(300)]
    right = [bool(rng.random() < (2 / 3 if score >= 200 else 0.1)) for score in scores]
    stop = lp.VennAbers.fit(scores, right)
    decoder = lp.BestOf(16, turned, stop=stop, enough=0.5, batch=2)
    runs = [one.run(decoder=decoder, seed=seed) for seed in range(60)]

    assert stop(50.0) < 0.25 < 0.5 < stop(250.0) < 0.85
    for run in runs:
        certificate = run.captures["x"].certificate
        assert certificate is not None
        assert stop(turned(run.value)) >= 0.5 or certificate.drawn == 16
    with pytest.raises(lp.CalibrationError):
        lp.VennAbers.fit([1.0], [])
    with pytest.raises(lp.CalibrationError):
        lp.VennAbers.fit([math.nan], [True])


def test_draws_that_fail_are_not_good_enough() -> None:
    hole = gen(grammar=LANGUAGE, where=lambda x: x[-1] != "3", name="x")
    for seed in range(20):
        run = one.run(hole, decoder=lp.BestOf(40, turned, stop=lambda s: 1.0, batch=1), seed=seed)
        assert run.value[-1] != "3"
        assert 1 == len(run.captures["x"].particles)


def test_what_stops_no_draws_is_refused() -> None:
    for wrong in ({"stop": 0.9}, {"enough": 1.5}, {"enough": math.nan}, {"batch": 0}):
        with pytest.raises(lp.SamplingError):
            lp.BestOf(4, turned, **wrong)
    with pytest.raises(lp.SamplingError, match="stop gives the probability"):
        one(decoder=lp.BestOf(4, turned, stop=lambda score: 7.0))
    with pytest.raises(lp.SamplingError, match="a share"):
        lp.BestOf().mean_draws(2.0)


# -- the most frequent -------------------------------------------------------------------------------------------------


def test_the_winner_of_a_vote_is_distributed_as_by_going_through_all_draws() -> None:
    exact: dict[str, float] = {}
    for draws in itertools.product(VALUES, repeat=3):
        winner = Counter(draws).most_common(1)[0][0]  # of equal ones the first
        exact[winner] = exact.get(winner, 0.0) + math.prod([MASKED[text] for text in draws])

    assert distance(frequencies(lp.Consistent(3), 500), exact) < 0.09


def test_votes_are_on_the_capture() -> None:
    run = one.run(decoder=lp.Consistent(16, key=lambda text: text[0]), seed=2)
    found = run.captures["x"].particles

    assert len({p.text[0] for p in found}) == len(found)
    assert [p.share for p in found] == [p.score for p in found] == sorted([p.share for p in found])[::-1]
    assert abs(1 - sum([p.share for p in found])) < 1e-9
    assert run.value == found[0].text


def test_the_value_most_like_all_others() -> None:
    def alike(a: str, b: str) -> float:
        return sum([x == y for x, y in zip(a, b, strict=True)])

    for seed in range(10):
        found = one.run(decoder=lp.Consistent(9, similarity=alike), seed=seed).captures["x"].particles
        risks = {p.text: sum([other.share * alike(p.text, other.text) for other in found]) for p in found}
        assert all(abs(risks[p.text] - (p.score or 0.0)) < 1e-9 for p in found)
        assert max(risks.values()) - risks[found[0].text] < 1e-9
    with pytest.raises(lp.SamplingError, match="not by both"):
        lp.Consistent(key=len, similarity=alike)


# -- evenly spread -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 5, 16])
def test_every_value_comes_as_often_as_it_should_rounded_up_or_down(n: int) -> None:
    """Under a mask, whatever the offset; so do all values up to any other one, together."""
    for seed in range(40):
        found = {p.text: p.share * n for p in one.run(decoder=lp.Arithmetic(n), seed=seed).captures["x"].particles}
        counts = np.array([found.get(text, 0.0) for text in VALUES])
        means = np.array([MASKED[text] * n for text in VALUES])
        assert np.abs(counts - means).max() < 1
        assert np.abs((counts - means).cumsum()).max() < 1


def test_the_estimate_has_no_bias_and_varies_less_than_with_independent_draws() -> None:
    def estimates(decoder: lp.Decoder) -> Any:
        runs = [one.run(decoder=decoder, seed=seed) for seed in range(300)]
        return np.array([sum([p.share * turned(p.text) for p in run.captures["x"].particles]) for run in runs])

    mean = sum([chance * turned(text) for text, chance in MASKED.items()])
    even, independent = estimates(lp.Arithmetic(8)), estimates(lp.Consistent(8))

    for found in (even, independent):
        assert abs(found.mean() - mean) < 3.5 * found.std() / 300**0.5
    assert even.var() < independent.var() / 2


def test_the_value_of_many_is_distributed_as_a_single_draw() -> None:
    assert distance(frequencies(lp.Arithmetic(4), 500), MASKED) < 0.09


# -- in programs -------------------------------------------------------------------------------------------------------


DECODERS = [lp.BestOf(3, len), lp.BestOf(2), lp.Consistent(3), lp.Consistent(2, of=lp.SMC(2)), lp.Arithmetic(3)]


@pytest.mark.parametrize("decoder", DECODERS, ids=repr)
def test_in_programs(model: RandomModel, decoder: lp.Decoder) -> None:
    """Forks, attempts, choices, healed borders, stops; with and without previews, and under a small pool."""

    def forks(p: lp.Prompt) -> list[str]:
        p("Of the sea: ")
        calm = gen(regex=" [a-z ]{4,9}", where=lambda x: "q" not in x, max_tokens=10)
        branches = p.fork(lambda p, n: p(f"{n}", calm), range(3))
        p.append(branches)
        p(select(["moon", "sea", "sea of trees"], name="kind"), " and ", gen(max_tokens=5, stop=","), ", ")
        for a in p.attempts(20, feedback="none"):
            with a:
                a.check(p("n: ", gen(regex="[0-9]{1,4}", max_tokens=4), "\n")[0] < "9")
        return [branch.value for branch in branches]

    run, small = program(decoder=decoder, trace=True)(forks).run(model=model, seed=4), RandomModel(0, slots=560)
    tight = program(decoder=decoder, preview=False)(forks).run(model=small, seed=4)
    small.engine.check()
    small.close()

    assert run.text == tight.text
    assert all("q" not in value for value in run.value)
    assert 1 <= len(run.captures["kind"].particles) <= 3


def test_the_budget_holds() -> None:
    for decoder in (lp.BestOf(4, len), lp.BestOf(4), lp.Consistent(4), lp.Arithmetic(4)):
        run = one.run(gen(regex="0{3}1|2{2,9}", max_tokens=3, name="x"), decoder=decoder, seed=1)
        assert {p.text for p in run.captures["x"].particles} <= {"22", "222"}
        with pytest.raises(lp.BudgetError):
            one(gen(regex="0{5}", max_tokens=3), decoder=decoder)


def test_what_has_no_meaning_is_refused() -> None:
    with pytest.raises(lp.SamplingError, match="a score is a function"):
        lp.BestOf(2, "long")  # type: ignore[arg-type]
    with pytest.raises(lp.SamplingError, match="a decoder is"):
        lp.Consistent(2, of=3)  # type: ignore[arg-type]
    with pytest.raises(lp.SamplingError, match="token by token"):
        lp.Arithmetic(2, of=lp.SMC(2))  # type: ignore[arg-type]
    with pytest.raises(lp.SamplingError, match="a score is a number"):
        one(decoder=lp.BestOf(2, lambda text: math.nan))
    for decoder in (lp.BestOf(2), lp.Consistent(2), lp.Arithmetic(2)):
        with pytest.raises(lp.SamplingError, match="draws: it needs"):
            one(gen(grammar=LANGUAGE, temperature=0.0), decoder=decoder)
    with pytest.raises(lp.SamplingError, match="does not tell"):
        one(gen(regex="a"), model=Scripted(["a", "a"]), decoder=lp.BestOf(2))
