from __future__ import annotations

import math
import random

import numpy as np
import pytest

import lmprog as lp
from lmprog import gen, program
from lmprog.testing import RandomModel, Scripted

from ..chains import Chain, longest_match, random_tokens
from .test_exact import PHAN, any_spelling, brute


def test_the_next_letter_of_a_string() -> None:
    tokens = ["A", "B", "AA"]
    with PHAN.model(tokens, longest_match(tokens)) as model, lp.bytewise(model) as letters:
        found = letters.next_bytes("A")
        end = letters.next_bytes("ABABABAB")

    assert found["A"] == pytest.approx(0.4, abs=1e-12)
    assert found["B"] == pytest.approx(0.6, abs=1e-12)
    assert found.end == 0
    assert found.missing == 0.0
    assert end.end == pytest.approx(1.0)


@pytest.mark.parametrize("kind", ["bpe", "longest match"])
@pytest.mark.parametrize("seed", range(5))
def test_bytes_are_as_probable_as_letters(kind: str, seed: int) -> None:
    rng = random.Random(f"{kind}{seed}")
    letters = "ABC"[: rng.randint(2, 3)]
    chain = Chain.random(rng, letters, 7)
    with chain.model(*random_tokens(rng, letters, kind)) as model, lp.bytewise(model) as found:
        for _ in range(12):
            text = "".join(rng.choices(letters, k=rng.randint(0, 6)))
            row = found.next_bytes(text)

            assert row.missing == 0.0
            for letter in letters:
                assert row[letter] == pytest.approx(chain.prob(text + letter) / chain.prob(text), abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_a_model_that_spells_at_random(seed: int) -> None:
    with any_spelling(seed) as model, lp.bytewise(model) as found, lp.bytewise(model, beam=3) as narrow:
        whole = brute(model, b"abbab")
        row, rough = found.next_bytes("abbab"), narrow.next_bytes("abbab")

        assert row.missing == 0.0
        assert 0 < rough.missing < 1
        for letter in "ab":
            wanted = brute(model, b"abbab" + letter.encode()) / whole
            assert row[letter] == pytest.approx(wanted)
            assert abs(rough[letter] - wanted) <= rough.missing
        assert row.probs.sum() + row.end == pytest.approx(1.0)


def test_it_is_a_model_like_any_other() -> None:
    tokens = ["A", "B", "AA"]
    with PHAN.model(tokens, longest_match(tokens)) as model, lp.bytewise(model) as letters:
        fill = program(model=letters)(lambda p: p("BA", gen(regex="[AB]{3}")))
        ask = program(model=letters)(lambda p: p("BA") or p.score(["AA", "B"], boundary="token"))
        dist = ask()
        firsts = [fill(decoder=lp.Sample(seed=seed))[0] for seed in range(400)]

    assert math.exp(dist.logprobs["AA"]) == pytest.approx(0.16)
    assert firsts.count("A") / 400 == pytest.approx(0.4, abs=0.1)


def test_a_real_vocabulary_and_long_texts(model: RandomModel) -> None:
    text = "the moon and the sea 日本語 are not this, " * 5
    with lp.bytewise(model) as once, lp.bytewise(model) as again:
        for n in range(90, 104):
            once.next_bytes(text.encode()[:n])
        row = once.next_bytes(text)
        same = again.next_bytes(text)

    assert np.allclose(row.probs, same.probs, rtol=1e-9)
    assert row.probs.sum() + row.end <= 1 + 1e-9
    assert 0 < row.missing < 1


def test_a_model_that_cannot_score_says_so() -> None:
    with pytest.raises(lp.ProgramError, match="no model of bytes"):
        lp.bytewise(Scripted([]))


def test_a_text_that_cannot_come() -> None:
    tokens = ["A", "B", "AA"]
    with (
        PHAN.model(tokens, longest_match(tokens)) as model,
        lp.bytewise(model) as letters,
        pytest.raises(lp.SamplingError, match="probability 0"),
    ):
        letters.next_bytes("x")
