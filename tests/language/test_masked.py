"""Infilling with masked models: random tables, and a tiny model of transformers with random weights."""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import BertConfig, BertForMaskedLM

import lmprog as lp
from lmprog import gen
from lmprog.grammars import Vocabulary, gbnf

DYCK = gbnf('root ::= ("(" root ")" | "[" root "]")*')
TOKENS = ["(", ")", "[", "]", "()", ")]", "[(", "x"]
MASK = len(TOKENS) + 1
VOCAB = Vocabulary([*[t.encode() for t in TOKENS], None, None], eos={len(TOKENS)})


class Table:
    """Every sequence has its own random distributions."""

    vocab, mask = VOCAB, MASK

    def fill(self, ids: Sequence[int]) -> NDArray[np.float64]:
        seed = int.from_bytes(hashlib.blake2b(bytes(ids), digest_size=8).digest(), "little")
        logits = np.random.default_rng(seed).standard_normal((list(ids).count(MASK), VOCAB.size)) * 3
        return np.asarray(logits - np.log(np.exp(logits).sum(1, keepdims=True)))


def balanced(text: str) -> bool:
    while (shorter := text.replace("()", "").replace("[]", "")) != text:
        text = shorter
    return not text


def words(size: int) -> list[str]:
    return ["".join(w) for w in itertools.product(TOKENS, repeat=size)]


@pytest.mark.parametrize("order", [None, ["b", "a"]], ids=str)
def test_filled_if_and_only_if_it_can_be(order: list[str] | None) -> None:
    rng = random.Random(2)
    outcomes = set()
    for _ in range(40):
        x, y, z = ["".join(rng.choices("()[]", k=rng.randint(0, 2))) for _ in range(3)]
        lengths = {"a": rng.randint(1, 2), "b": rng.randint(1, 2)}
        hole = gen(regex=r"[(\[].*")
        possible = any(
            balanced(x + a + y + b + z) for a in words(lengths["a"]) if a[0] in "([" for b in words(lengths["b"])
        )
        outcomes.add(possible)
        arguments: dict[str, Any] = {"grammar": DYCK, "order": order, "a": hole, "seed": rng.choice([None, 4])}
        if not possible:
            with pytest.raises(lp.EmptyLanguage):
                lp.infill_masked(Table(), f"{x}[[a]]{y}[[b]]{z}", lengths, **arguments)
            continue
        done = lp.infill_masked(Table(), f"{x}[[a]]{y}[[b]]{z}", lengths, **arguments)

        assert f"{x}{done.values['a']}{y}{done.values['b']}{z}" == done.text
        assert balanced(done.text)
        assert done.values["a"] in words(lengths["a"])
        assert done.values["a"][0] in "(["
        assert done.values["b"] in words(lengths["b"])
    assert {True, False} == outcomes


class Fixed(Table):
    """The same distribution in every place, whatever there is."""

    def __init__(self, **probabilities: float) -> None:
        self.row = np.log([probabilities.get(name, 1e-6) for name in ["open", "close", *"abcdefgh"]])

    def fill(self, ids: Sequence[int]) -> NDArray[np.float64]:
        return np.tile(self.row, (list(ids).count(MASK), 1))


def test_the_likeliest_token_that_leaves_room_is_kept() -> None:
    assert "(())" == lp.infill_masked(Fixed(open=0.9, close=0.05), "[[a]]", {"a": 4}, grammar=DYCK).text
    assert "()()" == lp.infill_masked(Fixed(open=0.05, close=0.9), "[[a]]", {"a": 4}, grammar=DYCK).text


def test_draws_follow_the_distribution() -> None:
    model = Fixed(open=0.1, close=0.3, a=0.6)
    hole = gen(regex=r"[()]")
    drawn = [lp.infill_masked(model, "[[a]]", {"a": 1}, a=hole, seed=seed).text for seed in range(400)]

    assert {"(", ")"} == set(drawn)
    assert 270 < drawn.count(")") < 330


def test_a_masked_model_of_transformers() -> None:
    torch.manual_seed(1)
    sizes: dict[str, Any] = {
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
    }
    bert = BertForMaskedLM(BertConfig(vocab_size=VOCAB.size, initializer_range=1.0, **sizes)).eval()
    model = lp.MaskedLM(bert, VOCAB, MASK, begin=[len(TOKENS)], end=[len(TOKENS)])
    ids = [0, MASK, 1, MASK]

    logits = bert(torch.tensor([[len(TOKENS), *ids, len(TOKENS)]])).logits[0]
    np.testing.assert_allclose(model.fill(ids), logits[[2, 4]].double().log_softmax(-1).detach().numpy(), atol=1e-6)
    done = lp.infill_masked(model, "([[a]]][[b]]", {"a": 3, "b": 2}, grammar=DYCK)
    assert balanced(done.text)


def test_lengths_are_checked() -> None:
    for lengths in ({}, {"a": 0}, {"a": 1, "b": 1}):
        with pytest.raises(lp.HoleError, match="how many tokens"):
            lp.infill_masked(Table(), "[[a]]", lengths)
