"""Speculation on unmodified Hugging Face models: branches under full and sliding-window attention."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lmprog.grammars import compile
from lmprog.grammars.regex import regex
from lmprog.grammars.vocabulary import Vocabulary
from lmprog.runtime.engine import Engine
from lmprog.runtime.hf import HFRunner
from lmprog.runtime.request import Request, Result
from lmprog.runtime.sampling import Sampling
from lmprog.runtime.speculation.copying import Copying
from lmprog.runtime.speculation.ngrams import Ngrams

from .drafting import Oracle, drafting
from .test_deterministic import Bits
from .toys import HF, prompts, tiny

VOCAB = Vocabulary([bytes([i]) if i < 256 else None for i in range(HF.size)], eos=HF.eos)
CONSTRAINT = compile(regex("[a-p]{4,30}-(xyz|uvw)[0-9]*"), VOCAB)
PROMPTS = prompts(5, 8, shared=20, longest=40, size=250)


def requests() -> list[Request]:
    """Greedy, seeded, with a constraint, with log-probabilities."""
    return [
        Request(
            prompt,
            24,
            CONSTRAINT if i % 2 else None,
            sampling=Sampling(0.8, seed=i) if i % 3 == 1 else Sampling(),
            logprobs=i % 4 == 0,
            ignore_eos=True,
        )
        for i, prompt in enumerate(PROMPTS)
    ]


def undrafted(runner: HFRunner) -> list[Result]:
    with Engine(runner, VOCAB, slots=2048) as engine:
        return engine.generate(requests())


def drafted(runner: HFRunner, expected: list[Result], seed: int, **settings: Any) -> list[Result]:
    known = {tuple(p): result.ids for p, result in zip(PROMPTS, expected, strict=True)}
    drafters = [Oracle(known, HF.size, seed), Copying(), Ngrams()]
    with drafting(runner, VOCAB, *drafters, **{"slots": 2048, **settings}) as engine:
        results = engine.generate(requests())
        engine.check()
        assert engine.stats.accepted > 40
        assert settings or engine.stats.drafted - engine.stats.accepted > 10
    return results


@pytest.mark.parametrize("family", ["Llama", "Gemma3Text", "Gemma2", "GPT2"])
@pytest.mark.parametrize("settings", [{}, {"slots": 260, "max_batch_tokens": 20}], ids=str)
def test_the_same_results(family: str, settings: dict[str, Any]) -> None:
    """In float64, where no two logits are so close that the order of a sum would matter."""
    runner = HFRunner(tiny(family, "float64"))
    expected = undrafted(runner)
    got = drafted(runner, expected, 1, **settings)

    assert [r.ids for r in expected] == [r.ids for r in got]
    assert [r.finish for r in expected] == [r.finish for r in got]
    for one, other in zip(expected, got, strict=True):
        np.testing.assert_allclose(one.logprobs, other.logprobs, atol=1e-9)


@pytest.mark.parametrize("family", ["Llama", "Gemma3Text"])
def test_deterministic_logits_do_not_change_in_any_bit(family: str) -> None:
    runner = Bits(tiny(family), deterministic=True)
    expected = undrafted(runner)
    for seed, settings in enumerate([{}, {"slots": 260, "max_batch_tokens": 20}, {"max_running": 2}]):
        got = drafted(runner, expected, seed, **settings)
        assert [r.ids for r in expected] == [r.ids for r in got]

    assert {1} == {len(bits) for bits in runner.seen.values()}
