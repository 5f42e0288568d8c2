from __future__ import annotations

from typing import Any

import pytest

import lmprog as lp
from lmprog import gen, program
from lmprog.decoders import derive_seed
from lmprog.runtime.sampling import Sampling
from lmprog.testing import RandomModel, TableModel


def test_the_innermost_setting_wins(spy: Any) -> None:
    @program(decoder=lp.Sample(0.5, top_p=0.9))
    def settings(p: lp.Prompt) -> None:
        p("a", gen(max_tokens=1))
        p("b", gen(max_tokens=1, temperature=0.7))
        with p.decoding(lp.Sample(0.3, top_k=5)):
            p("c", gen(max_tokens=1), "d", gen(max_tokens=1, top_k=7), "e", gen(max_tokens=1, decoder=lp.Argmax()))
            with p.decoding(lp.Argmax()):
                p("f", gen(regex="[xy]"), "g", gen(regex="[xy]", decoder=lp.Sample(2.0, min_p=0.1)))
        p("h", gen(max_tokens=1, decoder=lp.Sample(1.5), temperature=0.1))

    settings(model=spy)

    assert [request.sampling for request in spy.requests] == [
        Sampling(0.5, 0.9),
        Sampling(0.7, 0.9),
        Sampling(0.3, top_k=5),
        Sampling(0.3, top_k=7),
        Sampling(),
        Sampling(),
        Sampling(2.0, min_p=0.1),
        Sampling(0.1),
    ]


def test_the_decoder_of_a_call_wins_over_the_programs(spy: Any) -> None:
    one = program(decoder=lp.Sample(0.5))(lambda p: p("a", gen(max_tokens=1)))
    one(model=spy, decoder=lp.Argmax())
    one.map([()], model=spy, decoder=lp.Sample(0.25))

    assert [request.sampling.temperature for request in spy.requests] == [0.0, 0.25]


def test_an_inlined_program_keeps_its_decoder(spy: Any) -> None:
    sampling = program(decoder=lp.Sample(0.5))(lambda p: p("a", gen(max_tokens=1)))
    unset = program(lambda p: p("b", gen(max_tokens=1)))

    @program(decoder=lp.Sample(0.1))
    def outer(p: lp.Prompt) -> None:
        sampling(p)
        unset(p)
        with pytest.raises(lp.ProgramError, match="seed= cannot change"):
            unset(p, seed=3)

    outer(model=spy)

    assert [request.sampling.temperature for request in spy.requests] == [0.5, 0.1]


def test_filters_without_a_temperature_are_refused(model: RandomModel) -> None:
    with pytest.raises(lp.SamplingError, match="top_k has no effect"):
        program(lambda p: p("a", gen(top_k=3)))(model=model)


@pytest.mark.parametrize("bad", [lambda: lp.Sample(-1.0), lambda: lp.Sample(top_p=2.0), lambda: program(decoder=3)])  # type: ignore[call-overload]
def test_bad_decoders_are_refused_where_they_are_made(bad: Any) -> None:
    with pytest.raises(lp.SamplingError):
        bad()


def test_a_bad_decoder_of_a_block_is_refused(model: RandomModel) -> None:
    with pytest.raises(lp.SamplingError, match="a decoder is"):
        program(lambda p: p.decoding("hot"))(model=model)


def test_seeds_are_derived_for_each_hole(spy: Any) -> None:
    @program
    def seeds(p: lp.Prompt) -> None:
        for _ in range(2):
            p("a", gen(max_tokens=1))
        p(gen(max_tokens=1, seed=5))
        with p.decoding(lp.Sample(seed=9)):
            p(gen(max_tokens=1))
        with p.decoding(lp.Sample()):
            p(gen(max_tokens=1))

    seeds(model=spy, seed=3)

    expected = [derive_seed(3, 0), derive_seed(3, 1), 5, derive_seed(9, 3), derive_seed(3, 4)]
    assert [request.sampling.seed for request in spy.requests] == expected
    assert len(set(expected)) == 5


@program(decoder=lp.Sample(1.0))
def sampled(p: lp.Prompt, n: int = 0) -> Any:
    return p("a", gen(max_tokens=8), "\n", gen(regex="[a-z]{3,8}"))


def test_a_seed_makes_a_run_reproducible(model: RandomModel) -> None:
    first = sampled(model=model, seed=1)

    assert [sampled(model=model, seed=1), sampled(model=RandomModel(0), seed=1)] == [first, first]
    assert sampled(model=model, seed=2) != first
    assert sampled(model=model) != sampled(model=model)
    assert sampled(model=model, decoder=lp.Sample(seed=1)) == first


def test_a_seed_makes_map_reproducible_whatever_the_concurrency(model: RandomModel) -> None:
    results = [sampled.map([0] * 12, model=model, seed=1, concurrency=n) for n in (1, 5, 12)]
    by_decoder = sampled.map([0] * 12, model=model, decoder=lp.Sample(seed=1))

    assert results[0] == results[1] == results[2] == by_decoder
    assert len(set(results[0])) == 12  # every row draws for itself


def test_log_probabilities_on_request(model: RandomModel) -> None:
    plain, asked = sampled.run(model=model, seed=1), sampled.run(model=model, seed=1, logprobs=True)

    assert plain.value == asked.value
    assert [c.logprob for c in plain.captures.all()] == [None, None]
    assert all(c.logprob is not None and c.logprob < 0 for c in asked.captures.all())


def test_penalties_and_biases_are_settings_too(spy: Any) -> None:
    @program(decoder=lp.Sample(0.5, repetition_penalty=1.2, logit_bias={3: -1.0}))
    def settings(p: lp.Prompt) -> None:
        p("a", gen(max_tokens=1, presence_penalty=0.5))
        p("b", gen(max_tokens=1, decoder=lp.Argmax(), frequency_penalty=0.3, logit_bias={4: 1.0}))
        p("c", gen(max_tokens=1, repetition_penalty=1.0, temperature=0.0))

    settings(model=spy)

    assert [request.sampling for request in spy.requests] == [
        Sampling(0.5, repetition_penalty=1.2, logit_bias={3: -1.0}, presence_penalty=0.5),
        Sampling(frequency_penalty=0.3, logit_bias={4: 1.0}),
        Sampling(logit_bias={3: -1.0}),
    ]
    with pytest.raises(lp.SamplingError, match="repetition_penalty"):
        gen(repetition_penalty=-1.0)


@program(decoder=lp.Sample())
def two_letters(p: lp.Prompt, head: str) -> str:
    first, second = p(head, gen(regex="[a-d]"), " ", gen(regex="[a-d]"))
    return first + second


def test_samples_spread_evenly() -> None:
    """Each of two letters of the same chance comes as often as it should, to within one."""
    letters = [*"abcd :"]
    model = TableModel(letters, lambda ids: [0.25] * 4 + [0.0, 0.0, 0.0] if ids else [0, 0, 0, 0, 0, 1, 0])
    runs = two_letters.samples(40, ":", model=model, seed=3)

    for letter in "abcd":
        assert abs(sum(run.value[0] == letter for run in runs) - 10) <= 1
        assert abs(sum(run.value[1] == letter for run in runs) - 10) <= 1
    assert [run.value for run in runs] == [run.value for run in two_letters.samples(40, ":", model=model, seed=3)]
    assert [run.value for run in runs] != [run.value for run in two_letters.samples(40, ":", model=model)]


def test_independent_samples_are_those_of_map(model: RandomModel) -> None:
    runs = two_letters.samples(6, ":", independent=True, model=model, seed=3)

    assert [run.value for run in runs] == two_letters.map([":"] * 6, model=model, seed=3)
    assert all(run.text == f":{run.value[0]} {run.value[1]}" for run in runs)
    assert two_letters.samples(0, ":", model=model) == []
