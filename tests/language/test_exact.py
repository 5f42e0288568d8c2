from __future__ import annotations

import math
import random
from collections import Counter
from typing import Any

import pytest

import lmprog as lp
from lmprog import gen, program, select
from lmprog.runtime.model import Model
from lmprog.testing import RandomModel, Scripted, TableModel

from ..chains import Chain, longest_match, random_tokens

PHAN = Chain("AB", {"A": [0.4, 0.6], "B": [0.7, 0.3]}, 8)


@program
def ask(p: lp.Prompt, text: str, options: list[str], **how: Any) -> lp.Dist:
    p(text)
    return p.score(options, **how)


def truth(chain: Chain, text: str, option: str) -> float:
    return chain.prob(text + option) / chain.prob(text)


def test_the_token_before_a_border_hides_what_the_string_says() -> None:
    with PHAN.model(["A", "B", "AA"], longest_match(["A", "B", "AA"])) as model:
        naive = ask("A", ["A", "B"], boundary="token", model=model)
        exact = ask("A", ["A", "B"], exact=True, model=model)

    assert naive["A"] == 0.0
    assert exact["A"] == pytest.approx(0.4, abs=1e-12)
    assert exact.exact
    assert not naive.exact


@pytest.mark.parametrize("kind", ["bpe", "longest match"])
@pytest.mark.parametrize("seed", range(6))
def test_strings_are_as_probable_as_their_letters_say(kind: str, seed: int) -> None:
    rng = random.Random(f"{kind}{seed}")
    letters = "ABC"[: rng.randint(2, 3)]
    chain = Chain.random(rng, letters, 7)
    with chain.model(*random_tokens(rng, letters, kind)) as model:
        for size in range(6):
            text = "".join(rng.choices(letters, k=size))
            options = list(dict.fromkeys("".join(rng.choices(letters, k=rng.randint(1, 2))) for _ in range(4)))
            dist = ask(text, options, exact=True, model=model)

            assert dist.exact
            for option in options:
                longer = [o for o in options if len(o) > len(option) and o.startswith(option)]
                wanted = truth(chain, text, option) - sum(truth(chain, text, o) for o in longer)
                assert math.exp(dist.logprobs[option]) == pytest.approx(wanted, rel=1e-8)


def any_spelling(seed: int) -> TableModel:
    """Gives some probability to every sequence of tokens."""

    def probs(ids: tuple[int, ...]) -> list[float]:
        rng = random.Random(f"{seed}{ids}")
        return [rng.random() ** 3 for _ in range(6)]

    return TableModel(["a", "b", "ab", "ba", "aba"], probs)


def brute(model: Model, string: bytes) -> float:
    """By all sequences of tokens."""
    probs = model.engine.runner._logits  # type: ignore[attr-defined]
    tokens = model.vocab.token_bytes
    found = 0.0
    todo: list[tuple[tuple[int, ...], bytes, float]] = [((5,), b"", 1.0)]
    while todo:
        ids, data, mass = todo.pop()
        if data.startswith(string):
            found += mass
        elif string.startswith(data):
            row = [math.exp(p) for p in probs(ids)]
            todo += [((*ids, t), data + (tokens[t] or b""), mass * row[t]) for t in range(5)]
    return found


@pytest.mark.parametrize("seed", range(4))
def test_sums_and_bounds_on_a_model_that_spells_at_random(seed: int) -> None:
    with any_spelling(seed) as model:
        text, options = "abba", ["ab", "bab", "a", "bb"]
        whole = brute(model, text.encode())
        wanted = {o: brute(model, (text + o).encode()) / whole for o in options}
        wanted["a"] -= wanted["ab"]
        exact = ask(text, options, exact=True, model=model)
        apart = []
        for rows in (4, 8, 16):
            bounded = ask(text, options, exact=lp.Exact(rows=rows), model=model)
            assert bounded.bounds is not None
            assert not bounded.exact
            for option in options:
                low, high = bounded.bounds[option]
                assert low <= math.log(wanted[option]) <= high
            apart.append(max(high - low for low, high in bounded.bounds.values()))

    assert exact.exact
    assert {o: math.exp(p) for o, p in exact.logprobs.items()} == pytest.approx(wanted, rel=1e-8)
    assert apart == sorted(apart, reverse=True)


def test_only_the_window_is_taken_as_a_string() -> None:
    with any_spelling(3) as model:
        whole = ask("abab", ["a", "b"], exact=True, model=model)
        fixed = ask("abab", ["a", "b"], exact=lp.Exact(window=0), model=model)
        tokens = ask("abab", ["a", "b"], boundary="token", model=model)

    assert fixed.logprobs["b"] != pytest.approx(whole.logprobs["b"])
    assert fixed.logprobs["b"] > tokens.logprobs["b"]  # "ba" counts, too


def test_what_else_is_asked_of_scores_holds_for_strings() -> None:
    with PHAN.model(["A", "B", "AA"], longest_match(["A", "B", "AA"])) as model:
        none = ask("BA", ["AA"], exact=True, none=True, model=model)
        ended = ask("BA", ["A", "AA"], exact=True, end="B", model=model)
        mean = ask("BA", ["ABA", "B"], exact=True, norm="mean", model=model)
        pmi = ask("BA", ["A", "B"], exact=True, norm="pmi", model=model)

    assert none.none == pytest.approx(1 - 0.4**2)
    assert math.exp(ended.logprobs["A"]) == pytest.approx(0.4 * 0.6)
    assert math.exp(ended.logprobs["AA"]) == pytest.approx(0.4**2 * 0.6)
    assert math.exp(mean.scores["ABA"]) == pytest.approx((0.4 * 0.6 * 0.7) ** (1 / 3))
    assert math.exp(pmi.scores["A"]) == pytest.approx(0.4 / 0.5)


def test_holes_go_on_from_the_string() -> None:
    with PHAN.model(["A", "B", "AA"], longest_match(["A", "B", "AA"])) as model:
        free = program(model=model)(lambda p: p("BA", gen(max_tokens=2, boundary="exact")))
        chosen = program(model=model, boundary="exact")(lambda p: p("BA", select(["A", "B"])))
        runs = [free.run(decoder=lp.Sample(seed=seed)) for seed in range(1500)]
        picks = [chosen.run(decoder=lp.Sample(seed=seed)) for seed in range(600)]

    firsts = Counter(run.value[:2] for run in runs)
    for value in ("AB", "BA", "BB"):
        wanted = truth(PHAN, "BA", value)
        assert firsts[value] / 1500 == pytest.approx(wanted, abs=4 * math.sqrt(wanted / 1500))
    assert sum(run.value == "A" for run in picks) / 600 == pytest.approx(0.4, abs=0.08)
    dist = picks[0].captures[0].dist
    assert dist is not None
    assert dist["A"] == pytest.approx(0.4)


def test_values_stay_in_their_language_and_budget() -> None:
    for seed in range(30):
        with any_spelling(seed) as model:
            fill = program(model=model)(lambda p, hole: p("ab", hole))
            hole = gen(regex="(ba|ab){1,3}", max_tokens=1 + seed % 4, boundary="exact")
            run = fill.run(hole, decoder=lp.Sample(seed=seed), trace=True, logprobs=True)

            assert hole.matches(run.value)
            assert len(run.captures[0].tokens) <= 1 + seed % 4
            assert run.text == "ab" + run.value
            assert "".join(t.data.decode() for t in run.tokens) == run.text
            assert run.captures[0].logprob is not None


def test_streams_and_plans_give_the_same(model: RandomModel) -> None:
    @program(model=model, boundary="exact", decoder=lp.Sample(seed=5))
    def two(p: lp.Prompt) -> Any:
        kind = p("The moon", select([" and sea", " two"]), "\n")
        return kind, p("an", gen(max_tokens=6), "\n"), p("it", gen(int, ge=0, le=999))

    whole = two.run()
    events = list(two.stream())

    assert two.run(preview=False).text == whole.text
    assert "".join(e.text for e in events if isinstance(e, lp.Text)) in whole.text
    assert two.run(trace=True).text == whole.text


def test_a_model_that_cannot_score_says_so() -> None:
    with pytest.raises(lp.ProgramError, match="does not tell how probable"):
        program(lambda p: p("a", gen(boundary="exact")))(model=Scripted(["b"]))


def test_methods_weigh_all_spellings_of_the_text(model: RandomModel) -> None:
    with PHAN.model(["A", "B", "AA"], longest_match(["A", "B", "AA"])) as chain:
        fill = program(model=chain, boundary="exact")(lambda p: p("BAA", gen(regex="[AB]", max_tokens=2)))
        for decoder in (lp.Rejection(), lp.ASAp(20)):
            values = [fill(decoder=decoder, seed=seed) for seed in range(300)]
            alone = 0.4 * 0.6  # the token A: had two more A come, it would have been AA, which reaches over the value
            assert values.count("A") / 300 == pytest.approx(alone / (alone + 0.6), abs=0.1)

    also = lp.SMC(2, potential=lp.Also("it"))
    with pytest.raises(lp.HoleError, match="does not allow"):
        program(model=model, boundary="exact")(lambda p: p("an", gen(regex="[a-z]+")))(decoder=also)


def test_how_far_to_go_is_checked() -> None:
    for wrong in ({"window": -1}, {"rows": 0}, {"within": math.nan}):
        with pytest.raises(lp.HoleError, match="rows 1 or more"):
            lp.Exact(**wrong)
