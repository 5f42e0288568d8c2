"""Decoding under constraints: real ones over a small vocabulary, the model a table."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lmprog.grammars import compile
from lmprog.grammars.errors import BudgetError
from lmprog.grammars.regex import regex
from lmprog.grammars.vocabulary import Vocabulary
from lmprog.runtime.engine import Engine
from lmprog.runtime.errors import SamplingError
from lmprog.runtime.request import Request, Result
from lmprog.runtime.sampling import Sampling
from lmprog.runtime.table import TableRunner

LETTERS = [chr(i).encode() for i in range(32, 127)]
WORDS = [b"ab", b"abc", b"cat", b'": ', b'{"', b"name", b"12", b"true", b"\n"]
TOKENS: list[bytes | None] = [None, *LETTERS, *WORDS, None]
EOS = len(TOKENS) - 1
VOCAB = Vocabulary(TOKENS, eos={EOS})


def wants(text: bytes) -> Callable[[tuple[int, ...]], NDArray[np.float64]]:
    """A model that would like to write `text` after the prompt (id 0), longest tokens first, and then to stop."""

    def logits(prefix: tuple[int, ...]) -> NDArray[np.float64]:
        done = b"".join(TOKENS[t] or b"" for t in prefix)
        rest = text[len(done) :] if text.startswith(done) else b""
        scores = np.zeros(len(TOKENS))
        for i, token in enumerate(TOKENS):
            if token and rest.startswith(token):
                scores[i] = 1 + len(token)
        if done == text:
            scores[EOS] = 5
        return scores

    return logits


def noise(prefix: tuple[int, ...]) -> NDArray[np.float64]:
    return np.random.default_rng(prefix).normal(size=len(TOKENS)) * 3


def run(pattern: str, logits: Any, n: int = 30, **settings: Any) -> tuple[str, Result]:
    constraint = compile(regex(pattern), VOCAB)
    with Engine(TableRunner(logits, len(TOKENS)), VOCAB) as engine:
        (result,) = engine.generate([Request([0], n, constraint=constraint, **settings)])
    return VOCAB.decode(result.ids).decode(), result


def test_the_model_chooses_within_the_language() -> None:
    text, result = run("(cat|dog|cow)s?", wants(b"cows and"))

    assert (text, result.finish) == ("cows", "complete")


def test_the_model_may_stop_where_the_language_allows_it() -> None:
    text, result = run("(cat|dog|cow)s?", wants(b"cow"))

    assert (text, result.finish) == ("cow", "stop")
    assert compile(regex("(cat|dog|cow)s?"), VOCAB).accepting(result.state or 0)


def test_forced_text_is_not_sampled() -> None:
    text, result = run('\\{"name": (1|2)\\}', wants(b'{"name": 2}'))

    assert text == '{"name": 2}'
    assert result.sampled_tokens == 1
    assert len(result.ids) == result.sampled_tokens + result.forced_tokens
    assert np.isnan(result.logprobs).all()


def test_fully_forced_text_needs_no_forward() -> None:
    constraint = compile(regex("name"), VOCAB)
    with Engine(TableRunner(noise, len(TOKENS)), VOCAB) as engine:
        (result,) = engine.generate([Request([0], 9, constraint=constraint)])

        assert (VOCAB.decode(result.ids), engine.stats.steps) == (b"name", 0)


@pytest.mark.parametrize("logprobs", [False, True])
def test_narrow_rows_only_unless_log_probabilities_are_wanted(logprobs: bool) -> None:
    constraint = compile(regex("[ab][cd][ef]"), VOCAB)
    with Engine(TableRunner(noise, len(TOKENS)), VOCAB) as engine:
        (result,) = engine.generate([Request([0], 9, constraint=constraint, logprobs=logprobs)])

        assert (0 if logprobs else engine.stats.sampled) == engine.stats.narrow
    assert logprobs == np.isfinite(result.logprobs).any()


def test_an_open_end_is_where_the_model_leaves_the_language() -> None:
    text, result = run("[a-z]+", wants(b"cat on a mat"), open_end=True)

    assert (text, result.finish) == ("cat", "stop")


def test_without_an_open_end_the_model_stays() -> None:
    text, result = run("[a-z]+", wants(b"cat on a mat"), n=6)

    assert text.startswith("cat")
    assert result.finish == "length"
    assert re.fullmatch("[a-z]+", text)


def test_an_open_end_keeps_to_the_budget() -> None:
    text, result = run("a(bc)*", wants(b"abcbcbcbc"), n=4, open_end=True)

    assert re.fullmatch("a(bc)*", text)
    assert len(result.ids) <= 4


def test_a_budget_that_is_too_small() -> None:
    constraint = compile(regex("[0-9]{5}"), VOCAB)
    request = Request([0], 2, constraint=constraint)
    engine = Engine(TableRunner(noise, len(TOKENS)), VOCAB)

    with engine, pytest.raises(BudgetError, match="takes 3 tokens, max_tokens is 2"):
        engine.submit(request)


PATTERNS = ["(ab|abc|cat)*x", "[a-z]{2,9}", '\\{"name": "[a-c]*", "12": (true|[0-9]+)\\}', "(a|bc)+\n", "(cat )*cat"]


@settings(max_examples=80, deadline=None)
@given(
    pattern=st.sampled_from(PATTERNS),
    n=st.integers(1, 25),
    seed=st.integers(0, 1 << 20),
    warm=st.booleans(),
    open_end=st.booleans(),
    logprobs=st.booleans(),
)
def test_always_a_whole_value_within_the_budget(
    pattern: str, n: int, seed: int, warm: bool, open_end: bool, logprobs: bool
) -> None:
    def logits(prefix: tuple[int, ...]) -> NDArray[np.float64]:
        return noise((seed, *prefix))

    sampling = Sampling(temperature=1.0, seed=seed) if warm else Sampling()
    try:
        text, result = run(pattern, logits, n, open_end=open_end, logprobs=logprobs, sampling=sampling)
    except BudgetError:
        constraint = compile(regex(pattern), VOCAB)
        assert constraint.distance(constraint.start()) > n
        return

    assert re.fullmatch(pattern, text)
    assert len(result.ids) <= n


class Broken:
    """A constraint whose mask lies."""

    def start(self) -> int:
        return 0

    def mask(self, state: int, budget: int | None = None) -> NDArray[np.int32]:
        return np.full(-(-len(TOKENS) // 32), -1, np.int32)

    def allowed(self, state: int, limit: int = 256, budget: int | None = None) -> NDArray[np.int32] | None:
        return np.zeros(0, np.int32) if state == 1 else None

    def advance(self, state: int, token: int) -> int | None:
        return None if state == 2 else 1

    def accepting(self, state: int) -> bool:
        return False

    def finished(self, state: int) -> bool:
        return False

    def forced(self, state: int) -> bytes:
        return b""

    def forced_tokens(self, state: int) -> list[int]:
        return []

    def distance(self, state: int) -> int:
        return 1

    def fits(self, state: int, budget: int) -> bool:
        return True


def test_a_broken_constraint_ends_its_own_request() -> None:
    with Engine(TableRunner(noise, len(TOKENS)), VOCAB) as engine:
        dead, astray, fine = engine.submit_many(
            [
                Request([0], 5, constraint=Broken()),
                Request([0], 5, constraint=Broken(), state=2),
                Request([0], 5, constraint=compile(regex("cat"), VOCAB)),
            ]
        )
        with pytest.raises(SamplingError, match="allows no token after 1 tokens"):
            dead.result(30)
        with pytest.raises(SamplingError, match="leads nowhere"):
            astray.result(30)
        assert fine.result(30).finish == "complete"
