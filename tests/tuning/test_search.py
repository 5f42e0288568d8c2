from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np
import pytest

from lmprog.errors import TuningError
from lmprog.tuning.budget import Budget
from lmprog.tuning.samplers import Joint, Point
from lmprog.tuning.space import Space
from lmprog.tuning.store import Outcome, Store
from lmprog.tuning.trials import Trial, best, estimates, pareto

from .landscapes import LANDSCAPES, SIZES, evaluations, place, searching


@pytest.mark.parametrize("name", LANDSCAPES)
def test_the_best_of_144_is_found_early(name: str) -> None:
    joint = [evaluations(LANDSCAPES[name], "joint", seed) for seed in range(20)]
    random = [evaluations(LANDSCAPES[name], "random", seed) for seed in range(20)]

    assert median(joint) <= 30
    assert sum(a < b for a, b in zip(joint, random, strict=True)) >= 14
    assert median(random) > 40


def test_parzen_estimator_beats_chance_too() -> None:
    pytest.importorskip("optuna")
    found = [evaluations(LANDSCAPES["planted"], "tpe", seed) for seed in range(8)]

    assert median(found) <= 36


@pytest.mark.parametrize("method", ["joint", "random", "tpe"])
def test_the_whole_grid_once(method: str) -> None:
    if method == "tpe":
        pytest.importorskip("optuna")
    scores = np.random.default_rng(0).normal(size=144)
    asked: list[tuple[tuple[int, ...], int]] = []
    trials = searching(lambda c, _: scores[place(c)], method=method, asked=asked).run()

    assert len(trials) == len(set(asked)) == len(asked) == 144
    assert (found := best(trials)) is not None
    assert found.score == scores.max()


def test_budget_of_evaluations_counts_the_start() -> None:
    trials = searching(lambda c, _: sum(c), budget=Budget(evaluations=7)).run()

    assert [trial.number for trial in trials] == list(range(7))
    assert trials[0].values == {}


def test_budget_of_tokens_is_hard() -> None:
    search = searching(lambda c, _: sum(c), rows=10, budget=Budget(tokens=1234), chunk=3)
    trials = search.run()

    assert 1234 <= search.spent.tokens < 1234 + 3 * 10
    assert [trial.full for trial in trials] == [True] * 12 + [False]


@pytest.mark.parametrize("limit", [{"tokens": 0}, {"seconds": -1.0}, {"evaluations": True}])
def test_impossible_budgets(limit: dict[str, float]) -> None:
    with pytest.raises(TuningError, match="budget"):
        Budget(**limit)  # type: ignore[arg-type]


def test_minibatches_pay_no_row_twice_and_end_with_the_best_in_full() -> None:
    rng = np.random.default_rng(3)
    effects, rows = [rng.uniform(size=size) for size in SIZES], rng.normal(size=40)

    def score(choice: Sequence[int], row: int) -> float:
        return sum(e[n] for e, n in zip(effects, choice, strict=True)) + rows[row]

    asked: list[tuple[tuple[int, ...], int]] = []
    budget = Budget(evaluations=25)
    search = searching(score, rows=40, minibatch=8, budget=budget, asked=asked)
    trials = search.run()
    found = best(trials)

    assert len(trials) == 25
    assert max(Counter(asked[40:]).values()) == 1
    assert len(asked) < 25 * 40 / 2
    assert found is not None
    assert found.choice == tuple(int(e.argmax()) for e in effects)


def test_minibatches_leave_enough_for_the_best() -> None:
    search = searching(lambda c, _: sum(c), rows=40, minibatch=4, budget=Budget(tokens=1500))
    trials = search.run()

    assert search.spent.tokens <= 1500 + 320
    assert best(trials) is max(trials, key=lambda t: t.score)


def test_scores_on_other_rows_are_put_right() -> None:
    """Of rows 0 to 3, the first two are easy; equal trials come out equal."""

    def trial(number: int, rows: list[int], quality: float) -> Trial:
        outcomes = {row: Outcome(row, quality + (row < 2)) for row in rows}
        return Trial(number, {}, (number,), outcomes, len(rows) == 4)

    many = [trial(n, [0, 1, 2, 3], 0.1 * n) for n in range(20)]
    easy, hard = trial(20, [0, 1], 0.5), trial(21, [2, 3], 0.7)
    known = estimates([*many, easy, hard], 4)

    assert known[20][0] == pytest.approx(0.5 + 0.5, abs=0.05)
    assert known[21][0] == pytest.approx(0.7 + 0.5, abs=0.05)
    assert known[0][1] == 0.0


def test_pareto() -> None:
    pairs = [(0.5, 10), (0.4, 5), (0.5, 20), (0.9, 30), (0.1, 5)]
    trials = [Trial(n, {}, None, {0: Outcome(0, s, t)}, True) for n, (s, t) in enumerate(pairs)]

    assert [trial.number for trial in pareto(trials)] == [1, 0, 3]


def test_large_spaces_are_not_listed() -> None:
    space = Space.of({str(n): list(range(30)) for n in range(10)})
    joint = Joint(space, 0)
    points: list[Point] = []
    for _ in range(30):
        choice = joint.suggest(points)
        assert choice is not None
        points.append(Point(choice, float(sum(choice))))

    assert len({point.choice for point in points}) == 30
    assert max(p.score for p in points) > 200  # 145 by chance


def test_candidates_are_distinct() -> None:
    space = Space.of({"a": ["x", "y", "x"], "b": [[{"q": 1}], [{"q": 1}], []]})

    assert space.sizes == (2, 2)
    assert space.find({"a": "y", "b": []}) == (1, 1)
    assert space.find({"a": "z", "b": []}) is None


@pytest.mark.parametrize("wrong", [[], "text", {"a": 1}])
def test_no_candidates(wrong: object) -> None:
    with pytest.raises(TuningError, match="slot 'a' takes a list"):
        Space.of({"a": wrong})  # type: ignore[dict-item]


def test_unknown_method() -> None:
    with pytest.raises(TuningError, match="joint, random, tpe"):
        searching(lambda c, _: 0.0, method="magic")


def test_resuming_pays_for_nothing_again(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    scores = np.random.default_rng(0).normal(size=144)

    def run(budget: int) -> tuple[list[Trial], int]:
        asked: list[tuple[tuple[int, ...], int]] = []
        store = Store(path)
        search = searching(lambda c, _: scores[place(c)], store=store, asked=asked, budget=Budget(evaluations=budget))
        trials = search.run()
        store.close()
        return trials, len(asked)

    first, second, third = run(10), run(10), run(30)
    whole = searching(lambda c, _: scores[place(c)], budget=Budget(evaluations=30)).run()

    assert (first[1], second[1], third[1]) == (10, 0, 20)
    assert [t.choice for t in second[0]] == [t.choice for t in first[0]]
    assert [(t.choice, t.score) for t in third[0]] == [(t.choice, t.score) for t in whole]
