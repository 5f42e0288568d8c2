"""Speculation changes how many steps a result takes, and nothing of the result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from itertools import permutations, product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lmprog.grammars import Vocabulary, compile, regex
from lmprog.runtime.engine import Engine
from lmprog.runtime.request import Request, Result
from lmprog.runtime.samples import samples
from lmprog.runtime.sampling import Sampling
from lmprog.runtime.speculation.copying import Copying
from lmprog.runtime.speculation.forced import Forced
from lmprog.runtime.speculation.ngrams import Ngrams
from lmprog.runtime.table import TableRunner

from .drafting import Oracle, Parrot, drafting

TEXTS = [bytes((b,)) for b in b"abcdefgh"] + [b"ab", b"abc", b"cd", b"ef", b"efg"]
VOCAB = Vocabulary([*TEXTS, None], {len(TEXTS)})
SIZE = VOCAB.size


def logits(prefix: tuple[int, ...]) -> NDArray[np.float64]:
    """Cheap, depends on the last few tokens only, so that texts repeat."""
    h = hash(prefix[-2:])
    return np.array([(h >> 3 * i) % 61 for i in range(SIZE)], np.float64) / 12


def runner() -> TableRunner:
    return TableRunner(logits, SIZE)


def answers(requests: list[Request]) -> list[Result]:
    with Engine(runner(), VOCAB) as engine:
        return engine.generate(requests)


def same(expected: Result, got: Result) -> None:
    for name in ("ids", "finish", "state", "sampled_tokens", "forced_tokens", "top_logprobs", "top_masked_logprobs"):
        assert getattr(expected, name) == getattr(got, name), name
    for name in ("logprobs", "masked_logprobs"):
        np.testing.assert_array_equal(getattr(expected, name), getattr(got, name), name)


# -- the distribution, by enumeration ---------------------------------------------------------------------------------

ORDERS = list(permutations([Fraction(1, 2), Fraction(1, 4), Fraction(1, 8), Fraction(1, 8)]))
FEW = Vocabulary([b"x", b"y", b"z", None], {3})
PROMPT = (0, 1, 2, 0, 0, 1, 1, 2, 2, 0, 1)
DEPTH = 3
COUNT = 8**DEPTH


def exact_chances(prefix: tuple[int, ...]) -> tuple[Fraction, ...]:
    return ORDERS[hash(prefix) % len(ORDERS)]


def exact_distribution() -> dict[tuple[int, ...], Fraction]:
    """The chance of every string after the prompt, from the table itself."""
    chances: dict[tuple[int, ...], Fraction] = {}
    for n in range(DEPTH + 1):
        for text in product(range(3), repeat=n):
            chance = Fraction(1)
            for i in range(n):
                chance *= exact_chances((*PROMPT, *text[:i]))[text[i]]
            chances[text] = chance * (exact_chances((*PROMPT, *text))[3] if n < DEPTH else 1)
    return chances


DRAFTERS: dict[str, Callable[[], list[Any]]] = {
    "copy": lambda: [Copying()],
    "ngrams": lambda: [Ngrams()],
    "random": lambda: [Parrot(FEW.size, 1)],
    "all": lambda: [Forced(FEW), Copying(), Ngrams(), Parrot(FEW.size, 2)],
}


@pytest.mark.parametrize("drafters", DRAFTERS.values(), ids=DRAFTERS)
def test_the_distribution_over_all_strings_is_the_tables(drafters: Callable[[], list[Any]]) -> None:
    """Evenly spread samples, as many as the finest chance has parts, hit every string as often as it is likely."""
    request = Request(PROMPT, DEPTH, sampling=Sampling(temperature=1.0, seed=5))
    table = TableRunner.from_probs(lambda ids: [float(c) for c in exact_chances(ids)], FEW.size)
    with Engine(table, FEW, max_running=8) as engine:
        engine.generate(samples(request, COUNT))
        plain = engine.stats
    with drafting(table, FEW, *drafters(), max_running=8) as engine:
        counts = Counter(tuple(r.ids) for r in engine.generate(samples(request, COUNT)))
        stats = engine.stats

    assert {text: n for text, chance in exact_distribution().items() if (n := chance * COUNT)} == counts
    assert 0 < stats.accepted < stats.drafted
    assert plain.sampled == stats.sampled
    assert plain.steps > stats.steps


# -- the same results, token for token --------------------------------------------------------------------------------

PATTERNS = ("[a-h]{3,20}", "(abcd|abef|b)[a-h]{0,9}gh+abcdef", "(ab|cd|efg){2,8}", "(a|b|cd){3,18}efgh")
CONSTRAINTS = [
    None,
    *[
        compile(regex(p), VOCAB)
        for p in ("[a-h]{3,20}", "(abcd|abef|b)[a-h]{0,9}gh+abcdef", "(ab|cd|efg){2,8}", "(a|b|cd){3,18}efgh")
    ],
]
SAMPLINGS = [
    Sampling(),
    Sampling(repetition_penalty=1.3, presence_penalty=0.3),
    Sampling(1.0, seed=3),
    Sampling(0.7, top_p=0.9, frequency_penalty=0.2, seed=4),
    Sampling(1.5, top_k=4, min_p=0.01, seed=5, logit_bias={2: 1.5}),
    Sampling(1.0, seed=6, arithmetic=(2, 5)),
]
requests = st.builds(
    Request,
    ids=st.lists(st.integers(0, SIZE - 2), min_size=1, max_size=9),
    max_tokens=st.integers(9, 30),
    constraint=st.sampled_from(CONSTRAINTS),
    sampling=st.sampled_from(SAMPLINGS),
    stop_ids=st.sampled_from([frozenset(), frozenset({2, 9})]),
    open_end=st.booleans(),
    logprobs=st.booleans(),
    top_logprobs=st.sampled_from([0, 0, 3]),
    ignore_eos=st.booleans(),
    priority=st.integers(0, 1),
)


@settings(max_examples=80, deadline=None)
@given(
    todo=st.lists(requests, min_size=1, max_size=6, unique_by=lambda r: tuple(r.ids)),
    seed=st.integers(0, 1 << 30),
    slots=st.sampled_from([60, 90, 4096]),
    chunk=st.sampled_from([1, 3, 8, 1024]),
    running=st.sampled_from([1, 2, 64]),
    reuse=st.booleans(),
    knows=st.booleans(),
)
def test_results_are_those_without_speculation(
    todo: list[Request], seed: int, slots: int, chunk: int, running: int, reuse: bool, knows: bool
) -> None:
    expected = answers(todo)
    known = {tuple(request.ids): result.ids for request, result in zip(todo, expected, strict=True)}
    drafter = Oracle(known, SIZE, seed) if knows else Parrot(SIZE, seed)
    options = {"slots": slots, "max_batch_tokens": chunk, "max_running": running, "reuse": reuse}
    with drafting(runner(), VOCAB, drafter, **options) as engine:
        got = engine.generate(todo)
        engine.check()

    for one, other in zip(expected, got, strict=True):
        same(one, other)
    assert set() == drafter.live


@pytest.mark.parametrize("constraint", CONSTRAINTS, ids=range(len(CONSTRAINTS)))
@pytest.mark.parametrize("sampling", SAMPLINGS, ids=range(len(SAMPLINGS)))
def test_all_drafters_together(constraint: Any, sampling: Sampling) -> None:
    text = VOCAB.encode(b"abcdefghabcdabefgh" * 2)
    todo = [Request(text[i:], 24, constraint, sampling=sampling, logprobs=i % 2 == 0) for i in range(12)]
    expected = answers(todo)
    with drafting(runner(), VOCAB, Forced(VOCAB), Copying(), Ngrams(), Parrot(SIZE, 1), slots=300) as engine:
        got = [*engine.generate(todo), *engine.generate(todo)]
        engine.check()
        stats = engine.stats

    for one, other in zip([*expected, *expected], got, strict=True):
        same(one, other)
    assert 0 < stats.accepted < stats.drafted


def test_a_known_answer_takes_few_steps() -> None:
    (expected,) = answers([request := Request([1, 2, 3], 40, ignore_eos=True)])
    oracle = Oracle({(1, 2, 3): expected.ids}, SIZE, 0)
    with drafting(runner(), VOCAB, oracle) as engine:
        (got,) = engine.generate([request])
        stats = engine.stats

    assert expected.ids == got.ids
    assert stats.steps < 20
    assert stats.accepted > 20


def test_nothing_is_drafted_for_those_who_do_not_want_it() -> None:
    request = Request([1, 2, 3], 40, ignore_eos=True, speculate=False)
    with drafting(runner(), VOCAB, Copying(), Ngrams(), Parrot(SIZE, 1)) as engine:
        engine.generate([request, replace(request, ids=[1, 2])])

        assert 0 == engine.stats.drafted
        assert engine.stats.steps == 41 or engine.stats.steps == 40
