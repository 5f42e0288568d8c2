"""ASAp, rejection, SMC and AWRS against exact enumeration on tables of probabilities."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from datetime import date
from functools import cache
from typing import Any

import numpy as np
import pytest

import lmprog as lp
from lmprog import gen, program, quote, select
from lmprog.decoders.awrs import awrs, mean_rate
from lmprog.decoders.resample import ess, multinomial, systematic, thinned
from lmprog.testing import RandomModel, TableModel
from lmprog.testing.enumerated import distance, exactly, random_table
from tests.keeping import NEEDS_AN_A

UNIFORM = TableModel(["0", "1"], lambda ids: [0.5, 0.5, 0.0] if len(ids) < 5 else [0.0, 0.0, 1.0])


@program
def one(p: lp.Prompt, hole: Any, follow: str = "") -> Any:
    return p(hole, follow)


def frequencies(decoder: lp.Decoder, hole: Any, model: TableModel, n: int, follow: str = "") -> dict[str, float]:
    """Of the values of n runs."""
    values = [one(hole, follow, model=model, decoder=decoder, seed=seed) for seed in range(n)]
    return {text: count / n for text, count in Counter(values).items()}


def averaged(runs: Sequence[lp.Run[Any]]) -> dict[str, float]:
    """The distribution of the particles of all runs."""
    shares: dict[str, float] = {}
    for run in runs:
        for particle in run.captures["x"].particles:
            shares[particle.text] = shares.get(particle.text, 0.0) + particle.share / len(runs)
    return shares


# -- five bits ---------------------------------------------------------------------------------------------------------

FIVE = gen(regex="00000|1[01]{4}", name="x")
Z = 17 / 32


def test_masking_gives_the_one_value_half_of_all_and_asap_its_share() -> None:
    masked = frequencies(lp.Sample(), FIVE, UNIFORM, 400)
    aligned = frequencies(lp.ASAp(rounds=40), FIVE, UNIFORM, 800)

    assert abs(masked["00000"] - 0.5) < 0.1
    assert abs(aligned["00000"] - 1 / 17) < 0.02
    assert 17 == len(aligned)


def test_bounds_fall_and_rise_and_hold_the_truth_between_them() -> None:
    asap = lp.ASAp(rounds=1)
    runs = [one.run(FIVE, model=UNIFORM, decoder=asap, seed=seed) for seed in range(120)]
    lows, highs = np.array([run.logZ_bounds for run in runs]).T

    assert (np.diff(highs) <= 0).all()
    assert (np.diff(lows) >= 0).all()
    assert (highs >= math.log(Z)).all()
    assert (lows <= math.log(Z)).all()
    assert highs[-1] - lows[-1] < 1e-6
    assert all((run.bias or 0) >= 0 for run in runs)
    assert (runs[-1].bias or 0) < 1e-6
    assert 0.99 < (runs[-1].acceptance or 0) <= 1


def test_the_first_draws_of_asap_estimate_the_mass_without_bias() -> None:
    masses = [
        math.exp(one.run(FIVE, model=UNIFORM, decoder=lp.ASAp(3), seed=s).captures[0].certificate.logZ)  # type: ignore[union-attr, arg-type]
        for s in range(400)
    ]

    assert abs(np.mean(masses) - Z) < 4 * np.std(masses) / 400**0.5


@pytest.mark.parametrize("adaptive", [True, False])
def test_rejection_is_exact(adaptive: bool) -> None:
    found = frequencies(lp.Rejection(adaptive=adaptive), FIVE, UNIFORM, 700)

    assert abs(found["00000"] - 1 / 17) < 0.02
    assert distance(found, dict.fromkeys(found, 1 / 17)) < 0.08


def test_rejection_says_what_is_to_be_expected() -> None:
    rare = TableModel(["0", "1"], lambda ids: [1e-4, 1.0, 0.0] if len(ids) < 4 else [0.0, 0.0, 1.0])

    with pytest.raises(lp.NoSample, match="none of 5 draws") as error:
        one(gen(regex="0000|0001"), model=rare, decoder=lp.Rejection(5, adaptive=False), seed=0)
    assert error.value.acceptance < 1e-3
    with pytest.raises(lp.NoSample, match="no value has a probability"):
        one(gen(regex="[01]{2}", where=lambda x: False), model=UNIFORM, decoder=lp.ASAp())


# -- languages, spellings, ends, budgets -------------------------------------------------------------------------------

PIECES = ["a", "b", "ab"]


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("decoder", [lp.Rejection(), lp.ASAp(rounds=99), lp.SMC(32), lp.AWRS(32)], ids=repr)
def test_all_spellings_and_ends_count_within_the_budget(decoder: lp.Decoder, seed: int) -> None:
    """A value ends by the end of text, or by a token that leaves the language, unless nothing can continue it; those of
    more than 3 tokens are left out."""
    table = random_table(seed, 3)
    model = TableModel(PIECES, table)
    language = lp.regex("a[ab]{0,3}|bb")
    begins = lp.regex("(a[ab]{0,3}|b{0,2})").matches
    exact, mass = exactly(table, PIECES, 3, language.matches, lambda text: text == "bb" or len(text) == 4, begins)
    found = frequencies(decoder, gen(grammar=language, max_tokens=3), model, 300)

    assert distance(found, exact) < 0.13
    one_run = one.run(gen(grammar=language, max_tokens=3), model=model, decoder=decoder)
    if isinstance(decoder, lp.ASAp | lp.Rejection):
        low, high = one_run.logZ_bounds or (0, 0)
        assert low <= math.log(mass) <= high


@pytest.mark.parametrize("decoder", [lp.Rejection(), lp.AWRS(32)], ids=["Rejection", "AWRS"])
def test_the_text_that_follows_ends_a_value(decoder: lp.Decoder) -> None:
    table = random_table(5, 4)
    model = TableModel([*"abc."], table)
    found = frequencies(decoder, gen(regex="[ab]{1,3}", max_tokens=4), model, 400, ".")
    closed, _ = exactly(
        table, "abc.", 4, lp.regex(r"[ab]{1,2}(\.|)|[ab]{3}").matches, lambda t: "." in t or len(t) == 3
    )
    exact: dict[str, float] = {}
    for text, chance in closed.items():
        exact[text.rstrip(".")] = exact.get(text.rstrip("."), 0.0) + chance

    assert distance(found, exact) < 0.09


def test_a_temperature_tempers_whole_values() -> None:
    table = random_table(7, 3, 3)
    model = TableModel([*"abc"], table)
    exact, _ = exactly(table, "abc", 3, lp.regex("a..|[bc]a.").matches, lambda text: len(text) == 3)
    cold = {text: chance**2 for text, chance in exact.items()}
    expected = {text: weight / sum(cold.values()) for text, weight in cold.items()}

    for decoder in (lp.Rejection(temperature=0.5), lp.SMC(32, temperature=0.5)):
        assert distance(frequencies(decoder, gen(regex="a..|[bc]a."), model, 400), expected) < 0.1


@pytest.mark.parametrize("decoder", [lp.ASAp(), lp.Rejection(), lp.SMC(2)], ids=repr)
def test_what_would_make_it_inexact_is_refused(decoder: lp.Decoder) -> None:
    given: list[dict[str, Any]] = [{"top_p": 0.5}, {"temperature": 0.0}, {"repetition_penalty": 1.5}]
    for settings in given:
        with pytest.raises(lp.SamplingError):
            one(gen(regex="[01]{2}", **settings), model=UNIFORM, decoder=decoder)
    if not isinstance(decoder, lp.SMC):
        with pytest.raises(lp.SamplingError, match="at most 1"):
            one(gen(regex="[01]{2}", temperature=2.0), model=UNIFORM, decoder=decoder)


# -- particles ---------------------------------------------------------------------------------------------------------

DIGITS, LENGTH = "0123", 4


def sums_to_six(text: str) -> bool:
    return sum(map(int, text)) == 6


def can_come_to_six(text: str) -> bool:
    rest = 6 - sum(map(int, text))
    return 0 <= rest <= 3 * (LENGTH - len(text))


TABLE = random_table(1, 4, LENGTH)
SUMS = TableModel([*DIGITS], TABLE)
EXACT, MASS = exactly(TABLE, DIGITS, LENGTH, lambda x: len(x) == 4 and sums_to_six(x), lambda x: len(x) == 4)
NUMBER = gen(regex="[0-3]{4}", name="x")
SIX = gen(regex="[0-3]{4}", where=sums_to_six, name="x")


def estimates(decoder: lp.SMC, hole: Any, n: int) -> list[lp.Run[Any]]:
    return [one.run(hole, model=SUMS, decoder=decoder, seed=seed) for seed in range(n)]


@pytest.mark.parametrize(
    ("decoder", "hole"),
    [
        (lp.SMC(4), SIX),
        (lp.SMC(4, sums_to_six), NUMBER),
        (lp.SMC(4, lp.Prefix(can_come_to_six)), NUMBER),
        (lp.SMC(2, lp.Prefix(can_come_to_six), expand=3), NUMBER),
        (lp.AWRS(4, lp.Prefix(can_come_to_six)), NUMBER),
        (lp.SMC(4, lp.Prefix(can_come_to_six), step="01"), NUMBER),
        (lp.SMC(2, lp.Prefix(can_come_to_six), step="3", expand=3), NUMBER),
        (lp.AWRS(4, lp.Prefix(can_come_to_six), step="12"), NUMBER),
    ],
)
def test_the_estimate_of_the_mass_has_no_bias(decoder: lp.SMC, hole: Any) -> None:
    masses = np.array([math.exp(run.logZ or 0.0) for run in estimates(decoder, hole, 400)])

    assert abs(masses.mean() - MASS) < 3.5 * masses.std() / 20


def test_particles_come_near_the_target_where_masking_is_far_from_it() -> None:
    """Distances are those of averaged particles, so that little of them is noise."""
    masked = averaged(estimates(lp.SMC(1, lp.Prefix(can_come_to_six)), SIX, 300))
    weighed = averaged(estimates(lp.SMC(16), SIX, 300))

    assert distance(masked, EXACT) > 0.2
    assert distance(weighed, EXACT) < 0.06


@pytest.mark.parametrize(("k", "step"), [(1, "token"), (4, "token"), (32, "token"), (4, "13")])
def test_bounds_of_the_mass_hold_on_average(k: int, step: str) -> None:
    runs = estimates(lp.SMC(k, lp.Prefix(can_come_to_six), bounds=True, step=step), NUMBER, 60)
    lows, highs = np.array([run.logZ_bounds for run in runs]).T
    finite = highs[np.isfinite(highs)]

    assert lows.mean() < math.log(MASS) + 3 * lows.std() / 7
    assert finite.mean() > math.log(MASS) - 3 * finite.std() / 7
    assert np.isfinite(highs).mean() > 0.95
    if k == 32:
        assert finite.mean() - lows.mean() < 0.3


def test_particles_wait_for_each_other_at_the_end_of_a_step() -> None:
    """Of values of three words: the effective number of particles is known after each step."""
    table = {"": "a", "a": " ", "a ": "bc", "a b": " ", "a c": "b", "a cb": " ", "a b ": "a", "a cb ": "a"}

    def rows(ids: tuple[int, ...]) -> list[float]:
        may = table.get("".join(["abc "[i] for i in ids]), "")
        return [*[float(c in may) / len(may) if may else 0.0 for c in "abc "], 0.0 if may else 1.0]

    model, hole = TableModel([*"abc "], rows), gen(regex="a (b|cb) a", name="x")
    for step, n in (("word", 3), ("line", 1), ("b", 2)):
        run = one.run(hole, model=model, decoder=lp.SMC(4, step=step), seed=0)
        assert run.captures["x"].certificate is not None
        assert len(run.captures["x"].certificate.ess) == n
        assert run.logZ == pytest.approx(0.0)
    for wrong in ("", 3):
        with pytest.raises(lp.SamplingError, match="step is"):
            lp.SMC(step=wrong)  # type: ignore[arg-type]


class ExactTwist:
    """The true expectation of what is to come, by going through all of it."""

    def start(self, problem: lp.Problem) -> tuple[int, ...]:
        return ()

    @cache  # noqa: B019
    def value(self, state: tuple[int, ...]) -> float:
        if len(state) == LENGTH:
            return 0.0 if sums_to_six("".join(map(str, state))) else -math.inf
        row = TABLE(state)
        total = math.fsum([row[t] * math.exp(self.value((*state, t))) for t in range(4)])
        return math.log(total) if total else -math.inf

    def ahead(self, state: tuple[int, ...], tokens: Any) -> Any:
        return np.array([self.value((*state, token)) for token in tokens.tolist()])

    def advance(self, state: tuple[int, ...], token: int) -> tuple[int, ...]:
        return (*state, token)


def exact_guess(text: str) -> float:
    return math.exp(ExactTwist().value(tuple(map(int, text))))


@pytest.mark.parametrize("twist", [ExactTwist(), lp.Guess(exact_guess)])
def test_with_an_exact_twist_every_particle_is_exact(twist: lp.Twist) -> None:
    runs = estimates(lp.SMC(3, [twist, sums_to_six]), NUMBER, 100)

    assert all(abs((run.logZ or 0) - math.log(MASS)) < 1e-9 for run in runs)
    assert all(min(run.captures["x"].certificate.ess) > 3 - 1e-6 for run in runs)  # type: ignore[union-attr]
    assert distance({t: c / 100 for t, c in Counter(run.value for run in runs).items()}, EXACT) < 0.28


def test_another_prompt_multiplies_probabilities() -> None:
    """Both prompts have a table of their own: the first token of the prompt says which."""
    tables = {0: random_table(11, 3, 3), 1: random_table(12, 3, 3)}
    model = TableModel([*"abc"], lambda ids: tables[ids[0]](ids[1:]) if ids else [1, 1, 1, 0])
    ours, theirs = [exactly(tables[i], "abc", 3, lambda x: len(x) == 3, lambda x: len(x) == 3)[0] for i in (0, 1)]
    product = {text: ours[text] * theirs[text] ** 0.5 for text in ours}
    expected = {text: weight / sum(product.values()) for text, weight in product.items()}

    behind = program(lambda p: p("a", gen(regex="[abc]{3}", name="x")))
    runs = [behind.run(model=model, decoder=lp.SMC(24, lp.Also("b", power=0.5)), seed=s) for s in range(150)]

    assert distance(averaged(runs), expected) < 0.07
    assert abs(np.mean([math.exp(run.logZ or 0) for run in runs]) / sum(product.values()) - 1) < 0.1


def test_weights_are_checked_and_lost_particles_named() -> None:
    with pytest.raises(lp.SamplingError, match="a potential gives"):
        one(NUMBER, model=SUMS, decoder=lp.SMC(2, lambda x: -1.0))
    with pytest.raises(lp.SamplingError, match="a potential is"):
        lp.SMC(2, "six")  # type: ignore[arg-type]
    with pytest.raises(lp.NoSample, match="16 passes of 2 particles"):
        one(NUMBER, model=SUMS, decoder=lp.SMC(2, lambda x: False))
    with pytest.raises(lp.SamplingError, match="AWRS takes no Twist"):
        lp.AWRS(2, ExactTwist())


def test_particles_conditions_and_forks_under_a_small_pool(model: RandomModel) -> None:
    """KV slots run out all the time, and nothing changes."""

    @program(decoder=lp.SMC(12, lp.Prefix(lambda x: "z" not in x)))
    def forks(p: lp.Prompt) -> list[str]:
        p("the topic of the day is the sea and the moon: ")
        word = gen(regex="[a-z ]{4,14}", where=lambda x: "e" in x, name="w")
        branches = p.fork(lambda p, n: p(f"{n} ", word, "\n"), range(4))
        p.append(branches)
        return [branch.value for branch in branches]

    roomy = forks.run(model=model, seed=3)
    small = RandomModel(0, slots=150)
    tight = forks.run(model=small, seed=3)
    small.engine.check()
    small.close()

    assert roomy.text == tight.text
    assert (
        roomy.text
        == program(decoder=forks.options.decoder, preview=False)(forks.function).run(model=model, seed=3).text
    )
    assert all("e" in value and "z" not in value for value in roomy.value)


def test_json_and_traces(model: RandomModel) -> None:
    schema = {
        "type": "object",
        "properties": {"n": {"type": "integer", "maximum": 99, "minimum": 0}, "b": {"type": "boolean"}},
    }
    card = program(lambda p: p("Card: ", gen(json=schema, name="card", max_tokens=40), "\n"))
    for decoder in (lp.ASAp(2), lp.SMC(4), lp.AWRS(2)):
        run = card.run(model=model, decoder=decoder, seed=1)
        assert isinstance(run.value, dict)
        assert run.usage.prompt_tokens_computed > 0
        traced = program(trace=True)(card.function).run(model=model, decoder=decoder, seed=1)
        assert traced.captures["card"].logprob is not None
        spelt = b"".join([token.data for token in traced.tokens if not token.retracted])
        assert traced.captures["card"].text in spelt.decode(errors="replace")
        assert all(token.logprob <= 0 and token.masked <= 1e-9 for token in traced.tokens)


HOLES = {
    "int": gen(int, ge=3, le=5000),
    "checked": gen(int, ge=0, le=99, where=lambda n: n % 3 == 0),
    "date": gen(date),
    "free": gen(max_tokens=6, stop="e"),
    "stopped": gen(regex="[a-z ]+", stop="e", max_tokens=9),
    "quote": quote("to be or not to be, that is", max_tokens=8),
    "choice": select(["cat", "category", "dog"]),
    "bytes": gen(regex="[äé日本]{1,3}"),
    "open": gen(regex="a{0,3}|[a-z]+", max_tokens=4),
    "monitored": gen(regex="[a-z]{1,6}", monitor=NEEDS_AN_A),
}


@pytest.mark.parametrize("name", HOLES)
def test_every_kind_of_hole(model: RandomModel, name: str) -> None:
    """At healed borders, with and without a text that follows."""
    hole, quiet = HOLES[name], lp.Prefix(lambda x: "q" not in x)
    fill = program(lambda p, follow: p("Text: ab", hole, follow))
    decoders = [lp.ASAp(2), lp.SMC(4), lp.SMC(3, quiet, expand=2), lp.SMC(3, lp.Also("other ")), lp.AWRS(2, quiet)]
    for decoder in [*decoders, lp.Beam(3), lp.BestOf(2, of=lp.SMC(2)), lp.Contrast("Text")]:
        for follow in ("", ".\n"):
            run = fill.run(follow, model=model, decoder=decoder, seed=1)
            assert name == "free" or hole.matches(run.captures[0].text), decoder
            assert run.logZ is None or run.logZ < 1e-6


def test_what_does_not_fit_is_refused_as_by_masking(model: RandomModel) -> None:
    for decoder in (lp.Sample(), lp.ASAp(), lp.SMC(2), lp.AWRS(2)):
        with pytest.raises(lp.BudgetError, match="the shortest complete value takes 30 tokens, max_tokens is 3"):
            one(gen(regex="[z]{30}", max_tokens=3), model=model, decoder=decoder)


# -- parts -------------------------------------------------------------------------------------------------------------


def test_rejection_of_tokens_is_unbiased() -> None:
    weights = np.log(np.array([0.3, 0.02, 0.25, 0.08, 0.35]))
    good = {1, 3}
    found = [awrs(weights, good.__contains__, np.random.default_rng(seed)) for seed in range(3000)]
    picks, masses = zip(*[(at, math.exp(mass)) for at, mass in filter(None, found)], strict=True)

    assert abs(np.mean(masses) - 0.1) < 4 * np.std(masses) / 3000**0.5
    assert abs(np.mean([at == 3 for at in picks]) - 0.8) < 0.02
    assert abs(np.corrcoef(picks, masses)[0, 1]) < 0.06
    assert None is awrs(weights, lambda at: False, np.random.default_rng(0))
    for n in (2, 3, 50):
        assert abs(mean_rate([1.0] * n) - 1 / (n - 1)) < 1e-12


@pytest.mark.parametrize("n", [1, 3, 5])
def test_thinning_keeps_expected_weights(n: int) -> None:
    weights = np.array([0.5, 0.05, 0.2, 0.0, 0.15, 0.1, 1e-9])
    with np.errstate(divide="ignore"):
        logs = np.log(weights)
    total = np.zeros(len(weights))
    for seed in range(4000):
        chosen, left = thinned(logs, n, np.random.default_rng(seed))
        assert n == len(set(chosen.tolist()))
        np.add.at(total, chosen, np.exp(left) / 4000)

    assert np.abs(total - weights).max() < 0.03


def test_resampling_keeps_shares() -> None:
    shares = np.array([0.5, 0.0, 0.3, 0.2])
    for method in (systematic, multinomial):
        counts = sum([np.bincount(method(shares, 5, np.random.default_rng(s)), minlength=4) for s in range(2000)])
        assert np.abs(counts / 10_000 - shares).max() < 0.02
    assert abs(ess(np.log([0.25] * 4)) - 4) < 1e-12
