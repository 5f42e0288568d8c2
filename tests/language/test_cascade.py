"""Cascades: which step answers and what that costs, against brute force over planted answers."""

from __future__ import annotations

import asyncio
import itertools
import math
import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

import lmprog as lp
from lmprog import gen, program, select
from lmprog.testing import RandomModel, Scripted

Planted = dict[int, tuple[bool, float]]  # of each row: whether a step is right, and how sure it is
KINDS = ["good", "bad", "odd"]


@pytest.fixture(scope="module")
def small() -> Iterator[RandomModel]:
    with RandomModel(0, spread=1.5) as model:
        yield model


@pytest.fixture(scope="module")
def big() -> Iterator[RandomModel]:
    with RandomModel(1, spread=1.5) as model:
        yield model


@program
def kind(p: lp.Prompt, text: str) -> str:
    return str(p("Text: ", text, "\nKind: ", select(KINDS, name="kind"), "\n"))


def planted(answers: Planted, model: lp.LanguageModel) -> lp.Program[..., Any]:
    return program(model=model)(lambda p, n: answers[n])


def plants(seed: int, n: int, rights: list[float]) -> list[Planted]:
    """Answers that are right as often as asked, and surer when they are right."""
    rng = random.Random(seed)
    steps: list[Planted] = []
    for right in rights:
        found: Planted = {}
        for row in range(n):
            ok = rng.random() < right
            found[row] = ok, round(min(1.0, max(0.0, rng.gauss(0.7 if ok else 0.4, 0.2))), 2)
        steps.append(found)
    return steps


def of(steps: list[Planted], model: lp.LanguageModel, costs: list[float]) -> lp.Cascade:
    prices: list[Any] = [lambda usage, cost=cost: cost for cost in costs]
    return lp.cascade([planted(step, model) for step in steps], accept=sure, prices=prices)


def sure(run: lp.Run[Any]) -> float:
    return float(run.value[1])


def right(row: dict[str, Any], run: lp.Run[Any]) -> bool:
    return bool(run.value[0])


def figures(
    steps: list[Planted], costs: list[float], thresholds: tuple[float, ...], rows: list[int]
) -> tuple[float, float]:
    """Accuracy and cost, row by row."""
    ok = spent = 0.0
    for row in rows:
        for n, step in enumerate(steps):
            spent += costs[n]
            if n == len(steps) - 1 or (thresholds[n] < 1 and step[row][1] >= thresholds[n]):
                ok += step[row][0]
                break
    return ok / len(rows), spent / len(rows)


def everywhere(steps: list[Planted], rows: list[int]) -> list[tuple[float, ...]]:
    """Every combination of thresholds that could differ: each confidence, and the ends."""
    each = [sorted({0.0, 1.0, *[step[row][1] for row in rows]}) for step in steps[:-1]]
    return [*itertools.product(*each)]


@pytest.mark.parametrize(
    ("seed", "rights"), [(0, [0.6, 0.95]), (1, [0.5, 0.9]), (2, [0.5, 0.7, 0.95]), (3, [0.3, 0.2])]
)
def test_the_planted_optimum_is_found(small: RandomModel, seed: int, rights: list[float]) -> None:
    steps, costs = plants(seed, 40, rights), [1.0, 7.0, 30.0][: len(rights)]
    cascade, rows = of(steps, small, costs), [*range(40)]
    ways = [figures(steps, costs, way, rows) for way in everywhere(steps, rows)]
    data = [{"n": n} for n in rows]
    for accuracy in (0.5, 0.8, 0.9, 0.99):
        fit = lp.fit_cascade(cascade, data, right, accuracy=accuracy)
        fitting = [way for way in ways if way[0] >= accuracy - 1e-12]
        best = (
            min(fitting, key=lambda way: (way[1], -way[0])) if fitting else max(ways, key=lambda way: (way[0], -way[1]))
        )

        assert bool(fitting) == fit.met
        assert best == pytest.approx((fit.fitted.accuracy, fit.fitted.cost))
        assert figures(steps, costs, fit.thresholds, rows) == pytest.approx((fit.fitted.accuracy, fit.fitted.cost))
    for cost in (0.5, 2.0, 5.0, 40.0):
        fit = lp.fit_cascade(cascade, data, right, cost=cost)
        fitting = [way for way in ways if way[1] <= cost]
        best = (
            max(fitting, key=lambda way: (way[0], -way[1])) if fitting else min(ways, key=lambda way: (way[1], -way[0]))
        )

        assert bool(fitting) == fit.met
        assert best == pytest.approx((fit.fitted.accuracy, fit.fitted.cost))
    front = {way for way in ways if not any(o[0] >= way[0] and o[1] <= way[1] and o != way for o in ways)}
    curve = [figure for point in fit.curve for figure in (point.accuracy, point.cost)]
    assert [figure for way in sorted(front) for figure in way] == pytest.approx(curve)
    for n, step in enumerate(fit.steps):
        assert (sum(steps[n][row][0] for row in rows) / 40, costs[n]) == pytest.approx((step.accuracy, step.cost))


def test_figures_are_held_out(small: RandomModel) -> None:
    """With as many folds as rows, each row is answered by thresholds that were chosen on all others."""
    steps, costs, rows = plants(5, 25, [0.6, 0.9]), [1.0, 10.0], [*range(25)]
    fit = lp.fit_cascade(of(steps, small, costs), [{"n": n} for n in rows], right, accuracy=0.85, folds=25, seed=-1)
    spent, ok = [], []
    for row in rows:
        others = [n for n in rows if n != row]
        known = sorted({steps[0][n][1] for n in others})
        ways = [0.0, *[(a + b) / 2 for a, b in itertools.pairwise(known)], 1.0]
        found = [(*figures(steps, costs, (way,), others), way) for way in ways]
        fitting = [way for way in found if way[0] >= 0.85]
        best = (
            min(fitting, key=lambda way: (way[1], -way[0]))
            if fitting
            else max(found, key=lambda way: (way[0], -way[1]))
        )
        one = figures(steps, costs, (best[2],), [row])
        ok.append(one[0])
        spent.append(one[1])

    assert (sum(ok) / 25, sum(spent) / 25) == pytest.approx((fit.accuracy, fit.cost))
    low, high = fit.accuracy_interval
    assert low <= fit.accuracy <= high


@pytest.mark.parametrize("decoder", [None, lp.Sample()])
def test_what_is_expected_is_what_is_measured(small: RandomModel, big: RandomModel, decoder: lp.Decoder | None) -> None:
    data = [{"text": str(n), "expected": kind(str(n), model=big)} for n in range(40)]
    cascade = lp.cascade([small, big], program=kind, accept=lp.Confidence("kind"), prices=[(1, 2), 20])
    fit = lp.fit_cascade(cascade, data, "exact", accuracy=0.8, seed=3, decoder=decoder)
    done = lp.evaluate(fit.cascade, data, "exact", seed=3, decoder=decoder)
    runs = [row.run for row in done.rows]

    assert all(isinstance(run, lp.CascadeRun) for run in runs)
    assert fit.fitted.accuracy == pytest.approx(done.mean)
    assert fit.fitted.cost == pytest.approx(sum(run.cost for run in runs) / 40)  # type: ignore[union-attr]
    assert fit.fitted.shares[0] == sum(run.step == 0 for run in runs) / 40  # type: ignore[union-attr]
    points = [fit.at(t / 20) for t in range(21)]
    assert (fit.steps[0].accuracy, fit.steps[0].cost) == pytest.approx((points[0].accuracy, points[0].cost))
    assert fit.steps[1].accuracy == pytest.approx(points[-1].accuracy)
    assert fit.steps[0].cost + fit.steps[1].cost == pytest.approx(points[-1].cost)
    assert all(a.cost <= b.cost for a, b in itertools.pairwise(points))


def test_thresholds(small: RandomModel, big: RandomModel) -> None:
    cascade = lp.cascade([small, big], program=kind, accept=0.5)
    texts = [str(n) for n in range(12)]
    alone = {model: kind.map(texts, model=model) for model in (small, big)}

    assert alone[small] == cascade.at(0).map(texts)
    assert alone[big] == cascade.at(1).map(texts)
    for text, *each in zip(texts, alone[small], alone[big], strict=True):
        dist = kind.run(text, model=small).captures["kind"].dist
        run = cascade.run(text)

        assert (each[0] if dist[dist.best] >= 0.5 else each[1]) == run.value
        assert dist[dist.best] == pytest.approx(run.tried[0].confidence)
        assert run.step == len(run.tried) - 1 == int(dist[dist.best] < 0.5)
        assert run.answered_by == [small.name, big.name][run.step]
        assert run.usage.requests == sum(one.usage.requests for one in run.tried)


def test_seeds_are_those_of_the_steps(small: RandomModel, big: RandomModel) -> None:
    draw = program(model=small, decoder=lp.Sample(seed=5))(lambda p, text: p(text, gen(max_tokens=4)))
    always = lp.cascade([draw, program(model=big)(draw.function)], accept=lambda run: True)
    never = lp.cascade([program(model=big)(draw.function), draw], accept=lambda run: False)
    for cascade in (always, never):
        assert draw("a") == cascade("a")
        assert draw("a", seed=9) == cascade("a", seed=9)
        assert draw.map(["a", "b", "a"]) == cascade.map(["a", "b", "a"])
        assert draw.map(["a", "b"], seed=2) == cascade.map(["a", "b"], seed=2)
        assert len({run.value for run in cascade.samples(6, "a")}) > 1


def test_what_fails_falls_through(small: RandomModel) -> None:
    def raising(error: Exception) -> lp.Program[..., Any]:
        def fail(p: lp.Prompt, text: str) -> str:
            raise error

        return program(model=small)(fail)

    fine = program(model=small)(lambda p, text: "fine")
    down = lp.BackendUnreachable("no connection", "http://there")
    for error in (down, lp.BudgetError("no room"), lp.AttemptsExhausted(["no"])):
        run = lp.cascade([raising(error), fine], accept=lambda run: True).run("x")

        assert ("fine", 1) == (run.value, run.step)
        assert f"{type(error).__name__}: " in str(run.tried[0].error)
        assert not run.tried[0].accepted

    with pytest.raises(ZeroDivisionError):
        lp.cascade([raising(ZeroDivisionError()), fine], accept=lambda run: True)("x")
    assert "fine" == lp.cascade(
        [raising(ZeroDivisionError()), fine], accept=lambda run: True, retry_on=(ZeroDivisionError,)
    )("x")
    with pytest.raises(
        lp.CascadeError, match=r"<lambda>: not accepted; fail: BackendUnreachable: no connection"
    ) as caught:
        lp.cascade([fine, raising(down)], accept=lambda run: False)("x")
    assert ["fine", None] == [one.value for one in caught.value.tried]
    mapped = lp.cascade([fine, raising(down)], accept=lambda run: run.value == 1).map(["x"], errors="return")
    assert isinstance(mapped[0], lp.CascadeError)

    data = [{"text": "x", "expected": "fine"}] * 4
    fit = lp.fit_cascade(lp.cascade([fine, raising(down)], accept=lambda run: 0.5), data, "exact", cost=0)
    assert (1.0, 0.0, 4) == (fit.fitted.accuracy, fit.steps[1].accuracy, fit.steps[1].failed)
    assert 0.0 == fit.at(1).accuracy


def test_rows_that_are_answered_do_not_wait(small: RandomModel) -> None:
    """The first row waits in the second step until the last row has been answered by the first."""
    seen = threading.Event()

    def first(p: lp.Prompt, n: int) -> int:
        return n

    def second(p: lp.Prompt, n: int) -> int:
        assert seen.wait(60)
        return -n - 1

    def accept(run: lp.Run[int]) -> bool:
        if run.value == 9:
            seen.set()
        return run.value > 0

    cascade = lp.cascade([program(model=small)(first), program(model=small)(second)], accept=accept)

    assert [-1, *range(1, 10)] == cascade.map(list(range(10)), concurrency=2)


def test_async_and_inside_of_programs(small: RandomModel, big: RandomModel) -> None:
    cascade = lp.cascade([small, big], program=kind, accept=0.5)

    async def both() -> Any:
        return await asyncio.gather(cascade.acall("a"), cascade.arun("b"))

    value, run = asyncio.run(both())
    assert (cascade("a"), cascade("b")) == (value, run.value)

    outer = program(model=big)(lambda p: p("Is it ", select([cascade("a"), "?"], name="it")))
    assert outer.run().captures["it"].text in (cascade("a"), "?")
    with pytest.raises(lp.ProgramError, match="call it without the prompt"):
        program(model=big)(lambda p: cascade(p, "a"))()


def test_models_of_calls(small: RandomModel, big: RandomModel) -> None:
    named = lp.cascade([small, big], program=kind, accept=0.5)
    data = [{"text": "a", "expected": "odd"}]
    for call in (lambda: named("a", model=small), lambda: lp.evaluate(named, data, "exact", model=small)):
        with pytest.raises(lp.ProgramError, match="have models of their own"):
            call()
    with lp.using(big):
        assert 0 == named.at(0).run("a").step
    free = lp.cascade([kind, program(kind.function)], accept=0.5)
    assert kind("a", model=big) == free("a", model=big) == free.at(1)("a", model=big)
    for call in (lambda: free("a"), lambda: lp.evaluate(free, data, "exact")):
        with pytest.raises(lp.NoModel):
            call()
    half = lp.cascade([program(model=small)(kind.function), kind], accept=lambda run: run.value == "none")
    tried = half.run("a", model=big).tried
    assert [kind("a", model=small), kind("a", model=big)] == [one.value for one in tried]


def test_confidence(small: RandomModel) -> None:
    @program(model=small)
    def two(p: lp.Prompt, text: str) -> None:
        p(text, " ", select(KINDS, name="a"), " ", select(["x", "y"], name="b"), " ", gen(int, ge=0, le=9, name="n"))

    run = two.run("so", logprobs=True)
    a, b = [run.captures[name].dist[run.captures[name].value] for name in "ab"]
    n = math.exp(run.captures["n"].logprob or 0)

    assert a == pytest.approx(lp.Confidence("a")(run))
    assert a * b == pytest.approx(lp.Confidence(["a", "b"])(run))
    assert a * b * n == pytest.approx(lp.Confidence()(run))
    dists = [two.run(str(i)).captures["a"].dist for i in range(9)]
    calibrator = lp.Calibrator("batch").fit(dists)
    value = run.captures["a"].value
    assert calibrator.predict(run.captures["a"].dist)[value] == pytest.approx(lp.Confidence("a", calibrator)(run))
    for confidence, done, why in (
        (lp.Confidence("c"), run, "no hole 'c' to be sure of; the run has a, b, n"),
        (lp.Confidence("n", calibrator), run, "'n' was no choice"),
        (lp.Confidence("n"), two.run("so"), "use logprobs=True"),
        (lp.Confidence(), program(model=small)(lambda p: 1).run(), "no holes"),
    ):
        with pytest.raises(lp.ProgramError, match=why):
            confidence(done)


def test_it_is_saved_and_what_a_success_costs(small: RandomModel, big: RandomModel, tmp_path: Path) -> None:
    prices: list[Any] = [1, lambda usage: 50]
    cascade = lp.cascade([small, big], program=kind, accept=0.5, prices=prices)
    data = [{"text": str(n), "expected": kind(str(n), model=big)} for n in range(8)]
    done = lp.evaluate(cascade, data, "exact")
    runs = [row.run for row in done.rows if isinstance(row.run, lp.CascadeRun)]
    done.save(tmp_path / "done.json")
    cascade.run("0").save(tmp_path / "run.json")
    again = lp.Run.load(tmp_path / "run.json")

    assert done.figures.cost == pytest.approx(sum(run.cost for run in runs) / sum(done.scores))
    assert done.figures == lp.Evaluation.load(tmp_path / "done.json").figures
    assert lp.evaluate(kind, data, "exact", model=big).figures.cost is None
    assert isinstance(again, lp.CascadeRun)
    assert (runs[0].value, runs[0].cost, runs[0].step) == (again.value, again.cost, again.step)
    assert [one.confidence for one in runs[0].tried] == [one.confidence for one in again.tried]


def test_what_it_shows(small: RandomModel, big: RandomModel) -> None:
    data = [{"text": str(n), "expected": kind(str(n), model=big)} for n in range(10)]
    fit = lp.fit_cascade(lp.cascade([small, big], program=kind, accept=0.5), data, "exact", accuracy=1.0)
    shown, page = str(fit), fit.html()

    assert "always RandomModel(1)" in shown
    assert "target accuracy 1: met" in shown
    assert "<polyline" in page
    assert "always RandomModel(0)</text>" in page
    assert page.endswith("</svg>")
    assert "RandomModel(0) (from" in repr(fit.cascade)
    assert kind.prompt("x") == fit.cascade.prompt("x")


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"accept": 0.5, "steps": 1}, "a list of two steps or more, not 1"),
        ({"accept": 1.5}, "a threshold is a number from 0 to 1, not 1.5"),
        ({"accept": "kind"}, "accept is a threshold, a function of the run"),
        ({"accept": [0.5, 0.6]}, "2 steps have 1 tests"),
        ({"accept": 0.5, "prices": [1]}, "2 steps have 2 prices, not 1"),
        ({"accept": 0.5, "prices": 3}, "2 steps have 2 prices, not 1"),
        ({"accept": 0.5, "prices": [1, -2]}, "a price is a number of 0 or more"),
        ({"accept": 0.5, "retry_on": ("x",)}, "retry_on takes kinds of exceptions, not 'x'"),
        ({"accept": 0.5, "program": None}, "steps are either models, with program=, or programs"),
    ],
)
def test_wrong_cascades(small: RandomModel, options: dict[str, Any], why: str) -> None:
    given: dict[str, Any] = {"program": kind, **options}
    with pytest.raises(lp.ProgramError, match=why):
        lp.cascade([small] * given.pop("steps", 2), **given)


@pytest.mark.parametrize(
    ("call", "why"),
    [
        (lambda cascade: cascade("a"), r"accept gave 0.7: say from which number on an answer is taken"),
        (
            lambda cascade: lp.cascade([kind, kind], accept=0, prices=[lambda usage: math.nan, 1])(
                "a", model=Scripted(["odd"])
            ),
            "the price of kind gives a number, not nan",
        ),
        (lambda cascade: cascade.at(0.5, 0.6), "2 steps have 1 thresholds, not 2"),
        (lambda cascade: cascade.plan("a"), "a cascade has no plan"),
        (lambda cascade: cascade.stream("a"), "a cascade has no stream"),
        (
            lambda cascade: lp.cascade([kind, kind], accept=lambda run: 7)("a", model=Scripted(["odd"])),
            "from 0 to 1: not 7",
        ),
        (lambda cascade: lp.fit_cascade(cascade.at(0), [{"text": "a"}] * 2, "exact", cost=1), "on row 0, .*: KeyError"),
        (
            lambda cascade: lp.fit_cascade(cascade.at(0), [{"text": "a"}] * 2, cast(Any, 3), cost=1),
            "a metric is a name or a function of a row and its run, not 3",
        ),
        (lambda cascade: lp.fit_cascade(cascade, [{"text": "a"}], "exact"), "either accuracy= or cost="),
        (
            lambda cascade: lp.fit_cascade(cascade, [{"text": "a"}], "exact", cost=1),
            "two folds and two rows at least, not 5 and 1",
        ),
        (
            lambda cascade: lp.fit_cascade(cast(Any, kind), [{"text": "a"}], "exact", cost=1),
            "takes what lp.cascade made",
        ),
    ],
)
def test_wrong_calls(small: RandomModel, call: Callable[[Any], object], why: str) -> None:
    with pytest.raises(lp.LmprogError, match=why):
        call(lp.cascade([small, small], program=kind, accept=lambda run: 0.7))


def test_slots_of_steps(small: RandomModel, big: RandomModel, tmp_path: Path) -> None:
    @program(model=small)
    def short(p: lp.Prompt, text: str) -> str:
        return str(p(lp.slot("ask", "Kind of "), text, ": ", select(KINDS)))

    @program(model=big)
    def long(p: lp.Prompt, text: str) -> str:
        return str(p(lp.slot("intro", "Texts.\n"), lp.slot("ask", "Kind of "), text, ": ", select(KINDS)))

    cascade = lp.cascade([short, long], accept=lambda run: False)
    changed = cascade.with_(ask="What is ", intro="Some.\n")

    assert ["ask", "intro"] == sorted(cascade.slots("x"))
    assert "Some.\nWhat is x: " == changed.run("x").text.rpartition(": ")[0] + ": "
    assert long.run("x").text == cascade.run("x").text == changed.with_(ask=None, intro=None).run("x").text
    assert changed.prompt("x").startswith("What is x")
    changed.save(tmp_path / "slots.toml")
    assert changed.run("x").text == cascade.load(tmp_path / "slots.toml").run("x").text
    with pytest.raises(lp.SlotError, match="no step of the cascade has a slot 'aks'"):
        cascade.with_(aks="?")


def test_the_cache_knows_cascades_apart(small: RandomModel, big: RandomModel, tmp_path: Path) -> None:
    data = [{"text": str(n), "expected": "odd"} for n in range(8)]
    cascade = lp.cascade([small, big], program=kind, accept=0.5, prices=[1, 20])
    how: dict[str, Any] = {"cache": tmp_path / "runs.sqlite"}
    for one in (cascade.at(0), cascade.at(1), cascade, cascade.at(0)):
        kept, fresh = lp.evaluate(one, data, "exact", **how), lp.evaluate(one, data, "exact")
        runs = [[row.run for row in done.rows] for done in (kept, fresh)]

        assert fresh.scores == kept.scores
        assert [(run.step, run.cost) for run in runs[1]] == [(run.step, run.cost) for run in runs[0]]  # type: ignore[union-attr]
    assert all(row.cached for row in kept.rows)
