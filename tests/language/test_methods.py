"""Decoders that fill a whole hole: the seam itself, by a method made here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

import lmprog as lp
from lmprog import gen, program, select
from lmprog.decoders import derive_seed
from lmprog.runtime.routine import Routine
from lmprog.runtime.sampling import Sampling
from lmprog.testing import RandomModel


@dataclass(frozen=True)
class Shortest:
    """Of n samples the shortest."""

    n: int = 4
    seed: int | None = None
    choices: bool = False
    heals: bool = True

    def sampling(self) -> Sampling:
        return Sampling(1.0, seed=self.seed)

    def fill(self, problem: lp.Problem) -> Routine[lp.Outcome]:
        asked, seed = problem.request, problem.request.sampling.seed
        seeds = [derive_seed(seed, i) for i in range(self.n)]
        results = yield [replace(asked, sampling=replace(asked.sampling, seed=s), on_tokens=None) for s in seeds]
        texts = [problem.text(result.ids, result.state) for result in results]
        at = min(range(self.n), key=lambda i: len(texts[i]))
        return lp.Outcome(results[at], lp.Certificate(particles=tuple([lp.Particle(t, (), 0.0, 0.0) for t in texts])))


@program(decoder=Shortest())
def card(p: lp.Prompt, where: Any = None) -> tuple[str, str]:
    word = p("Topic: ", gen(regex="[a-z ]{2,12}", where=where, name="word"), ".\n")
    kind = p("Kind: ", select(["math", "poem"], name="kind"), "\n")
    if kind == "poem":
        p("Line: ", gen(max_tokens=6, stop=","), "\n")
    return word, kind


@pytest.mark.parametrize("preview", [True, False])
def test_a_method_fills_every_hole(model: RandomModel, preview: bool) -> None:
    runs = [program(decoder=Shortest(), preview=preview)(card.function).run(model=model, seed=s) for s in range(8)]
    again = [card.run(model=model, seed=s) for s in range(8)]

    assert [run.text for run in runs] == [run.text for run in again]
    assert {run.value[1] for run in runs} == {"math", "poem"}
    for run in runs:
        texts = [particle.text for particle in run.captures["word"].particles]
        assert 4 == len(texts)
        assert run.value[0] == min(texts, key=len)
        assert run.logZ is None
        assert run.bias is None


def test_the_innermost_decoder_wins(model: RandomModel) -> None:
    @program(decoder=Shortest(2))
    def nested(p: lp.Prompt) -> None:
        p("a", gen(max_tokens=2), "b", gen(max_tokens=2, decoder=lp.Argmax()))
        with p.decoding(Shortest(3)):
            p("c", gen(max_tokens=2), "d", gen(max_tokens=2, decoder=Shortest(5), temperature=0.5))

    assert [2, 0, 3, 5] == [len(capture.particles) for capture in nested.run(model=model).captures.all()]


def test_conditions_forks_attempts_and_streams_go_on_as_before(model: RandomModel) -> None:
    vowels = card.run(lambda x: set(x) & set("aeiou"), model=model, seed=3)

    assert set(vowels.value[0]) & set("aeiou")

    @program(decoder=Shortest(seed=1))
    def forks(p: lp.Prompt) -> list[str]:
        branches = p.fork(lambda p, n: p(f"{n}: ", gen(regex="[a-z]{1,5}"), "\n"), range(3))
        p.append(branches)
        for a in p.attempts(20, feedback="none"):
            with a:
                a.check("a" in p("with a: ", gen(regex="[a-z]{1,5}", name="a"), "\n"))
        return [branch.value for branch in branches]

    run = forks.run(model=model)

    assert "a" in run.captures["a"].text
    assert run.value == forks.run(model=model).value
    stream = forks.stream(model=model)
    pieces = [event.text for event in stream if isinstance(event, lp.Text) and event.hole == "0"]
    assert {*run.value} == {*pieces}


def test_samples_of_a_method_differ(model: RandomModel) -> None:
    runs = card.samples(6, model=model, seed=2)

    assert len({run.text for run in runs}) > 3
    assert [run.text for run in runs] == [run.text for run in card.samples(6, model=model, seed=2)]


def test_a_class_is_no_decoder() -> None:
    with pytest.raises(lp.SamplingError, match="a decoder is"):
        gen(decoder=Shortest)  # type: ignore[arg-type]
