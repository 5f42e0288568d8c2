"""Abstention against its formula, computed by hand from tables."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

import lmprog as lp
from lmprog import gen, program, select
from lmprog.testing import RandomModel, TableModel
from lmprog.testing.enumerated import distance, random_table

# The prompts are "D?" with a document and a question, "?" without the document, "!" without either.
TABLES = {(3, 4): random_table(41, 3, 3), (4,): random_table(42, 3, 3), (): random_table(43, 3, 3)}
VALUES = ["abc", "aca", "bab", "bac", "cab", "ccc"]  # "ccc" says that nothing is known


def next_probs(ids: tuple[int, ...]) -> Any:
    head = tuple([i for i in ids if i > 2 and i != 5])
    row = TABLES[head](tuple([i for i in ids if i < 3]))
    return [*row[:3], 0.0, 0.0, 0.0, row[3]]


MODEL = TableModel([*"abcD?!"], next_probs)


@program(model=MODEL)
def asked(p: lp.Prompt) -> Any:
    return p("!D?", gen(grammar=lp.choices(VALUES), name="x"))


def shared(row: Sequence[float], may: Sequence[int]) -> list[float]:
    return [row[i] / sum([row[j] for j in may]) for i in may]


def entropy(probs: Sequence[float]) -> float:
    return -sum([p * math.log(p) for p in probs if p])


def formula(question: bool, momentum: float, temperature: float = 1.0) -> tuple[dict[str, float], list[float]]:
    """Of every value the product of its steps' probabilities; and the first weights."""
    shares: dict[str, float] = {}
    firsts: list[float] = []
    for text in VALUES:
        ids, chance, before = tuple(map("abc".index, text)), 1.0, None
        for i in range(3):
            may = sorted({"abc".index(value[i]) for value in VALUES if value.startswith(text[:i])})
            with_it, own, null = [shared(TABLES[head](ids[:i]), may) for head in ((3, 4), (4,), ())]
            least = entropy(null) if question else math.log(len(may))
            sure = [1.0 if len(may) == 1 else max(0.0, 1 - entropy(p) / least) for p in (with_it, own)]
            weights = [s * s / sum(sure) if s else 0.0 for s in sure]
            weights.append(1 - sum(weights))
            if before is not None:
                weights = [momentum * w + (1 - momentum) * v for w, v in zip(before, weights, strict=True)]
            before = weights
            firsts = firsts or weights
            document, mine, nothing = weights
            if not "ccc".startswith(text[:i]):
                nothing = 0.0
                document = document if document + mine else 1.0
            mixed = [
                document * p + mine * q + nothing * (token == 2) for p, q, token in zip(with_it, own, may, strict=True)
            ]
            mixed = [p ** (1 / temperature) for p in mixed]
            chance *= mixed[may.index(ids[i])] / sum(mixed)
        shares[text] = chance
    return shares, firsts


@pytest.mark.parametrize("question", [True, False])
@pytest.mark.parametrize(("momentum", "temperature"), [(0.0, 1.0), (0.6, 1.0), (1.0, 1.0), (0.0, 0.5)])
def test_draws_are_as_the_formula(question: bool, momentum: float, temperature: float) -> None:
    exact, first = formula(question, momentum, temperature)
    decoder = lp.Abstain("D", "ccc", "?" if question else None, momentum, temperature=temperature)
    runs = [asked.run(decoder=decoder, seed=seed, trace=True) for seed in range(150)]
    found = {text: count / 150 for text, count in Counter([run.value for run in runs]).items()}

    assert distance(found, exact) < 0.12
    for run in runs:
        assert sum([token.masked for token in run.tokens]) == pytest.approx(math.log(exact[run.value]), abs=1e-4)
        assert run.captures["x"].certificate is not None
        assert run.captures["x"].certificate.support == pytest.approx(first)


def one_of(sure_with: bool, sure_alone: bool) -> dict[str, float]:
    """Shares of "a", "b" and "u" for a model that is, or is not, sure with and without the document."""

    def rows(ids: tuple[int, ...]) -> list[float]:
        knows = sure_with if 3 in ids else sure_alone
        return [*([0.98, 0.01, 0.01] if knows else [1 / 3] * 3), 0.0, 0.0, 0.0]

    model = TableModel([*"abuD?"], rows)
    hole = program(lambda p: p("D?", gen(regex="[abu]", name="x")))
    decoder = lp.Abstain("D", "u", temperature=1.0)
    runs = [hole.run(model=model, decoder=decoder, seed=seed) for seed in range(60)]
    greedy = hole(model=model, decoder=lp.Abstain("D", "u"))
    return {"greedy u": greedy == "u", **{x: sum([run.value == x for run in runs]) / 60 for x in "abu"}}


def test_it_abstains_only_where_neither_knows() -> None:
    for sure_with, sure_alone in [(True, True), (True, False), (False, True)]:
        found = one_of(sure_with, sure_alone)
        assert found["a"] > 0.7
        assert not found["greedy u"]
    assert one_of(False, False)["u"] == one_of(False, False)["greedy u"] == 1


@pytest.mark.parametrize("preview", [True, False])
def test_in_programs(model: RandomModel, preview: bool) -> None:
    """What is said instead is spelt in whatever tokens, among texts that begin like it, before text that follows it."""
    document = "The sea is water that was said to be. "

    @program(preview=preview)
    def answers(p: lp.Prompt, temperature: float) -> list[str]:
        p(document, "What is the moon? ")
        with p.decoding(lp.Abstain(document, "unknown", "What is the moon?", temperature=temperature, seed=1)):
            first = p("It is ", select(["sea", "united", "unknown", "unknown sea"], name="a"), ".\n")
            second = p("That is ", gen(regex="[a-z]{3,9}", where=lambda x: "q" not in x, name="b"), ", ")
        with p.decoding(lp.Abstain(document, "unknown", temperature=temperature, seed=1)):
            return [first, second, p("or ", gen(max_tokens=12, stop=".", name="c"))]

    for temperature in (0.0, 1.0):
        run = answers.run(temperature, model=model)
        assert run.value[0] in ["sea", "united", "unknown", "unknown sea"]
        for capture in run.captures.all():
            assert capture.certificate is not None
            assert sum(capture.certificate.support or ()) == pytest.approx(1)
    model.engine.check()


def test_where_nothing_is_known_the_whole_text_comes(model: RandomModel) -> None:
    """A flat model of many tokens never is sure, whatever may come and whatever follows."""
    flat = RandomModel(0, spread=0.0)
    holes = [gen(regex="[a-z ]{1,20}"), select(["sea", "unknown moon", "unknown"]), gen(max_tokens=30), gen(stop=";")]
    for hole, follow in itertools.product(holes, ["\n", ".", ""]):
        said = program(lambda p, hole, follow: p("D. Q: ", hole, follow))
        assert said(hole, follow, model=flat, decoder=lp.Abstain("D.", "unknown moon")) == "unknown moon"
    flat.close()


def test_what_has_no_meaning_is_refused() -> None:
    wrong: list[dict[str, Any]] = [{"drop": ""}, {"value": ""}, {"question": ""}, {"momentum": 1.5}, {"drop": None}]
    wrong += [{"drop": "\ud800"}, {"value": "\ud800"}]
    for given in [*wrong, {"momentum": "1"}, {"momentum": math.nan}, {"temperature": -1.0}]:
        with pytest.raises(lp.SamplingError):
            lp.Abstain(**({"drop": "D", "value": "ccc"} | given))
    with pytest.raises(lp.SamplingError, match="to be dropped: 'c'"):
        asked(decoder=lp.Abstain("c", "ccc"))
    with pytest.raises(lp.SamplingError, match="'cca', which is to be said instead of an answer, is no value"):
        asked(decoder=lp.Abstain("D", "cca"))
    ended = program(lambda p: p("D?", gen(regex="[a-c]{1,3}"), "c"))
    with pytest.warns(lp.UnclearEnd), pytest.raises(lp.SamplingError, match="is no value of the hole here"):
        ended(model=MODEL, decoder=lp.Abstain("D", "bcb"))
    with pytest.raises(lp.SamplingError, match="'ccc' has 3 tokens, the hole only 2"):
        program(lambda p: p("D?", gen(regex="[a-c]+", max_tokens=2)))(model=MODEL, decoder=lp.Abstain("D", "ccc"))
