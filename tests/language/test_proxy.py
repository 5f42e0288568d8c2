"""Decoding by several models at once, against the combined distributions of single steps."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

import lmprog as lp
from lmprog import gen, program, select
from lmprog.grammars import Vocabulary
from lmprog.runtime.model import Model
from lmprog.runtime.table import TableRunner
from lmprog.testing import RandomModel, Scripted, TableModel
from lmprog.testing.enumerated import distance, random_table

BIG, TUNED, BASE = [random_table(seed, 3, 3) for seed in (31, 32, 33)]
LANGUAGE = lp.regex("a..|[bc]a.|ccc")
VALUES = [text for text in map("".join, itertools.product("abc", repeat=3)) if LANGUAGE.matches(text)]


def table(rows: Callable[[tuple[int, ...]], Any]) -> TableModel:
    """Behind the prompt "!"."""
    return TableModel([*"abc!"], lambda ids: [*(row := rows(ids[1:]))[:3], 0.0, row[3]])


big, tuned, base = table(BIG), table(TUNED), table(BASE)


@program(model=big)
def asked(p: lp.Prompt) -> Any:
    return p("!", gen(grammar=LANGUAGE, name="x"))


def combined(logit: Callable[[float, float, float], float], temperature: float, plausible: float) -> dict[str, float]:
    """Of every value the product of its steps' probabilities."""
    shares = {}
    for text in VALUES:
        ids, chance = tuple(map("abc".index, text)), 1.0
        for i in range(3):
            may = sorted({"abc".index(value[i]) for value in VALUES if value.startswith(text[:i])})
            rows = [[rows(ids[:i])[token] for token in may] for rows in (BIG, TUNED, BASE)]
            weights = [math.exp(logit(*map(math.log, values)) / temperature) for values in zip(*rows, strict=True)]
            weights = [w if x >= plausible * max(rows[0]) else 0.0 for w, x in zip(weights, rows[0], strict=True)]
            chance *= weights[may.index(ids[i])] / sum(weights)
        shares[text] = chance
    return shares


CASES: dict[str, tuple[Callable[..., Any], Callable[[float, float, float], float]]] = {
    "proxy": (lambda **s: lp.Proxy(tuned, base, **s), lambda x, t, b: x + t - b),
    "proxy, twice": (lambda **s: lp.Proxy(tuned, base, 2.0, **s), lambda x, t, b: x + 2 * (t - b)),
    "nothing": (lambda **s: lp.Proxy(tuned, base, 0.0, **s), lambda x, t, b: x),
    "its own model": (lambda **s: lp.Proxy(tuned=tuned, base=big, **s), lambda x, t, b: t),
    "amateur": (lambda **s: lp.Contrast(amateur=base, alpha=0.5, **s), lambda x, t, b: 1.5 * x - 0.5 * b),
    "difference": (lambda **s: lp.Contrast(amateur=base, alpha=math.inf, **s), lambda x, t, b: x - b),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(("temperature", "plausible"), [(1.0, 0.0), (0.5, 0.0), (1.0, 0.3)])
def test_draws_are_as_the_combined_steps(name: str, temperature: float, plausible: float) -> None:
    make, logit = CASES[name]
    exact = combined(logit, temperature, plausible)
    decoder = make(temperature=temperature, plausible=plausible)
    runs = [asked.run(decoder=decoder, seed=seed, trace=True) for seed in range(150)]
    found = {text: count / 150 for text, count in Counter([run.value for run in runs]).items()}

    assert distance(found, exact) < 0.14
    for run in runs:
        assert abs(math.log(exact[run.value]) - sum([token.masked for token in run.tokens])) < 1e-4
        ids = tuple(map("abc".index, run.value))
        said = math.fsum([math.log(BIG(ids[:i])[ids[i]]) for i in range(3)])
        assert run.captures["x"].logprob == pytest.approx(said, abs=1e-4)  # of the program's own model alone


@pytest.mark.parametrize("name", CASES)
def test_at_temperature_zero_the_best_token_is_taken(name: str) -> None:
    make, logit = CASES[name]
    exact, begun = combined(logit, 1.0, 0.0), ""
    while len(begun) < 3:
        sums = {c: sum([share for text, share in exact.items() if text.startswith(begun + c)]) for c in "abc"}
        begun += max(sums, key=lambda c: sums[c])

    assert begun == asked(decoder=make())


def test_the_models_differ() -> None:
    plain = combined(lambda x, t, b: x, 1.0, 0.0)
    assert all(
        distance(plain, combined(logit, 1.0, 0.0)) > 0.1 for name, (_, logit) in CASES.items() if name != "nothing"
    )


def test_each_model_has_its_own_end() -> None:
    """Where "!" follows a value of a's, the end is what each model calls the end of text."""

    def model(end: int, *row: float) -> Model:
        runner = TableRunner.from_probs(lambda ids: row, 4, 64)
        return Model(runner, Vocabulary([b"a", b"!", None, None], eos={end}), name="table", bos=end)

    mine, other, base = model(2, 0.4, 0.2, 0.3, 0.1), model(3, 0.1, 0.3, 0.2, 0.4), model(2, 0.25, 0.25, 0.1, 0.4)
    hole = program(lambda p: p("!", gen(regex="a{1,2}", name="x"), "!"))
    decoder = lp.Proxy(other, base, temperature=1.0)
    runs = [hole.run(model=mine, decoder=decoder, seed=seed, trace=True) for seed in range(20)]
    goes_on, follows, ends = 0.4 * 0.1 / 0.25, 0.2 * 0.3 / 0.25, 0.3 * 0.4 / 0.1
    chance = goes_on / (goes_on + follows + ends)

    longer = [run for run in runs if run.value == "aa"]
    assert longer
    assert all([abs(run.tokens[1].masked - math.log(chance)) < 1e-6 for run in longer])


def test_another_vocabulary() -> None:
    theirs, hole = RandomModel(0), program(lambda p: p("!", gen(regex="a{1,2}", name="x"), "!"))
    with pytest.raises(lp.SamplingError, match=r"RandomModel\(0\) has another vocabulary than TableModel: token 0 is"):
        hole(model=big, decoder=lp.Proxy(theirs, big))
    with pytest.raises(lp.SamplingError, match="another vocabulary"):
        hole(model=big, decoder=lp.Contrast(amateur=theirs))


@pytest.mark.parametrize("preview", [True, False])
def test_in_programs(model: RandomModel, preview: bool) -> None:
    """Roles, forks, attempts, choices, healed borders, stops, budgets, under small pools."""
    tuned, base = RandomModel(5, slots=150), RandomModel(6, slots=150)

    @program(preview=preview)
    def answers(p: lp.Prompt) -> list[str]:
        with p.user():
            p("What is the sea?")
        with p.assistant(), p.decoding(lp.Proxy(tuned, base, temperature=1.0, seed=3)):
            p("It: ")
            calm = gen(regex=" [a-z ]{4,9}", where=lambda x: "q" not in x, max_tokens=10)
            branches = p.fork(lambda p, n: p(f"{n}", calm), range(3))
            p.append(branches)
            with p.decoding(lp.Contrast("sea", amateur=base, plausible=0.05)):
                p(select(["moon", "sea", "sea of trees"]), " and ", gen(max_tokens=5, stop=","), ", ")
            for a in p.attempts(20, feedback="none"):
                with a:
                    a.check(p("n: ", gen(int, ge=0, le=99), "\n") is not None)
        return [branch.value for branch in branches]

    run, small = answers.run(model=model), RandomModel(0, slots=150)
    tight = answers.run(model=small)
    for each in (small, tuned, base):
        each.engine.check()

    assert run.text == tight.text
    assert all("q" not in value for value in run.value)
    assert answers.map([{}] * 8, model=small) == [run.value] * 8
    for each in (small, tuned, base):
        each.close()


def test_a_model_that_is_closed(model: RandomModel) -> None:
    closed = RandomModel(1)
    closed.close()
    with pytest.raises(lp.EngineClosed):
        program(lambda p: p("a", gen(regex="[a-z]{3}")))(model=model, decoder=lp.Proxy(closed, model))


def test_what_has_no_meaning_is_refused(model: RandomModel) -> None:
    wrong: list[dict[str, Any]] = [{"alpha": math.nan}, {"alpha": math.inf}, {"alpha": -1.0}, {"plausible": 2.0}]
    wrong += [{"alpha": "1"}, {"alpha": 10**400}, {"plausible": None}, {"temperature": "1"}, {"seed": 1.5}]
    for given in [*wrong, {"temperature": -1.0}, {"tuned": "google/gemma"}, {"base": None}]:
        with pytest.raises(lp.SamplingError):
            lp.Proxy(**({"tuned": model, "base": model} | given))
    wrong = [
        {"amateur": model, "alpha": "1"},
        {"amateur": "gemma"},
        {"amateur": model, "drop": ""},
        {"amateur": model, "drop": "a", "against": "b"},
    ]
    for given in wrong:
        with pytest.raises(lp.SamplingError):
            lp.Contrast(**given)
    with pytest.raises(lp.SamplingError, match="is a model in this process"):
        lp.Proxy(model, Scripted(["a"]))  # type: ignore[arg-type]
    with pytest.raises(lp.SamplingError, match="Proxy weighs"):
        program(lambda p: p("?", gen(regex="a", temperature=1.0, top_p=0.5)))(
            model=model, decoder=lp.Proxy(model, model)
        )
