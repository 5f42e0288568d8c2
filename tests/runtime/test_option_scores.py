"""Scores of options under real tokenizers, whose tokens reach over the border between text and option."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import lmprog as lp
from lmprog import program, select
from lmprog.grammars import Vocabulary
from lmprog.runtime.load import load
from lmprog.runtime.model import Model
from lmprog.runtime.table import TableRunner

from .tiny import byte_level, sentencepiece

Path = tuple[int, ...]
TEXTS = ["the cat", "the cat ", "the c", "the", "na", "naï", "(", "the en", "a<|us", "ab"]
OPTIONS = [" sat", "sat", "at the end", "d", "ïve", "er|> is", "café", "cat", "b", "te"]


def logits(size: int) -> Callable[[tuple[int, ...]], NDArray[np.float64]]:
    return lambda ids: np.random.default_rng((5, *ids)).standard_normal(size) * 2


def table_model(tokenizer: Any) -> Model:
    vocab = Vocabulary.from_tokenizer(tokenizer)
    return Model(TableRunner(logits(vocab.size), vocab.size), vocab, name="table", bos=1)


def probability(size: int, ids: list[int], start: int) -> float:
    total = 0.0
    for i in range(start, len(ids)):
        row = logits(size)(tuple(ids[:i]))
        total += float(row[ids[i]] - np.log(np.exp(row).sum()))
    return math.exp(total)


def ways(
    vocab: Vocabulary, before: list[int], rest: bytes, along: set[tuple[int, ...]], path: tuple[int, ...]
) -> float:
    """The mass of a text's end: every token that covers what is left of it, or goes along the spelling of an option."""
    row = logits(vocab.size)((*before, *path))
    shares = np.exp(row) / np.exp(row).sum()
    total = 0.0
    for token, data in enumerate(vocab.token_bytes):
        if data and data.startswith(rest):
            total += float(shares[token])
        elif data and rest.startswith(data) and (*path, token) in along:
            total += float(shares[token]) * ways(vocab, before, rest[len(data) :], along, (*path, token))
    return total


@pytest.mark.parametrize("make", [byte_level, sentencepiece])
def test_scores_at_every_kind_of_border(make: Callable[[], Any]) -> None:
    score = program(lambda p, text, options: p(text) or p.score(options))
    healed = 0
    with table_model(make()) as model:
        vocab = model.vocab
        for text in TEXTS:
            ids = vocab.encode(text.encode())
            backed = max([n for n in range(len(ids) + 1) if n == 0 or vocab.extendable(vocab.decode(ids[-n:]))])
            before, border = [1, *ids[: len(ids) - backed]], vocab.decode(ids[len(ids) - backed :])
            spelt = {option: vocab.encode(border + option.encode()) for option in OPTIONS}
            along = {tuple(way[:n]) for way in [*spelt.values(), ids[len(ids) - backed :]] for n in range(len(way) + 1)}
            mass = ways(vocab, before, border, along, ()) if border else 1.0
            dist = score(text, OPTIONS, model=model)

            assert {
                option: probability(vocab.size, [*before, *way], len(before)) / mass for option, way in spelt.items()
            } == pytest.approx({option: math.exp(p) for option, p in dist.logprobs.items()})
            run = program(lambda p, t: p(t, select(OPTIONS))).run(text, model=model)
            assert (dist.best, text + dist.best) == (run.value, run.text)
            healed += backed > 0
    assert healed > 1


@pytest.fixture(scope="module")
def gemma() -> Iterator[Model]:
    with load(slots=4096) as model:
        yield model


@pytest.mark.slow
def test_on_the_default_model(gemma: Model) -> None:
    """The search agrees with all of the options' scores, and these with the stock model's."""
    import torch

    @program(model=gemma)
    def ask(p: lp.Prompt, text: str, options: list[str]) -> Any:
        p(text)
        return p.score(options), p(select(options, name="it"))

    options = ["Paris", "Lyon", "New Orleans", "Saint-Denis", "the river Seine", "Marseille"]
    for text in ("The capital of France is ", "The capital of France is", "She lives in "):
        dist, value = ask(text, options)
        spaced = text if text.endswith(" ") else text + " "

        assert value == dist.best
        if text.endswith(" "):
            before = [gemma.bos or 0, *gemma.encode(text.rstrip())]
            for option in options:
                ids = [*before, *gemma.encode(spaced[-1] + option)]
                with torch.inference_mode():
                    rows = gemma.engine.runner.model(torch.tensor([ids])).logits[0].log_softmax(-1)  # type: ignore[attr-defined]
                raw = sum(float(rows[i - 1, ids[i]]) for i in range(len(before), len(ids)))
                spaces = gemma.vocab.starting_with(b" ")
                mass = float(torch.logsumexp(rows[len(before) - 1, spaces.tolist()], 0))

                assert raw - mass == pytest.approx(dist.logprobs[option], abs=1e-3)
