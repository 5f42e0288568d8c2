"""Drafts made to fit: what of them is found, how near the answers stay, exact on a table, end to end on a model."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterator
from datetime import date
from typing import Any, Literal

import numpy as np
import pytest
from pydantic import BaseModel

import lmprog as lp
from lmprog import gen
from lmprog.decoders.nearness import distance
from lmprog.drafts import sketch_of
from lmprog.testing import RandomModel, Scripted, TableModel


class Person(BaseModel):
    name: str
    age: int


BOB = '{"name":"Bob","age":30}'
FENCED = 'Here you are:\n```json\n{\n  "name": "Bob",\n  "age": 30\n}\n```\nThat is {all}.'


@pytest.fixture(scope="module")
def model() -> Iterator[RandomModel]:
    model = RandomModel(1)
    yield model
    model.close()


@pytest.mark.parametrize(
    ("draft", "schema", "sketch"),
    [
        (BOB, Person, BOB),
        (FENCED, Person, BOB),
        ('Not {this}, nor {"name": 3}. ' + BOB + " or so", Person, BOB),
        ('```\n{"name": "Bob", "age": "30"}\n```', Person, '{"name":"Bob","age":"30"}'),
        ('So: {"name": Bob Moon } it is.', Person, '{"name":Bob Moon}'),
        ('{"name": "Bob, \\" [ 1", "age" : ', Person, '{"name":"Bob, \\" [ 1","age":'),
        ("He is about 30 years old, not 40.", int, "30"),
        ("It was on 2024-02-30, no, 2024-03-01.", date, "2024-03-01"),
        ("Nothing, I say: no.", Literal["no", "yes", "nothing at all"], "no"),
        (" yes\n", Literal["no", "yes"], "yes"),
        ("neither", Literal["no", "yes"], "neither"),
    ],
)
def test_the_answer_in_a_draft_is_found(draft: str, schema: Any, sketch: str) -> None:
    assert sketch == sketch_of(draft, gen(schema))


def test_a_valid_draft_stays_and_asks_no_model() -> None:
    refined = lp.constrain(FENCED, Person, refiner=Scripted([]), near=math.inf)

    assert lp.Refined(Person(name="Bob", age=30), BOB, FENCED, BOB, 0, True) == refined


def test_a_valid_draft_stays_where_near_is_high(model: RandomModel) -> None:
    refined = lp.constrain(FENCED, Person, refiner=model, near=30.0, seed=0)

    assert (BOB, 0, True) == (refined.text, refined.edits, refined.valid)


def test_least_edits_are_the_refiners_choice() -> None:
    draft, nearest = '{"name":"Bob","age":}', '{"name":"Bob","age":7}'
    model = Scripted([nearest])
    refined = lp.constrain(draft, Person, refiner=model, near=math.inf)

    assert lp.Refined(Person(name="Bob", age=7), nearest, draft, draft, 1, False) == refined
    assert draft in model.prompts[0]
    with pytest.raises(lp.ScriptError):
        lp.constrain(draft, Person, refiner=Scripted(['{"name":"Bob","age":17}']), near=math.inf)


def test_choices_and_conditions(model: RandomModel) -> None:
    assert "tea" == lp.constrain("te", ["tea", "coffee"], refiner=model, near=math.inf).value
    even = gen(int, ge=0, where=lambda n: n % 2 == 0)
    refined = lp.constrain("3x", even, refiner=model, near=math.inf)
    assert (1, False, 0) == (refined.edits, refined.valid, refined.value % 2)


def test_without_near_the_refiner_is_free(model: RandomModel) -> None:
    hole = gen(regex="[a-z]{3}")

    @lp.program(model=model)
    def same(p: lp.Prompt) -> Any:
        return p("Do it.\nDraft: moon\nAnswer: ", hole)

    refined = lp.constrain("moon", hole, refiner=model, instruction="Do it.")
    assert same() == refined.value
    assert distance("moon", refined.text) == refined.edits


def test_many_drafts_with_a_seed(model: RandomModel) -> None:
    drafts = ["moon", "sea!", "a lake"]
    refine = lp.refining(lp.regex("[a-z]{3,5}"), refiner=model, near=2.0)
    together = refine.map(drafts, seed=3)

    assert drafts == [refined.draft for refined in together]
    assert together == refine.map(drafts, seed=3, concurrency=1)
    failed = refine.map(["moon", 3], errors="return", seed=3)
    assert isinstance(failed[1], lp.PartError)


def test_models_and_programs_draft(model: RandomModel) -> None:
    @lp.program(model=Scripted(["It is 30."]))
    def answer(p: lp.Prompt, question: str) -> Any:
        return p(question, gen(regex=".*"))

    by_model = lp.constrain(Scripted(["about 30"]), int, prompt="Age: ", refiner=model, near=math.inf)
    by_program = lp.constrain(answer, int, prompt="Age: ", refiner=model, near=math.inf)
    assert (30, "about 30") == (by_model.value, by_model.draft)
    assert (30, "It is 30.") == (by_program.value, by_program.draft)


def test_errors(model: RandomModel) -> None:
    with pytest.raises(lp.ProgramError, match="prompt="):
        lp.constrain("30", int, prompt="Age: ", refiner=model)
    with pytest.raises(lp.ProgramError, match="prompt="):
        lp.constrain(model, int, refiner=model)
    with pytest.raises(lp.HoleError, match="too little"):
        lp.refining("[a-z]+")
    with pytest.raises(lp.HoleError, match="free text"):
        lp.refining(str)
    with pytest.raises(lp.SamplingError, match="0 or more"):
        lp.refining(int, near=-1.0)
    with pytest.raises(lp.SamplingError, match="0 or more"):
        lp.refining(int, near=math.nan)
    with pytest.raises(lp.SamplingError, match="0 or more"):
        lp.refining(int, near="1")  # type: ignore[arg-type]
    with pytest.raises(lp.SamplingError, match="particles"):
        lp.refining(int, near=1.0, particles=0)
    with pytest.raises(lp.SamplingError, match="a draft is a text"):
        lp.Near(None, 1.0)  # type: ignore[arg-type]
    with pytest.raises(lp.NoModel, match=r"lp\.load\('gemma'\)"):
        lp.constrain("3", int, refiner="gemma")  # type: ignore[arg-type]
    with pytest.raises(lp.SamplingError, match="no other decoder"):
        lp.refining(int, near=1.0, decoder=lp.Sample())
    with pytest.raises(lp.SamplingError, match="0 or more"):
        lp.Near("draft", math.inf)
    with pytest.raises(lp.NoModel):
        lp.constrain("x", int)


# -- by enumeration: texts of a and b, the letters and the pair "ab" as tokens


TOKENS = ["a", "b", "ab"]


def table(ids: tuple[int, ...]) -> list[float]:
    return np.random.default_rng([7, *ids]).dirichlet([1.0] * 4).tolist()


@pytest.fixture(scope="module")
def chain() -> Iterator[tuple[TableModel, dict[str, float]]]:
    """The model, and what each value is worth: the sum over its spellings, times that it ends or leaves."""
    worth: dict[str, float] = defaultdict(float)
    for n in range(1, 5):
        for ids in itertools.product(range(3), repeat=n):
            text = "".join([TOKENS[i] for i in ids])
            if len(text) > 4:
                continue
            steps = [table(ids[:i])[token] for i, token in enumerate(ids)]
            leaving = [p for p, token in zip(table(ids), TOKENS, strict=False) if len(text + token) > 4]
            ends = table(ids)[3] + sum(leaving) if len(text) < 4 else 1.0
            worth[text] += math.prod(steps) * ends
    model = TableModel(TOKENS, table)
    yield model, dict(worth)
    model.close()


@pytest.mark.parametrize("near", [0.0, 0.7, 3.0])
def test_nearness_is_exact(chain: tuple[TableModel, dict[str, float]], near: float) -> None:
    model, worth = chain
    target = {text: p * math.exp(-near * distance("bbab", text)) for text, p in worth.items()}
    whole = sum(target.values())
    hole = gen(regex="[ab]{1,4}", name="x")

    @lp.program(model=model, preview=False)
    def write(p: lp.Prompt) -> Any:
        return p(hole)

    runs = [write.run(decoder=lp.SMC(8, lp.Near("bbab", near).potential), seed=seed) for seed in range(300)]
    estimates = np.array([math.exp(run.logZ or 0) for run in runs])
    error = estimates.std() / math.sqrt(len(estimates))
    assert abs(estimates.mean() - whole) < 4 * error + 1e-9
    shares: dict[str, float] = defaultdict(float)
    for run, estimate in zip(runs, estimates, strict=True):
        for particle in run.captures["x"].particles:
            shares[particle.text] += particle.share * estimate
    total = sum(shares.values())
    assert 0.06 > sum([abs(shares[text] / total - p / whole) for text, p in target.items()]) / 2


def test_strings_are_closed_by_models_that_run_on() -> None:
    """All that follows a string is improbable, so that particles which put its end off look heavier for a while."""
    model = TableModel([*'a"!?'], lambda ids: [0.4, 0.1, 0.3, 0.19, 0.01])
    hole = gen(regex='"a*"(!\\?){8}', name="x", max_tokens=60)

    @lp.program(model=model, preview=False)
    def write(p: lp.Prompt) -> Any:
        return p(hole)

    whole = math.fsum([0.1**2 * (0.3 * 0.19) ** 8 * 0.4**n * math.exp(-0.1 * abs(n - 2)) for n in range(43)])
    decoder = lp.SMC(4, lp.Near('"aa"' + "!?" * 8, 0.1).potential)
    found = [write.run(decoder=decoder, seed=seed).logZ or 0.0 for seed in range(20)]
    assert np.mean(found) > math.log(whole) - 1.0
    model.close()


@pytest.mark.parametrize("near", [None, 1.0, math.inf])
def test_drafts_that_are_hard(model: RandomModel, near: float | None) -> None:
    refine = lp.refining(gen(regex='"[a-z ]*"!'), refiner=model, near=near)
    drafts = ["", " ", '"' + "moon sea " * 100, "日本 🙂", "[" * 300, "```"]
    done = refine.map(drafts, seed=1)

    assert all(gen(regex='"[a-z ]*"!').matches(one.text) for one in done)
    assert [distance(one.sketch, one.text) for one in done] == [one.edits for one in done]
    if near == math.inf:
        assert [3, 3, 2, 10, 300, 3] == [one.edits for one in done]
    with pytest.raises(lp.PartError, match="surrogate"):
        refine("half \ud83d")
