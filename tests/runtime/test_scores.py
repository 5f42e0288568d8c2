from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from lmprog.grammars import Vocabulary, compile, regex
from lmprog.runtime.choice import ANYTHING, Choice
from lmprog.runtime.engine import Engine
from lmprog.runtime.errors import RequestError
from lmprog.runtime.request import Request
from lmprog.runtime.sampling import Sampling
from lmprog.runtime.table import TableRunner

from .test_penalties import penalised
from .test_sampler import reference
from .toys import TOY, toy_engine, toy_logits

KINDS: list[dict[str, Any]] = [
    {},
    {"repetition_penalty": 1.4},
    {"temperature": 0.7, "seed": 3},
    {"temperature": 1.0, "seed": 3, "presence_penalty": 0.5, "logit_bias": {4: 2.0}},
    {"temperature": 1.5, "seed": 3, "top_k": 4},
    {"temperature": 1.5, "seed": 3, "top_p": 0.7, "min_p": 0.1},
]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_both_distributions(kind: dict[str, Any]) -> None:
    s = Sampling(**kind)
    with toy_engine() as engine:
        (result,) = engine.generate([Request([1, 2], 8, sampling=s, top_logprobs=3, ignore_eos=True)])
        plain, few = engine.generate([Request([1, 2], 8, sampling=s, logprobs=n > 0, ignore_eos=True) for n in (0, 1)])

    assert result.ids == plain.ids == few.ids
    assert few.masked_logprobs == result.masked_logprobs
    assert np.isnan(plain.masked_logprobs).all()
    assert [{}] * 8 == plain.top_logprobs == few.top_masked_logprobs
    for i, token in enumerate(result.ids):
        logits = toy_logits((1, 2, *result.ids[:i]))
        raw = reference(logits, Sampling(temperature=1.0))
        held = reference(penalised(logits, s, [1, 2], result.ids[:i]), s if not s.greedy else Sampling(temperature=1.0))

        assert pytest.approx(math.log(raw[token])) == result.logprobs[i]
        assert pytest.approx(math.log(held[token]), abs=1e-12) == result.masked_logprobs[i]
        for expected, got in ((raw, result.top_logprobs[i]), (held, result.top_masked_logprobs[i])):
            best = [t for t in np.argsort(-expected, kind="stable")[:3] if expected[t] > 0]

            assert best == list(got)
            assert pytest.approx([math.log(expected[t]) for t in best], abs=1e-12) == list(got.values())


def test_masks_and_forced_tokens() -> None:
    """`ab` is forced; then one of c and d, of which the narrow mask allows nothing else; e is forced again."""
    vocab = Vocabulary([b"a", b"b", b"c", b"d", b"e", None], eos={5})
    logits = np.array([5.0, 1, 2, 3, 0, 4])
    request = Request([0], 9, constraint=compile(regex("ab[cd]e"), vocab), top_logprobs=4)
    with Engine(TableRunner(lambda p: logits, 6), vocab) as engine:
        (result,) = engine.generate([request])
    raw, chance = reference(logits, Sampling(temperature=1.0)), 1 / (1 + math.exp(-1))

    assert [0, 1, 3, 4] == result.ids
    assert [True, True, False, True] == np.isnan(result.logprobs).tolist()
    assert pytest.approx(math.log(raw[3])) == result.logprobs[2]
    assert pytest.approx([0, 0, math.log(chance), 0]) == result.masked_logprobs
    assert [0, 5, 3, 2] == list(result.top_logprobs[2])
    assert [{0: 0.0}, {1: 0.0}, {4: 0.0}] == [result.top_masked_logprobs[i] for i in (0, 1, 3)]
    assert [3, 2] == list(result.top_masked_logprobs[2])
    assert [1, 1, 2, 1] == result.allowed
    assert 0 <= result.times[0] <= result.times[1] <= result.times[2] <= result.times[3] <= result.seconds


def test_how_many_tokens_a_choice_allows() -> None:
    bits = np.array([-1, 0b1011 - (1 << 31)], np.int32)

    assert [40, 3, 35] == [
        c.size(40) for c in (ANYTHING, Choice(columns=np.arange(3, dtype=np.int32)), Choice(row=bits))
    ]


def test_large_logits() -> None:
    with Engine(TableRunner(lambda p: [1e4, 1e4, *[-1e4] * 10], TOY.size), TOY) as engine:
        (result,) = engine.generate([Request([1], 2, logprobs=True)])

    assert pytest.approx([-math.log(2)] * 2) == result.logprobs


def test_a_number_of_alternatives_below_0() -> None:
    with toy_engine() as engine, pytest.raises(RequestError, match="top_logprobs"):
        engine.submit(Request([1], 2, top_logprobs=-1))
