"""Exact decoders on the embedded default model."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lmprog as lp
from lmprog import gen, program
from lmprog.runtime.default_model import default_model_folder
from lmprog.runtime.model import Model
from lmprog.runtime.request import Ask, Request

pytestmark = pytest.mark.slow

SCHEMA = {
    "type": "object",
    "properties": {"legs": {"type": "integer", "minimum": 0, "maximum": 8}, "wild": {"type": "boolean"}},
    "required": ["legs", "wild"],
    "additionalProperties": False,
}


@program
def card(p: lp.Prompt) -> Any:
    return p('A dog: {"legs":4,"wild":false}\nA spider: ', gen(json=SCHEMA, name="card", max_tokens=24), "\n")


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    with lp.load() as model:
        yield model


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    """A tiny random model with the same tokenizer."""
    import torch
    import transformers

    folder, big = tmp_path_factory.mktemp("small"), default_model_folder()
    for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
        shutil.copy(big / name, folder / name)
    config = transformers.AutoConfig.from_pretrained(big)
    sizes = {
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "head_dim": 8,
        "intermediate_size": 16,
    }
    for name, value in (sizes | {"layer_types": config.layer_types[:1]}).items():
        setattr(config, name, value)
    torch.manual_seed(0)
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    with lp.load(Path(folder)) as model:
        yield model


def test_decoders_fill_a_schema(model: Model) -> None:
    asap = lp.ASAp(3)
    runs = [card.run(model=model, decoder=asap, seed=seed) for seed in range(3)]
    weighed = card.run(model=model, decoder=lp.SMC(6), seed=1)

    bounds = [run.logZ_bounds for run in runs]
    assert all(low <= high <= 0 for low, high in filter(None, bounds))
    assert sorted(bounds, key=lambda pair: -(pair or (0, 0))[1]) == bounds
    assert bounds[-1] != bounds[0]
    for run in (*runs, weighed):
        assert {"legs", "wild"} == set(run.value)
        assert run.value["legs"] in range(9)
    assert sum(particle.share for particle in weighed.captures["card"].particles) == pytest.approx(1)
    assert (weighed.logZ or 1) < 0


def logprobs(model: Model, prompt: str, tokens: list[int]) -> Any:
    ids = [2, *model.encode(prompt)]
    return model.submit(Request(ids, 0, asks=[Ask(len(ids), np.array(tokens, np.int32))])).result().answers[0]


@pytest.mark.parametrize("kind", ["proxy", "amateur"])
def test_two_models_are_combined(model: Model, small: Model, kind: str) -> None:
    prompt, texts = "A dog has 4 legs. A spider has ", model.vocab.token_bytes
    digits = [i for i, data in enumerate(texts) if data and len(data) == 1 and data in b"012345678"]
    ours, theirs = logprobs(model, prompt, digits), logprobs(small, prompt, digits)
    decoder = lp.Contrast(amateur=small, alpha=0.5) if kind == "amateur" else lp.Proxy(small, model, alpha=0.5)
    logits = ours + 0.5 * (ours - theirs if kind == "amateur" else theirs - ours)
    hole = program(boundary="token")(lambda p: p(prompt, gen(regex="[0-8]", name="legs")))
    run = hole.run(model=model, decoder=decoder, trace=True)
    at = digits.index(run.captures["legs"].tokens[0])

    assert logits[at] == pytest.approx(logits.max(), abs=1e-3)
    assert run.tokens[0].masked == pytest.approx(logits[at] - np.log(np.exp(logits).sum()), abs=1e-3)
    assert run.captures["legs"].logprob == pytest.approx(ours[at], abs=1e-3)


def test_two_models_fill_a_schema(model: Model, small: Model) -> None:
    with lp.using(model):
        values = card.map([{}] * 3, decoder=lp.Proxy(small, model, temperature=1.0), seed=1)

    assert all(set(value) == {"legs", "wild"} for value in values)
    for each in (model, small):
        each.engine.check()


def test_searches_fill_a_schema(model: Model) -> None:
    likely = card.run(model=model, decoder=lp.BestFirst(60))
    greedy = card.run(model=model, decoder=lp.Beam(1))
    legs = card.run(model=model, decoder=lp.MCTS(lambda text: text.count("8"), 24), seed=1)
    sure = card.run(model=model, decoder=lp.Confident(4, answer='"legs":([0-9])'))

    assert score(likely) >= score(greedy) - 1e-4
    assert legs.value["legs"] == 8
    assert sure.value["legs"] in range(9)


def score(run: lp.Run[Any]) -> float:
    found = run.captures["card"].particles[0].score
    assert found is not None
    return found


@pytest.mark.parametrize("decoder", [lp.FSD(), lp.Momentum()], ids=["fsd", "momentum"])
def test_open_text_does_not_repeat_itself(model: Model, decoder: lp.Decoder) -> None:
    waves = program(lambda p: p("The sea, the sea, the", gen(max_tokens=24, name="x")))
    plain, varied = [waves.run(model=model, decoder=one).captures["x"].tokens for one in (lp.Argmax(), decoder)]

    assert pairs(varied) > pairs(plain)


def pairs(tokens: tuple[int, ...]) -> int:
    """How many different ones."""
    return len(set(itertools.pairwise(tokens)))
