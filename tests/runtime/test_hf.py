"""Unmodified Hugging Face models under our attention, against their own `generate` and their own logits."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from lmprog.grammars import compile
from lmprog.grammars.regex import regex
from lmprog.grammars.vocabulary import Vocabulary
from lmprog.runtime import hf, views
from lmprog.runtime.engine import Engine
from lmprog.runtime.errors import ModelMismatch, OutOfSlots
from lmprog.runtime.hf import HFRunner
from lmprog.runtime.request import Request
from lmprog.runtime.runner import Batch, Span
from lmprog.runtime.sampling import Sampling

from .toys import HF, REFUSED, SUPPORTED, Prompt, edges, prompts, tiny, unrelated

THOROUGH = ["Llama", "Qwen3", "Gemma3Text", "GPT2"]
PROMPTS = prompts(7, 16, shared=20, longest=50, size=290)
TOKENS = 16
SETTINGS: list[dict[str, Any]] = [
    {},
    {"reuse": False},
    {"slots": 110},
    {"max_batch_tokens": 7},
    {"max_batch_tokens": 40, "slots": 150, "max_running": 4},
]


def stock(model: Any, prompt: Prompt, n: int = TOKENS) -> list[int]:
    out = model.generate(torch.tensor([prompt]), max_new_tokens=n, do_sample=False, pad_token_id=0)
    ids: list[int] = out[0, len(prompt) :].tolist()
    return ids[:-1] if ids[-1:] == [299] else ids


def assert_same(model: Any, prompt: Prompt, expected: list[int], actual: list[int]) -> None:
    """Token for token; where float noise flips one, the two best logits must be within 1e-3 of each other."""
    if expected == actual:
        return
    at = next(i for i in range(TOKENS) if expected[i : i + 1] != actual[i : i + 1])
    with torch.inference_mode():
        logits = model(torch.tensor([prompt + expected[:at]])).logits[0, -1]
    best, second = logits.topk(2).values.tolist()

    assert best - second < 1e-3, f"{expected} is not {actual}"


@pytest.mark.parametrize("family", SUPPORTED)
def test_greedy_equals_generate(family: str) -> None:
    model = tiny(family)
    expected = [stock(model, p) for p in PROMPTS]
    runner = HFRunner(model)
    for settings in SETTINGS if family in THOROUGH else SETTINGS[-1:]:
        with Engine(runner, HF, **settings) as engine:
            results = engine.generate([Request(p, TOKENS) for p in PROMPTS])
            if settings.get("slots"):
                assert engine.stats.evicted > 0
        for prompt, want, result in zip(PROMPTS, expected, results, strict=True):
            assert_same(model, prompt, want, result.ids)
    with Engine(runner, HF) as engine:
        for prompt, want in zip(PROMPTS[:3], expected, strict=False):
            assert_same(model, prompt, want, engine.generate([Request(prompt, TOKENS)])[0].ids)

    assert expected[:2] == [stock(model, p) for p in PROMPTS[:2]], "the stock model is no longer what it was"


@pytest.mark.parametrize("family", REFUSED)
def test_models_that_would_be_wrong_are_refused(family: str) -> None:
    with pytest.raises(
        ModelMismatch, match=rf"^{family.removesuffix('Text')}\w* (does not run|has layers)|logits differ"
    ):
        HFRunner(tiny(family))


@pytest.mark.parametrize("family", ["Gemma2", "Gemma3Text"])
def test_windows_that_the_attention_function_does_not_hear_of(family: str) -> None:
    """Longer than the sequences of the check, so that no logits differ there."""
    model = tiny(family, sliding_window=100)
    for layer in model.model.layers:
        layer.self_attn.sliding_window = None

    with pytest.raises(ModelMismatch, match="sliding windows"):
        HFRunner(model)


@pytest.mark.parametrize("family", ["Llama", "Gemma3Text", "Gemma2"])
@pytest.mark.parametrize("deterministic", [False, True])
def test_long_prompts_in_chunks(family: str, deterministic: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of long segments, whose masks do not grow with the square of the prompt."""
    window: dict[str, Any] = {} if family == "Llama" else {"sliding_window": 300}
    model = tiny(family, max_position_embeddings=4096, **window)
    head = np.random.default_rng(2).integers(2, 290, 2500).tolist()
    todo = [[*head, 5, 6], [*head[:1800], 9]]
    monkeypatch.setattr(views, "MOST_PAIRS", 1 << 18)
    with Engine(HFRunner(model, deterministic=deterministic), HF, slots=6000, max_batch_tokens=900) as engine:
        results = engine.generate([Request(p, 4) for p in todo])

    for prompt, result in zip(todo, results, strict=True):
        assert_same(model, prompt, stock(model, prompt, 4), result.ids)


@pytest.mark.parametrize("invariant", [False, True])
def test_masks_of_a_chunk_are_bounded_at_any_context(invariant: bool) -> None:
    span = Span(0, 2048, np.arange(32_768))
    seen = views.view([span], None, torch.float32, torch.device("cpu"), invariant)
    masks = [part.mask for part in seen.long if part.mask is not None] + [part.bias for part in seen.short]

    assert 2048 == sum(part.size[1] for part in seen.short) + sum(part.stop - part.start for part in seen.long)
    assert max(mask.numel() for mask in masks) <= views.MOST_PAIRS


def test_a_pool_that_does_not_fit(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = HFRunner(tiny("Llama"))  # keys and values of 2 layers with 2 heads of 16 floats: 512 bytes a token
    with pytest.raises(
        OutOfSlots,
        match=r"1,000,000,000,000 KV slots of 512 bytes are 476837\.16 GiB; cpu has .* load the model with fewer",
    ):
        runner.reserve(10**12)
    with caplog.at_level("INFO", "lmprog"):
        runner.reserve(1000)
    assert "1,000 KV slots of 512 bytes" in caplog.text
    monkeypatch.setattr(hf, "available", lambda device: 4 * 512 * 1000)
    assert 1000 == runner.reserve(None), "a quarter of what is free"


def test_a_model_without_an_output_matrix_is_refused() -> None:
    with pytest.raises(ModelMismatch, match="no output matrix"):
        HFRunner(tiny("Llama").model)


class Recorder(HFRunner):
    """Remembers the logits of every row, by the tokens before it."""

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self.ids = np.zeros(0, np.int32)
        self.seen: dict[tuple[int, ...], NDArray[np.floating]] = {}

    def reserve(self, slots: int | None) -> int:
        n = super().reserve(slots)
        self.ids = np.zeros(n, np.int32)
        return n

    def forward(self, batch: Batch) -> list[NDArray[np.floating]]:
        rows = super().forward(batch)
        if hasattr(self, "seen"):
            self.ids[batch.slots] = batch.ids
            for row, values in zip(batch.rows, rows, strict=True):
                span: Span = next(s for s in batch.spans if s.row <= row < s.row + s.n)
                table = span.table[: len(span.table) - span.n + int(row) - span.row + 1]
                self.seen[tuple(self.ids[table].tolist())] = values.copy()
        return rows


@pytest.mark.parametrize("family", ["Llama", "Gemma3Text", "GPT2"])
def test_logits_in_double_precision_agree_with_and_without_cache(family: str) -> None:
    model = tiny(family, "float64")
    seen = []
    for settings in SETTINGS:
        runner = Recorder(model)
        with Engine(runner, HF, **settings) as engine:
            engine.generate([Request(p, 8) for p in PROMPTS])
        seen.append(runner.seen)
    with torch.inference_mode():
        expected = {ids: model(torch.tensor([ids])).logits[0, -1].numpy() for ids in seen[0]}

    for logits in seen:
        assert set(expected) == set(logits)
        assert max(float(np.abs(expected[ids] - row).max()) for ids, row in logits.items()) < 1e-10


def test_prompt_tokens_computed_are_the_edges_of_the_tree() -> None:
    todo = unrelated(PROMPTS)
    with Engine(HFRunner(tiny("Qwen3")), HF) as engine:
        results = engine.generate([Request(p, 2) for p in todo])

    assert edges(todo) == sum(r.prompt_tokens_computed for r in results)


def test_many_decodes_share_one_read_of_their_prefix() -> None:
    """Long enough for the shared block, with a window that ends inside it, and forced to differ in length."""
    model = tiny("Gemma3Text")
    head = list(range(2, 62))
    todo = [[*head, *range(100 + i, 100 + 2 * i)] for i in range(1, 9)]
    with Engine(HFRunner(model), HF) as engine:
        results = engine.generate([Request(p, TOKENS) for p in todo])

    for prompt, result in zip(todo, results, strict=True):
        assert_same(model, prompt, stock(model, prompt), result.ids)


@pytest.mark.parametrize("family", ["Qwen2", "Gemma2", "Cohere"])
def test_a_narrow_head_gives_what_the_full_one_gives(family: str) -> None:
    """Gemma 2 caps its logits and Cohere scales them: both must happen to narrow rows too."""
    vocab = Vocabulary([bytes([i]) if i < 256 else None for i in range(300)], eos={299})
    constraint = compile(regex("[a-f]{3}-(x|y|z)[0-9]*"), vocab)
    sampling = Sampling(temperature=1.0, seed=3)
    requests = [Request(p, 12, constraint, sampling=sampling, logprobs=full) for p in PROMPTS for full in (False, True)]
    with Engine(HFRunner(tiny(family)), HF) as engine:
        results = engine.generate(requests)
        narrow = engine.stats.narrow

    assert [r.ids for r in results[::2]] == [r.ids for r in results[1::2]]
    assert sum(r.sampled_tokens + (r.finish == "stop") for r in results[::2]) == narrow


def test_the_stock_model_is_itself_between_steps() -> None:
    model = tiny("Llama")
    head = model.lm_head
    expected = stock(model, PROMPTS[0])
    runner = HFRunner(model, packed=True)
    with Engine(runner, HF) as engine:
        handle = engine.submit(Request(PROMPTS[1], TOKENS, ignore_eos=True))
        handle.result(60)

        assert expected == stock(model, PROMPTS[0])
    assert model.config._attn_implementation == "sdpa"
    assert head is model.lm_head
    assert not any("forward" in m.__dict__ for m in model.modules())


def test_the_stock_model_inside_a_step_fails_loudly() -> None:
    model = tiny("Llama")
    runner = HFRunner(model)
    inside, go_on = threading.Event(), threading.Event()

    def wait(*_: Any) -> None:
        inside.set()
        go_on.wait(60)

    with Engine(runner, HF) as engine:
        hook = model.model.layers[0].register_forward_hook(wait)
        handle = engine.submit(Request(PROMPTS[0], 1))
        assert inside.wait(60)
        hook.remove()
        try:
            with pytest.raises(RuntimeError, match="inside an engine's step"):
                model(torch.tensor([PROMPTS[1]]))
        finally:
            go_on.set()
        handle.result(60)


@pytest.mark.parametrize("packed", [False, True])
def test_packing_changes_nothing(packed: bool) -> None:
    model = tiny("Qwen2")
    big = torch.nn.Linear(64, 2048, bias=False)
    with torch.no_grad():
        model.model.layers[0].mlp.gate_proj = torch.nn.Linear(64, 2048)
        model.model.layers[0].mlp.up_proj = big
        model.model.layers[0].mlp.down_proj = torch.nn.Linear(2048, 64)
        model.eval()
    with Engine(HFRunner(model, packed=packed), HF) as engine:
        results = engine.generate([Request(p, TOKENS) for p in PROMPTS])

    for prompt, result in zip(PROMPTS, results, strict=True):
        assert_same(model, prompt, stock(model, prompt), result.ids)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("family", ["Llama", "Gemma3Text", "GPT2"])
def test_half_precision_is_as_near_as_stock(family: str, dtype: str) -> None:
    """To the logits in double precision of the same weights."""
    model, exact = tiny(family, dtype), tiny(family, dtype).double()
    runner = Recorder(model)
    with Engine(runner, HF) as engine:
        engine.generate([Request(p, 4, ignore_eos=True) for p in PROMPTS])
    errors = []
    with torch.inference_mode():
        for ids, row in runner.seen.items():
            want, other = (m(torch.tensor([ids])).logits[0, -1].double().numpy() for m in (exact, model))
            errors.append((float(np.abs(want - row).max()), float(np.abs(want - other).max())))
    ours, stocks = np.mean(errors, 0)

    assert ours < 1.2 * stocks


def test_chunked_attention_that_short_sequences_do_not_show_is_refused() -> None:
    with pytest.raises(ModelMismatch, match="Llama4ForCausalLM"):
        HFRunner(tiny("Llama4Text", attention_chunk_size=8192, no_rope_layers=[1, 1]))
