"""Probabilities of options by a server's log-probabilities of prompts, against those of the same model here."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest

import lmprog as lp
from lmprog import program, select
from lmprog.testing import RandomModel, TableModel

from .server import serving

LETTERS = [*"abc :zq\n"]
LEAST = [0.001] * 3


@pytest.fixture(scope="module")
def table() -> Iterator[TableModel]:
    """The next token depends on the one before."""
    rows = {"a": [1, 6, 2, 1, 0], "b": [3, 1, 1, 2, 1], "c": [1, 1, 5, 1, 1], ":": [4, 3, 2, 1, 0]}

    def next_probs(ids: tuple[int, ...]) -> list[float]:
        return [*rows.get(LETTERS[ids[-1]] if ids else "", [2, 2, 2, 1, 1]), *LEAST, 1]

    model = TableModel(LETTERS, next_probs)
    yield model
    model.close()


@pytest.mark.parametrize("norm", ["sum", "mean", "pmi"])
def test_scores_are_those_of_the_model(table: TableModel, norm: Any) -> None:
    premise = {"premise": ":"} if norm == "pmi" else {}
    score = program(lambda p: (p("a b:"), p.score(["ab", "b", "cca"], norm=norm, **premise))[1])
    here = score(model=table)
    with serving(table, "vllm") as server, lp.connect(server.url) as model:
        there = score(model=model)

    for option in ("ab", "b", "cca"):
        assert here.logprobs[option] == pytest.approx(there.logprobs[option])
        assert here.probs[option] == pytest.approx(there.probs[option])


def test_a_choice_tells_its_probabilities(table: TableModel) -> None:
    with serving(table, "vllm") as server, lp.connect(server.url) as model:
        run = program(lambda p: p("a:", select(["ab", "b"], name="x"), ":", select(["c", "ca"], name="y"), " ")).run(
            model=model
        )
        dist = run.captures["x"].dist

        assert dist.logprobs["b"] == pytest.approx(math.log(3 / 11.003))
        assert sum(run.captures["y"].dist.probs.values()) == pytest.approx(1)
        assert run.usage.requests == 1


def test_log_probabilities_of_values(table: TableModel) -> None:
    with serving(table, "vllm") as server, lp.connect(server.url) as model:
        run = program(lambda p: p("a:", lp.gen(regex="[ab]{2}", name="x"))).run(model=model, logprobs=True)
        here = program(lambda p: p("a:", lp.gen(regex="[ab]{2}", name="x"))).run(model=table, logprobs=True)

    assert run.captures["x"].text == here.captures["x"].text
    assert run.captures["x"].logprob == pytest.approx(here.captures["x"].logprob)


@pytest.mark.parametrize("kind", ["llama.cpp", "openai"])
def test_who_does_not_tell_is_not_asked(random_model: RandomModel, kind: str) -> None:
    with serving(random_model, kind) as server, lp.connect(server.url) as model:
        before = len(server.bodies)
        with pytest.raises(lp.ProgramError, match="does not tell how probable given texts are"):
            program(lambda p: (p("x:"), p.score(["a", "b"])))(model=model)
        assert before == len(server.bodies)
        run = program(lambda p: p("x:", select(["a", "b"], name="x"))).run(model=model)
        with pytest.raises(lp.ProgramError, match="no dist"):
            _ = run.captures["x"].dist


@pytest.mark.parametrize("combine", ["sum", "mean", "max"])
def test_classes_are_chosen_by_the_scores_of_their_words(table: TableModel, combine: Any) -> None:
    words = lp.Verbalizer({"one": ["ab", "ca"], "two": ["b", "cca"]}, combine=combine)
    fill = program(lambda p: p("a:", select(words, name="x"), " ", select(["a", "b"]), " ", select(words, name="y")))
    here = fill.run(model=table)
    with serving(table, "vllm") as server, lp.connect(server.url) as model:
        there, drawn = fill.run(model=model), fill.run(model=model, decoder=lp.Sample(seed=3))

    assert (here.text, here.value) == (there.text, there.value)
    assert dict(here.captures["x"].dist) == pytest.approx(dict(there.captures["x"].dist))
    assert drawn.captures["y"].text in words.words[drawn.value[2]]


def test_classes_need_a_server_that_tells_scores(random_model: RandomModel) -> None:
    words = {"one": ["ab", "ca"], "two": ["b"]}
    for kind, hole, why in (
        ("llama.cpp", select(words), "does not tell how probable given texts are"),
        ("vllm", lp.gen(choices=words, max_tokens=2), "takes no max_tokens"),
    ):
        fill = program(lambda p, hole: p("x:", hole))
        with (
            serving(random_model, kind) as server,
            lp.connect(server.url) as model,
            pytest.raises(lp.ProgramError, match=why),
        ):
            fill(hole, model=model)
