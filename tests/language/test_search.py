"""Decoders that search, in programs: what is around a hole works as under any other."""

from __future__ import annotations

from typing import Any

import pytest

import lmprog as lp
from lmprog import gen, program
from lmprog.testing import RandomModel


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
