"""Decoders that search, in programs: what is around a hole works as under any other."""

from __future__ import annotations

import math
from typing import Any

import pytest

import lmprog as lp
from lmprog import gen, program
from lmprog.testing import RandomModel, TableModel
from tests.keeping import NEEDS_AN_A


def vowels(text: str) -> float:
    return sum([letter in "aeiou" for letter in text]) / (len(text) + 1)


DECODERS: list[lp.Decoder] = [
    lp.BestFirst(60),
    lp.Confident(3, rounds=2),
    lp.Confident(2, answer="[a-z]+"),
    lp.MCTS(vowels, 24, seed=3),
    lp.MCTS(lp.Prefix(vowels), 24, 4, power=0.5, commit=6, seed=3),
    lp.FSD(),
    lp.Momentum(),
    lp.BestOf(8, lambda value: vowels(str(value)), stop=lambda score: score, enough=0.3, batch=2, of=lp.Sample(seed=1)),
]

OPEN = (lp.FSD, lp.Momentum)


@pytest.mark.parametrize("decoder", DECODERS, ids=lambda decoder: type(decoder).__name__)
def test_in_programs(model: RandomModel, decoder: lp.Decoder) -> None:
    """Roles, forks, conditions, choices, stops, attempts, healed borders, budgets; with and without previews, and under
    a small pool."""

    def forks(p: lp.Prompt) -> list[str]:
        with p.user():
            p("Of the sea")
        with p.assistant():
            p("It: ")
            calm = gen(regex=" [a-z ]{4,9}", where=lambda x: "q" not in x, max_tokens=8)
            branches = p.fork(lambda p, n: p(f"{n}", calm), range(3))
            p.append(branches)
            p(
                gen(choices=["moon", "sea", "sea of trees"], max_tokens=6),
                " and ",
                gen(max_tokens=5, stop=",", name="x"),
                ", ",
            )
            for a in p.attempts(5, feedback="none"):
                with a:
                    a.check(p("n: ", gen(int, ge=0, le=99, max_tokens=4), "\n") is not None)
        return [branch.value for branch in branches]

    run, small = program(decoder=decoder)(forks).run(model=model), RandomModel(0, slots=150)
    tight = program(decoder=decoder, preview=False)(forks).run(model=small)
    small.engine.check()
    small.close()

    assert run.text == tight.text
    assert all("q" not in value for value in run.value)
    assert "," not in run.captures["x"].text
    assert len(run.captures["x"].tokens) <= 5


SCHEMA = {
    "type": "object",
    "properties": {"n": {"type": "integer", "minimum": 0, "maximum": 9}, "s": {"type": "string", "maxLength": 3}},
    "required": ["n", "s"],
    "additionalProperties": False,
}


@pytest.mark.parametrize("decoder", DECODERS, ids=lambda decoder: type(decoder).__name__)
def test_rows_and_traces(model: RandomModel, decoder: lp.Decoder) -> None:
    @program(decoder=decoder)
    def card(p: lp.Prompt, topic: str) -> Any:
        return p("Of ", topic, ": ", gen(json=SCHEMA, max_tokens=24, name="x"))

    values = card.map(["tea", "sea", "tea"], model=model)
    run = card.run("tea", model=model, trace=True)

    assert values[0].keys() == {"n", "s"}
    assert values[0]["n"] in range(10)
    assert run.text.encode().endswith(b"".join([token.data for token in run.tokens][-2:]))
    assert all(token.logprob <= 1e-6 for token in run.tokens if not token.forced)
    assert (
        run.captures["x"].text in [p.text for p in run.captures["x"].particles[:1]]
        or run.captures["x"].certificate is None
    )
    assert run.html()


@pytest.mark.parametrize(
    "decoder",
    [*DECODERS, lp.Beam(4), lp.MCTS(vowels, 40, commit=20), lp.BestOf(12, vowels), lp.Consistent(12)],
    ids=lambda decoder: type(decoder).__name__,
)
def test_what_ends_where_a_monitor_allows_nothing_takes_no_part(model: RandomModel, decoder: lp.Decoder) -> None:
    hole = gen(regex="[a-d]{1,6}", monitor=NEEDS_AN_A)
    fill = program(model=model, decoder=decoder)(lambda p, n: p(f"Text {n}: ", hole, "\n"))

    for n in range(4):
        assert "a" in fill(n, seed=n)


def test_where_all_draws_end_there_it_is_said(model: RandomModel) -> None:
    hole = gen(regex="[b-d]{1,6}", monitor=NEEDS_AN_A)
    for decoder in (lp.BestOf(3), lp.Consistent(3), lp.MCTS(vowels, 8), lp.Confident(3), lp.FSD()):
        with pytest.raises(lp.NoSample):
            program(model=model, decoder=decoder)(lambda p: p("Text: ", hole, "\n"))()


@pytest.mark.parametrize("hole", [gen(choices=["cat", "category"]), gen(int), gen(regex="[a-z]{1,5}")], ids="abc")
def test_holes_without_a_budget_take_what_slots_there_are(hole: Any) -> None:
    with RandomModel(0, slots=100) as small:
        fill = program(model=small)(lambda p: p("Text: here ", hole, "\n"))
        for decoder in [*DECODERS[1:6], lp.Argmax(), lp.Sample(), lp.SMC(3), lp.Beam(2), lp.Consistent(3)]:
            assert hole.matches(fill.run(decoder=decoder, seed=0).captures[0].text)
        small.engine.check()
        with pytest.raises(lp.OutOfSlots):
            program(model=small)(lambda p: p("x" * 99, hole))()


@pytest.mark.parametrize("decoder", [lp.ASAp(2), lp.SMC(3), lp.BestFirst(60), lp.FSD(), lp.Contrast("a")], ids=repr)
def test_values_may_go_on_to_the_end_of_the_context(decoder: lp.Decoder) -> None:
    model = TableModel(["a", "b"], lambda ids: [0.6, 0.3999, 0.0001], context=20)
    value = program(model=model, decoder=decoder)(lambda p: p("aab", gen(regex="[ab]+")))(seed=0)

    assert set(value) <= {"a", "b"}


def test_what_a_function_of_the_user_gives_must_be_a_number(model: RandomModel) -> None:
    def none(_: Any) -> Any:
        return None

    given: list[lp.Decoder] = [
        lp.MCTS(none, 4),
        lp.BestOf(2, none),
        lp.BestOf(2, vowels, stop=none),
        lp.SMC(2, none),
        lp.SMC(2, lp.Guess(none)),
        lp.SMC(2, lp.LogWeight(lambda _: math.inf)),
    ]
    for decoder in given:
        with pytest.raises(lp.SamplingError, match=r"gives|number|weight"):
            program(model=model, decoder=decoder)(lambda p: p("a ", gen(regex="[a-z]{2}")))()


def test_what_is_no_part_of_a_decoder_is_refused() -> None:
    wrong: list[Any] = [lambda: lp.Lookahead("hmm"), lambda: lp.Also(3), lambda: lp.Near("a", "b")]  # type: ignore[arg-type]
    for make in wrong:
        with pytest.raises(lp.SamplingError, match="not"):
            make()
