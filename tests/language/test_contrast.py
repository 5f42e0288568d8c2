"""Contrastive decoding against the combined distributions of single steps."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from typing import Any

import numpy as np
import pytest

import lmprog as lp
from lmprog import gen, program, select
from lmprog.decoders.dropping import without
from lmprog.testing import RandomModel, TableModel
from lmprog.testing.enumerated import distance, random_table

TABLES = {True: random_table(21, 3, 3), False: random_table(22, 3, 3)}
LANGUAGE = lp.regex("a..|[bc]a.|ccc")
VALUES = [text for text in map("".join, itertools.product("abc", repeat=3)) if LANGUAGE.matches(text)]


def next_probs(ids: tuple[int, ...]) -> Any:
    """The prompts are "?!" and "!": with "?" another table holds."""
    asked = ids[:1] == (3,)
    given = ids[1 + asked :]
    row = TABLES[asked](given)
    return [*row[:3], 0.0, 0.0, row[3]]


MODEL = TableModel([*"abc?!"], next_probs)


@program(model=MODEL)
def asked(p: lp.Prompt) -> Any:
    return p("?!", gen(grammar=LANGUAGE, name="x"))


def combined(alpha: float, temperature: float = 1.0, plausible: float = 0.0) -> dict[str, float]:
    """Of every value the product of its steps' probabilities."""
    shares = {}
    for text in VALUES:
        ids, chance = tuple(map("abc".index, text)), 1.0
        for i in range(3):
            may = sorted({"abc".index(value[i]) for value in VALUES if value.startswith(text[:i])})
            ours, theirs = [[TABLES[asked](ids[:i])[token] for token in may] for asked in (True, False)]
            logits = [math.log(x) * (1 + alpha) - math.log(y) * alpha for x, y in zip(ours, theirs, strict=True)]
            weights = [math.exp(logit / temperature) for logit in logits]
            weights = [w if x >= plausible * max(ours) else 0.0 for w, x in zip(weights, ours, strict=True)]
            chance *= weights[may.index(ids[i])] / sum(weights)
        shares[text] = chance
    return shares


@pytest.mark.parametrize("other", [{"drop": "?"}, {"against": "!"}], ids=["drop", "against"])
@pytest.mark.parametrize(
    ("alpha", "temperature", "plausible"), [(0.0, 1.0, 0.0), (1.0, 1.0, 0.0), (2.0, 0.5, 0.0), (2.0, 1.0, 0.3)]
)
def test_draws_are_as_the_combined_steps(other: Any, alpha: float, temperature: float, plausible: float) -> None:
    exact = combined(alpha, temperature, plausible)
    decoder = lp.Contrast(**other, alpha=alpha, temperature=temperature, plausible=plausible)
    runs = [asked.run(decoder=decoder, seed=seed, trace=True) for seed in range(300)]
    found = {text: count / 300 for text, count in Counter([run.value for run in runs]).items()}
    masked = {run.value: sum([token.masked for token in run.tokens]) for run in runs}

    assert distance(found, exact) < 0.11
    assert all(abs(math.log(exact[text]) - logprob) < 1e-4 for text, logprob in masked.items())


def test_contrast_changes_what_is_drawn_and_chosen() -> None:
    assert distance(combined(0.0), combined(2.0)) > 0.3


@pytest.mark.parametrize("alpha", [0.0, 0.5, 3.0])
def test_at_temperature_zero_the_best_token_is_taken(alpha: float) -> None:
    exact, begun = combined(alpha), ""
    while len(begun) < 3:
        sums = {c: sum([share for text, share in exact.items() if text.startswith(begun + c)]) for c in "abc"}
        begun += max(sums, key=lambda c: sums[c])

    assert begun == asked(decoder=lp.Contrast("?", alpha=alpha))


def test_an_end_counts_as_a_token() -> None:
    """A value of a's that may go on: alone the end is as probable as "a", with "?" twice as probable."""

    def row(ids: tuple[int, ...]) -> list[float]:
        return [0.25, 0.0, 0.25, 0.0, 0.5] if ids[:1] == (1,) else [0.4, 0.0, 0.2, 0.0, 0.4]

    model = TableModel([*"a?b!"], row)
    hole = program(lambda p: p("?!", gen(regex="a{1,3}", name="x")))
    lengths = Counter(
        [len(hole(model=model, decoder=lp.Contrast("?", temperature=1.0, alpha=1.0), seed=s)) for s in range(400)]
    )
    goes_on, ends = 0.25**2 / 0.4, 0.75**2 / 0.6  # "b" leaves the language, which ends it, too
    stop = ends / (goes_on + ends)

    assert abs(lengths[1] / 400 - stop) < 0.04
    assert abs(lengths[2] / 400 - (1 - stop) * stop) < 0.04


def test_text_is_dropped_in_whatever_tokens_it_stands(model: RandomModel) -> None:
    vocab = model.vocab
    for text, drop in [
        ("the of the end", "the"),
        ("the other moon.\n", "other moon"),
        ("abc", "abc"),
        ("日本 é", "本"),
    ]:
        ids = [5, *vocab.encode(text.encode())]
        left = without(ids, drop, model)
        expected = "".join(text.rsplit(drop, 1)).encode()
        assert vocab.token_bytes[5] is not None
        assert expected == b"".join([vocab.token_bytes[i] or b"" for i in left[1:]])
    with pytest.raises(lp.SamplingError, match="does not have what is to be dropped: 'moon'"):
        without(vocab.encode(b"the sea"), "moon", model)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("preview", [True, False])
def test_in_programs(model: RandomModel, preview: bool, temperature: float) -> None:
    """Roles, forks, attempts, choices, healed borders, stops, budgets, under a small pool."""
    document = "All of the sea is water that was said to be "

    @program(preview=preview)
    def answers(p: lp.Prompt) -> list[str]:
        with p.user():
            p(document, "What is the sea?")
        with p.assistant(), p.decoding(lp.Contrast(document, temperature=temperature, seed=3)):
            p("It: ")
            calm = gen(regex=" [a-z ]{4,9}", where=lambda x: "q" not in x, max_tokens=10)
            branches = p.fork(lambda p, n: p(f"{n}", calm), range(3))
            p.append(branches)
            p(select(["moon", "sea", "sea of trees"]), " and ", gen(max_tokens=5, stop=","), ", ")
            for a in p.attempts(20, feedback="none"):
                with a:
                    a.check(p("n: ", gen(int, ge=0, le=99), "\n") is not None)
        return [branch.value for branch in branches]

    run, small = answers.run(model=model), RandomModel(0, slots=150)
    tight = answers.run(model=small)
    small.engine.check()
    small.close()

    assert run.text == tight.text
    assert all("q" not in value for value in run.value)


def test_what_has_no_meaning_is_refused() -> None:
    wrong: list[dict[str, Any]] = [{}, {"drop": ""}, {"drop": "a", "against": "b"}]
    wrong += [{"drop": "\ud800"}, {"against": "\ud800"}]
    wrong += [{"drop": "a", "alpha": math.nan}, {"drop": "a", "plausible": 2.0}, {"drop": "a", "temperature": -1.0}]
    for given in wrong:
        with pytest.raises(lp.SamplingError):
            lp.Contrast(**given)
    with pytest.raises(lp.SamplingError, match="to be dropped"):
        asked(decoder=lp.Contrast("c"))
    with pytest.raises(lp.SamplingError, match="Contrast weighs"):
        program(lambda p: p("?", gen(regex="a", repetition_penalty=2.0)))(model=MODEL, decoder=lp.Contrast("?"))
    with pytest.raises(lp.BudgetError):
        program(lambda p: p("?", gen(regex="a{9}", max_tokens=2)))(model=MODEL, decoder=lp.Contrast("?"))
    assert np.isfinite(combined(1.0)["abc"])


# -- slots -----------------------------------------------------------------------------------------------------------

WORDS = RandomModel(3)


@program(model=WORDS)
def told(p: lp.Prompt, document: str = "cats eat fish") -> Any:
    """The slot's text also stands before it and behind it."""
    p("cats eat fish: ", lp.slot("document", document), ". So cats eat fish, and ")
    return p(gen(regex="[a-z]{3,9}", decoder=lp.Contrast("document", alpha=3.0), name="x"))


def expected() -> str:
    @program(model=WORDS)
    def against(p: lp.Prompt) -> Any:
        p("cats eat fish: cats eat fish. So cats eat fish, and ")
        other = "cats eat fish: . So cats eat fish, and "
        return p(gen(regex="[a-z]{3,9}", decoder=lp.Contrast(against=other, alpha=3.0), name="x"))

    return str(against())


def test_a_slot_is_dropped_at_its_place() -> None:
    text = told.run(preview=False).text

    assert expected() == told() == told.with_(document="cats eat fish").run("other").value
    assert [expected()] * 2 == told.map([(), ()])
    assert text == told.samples(1)[0].text


def test_without_such_a_slot_it_is_a_text() -> None:
    @program(model=WORDS, decoder=lp.Contrast("fish", alpha=3.0))
    def plain(p: lp.Prompt) -> Any:
        return p("cats eat fish and ", gen(regex="[a-z]{3,9}"))

    @program(model=WORDS, decoder=lp.Contrast("other", alpha=3.0))
    def neither(p: lp.Prompt) -> Any:
        return p(lp.slot("another", "cats"), gen(regex="[a-z]{3,9}"))

    assert plain()
    with pytest.raises(lp.SamplingError, match="does not have what is to be dropped: 'other'"):
        neither()


def test_a_slot_before_a_branch() -> None:
    @program(model=WORDS)
    def branches(p: lp.Prompt) -> Any:
        p("cats eat fish: ", lp.slot("document", "cats eat fish"), ". So cats eat fish, and ")
        hole = gen(regex="[a-z]{3,9}", decoder=lp.Contrast("document", alpha=3.0))
        return p.fork(lambda q, _: q(hole), [0])[0].value

    assert expected() == branches()


def test_an_empty_slot_takes_nothing_away() -> None:
    plain = program(model=WORDS, boundary="token")(
        lambda p: p("cats eat fish: . So cats eat fish, and ", gen(regex="[a-z]{3,9}"))
    )

    assert plain() == told("")
