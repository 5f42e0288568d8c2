from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import lmprog as lp
from lmprog import gen, program, select
from lmprog.decoders.method import Outcome, Problem
from lmprog.decoders.places import Places, Spot
from lmprog.grammars import lark
from lmprog.hmm import HMM
from lmprog.runtime.model import Model
from lmprog.runtime.routine import Routine, one
from lmprog.runtime.sampling import Sampling
from lmprog.testing import RandomModel, TableModel

from .test_markov_chains import CONTAINS, TOKENS, chain


def random_hmm(seed: int, states: int = 3, size: int = len(TOKENS) + 1) -> HMM:
    rng = np.random.default_rng(seed)
    parts = [rng.gamma(0.7, size=shape) + 0.02 for shape in ((states,), (states, states), (states, size))]
    return HMM.dense(*[part / part.sum(axis=-1, keepdims=True) for part in parts])


def model_of(hmm: HMM) -> TableModel:
    return TableModel(TOKENS, lambda ids: hmm.next(hmm.behind(ids)).tolist())


class Grab:
    """Keeps the problem that it is given."""

    choices, heals = False, True

    def sampling(self) -> Sampling:
        return Sampling(temperature=1.0, seed=0)

    def fill(self, problem: Problem) -> Routine[Outcome]:
        self.problem = problem
        return Outcome((yield from one(problem.request)))


def problem_of(model: Model, *parts: Any) -> Problem:
    grab = Grab()
    program(model=model, decoder=grab)(lambda p: p(*parts)).run()
    return grab.problem


Values = dict[tuple[tuple[int, ...], bool], float]


def values(problem: Problem, decoder: lp.Lookahead | None = None, attribute: lp.Attribute | None = None) -> Values:
    """The distribution of all values: the model's, given that they are complete, times the attribute's weights; or that
    of the decoder, by its distribution at every step."""
    places = Places(problem)
    found: Values = {}

    def walk(spot: Spot, mass: float, mind: Any) -> Iterator[tuple[tuple[tuple[int, ...], bool], float]]:
        if places.over(spot) is not None:
            yield (spot.ids, False), mass
            return
        (row,) = problem.model.run(places.rows([spot])).result()
        weights = np.append(row.weights, row.end)
        if decoder is not None:
            weights = weights + np.append(decoder.ahead(mind, row.tokens), 0.0)
        elif attribute is not None:
            weights = weights + np.append(attribute.weights[row.tokens], 0.0)
        shares = np.exp(weights - (np.logaddexp.reduce(weights) if decoder is not None else 0.0))
        if shares[-1]:
            yield (spot.ids, True), mass * shares[-1]
        for token, share in zip(row.tokens.tolist(), shares.tolist(), strict=False):
            after = places.after(spot, token)
            if share and after is not None:
                yield from walk(after, mass * share, decoder.advance(mind, token) if decoder else None)

    for key, mass in walk(places.start, 1.0, decoder.start(problem) if decoder else None):
        found[key] = found.get(key, 0.0) + mass
    total = sum(found.values())
    return {key: mass / total for key, mass in found.items()} if decoder is None else found


def apart(a: Values, b: Values) -> float:
    return sum(abs(a.get(key, 0.0) - b.get(key, 0.0)) for key in a.keys() | b.keys()) / 2


HOLES: list[tuple[Any, ...]] = [
    ("", gen(regex="(ab|b)*c{1,2}", max_tokens=5)),
    ("ab", gen(regex="[ab]{2,4}", max_tokens=4)),
    ("ba", gen(regex="[abc]*ab[abc]*", max_tokens=4)),
    ("c", gen(regex="[ab]*", max_tokens=4), "c"),
    ("b", gen(max_tokens=3), "c"),
    ("b", gen(stop="ab", max_tokens=3)),
    ("a", gen(where="len(x) <= 4 and 'bc' in x", max_tokens=4)),
    ("b", gen(grammar=lark('start: "a" start "b" | "c"'), max_tokens=5)),
]


@pytest.mark.parametrize("hole", range(len(HOLES)))
@pytest.mark.parametrize("seed", range(3))
def test_values_have_the_exact_distribution_where_the_model_is_the_hmm(hole: int, seed: int) -> None:
    hmm = random_hmm(seed)
    with model_of(hmm) as model:
        problem = problem_of(model, *HOLES[hole])
        exact, looked = values(problem), values(problem, lp.Lookahead(hmm))
        masked = values(problem, lp.Lookahead(hmm, power=0.0))

    assert apart(exact, looked) < 1e-9
    assert sum(looked.values()) == pytest.approx(1.0)
    assert hole in (4, 5) or apart(exact, masked) > 1e-3


@pytest.mark.parametrize("seed", range(3))
def test_attributes_are_weighed_exactly(seed: int) -> None:
    hmm, rng = random_hmm(seed), np.random.default_rng(seed)
    attribute = lp.Attribute(rng.normal(size=hmm.size)) * lp.Attribute(rng.normal(size=hmm.size)) ** -0.5
    with model_of(hmm) as model:
        problem = problem_of(model, "b", gen(regex="[abc]{1,4}", max_tokens=4))
        exact = values(problem, attribute=attribute)
        looked = values(problem, lp.Lookahead(hmm, attribute))
        without = values(problem, lp.Lookahead(hmm))

    assert apart(exact, looked) < 1e-9
    assert apart(exact, without) > 0.01


def test_as_a_twist_that_is_exact_every_particle_is_exact() -> None:
    hmm = random_hmm(4)
    with model_of(hmm) as model:
        hole = gen(regex="(ab|b)*c{1,2}", max_tokens=5, name="x")
        exact = []
        for decoder in (lp.SMC(3, potential=lp.Lookahead(hmm)), lp.Lookahead(hmm)):
            fill = program(model=model, decoder=decoder)(lambda p: p("a", hole))
            runs = [fill.run(seed=seed).captures["x"].certificate for seed in range(8)]
            exact += [found.logZ for found in runs if found is not None and found.logZ is not None]
        plain = program(model=model, decoder=lp.SMC(3))(lambda p: p("a", hole))
        rough = [plain.run(seed=seed).captures["x"].certificate for seed in range(8)]

    assert len(exact) == 16
    assert np.ptp(exact) < 1e-9
    assert np.ptp([found.logZ for found in rough if found is not None and found.logZ is not None]) > 0.1


def test_drawn_values_follow_the_distribution() -> None:
    hmm = random_hmm(5)
    with model_of(hmm) as model:
        parts = "a", gen(regex="(ab|b)*c{1,2}", max_tokens=4)
        exact: dict[str, float] = {}
        for (ids, _), mass in values(problem := problem_of(model, *parts)).items():
            text = problem.value(ids, None)[0].decode()
            exact[text] = exact.get(text, 0.0) + mass
        fill = program(model=model, decoder=lp.Lookahead(hmm))(lambda p: p(*parts))
        drawn = [fill.run(seed=seed).value for seed in range(800)]

    for text, mass in exact.items():
        assert drawn.count(text) / 800 == pytest.approx(mass, abs=4 * math.sqrt(mass / 800) + 1e-3)


def test_lookahead_on_a_chain_against_the_oracle() -> None:
    oracle = chain(1)
    exact = oracle.constrained(CONTAINS, 4)
    size = len(TOKENS)
    move = np.vstack([oracle.then, np.eye(size + 1)[size]])  # a hidden state for each token
    hmm = HMM.dense(oracle.first, move, np.eye(size + 1))
    with oracle.model() as model:
        found = values(problem_of(model, gen(regex="[abc]*ab[abc]*", max_tokens=4)), lp.Lookahead(hmm))

    for (ids, _), mass in found.items():
        assert mass == pytest.approx(exact.prob(ids), abs=1e-12)


def test_streams_maps_forks_and_schemas(model: RandomModel) -> None:
    hmm = lp.distill(model, states=4, samples=32, tokens=8)
    age = {"type": "integer", "maximum": 99}
    person = {"type": "object", "properties": {"age": age}, "required": ["age"], "additionalProperties": False}

    @program(model=model, decoder=lp.Lookahead(hmm, seed=1))
    def card(p: lp.Prompt, name: str) -> Any:
        p("Name: ", name, "\nMoon: ", gen(where="'moon' in x and len(x) < 12", max_tokens=9), "\n")
        kind = p(select(["yes", "no"]), "\n")
        drafts = p.fork(lambda q, n: q(gen(json=person, max_tokens=20)), range(2))
        return kind, p.adopt(drafts[0]), drafts[1].value

    whole = card.run("the sea")
    events = list(card.stream("the sea"))
    rows = card.map(["the sea", "a bird"], seed=2)

    assert "moon" in whole.captures[0].text
    assert 0 <= abs(whole.value[1]["age"])
    assert whole.captures[0].text in "".join([e.text for e in events if isinstance(e, lp.Text)])
    assert isinstance(events[-1], lp.Done)
    assert [len(row) for row in rows] == [3, 3]


def test_where_the_hmm_knows_no_way_it_is_masking() -> None:
    never_c = HMM.dense([1.0], [[1.0]], [[0.5, 0.3, 0.1, 0.0, 0.1]])
    with model_of(random_hmm(3)) as model:
        hole = gen(regex="[ab]{1,2}c", max_tokens=4)
        fill = program(model=model, decoder=lp.Lookahead(never_c))(lambda p: p("a", hole))

        assert fill(seed=0).endswith("c")


def test_what_it_cannot_do_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    hmm = random_hmm(0)
    nested = gen(grammar=lark('start: "a" start "b" | "c"'), max_tokens=9)
    with model_of(hmm) as model:

        def fill(hole: Any, decoder: lp.Lookahead) -> Any:
            return program(model=model, decoder=decoder)(lambda p: p("a", hole))()

        with pytest.raises(lp.SamplingError, match="temperature"):
            fill(gen(regex="c"), lp.Lookahead(hmm, temperature=0.0))
        with pytest.raises(lp.DistillError, match="distil it"):
            fill(gen(regex="[ab]c"), lp.Lookahead(random_hmm(0, size=7)))
        assert nested.matches(fill(nested, lp.Lookahead(hmm)))
        monkeypatch.setattr("lmprog.decoders.futures.STATES", 3)
        with pytest.raises(lp.UnsupportedConstraint, match="bound the value"):
            fill(nested, lp.Lookahead(hmm))
