"""Classes of label words: every figure against plain products of a table's conditionals."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lmprog as lp
from lmprog import Verbalizer, gen, program, select
from lmprog.runtime.model import Model
from lmprog.testing import RandomModel, Scripted, TableModel
from lmprog.testing.enumerated import Table, random_table

TOKENS = ["a", "b", "c", "ab", "bc", "x", " ", ".", "a."]
FREE = {"one": ["a", "bc", "cab"], "two": ["bb", "cc"], "three": ["ba"]}  # none begins another
MOODS = {"positive": ["good", "great"], "negative": ["bad", "awful", "not good"]}


class Mood(Enum):
    GOOD = 1
    BAD = 2


def after_x(model: Model, table: Table, word: str) -> float:
    ids, before = model.vocab.encode(word.encode()), model.vocab.encode(b"x")
    return math.prod(table((*before, *ids[:i]))[token] for i, token in enumerate(ids))


def spelt(table: Table, text: str) -> float:
    """The probability that a text goes on with this one behind "x", in any spelling."""

    def begins(ids: tuple[int, ...], rest: str) -> float:
        total = 0.0
        for token, piece in enumerate(TOKENS):
            if piece.startswith(rest):
                total += table(ids)[token]
            elif rest.startswith(piece):
                total += table(ids)[token] * begins((*ids, token), rest[len(piece) :])
        return total

    return begins((TOKENS.index("x"),), text)


def classes(weights: dict[str, float], words: dict[str, list[str]], combine: Callable[..., float]) -> dict[str, float]:
    return {c: combine([weights[word] for word in some]) for c, some in words.items()}


def mean(values: Sequence[float]) -> float:
    return math.prod(values) ** (1 / len(values))


def shares(values: dict[str, float]) -> dict[str, float]:
    whole = sum(values.values())
    return {c: value / whole for c, value in values.items()}


RULES: dict[str, Callable[..., float]] = {"sum": sum, "mean": mean, "max": max}


@pytest.mark.parametrize("combine", RULES)
def test_classes_are_what_is_made_of_their_words(combine: Any) -> None:
    hole = select(Verbalizer(FREE, combine=combine), name="it")
    ask = program(lambda p: p("x") or p.score(Verbalizer(FREE, combine=combine)))
    for seed in range(40):
        table = random_table(seed, len(TOKENS))
        with TableModel(TOKENS, table) as model:
            weights = {word: after_x(model, table, word) for some in FREE.values() for word in some}
            expected = classes(weights, FREE, RULES[combine])
            best = max(expected, key=expected.__getitem__)
            dist = ask(model=model)
            run = program(lambda p: p("x", hole)).run(model=model)

            assert expected == pytest.approx({c: math.exp(p) for c, p in dist.logprobs.items()})
            assert shares(expected) == pytest.approx(dict(dist))
            assert best == run.value == dist.best
            assert max(FREE[best], key=weights.__getitem__) == run.captures["it"].text == run.text[1:]
            assert dict(dist) == pytest.approx(dict(run.captures["it"].dist))
            for c, some in FREE.items():
                assert shares({word: weights[word] for word in some}) == pytest.approx(dict(dist.words[c]))


def test_exactly_all_spellings_are_added_up() -> None:
    ask = program(lambda p: p("x") or p.score(FREE, exact=True, none=True))
    fill = program(lambda p: p("x", select(FREE, name="it", boundary="exact")))
    for seed in range(15):
        table = random_table(seed, len(TOKENS))
        with TableModel(TOKENS, table) as model:
            expected = classes({w: spelt(table, w) for some in FREE.values() for w in some}, FREE, sum)
            dist = ask(model=model)
            run = fill.run(model=model)

            assert expected == pytest.approx({c: math.exp(p) for c, p in dist.logprobs.items()})
            assert 1 - sum(expected.values()) == pytest.approx(dist.none)
            assert dist.exact
            assert max(expected, key=expected.__getitem__) == run.value
            assert shares(expected) == pytest.approx(dict(run.captures["it"].dist))


def test_words_that_begin_others() -> None:
    """With a text behind them they are told apart by it; without one, the shorter does not go on as the longer."""
    words = {"one": ["a", "b"], "two": ["ab", "c"]}
    for seed in range(20):
        table = random_table(seed, len(TOKENS))
        with TableModel(TOKENS, table) as model:
            score = program(lambda p, end: p("x") or p.score(words, end=end, exact=True))
            alone, ended = score("", model=model), score(".", model=model)
            each = {word: spelt(table, word) for word in ["a", "b", "ab", "c"]}
            dots = {word: spelt(table, word + ".") for word in each}
            each["a"] -= each["ab"]

            assert classes(each, words, sum) == pytest.approx({c: math.exp(p) for c, p in alone.logprobs.items()})
            assert classes(dots, words, sum) == pytest.approx({c: math.exp(p) for c, p in ended.logprobs.items()})
    with pytest.raises(lp.AmbiguousOptions, match="'a' begins the option 'ab'"):
        program(lambda p: p("x", select(words), "b"))(model=RandomModel(0))


def test_weights() -> None:
    table = random_table(3, len(TOKENS))
    weights = {"a": 3.0, "cc": 0.5}
    with TableModel(TOKENS, table) as model:
        each = {word: after_x(model, table, word) for some in FREE.values() for word in some}
        for combine, expected in (
            ("sum", sum(each[w] * weights.get(w, 1) for w in FREE["one"])),
            ("max", max(each[w] * weights.get(w, 1) for w in FREE["one"])),
            ("mean", (each["a"] ** 3 * each["bc"] * each["cab"]) ** 0.2),
        ):
            verbalizer = Verbalizer(FREE, combine=combine, weights=weights)  # type: ignore[arg-type]
            dist = program(lambda p, v: p("x") or p.score(v))(verbalizer, model=model)

            assert expected == pytest.approx(math.exp(dist.logprobs["one"])), combine


@pytest.mark.parametrize(
    ("combine", "temperature", "exact"), [("sum", 1.0, False), ("mean", 0.7, False), ("max", 1.0, True)]
)
def test_draws_follow_the_classes(combine: Any, temperature: float, exact: bool) -> None:
    """Chi-squared over 3 classes and, within them, over 6 words: below 13.8 and 20.5 with probability 0.999."""
    wild, n = random_table(5, len(TOKENS)), 1500
    table: Table = lambda ids: [(share + 0.2) / (1 + 0.2 * (len(TOKENS) + 1)) for share in wild(ids)]  # noqa: E731
    boundary: Any = "exact" if exact else "heal"
    hole = select(Verbalizer(FREE, combine=combine), name="it", temperature=temperature, boundary=boundary)
    with TableModel(TOKENS, table) as model:
        weigh = (lambda w: spelt(table, w)) if exact else (lambda w: after_x(model, table, w))
        each = {word: weigh(word) for some in FREE.values() for word in some}
        tempered = {c: v ** (1 / temperature) for c, v in classes(each, FREE, RULES[combine]).items()}
        wanted = shares(tempered)
        within = {
            w: p * wanted[c]
            for c in FREE
            for w, p in shares({w: each[w] ** (1 / temperature) for w in FREE[c]}).items()
        }
        draw = program(lambda p, i: p("x", hole))
        runs = draw.samples(n, 0, model=model, seed=1, independent=True)

        for counts, expected in (
            (Counter(run.value for run in runs), wanted),
            (Counter(run.captures["it"].text for run in runs), within),
        ):
            statistic = sum((counts[key] - n * p) ** 2 / (n * p) for key, p in expected.items())
            assert statistic < {3: 13.8, 6: 20.5}[len(expected)]


def test_arithmetic_samples_spread_over_classes() -> None:
    table, n = random_table(7, len(TOKENS)), 200
    with TableModel(TOKENS, table) as model:
        expected = program(lambda p: p("x") or p.score(FREE))(model=model)
        draw = program(decoder=lp.Sample(seed=2))(lambda p: p("x", select(FREE)))
        counts = Counter(run.value for run in draw.samples(n, model=model))

        assert all(abs(counts[c] - n * share) <= 2 for c, share in expected.items())


def test_plans_branch_by_class() -> None:
    @program
    def review(p: lp.Prompt, text: str) -> str:
        mood = p("Text: ", text, "\nMood: ", select(MOODS, name="mood"), "\n")
        if mood == "negative":
            p("Why: ", gen(regex="[a-z]{3}"), "\n")
        return str(mood)

    plan = review.plan("so")

    assert plan.whole
    assert '⟨mood⟩ = "good", "great": nothing' in str(plan)
    assert {"mood": "negative", "1": "abc"} == plan.read("Text: so\nMood: not good\nWhy: abc\n")
    for seed, text in itertools.product(range(4), ["so", "well"]):
        with RandomModel(seed) as model:
            ahead, plain = [
                review.run(text, model=model, seed=1, preview=p, decoder=lp.Sample()) for p in (True, False)
            ]

            assert (plain.value, plain.text) == (ahead.value, ahead.text)
            assert ahead.captures["mood"].text in MOODS[ahead.value]


def test_what_is_shown_instead_of_a_word() -> None:
    verbalizer = Verbalizer(MOODS, shown={"positive": "+", "negative": "-"})
    fill = program(lambda p: p("It is ", select(verbalizer, name="mood"), "!"))
    with RandomModel(4) as model:
        plain = program(lambda p: p("It is ", select(MOODS, name="mood"), "!")).run(model=model)
        for how in ({}, {"logprobs": True}, {"trace": True}, {"preview": False}):
            run = fill.run(model=model, **how)

            assert plain.value == run.value
            assert f"It is {verbalizer.shown[run.value]}!" == run.text
            assert dict(plain.captures["mood"].dist) == pytest.approx(dict(run.captures["mood"].dist))
        assert run.captures["mood"].dist.logprobs[run.value] == pytest.approx(
            fill.run(model=model, logprobs=True).captures["mood"].logprob
        )


def test_values_may_be_anything_that_can_be_a_key() -> None:
    hole = select({Mood.GOOD: ["good", "great"], Mood.BAD: "bad"})

    @program
    def fill(p: lp.Prompt) -> Any:
        if (found := p(hole)) is Mood.GOOD:
            p(" yes")
        return found

    for word, value in {"great": Mood.GOOD, "bad": Mood.BAD}.items():
        run = fill.run(model=Scripted([word]))

        assert (value, word + " yes" * (value is Mood.GOOD)) == (run.value, run.text)


@pytest.mark.parametrize("seed", range(10))
def test_a_value_that_fails_takes_its_class_with_it(seed: int) -> None:
    with RandomModel(seed) as model:
        first = program(lambda p: p("It is ", select(MOODS), "."))(model=model)
        (other,) = MOODS.keys() - {first}
        checked = gen(choices=MOODS, where=lambda c: c != first, tries=2)

        @program(model=model)
        def tried(p: lp.Prompt) -> Any:
            for a in p.attempts(2):
                with a:
                    found = p("It is ", select(MOODS), ".")
                    a.check(found == other, "the other one")
            return found

        assert other == program(lambda p: p("It is ", checked, "."))(model=model)
        assert other == tried()


def test_conditions_are_on_words() -> None:
    hole = gen(choices=MOODS, where="len(x) > 4", name="m")
    with RandomModel(1) as model:
        run = program(lambda p: p("It is ", hole)).run(model=model)
        dist = run.captures["m"].dist

    assert run.captures["m"].text in ("great", "awful", "not good")
    assert {"positive": ["great"], "negative": ["awful", "not good"]} == {
        c: [*under] for c, under in dist.words.items()
    }


@pytest.mark.parametrize("how", [{}, {"combine": "mean"}, {"shown": {Mood.GOOD: "+", Mood.BAD: "-"}}])
def test_causes_are_those_of_the_class(how: dict[str, Any], tmp_path: Path) -> None:
    words: dict[Any, list[str]] = {Mood.GOOD: MOODS["positive"], Mood.BAD: MOODS["negative"]}
    with RandomModel(3, spread=1.0) as model:
        hole = select(Verbalizer(words, **how), name="mood")
        run: lp.Run[Any] = program(lambda p: p("Late again. It is ", hole)).run(model=model)
        found = run.why("mood", samples=1)

        assert run.captures["mood"].dist[run.value] == pytest.approx(math.exp(found.logprob))
        for n in range(2):  # a loaded run is saved again
            run.save(tmp_path / f"{n}.json")
            run = lp.Run.load(tmp_path / f"{n}.json")
            assert found.logprob == run.why("mood", samples=1, model=model).logprob


def test_calibration() -> None:
    ask = program(lambda p, t: p(f"Text: {t}\nMood: ") or p.score(MOODS))
    with RandomModel(2, spread=1.0) as model:
        dists = ask.map([str(i) for i in range(30)], model=model)
    batch = lp.Calibrator("batch").fit(dists)
    means = {c: np.mean([d[c] for d in dists]) for c in MOODS}

    assert shares({c: dists[0][c] / means[c] for c in MOODS}) == pytest.approx(dict(batch.predict(dists[0])))
    assert dists[0].words == batch.predict(dists[0]).words

    verbalizer = Verbalizer(MOODS).calibrated(dists)
    priors = {
        w: float(np.mean([math.exp(d.words[c].logprobs[w]) for d in dists])) for c, some in MOODS.items() for w in some
    }
    each = {w: math.exp(p) / priors[w] for under in dists[0].words.values() for w, p in under.logprobs.items()}
    with RandomModel(2, spread=1.0) as model:
        found = program(lambda p: p("Text: 0\nMood: ") or p.score(verbalizer))(model=model)
    assert shares(classes(each, MOODS, sum)) == pytest.approx(dict(found))

    kept = Verbalizer(MOODS).frequent(dists, keep=0.5).words
    assert {c: {max(some, key=priors.__getitem__)} for c, some in MOODS.items()} | {
        "negative": set(sorted(MOODS["negative"], key=lambda w: -priors[w])[:2])
    } == {c: set(some) for c, some in kept.items()}


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: select({"a": ["x", "y"], "b": ["y"]}), "the word 'y' belongs to two classes, 'a' and 'b'"),
        (lambda: select({"a": ["x", "x"]}), "the word 'x' belongs to 'a' twice"),
        (lambda: select({"a": []}), "the class 'a' has no words"),
        (lambda: select({}), "a verbalizer is a dict of classes"),
        (lambda: select({"a": 1, "b": 2}), "the words of 'a' are a list of texts, not 1; to choose between keys"),
        (lambda: select({"a": ["x", ""]}), "a word is a text that is not empty"),
        (lambda: select({1: ["x"], "1": ["y"]}), "two classes have the same text: 1 and '1'"),
        (lambda: Verbalizer({"a": "x"}, weights={"y": 2}), "weights has 'y', which is none of the words: 'x'"),
        (lambda: Verbalizer({"a": "x"}, weights={"x": 0}), "a weight is a number above 0, not 0"),
        (lambda: Verbalizer({"a": "x"}, weights={"x": math.nan}), "a weight is a number above 0, not nan"),
        (lambda: Verbalizer({"a": "x"}, combine="min"), "combine is one of sum, mean, max, not 'min'"),  # type: ignore
        (
            lambda: Verbalizer({"a": "x", "b": "y"}, shown={"a": "A"}),
            "shown says a text for each class: 'b' is missing",
        ),
        (lambda: Verbalizer({"a": "x", "b": "y"}, shown={"a": "A", "b": "A"}), "shown by the same text"),
        (lambda: Verbalizer({"a": "x"}, weights=[2]), "weights is a dict of numbers by word"),  # type: ignore[arg-type]
        (lambda: Verbalizer({"a": "x"}, shown=["A"]), "shown one of texts by class"),  # type: ignore[arg-type]
        (lambda: gen(choices={"a": ["x"]}, stop="."), "it takes no stop and no monitor"),
        (lambda: Verbalizer({"a": "x"}).calibrated("x"), "calibrated on a list of Dists: 'x' is none"),  # type: ignore
        (lambda: Verbalizer({"a": "x"}).frequent([], keep="x"), "keep is a share above 0"),  # type: ignore[arg-type]
        (lambda: select({"a": [f"w{i}" for i in range(2001)]}), "at most 2000 words, not 2001"),
    ],
)
def test_wrong_descriptions(make: Callable[[], object], why: str) -> None:
    with pytest.raises((lp.HoleError, lp.CalibrationError), match=why):
        make()


@pytest.mark.parametrize(
    ("decoder", "why"),
    [
        (lp.Contrast(drop="x"), "not by Contrast"),
        (lp.BestOf(2, len), "not by BestOf"),
        (lp.Sample(repetition_penalty=1.5), "penalties and logit_bias cannot change them"),
    ],
)
def test_decoders_that_decide_by_tokens(decoder: lp.Decoder, why: str) -> None:
    with pytest.raises(lp.HoleError, match=why), RandomModel(0) as model:
        program(lambda p: p("It is ", select(MOODS)))(model=model, decoder=decoder)


def test_infilling_decides_by_tokens() -> None:
    with pytest.raises(lp.HoleError, match="classes of words"), RandomModel(0) as model:
        program(lambda p: p.infill("It is [[mood]].", mood=select(MOODS)))(model=model)


def test_a_class_whose_words_cannot_come() -> None:
    def table(ids: tuple[int, ...]) -> list[float]:
        return [0.5, 0.0, 0.0, 0, 0, 0.5, 0, 0, 0, 0]

    with TableModel(TOKENS, table) as model:
        fill = program(lambda p, v: p("x", select(v)))

        assert "one" == fill(Verbalizer({"two": ["b"], "one": ["a", "c"]}), model=model)
        dist = program(lambda p: p("x") or p.score({"two": ["b"], "one": ["a"]}, exact=True))(model=model)
        assert {"two": 0.0, "one": 1.0} == dict(dist)
        assert dist.exact
        for words in ({"one": ["b"], "two": ["c"]}, Verbalizer({"one": ["a", "b"], "two": ["c"]}, combine="mean")):
            with pytest.raises(lp.SamplingError, match=r"gives every (class|option) the probability 0"):
                fill(words, model=model)
