"""Options by their exact probabilities: every figure against the plain product of the table's conditionals."""

from __future__ import annotations

import enum
import itertools
import math
import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import pytest

import lmprog as lp
from lmprog import gen, program, select
from lmprog.runtime.model import Model
from lmprog.testing import RandomModel, Scripted, TableModel

Table = Callable[[tuple[int, ...]], list[float]]
TOKENS = ["a", "b", "c", "ab", "bc", "cab", "x", " ", " a", "\n", "a\n"]
WORDS = ["a", "b", "c", "ab", "ba", "bc", "abc", "cab", "bca", "cabc", "aab", "bbc"]


def table(seed: int, n: int = len(TOKENS), spread: float = 2.0) -> Table:
    """Random probabilities of n tokens and the end, some far likelier than others."""

    def probs(ids: tuple[int, ...]) -> list[float]:
        rng = np.random.default_rng((seed, *ids))
        weights = np.exp(rng.standard_normal(n + 1) * spread)
        return list(weights / weights.sum())

    return probs


def product(table: Table, before: Sequence[int], ids: Sequence[int]) -> float:
    return math.prod(table((*before, *ids[:i]))[token] for i, token in enumerate(ids))


def after_x(model: Model, table: Table, option: str) -> float:
    """The probability of an option after "x", which no longer token begins with."""
    return product(table, model.vocab.encode(b"x"), model.vocab.encode(option.encode()))


def free(words: Sequence[str], rng: random.Random, n: int) -> list[str]:
    """Up to n words of which none begins another."""
    chosen: list[str] = []
    for word in rng.sample(words, len(words)):
        if len(chosen) < n and not any(word.startswith(w) or w.startswith(word) for w in chosen):
            chosen.append(word)
    return chosen


@pytest.mark.parametrize("part", range(4))
def test_select_takes_the_most_probable_option(part: int) -> None:
    pick = program(lambda p, options: p("x", select(options)))
    for seed in range(part * 250, part * 250 + 250):
        options = free(WORDS, random.Random(seed), 6)
        with TableModel(TOKENS, probs := table(seed)) as model:
            weights = {option: after_x(model, probs, option) for option in options}

            assert max(weights, key=weights.__getitem__) == pick(options, model=model), seed


def test_a_greedy_first_token_does_not_decide() -> None:
    """sk… is the likeliest beginning, and "skill" the worse option."""
    tokens = ["sk", "ill", "ate", "task", "x"]
    after = {(): [0.4, 0.0, 0.0, 0.3, 0.3, 0.0], (0,): [0.5, 0.2, 0.1, 0.1, 0.1, 0.0]}

    def probs(ids: tuple[int, ...]) -> list[float]:
        return after.get(ids[1:], [1 / 6] * 6) if ids else [0, 0, 0, 0, 1, 0]

    with TableModel(tokens, probs) as model:
        run = program(lambda p: p("x", select(["skill", "skate", "task"], name="it"))).run(model=model)

        assert "task" == run.value
        assert {"skill": 0.08, "skate": 0.04, "task": 0.3} == pytest.approx(
            {option: math.exp(p) for option, p in run.captures["it"].dist.logprobs.items()}
        )
        assert [0.08 / 0.42, 0.04 / 0.42, 0.3 / 0.42] == pytest.approx(list(run.captures["it"].dist.values()))


def test_scores_are_products_of_conditionals() -> None:
    score = program(lambda p, options, **how: p("x") or p.score(options, **how))
    for seed in range(150):
        options = free(WORDS, random.Random(seed), 5)
        with TableModel(TOKENS, probs := table(seed)) as model:
            dist = score(options, model=model, none=True)
            weights = {option: after_x(model, probs, option) for option in options}
            lengths = {option: len(model.vocab.encode(option.encode())) for option in options}
            means = score(options, model=model, norm="mean")

            assert weights == pytest.approx({o: math.exp(p) for o, p in dist.logprobs.items()})
            assert 1 - sum(weights.values()) == pytest.approx(dist.none)
            assert weights == pytest.approx(dict(dist))
            assert {o: math.log(w) / lengths[o] for o, w in weights.items()} == pytest.approx(dict(means.scores))
            assert dict(dist.logprobs) == pytest.approx(dict(means.logprobs))
            assert pytest.approx(1) == sum(means.values())


def test_pointwise_mutual_information() -> None:
    score = program(lambda p, **how: p("xx") or p.score(["a", "b", "cab"], norm="pmi", **how))
    for seed in range(20):
        with TableModel(TOKENS, probs := table(seed)) as model:
            x = tuple(model.vocab.encode(b"x"))
            for premise, before in (("", ()), ("x", x)):
                dist = score(model=model, premise=premise)
                for option in ("a", "b", "cab"):
                    ids = model.vocab.encode(option.encode())
                    ratio = product(probs, (*x, *x), ids) / product(probs, before, ids)

                    assert math.log(ratio) == pytest.approx(dist.scores[option])


def test_the_end_of_the_text_is_spelt_anew_with_each_option() -> None:
    """ "x " ends in a space, and " a" is a token: "a" is spelt " a", the others " " and their own."""
    score = program(lambda p, boundary: p("x ") or p.score(["a", "b", "cab"], boundary=boundary, none=True))
    for seed in range(50):
        with TableModel(TOKENS, probs := table(seed)) as model:
            x, space, both = 6, 7, 8
            border = probs((x,))[space] + probs((x,))[both]
            healed = {
                "a": probs((x,))[both] / border,
                "b": probs((x,))[space] * probs((x, space))[1] / border,
                "cab": probs((x,))[space] * probs((x, space))[5] / border,
            }
            dist, fixed = score("heal", model=model), score("token", model=model)

            assert healed == pytest.approx(dict(dist))
            assert {o: probs((x, space))[i] for o, i in (("a", 0), ("b", 1), ("cab", 5))} == pytest.approx(dict(fixed))


def test_a_longer_end_of_the_text_is_covered_along_the_way() -> None:
    """The text ends in "ab", which "abc…" tokens begin with, "b" also "bc": the text's end is a, b or ab, abc."""
    tokens = ["a", "b", "c", "bc", "abcc", "x"]
    for seed in range(20):
        with TableModel(tokens, probs := table(seed, n=6)) as model:
            dist = program(lambda p: p("xab") or p.score(["c", "cc", "ca"], end="", none=True)).run(model=model).value
            way = probs((5,))[4] + probs((5,))[0] * (probs((5, 0))[1] + probs((5, 0))[3])
            a, b, c = 0, 1, 3  # "c" is spelt a, bc
            after_bc = probs((5, a, c))

            assert (probs((5,))[a] * probs((5, a))[c] * after_bc[2] / way) != 0
            assert probs((5,))[a] * probs((5, a))[c] * after_bc[a] / way == pytest.approx(dist["ca"])
            assert probs((5,))[4] / way == pytest.approx(dist["cc"])
            assert b == 1


@pytest.mark.parametrize("follow", ["", "\n", "x"])
def test_an_option_that_begins_another_is_taken_with_its_end(follow: str) -> None:
    options = ["a", "ab", "abc", "b"]
    pick = program(lambda p: p("x", select(options, name="it"), *[follow] * bool(follow)))
    for seed in range(150):
        with TableModel(TOKENS, probs := table(seed)) as model:
            x = tuple(model.vocab.encode(b"x"))
            weights = {}
            for option in options:
                ids = tuple(model.vocab.encode((option + follow).encode()))
                longer = [o[len(option) :] for o in options if o.startswith(option) and o != option]
                goes_on = [i for i, t in enumerate(TOKENS) if any(t.startswith(s) or s.startswith(t) for s in longer)]
                ended = 1 - sum(probs((*x, *ids))[i] for i in goes_on) if not follow else 1
                weights[option] = product(probs, x, ids) * ended
            run = pick.run(model=model)

            assert max(weights, key=weights.__getitem__) == run.value
            assert weights == pytest.approx({o: math.exp(p) for o, p in run.captures["it"].dist.logprobs.items()})


AMBIGUOUS = [
    (["New", "New York"], " York"),
    (["a", "a\nb", "c"], "\nb"),
    (["", "ab"], "ab"),
]


@pytest.mark.parametrize(("options", "follow"), AMBIGUOUS)
def test_options_that_the_following_text_does_not_tell_apart(
    model: RandomModel, options: list[str], follow: str
) -> None:
    with pytest.raises(lp.AmbiguousOptions, match="does not tell them apart") as raised:
        program(lambda p: p("x", select(options), follow)).run(model=model)
    with pytest.raises(lp.AmbiguousOptions):
        program(lambda p: p("x") or p.score(options, end=follow)).run(model=model)

    assert repr(options[0]) in str(raised.value)


def test_the_empty_option(model: RandomModel) -> None:
    run = program(lambda p: p("is", select(["", " not"], name="it"), " said")).run(model=model)

    assert run.value in ("", " not")
    assert run.text == f"is{run.value} said"
    assert 0 < sum(math.exp(p) for p in run.captures["it"].dist.logprobs.values()) < 1


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_an_option_is_drawn_from_the_normalised_distribution(temperature: float) -> None:
    options = ["a", "ba", "bc", "cab"]
    pick = program(lambda p: p("x", select(options)))
    with TableModel(TOKENS, probs := table(3, spread=1.0)) as model:
        weights = np.array([after_x(model, probs, option) ** (1 / temperature) for option in options])
        n = 3000
        drawn = Counter(pick.map([()] * n, model=model, decoder=lp.Sample(temperature), seed=1))
        expected = weights / weights.sum() * n
        statistic = sum((drawn[o] - e) ** 2 / e for o, e in zip(options, expected.tolist(), strict=True))

        assert set(drawn) <= set(options)
        assert statistic < 16.3  # the 99.9 % quantile for 3 degrees of freedom


def test_a_seed_gives_the_same_option_again(model: RandomModel) -> None:
    pick = program(lambda p: [p("x", select(["math", "poem", "topic", "name"])) for _ in range(8)])

    assert pick(model=model, decoder=lp.Sample(), seed=4) == pick(model=model, decoder=lp.Sample(), seed=4)
    assert pick(model=model, decoder=lp.Sample(), seed=4) != pick(model=model, decoder=lp.Sample(), seed=5)


def test_filters_apply_to_options() -> None:
    with TableModel(TOKENS, probs := table(1, spread=1.0)) as model:
        pick = program(lambda p: p("x", gen(choices=["a", "ba", "bc", "cab"], top_k=2)))
        drawn = Counter(pick.map([()] * 200, model=model, decoder=lp.Sample(), seed=0))
        best = sorted(["a", "ba", "bc", "cab"], key=lambda o: -after_x(model, probs, o))[:2]

        assert set(best) == set(drawn)


def test_fifty_options(spying: Any) -> None:
    """Of 50 words of 4 letters few paths are looked into."""
    letters = "abcdefgh"
    looked = 0.0
    for seed in range(20):
        words = ["".join(w) for w in random.Random(seed).sample(list(itertools.product(letters, repeat=4)), 50)]
        with TableModel([*letters, "x"], probs := table(seed, n=9, spread=1.5)) as model:
            spy = spying(model)
            weights = {word: after_x(model, probs, word) for word in words}

            assert max(weights, key=weights.__getitem__) == program(lambda p, o: p("x", select(o)))(words, model=spy)
            inner = {word[:i] for word in words for i in range(4)}
            rows = sum(len(request.asks) for request in spy.requests)
            assert rows < len(inner)
            looked += rows / len(inner)
    assert looked / 20 < 0.5


def test_options_of_one_token_take_a_single_narrow_row(spy: Any) -> None:
    program(lambda p: p("x", select(["math", "poem", "topic"])))(model=spy)

    ((ask,),) = [request.asks for request in spy.requests]
    assert ask.relative
    assert 3 == len(ask.tokens)


def test_a_single_option_asks_for_nothing(spy: Any) -> None:
    run = program(lambda p: p("x", select(["topic: math"], name="it"))).run(model=spy)

    assert ("xtopic: math", []) == (run.text, spy.requests)
    assert 1 == run.captures["it"].dist["topic: math"]


class Mood(enum.Enum):
    CALM = "calm"
    CROSS = "cross"


FINITE: list[tuple[lp.Hole, set[Any]]] = [
    (gen(bool), {True, False}),
    (gen(Literal["abc", 3, None]), {"abc", 3, None}),
    (gen(Mood), {Mood.CALM, Mood.CROSS}),
    (select([3, 5.5, ("a", 1)]), {3, 5.5, ("a", 1)}),
    (gen(choices=["math", "poem", "topic"], where="'o' in x"), {"poem", "topic"}),
    (gen(choices=["on", "a moon at sea"], max_tokens=1), {"on"}),
]


@pytest.mark.parametrize(("hole", "values"), FINITE, ids=lambda x: getattr(x, "kind", ""))
def test_holes_of_a_few_values(spying: type, model: RandomModel, hole: lp.Hole, values: set[Any]) -> None:
    spy = spying(model)
    run = program(lambda p: p("x: ", hole, "\n")).run(model=spy)

    assert run.value in values
    assert values == set(run.captures[0].dist)
    assert run.value == run.captures[0].dist.best
    assert all(request.asks for request in spy.requests)


def test_options_that_are_no_keys_go_by_their_text(model: RandomModel) -> None:
    run = program(lambda p: p("x", select([[1], {"a": 2}]))).run(model=model)

    assert run.value in ([1], {"a": 2})
    assert {"[1]", "{'a': 2}"} == set(run.captures[0].dist)


def test_what_does_not_fit_is_a_budget_error(model: RandomModel) -> None:
    with pytest.raises(lp.BudgetError, match="the shortest option takes 4 tokens, max_tokens is 2"):
        program(lambda p: p("x", gen(choices=["qqqq", "qqzzz"], max_tokens=2)))(model=model)


def test_penalties_and_biases_are_of_tokens(spy: Any) -> None:
    run = program(lambda p: p("x", gen(choices=["math", "poem"], logit_bias={3: 1.0}, name="it"))).run(model=spy)

    assert spy.requests[0].constraint is not None
    with pytest.raises(lp.ProgramError, match="it"):
        run.captures["it"].dist  # noqa: B018


def test_with_log_probabilities_and_records(model: RandomModel) -> None:
    pick = program(lambda p: p("Kind: ", select(["math", "poem", "sea moon"], name="it"), "\n"))
    plain, traced = pick.run(model=model), pick.run(model=model, logprobs=True, trace=True)
    it = traced.captures["it"]

    assert plain.value == traced.value
    assert it.logprob == it.dist.logprobs[it.value] == pytest.approx(plain.captures["it"].dist.logprobs[it.value])
    assert it.dist[it.value] == pytest.approx(math.exp(sum(t.masked for t in traced.tokens)))


def test_scoring_leaves_the_run_as_it_is(spy: Any) -> None:
    @program
    def body(p: lp.Prompt) -> Any:
        p("Topic: ")
        dist = p.score(["math", "poem"])
        return dist, p(select(["math", "poem"]), "\n")

    run = body.run(model=spy)

    assert run.text == f"Topic: {run.value[1]}\n"
    assert run.value[0].best == run.value[1]
    assert 2 == run.usage.requests
    assert 1 == len(run.captures)


WRONG: list[tuple[str, dict[str, Any]]] = [
    ("no options", {"options": []}),
    ("norm is one of", {"options": ["a"], "norm": "max"}),
    ("none=True needs", {"options": ["a"], "norm": "mean", "none": True}),
    ("premise= is what", {"options": ["a"], "premise": "x"}),
    ("boundary is", {"options": ["a"], "boundary": "near"}),
    ("exact is", {"options": ["a"], "exact": "yes"}),
]


@pytest.mark.parametrize(("message", "arguments"), WRONG, ids=lambda x: str(x)[:30])
def test_wrong_questions(model: RandomModel, message: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(lp.HoleError, match=message):
        program(lambda p: p("x") or p.score(**arguments))(model=model)


def test_a_model_that_cannot_score() -> None:
    with pytest.raises(lp.ProgramError, match="Scripted does not tell"):
        program(lambda p: p("x") or p.score(["a"]))(model=Scripted([]))
    assert "b" == program(lambda p: p("x", select(["a", "b"])))(model=Scripted(["b"]))


def test_an_outline_shows_no_scores() -> None:
    body = program(lambda p: p("x") or p(p.score(["a", "b"]).best))

    assert "x⟨… the rest depends on score⟩" == body.prompt()


def test_options_of_probability_zero() -> None:
    def probs(ids: tuple[int, ...]) -> list[float]:
        return [0.5, 0.5, 0, 0] if not ids else [0, 0.5, 0, 0.5]

    with TableModel(["x", "a", "b"], probs) as model:
        pick = program(lambda p, options: p("x", select(options)))

        assert "a" == pick(["b", "a", "bb"], model=model)
        for decoder in (lp.Argmax(), lp.Sample()):
            with pytest.raises(lp.SamplingError):
                pick(["b", "x"], model=model, decoder=decoder)


@pytest.mark.parametrize("decoder", [lp.Argmax(), lp.Sample()])
def test_ten_choices_are_one_request_with_a_preview(model: RandomModel, decoder: lp.Decoder) -> None:
    words = [f"{a}{b}" for a in ("moon", "sea", "topic", "math", "poem") for b in range(10, 20)]

    def body(p: lp.Prompt) -> list[str]:
        return [p("x: ", select(words), "\n") for _ in range(10)]

    stepped = program(preview=False)(body).run(model=model, decoder=decoder, seed=1)
    planned = program(body).run(model=model, decoder=decoder, seed=1)

    assert stepped.value == planned.value
    assert (10, 1) == (stepped.usage.requests, planned.usage.requests)
    assert [dict(c.dist) for c in stepped.captures.all()] == [
        pytest.approx(dict(c.dist)) for c in planned.captures.all()
    ]
