"""What only a GPU can show: the same equalities on CUDA, its kernels, graphs and memory."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest
import torch

from lmprog.grammars import compile, json_schema
from lmprog.runtime import device_masks
from lmprog.runtime.choice import Choice
from lmprog.runtime.device_masks import MaskPool
from lmprog.runtime.engine import Engine
from lmprog.runtime.hf import HFRunner
from lmprog.runtime.kernel_check import Tried
from lmprog.runtime.kernels import LIBRARIES, Kind, library
from lmprog.runtime.request import Request
from lmprog.runtime.sampling import Sampling
from lmprog.runtime.triton_mask import mask_kernel

from .test_device import SCHEMA, VOCAB, outcome, requests
from .toys import HF, SUPPORTED, Prompt, prompts, tiny

DEVICE = "cuda"
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device here"),
]
PROMPTS = prompts(7, 16, shared=20, longest=50, size=290)
TOKENS = 16


def model_of(family: str, dtype: str = "float32", **sizes: Any) -> Any:
    return tiny(family, dtype, **sizes).to(DEVICE)


def assert_near(model: Any, prompt: Prompt, ids: list[int], tolerance: float) -> None:
    """Each token is the stock model's best after those before it, or within `tolerance` of it."""
    whole = torch.tensor([[*prompt, *ids]], device=DEVICE)
    with torch.inference_mode():
        logits = model(whole, use_cache=False).logits[0, len(prompt) - 1 : -1].double()
    chosen = logits.gather(1, whole[0, len(prompt) :, None])[:, 0]

    assert float((logits.amax(1) - chosen).max()) < tolerance


@pytest.mark.parametrize("family", SUPPORTED)
def test_greedy_is_the_stock_models(family: str) -> None:
    model = model_of(family)
    different: list[dict[str, Any]] = [
        {},
        {"reuse": False},
        {"slots": 150, "max_batch_tokens": 40, "max_running": 4},
    ]
    for settings in different:
        with Engine(HFRunner(model), HF, **settings) as engine:
            results = engine.generate([Request(p, TOKENS, ignore_eos=True) for p in PROMPTS])
        for prompt, result in zip(PROMPTS, results, strict=True):
            assert_near(model, prompt, result.ids, 1e-3)


@pytest.mark.parametrize("kernels", [None, "none"])
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("family", ["Llama", "Gemma3Text", "Gemma2", "GPT2"])
def test_greedy_in_sixteen_bits(family: str, dtype: str, kernels: str | None) -> None:
    """Heads of 64, so that all libraries take part; a shared prefix long enough for a pass of its own."""
    sizes: dict[str, Any] = {"hidden_size": 256, "max_position_embeddings": 1024}
    if family == "GPT2":
        sizes = {"n_embd": 256, "n_positions": 1024}
    elif family != "Llama":
        sizes["head_dim"] = 64
    model = model_of(family, dtype, **sizes)
    head = np.random.default_rng(1).integers(2, 290, 300).tolist()
    todo = [Request([*head, *p], TOKENS, ignore_eos=True) for p in PROMPTS]
    with Engine(HFRunner(model, kernels=kernels), HF) as engine:
        results = engine.generate(todo)
    with torch.inference_mode():
        scale = float(model(torch.tensor([PROMPTS[0]], device=DEVICE)).logits.abs().max())
    for request, result in zip(todo, results, strict=True):
        assert_near(model, list(request.ids), result.ids, 0.05 * scale)


@pytest.mark.parametrize("family", ["Llama", "Gemma2"])
def test_draws_on_the_device_are_those_of_the_host(family: str) -> None:
    """In double precision, so that the same numbers decide."""
    model = model_of(family, "float64")
    with Engine(HFRunner(model, on_device=False, graphs=False), VOCAB) as engine:
        expected = engine.generate(requests())
    runner = HFRunner(model)
    with Engine(runner, VOCAB) as engine:
        got = engine.generate(requests())

    assert runner.on_device
    assert [outcome(r) for r in expected] == [outcome(r) for r in got]


@pytest.mark.parametrize("family", ["Llama", "Qwen3", "Gemma3Text", "Gemma2", "GPT2"])
def test_graphs_give_what_plain_steps_give(family: str) -> None:
    model = model_of(family, "float64")
    todo = [Request(p, 5 + i, sampling=Sampling(i % 2, seed=i)) for i, p in enumerate(PROMPTS)]
    with Engine(HFRunner(model, graphs=False), HF) as engine:
        expected = [r.ids for r in engine.generate(todo)]
    runner = HFRunner(model, graphs=True)
    for running in (64, 5, 1):
        with Engine(runner, HF, max_running=running) as engine:
            assert expected == [r.ids for r in engine.generate(todo)]

    assert runner._static is not None
    assert not runner._static.off
    assert runner._static.replays > 20


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_determinism(dtype: str) -> None:
    model = model_of("Llama", dtype)
    todo = [Request(p, TOKENS, ignore_eos=True) for p in PROMPTS]
    runner = HFRunner(model, deterministic=True)
    seen = []
    different: list[dict[str, Any]] = [{}, {"max_running": 1}, {"reuse": False, "max_batch_tokens": 7}]
    for settings in different:
        with Engine(runner, HF, **settings) as engine:
            seen.append([r.ids for r in engine.generate(todo)])

    assert seen[0] == seen[1] == seen[2]


@pytest.mark.parametrize("name", LIBRARIES)
@pytest.mark.parametrize("window", [None, 4])
@pytest.mark.parametrize("heads", [(8, 8), (8, 2)])
def test_kernels_are_right(name: str, window: int | None, heads: tuple[int, int]) -> None:
    try:
        found = library(name)
    except ImportError as error:
        pytest.skip(f"{name} is not installed: {error}")
    assert found is not None
    tried = Tried(found, torch.device(DEVICE))
    for dtype in (torch.bfloat16, torch.float16):
        for width in (64, 128):
            kind = Kind(*heads, width, dtype, width**-0.5, window, None, True)
            assert tried.fits(kind)
            assert window is not None or tried.fits(kind._replace(causal=False))


def test_the_mask_kernel_does_what_torch_does() -> None:
    if mask_kernel() is None:
        pytest.skip("Triton is not installed")
    size, rng = 5003, np.random.default_rng(0)
    some = [np.sort(rng.permutation(size)[:n]).astype(np.int32) for n in (1, 40, 2500, size)]
    choices = [Choice(), *(Choice(row=device_masks.packed(ids, size)) for ids in some)]
    logits = torch.randn(len(choices), size)
    logits[2, 7] = torch.nan
    results = []
    for device in (torch.device("cpu"), torch.device(DEVICE)):
        pool, held = MaskPool(size, device), logits.to(device, copy=True)
        pool.apply(held, torch.tensor(pool.indices(choices), device=device))
        results.append(held.cpu())

    assert torch.equal(results[0].nan_to_num(nan=9e9), results[1].nan_to_num(nan=9e9))


def test_memory_does_not_grow() -> None:
    constraint = compile(json_schema(SCHEMA, whitespace="compact"), VOCAB)
    with Engine(HFRunner(model_of("Llama", "bfloat16")), VOCAB) as engine:
        used = []
        for round in range(6):
            todo = prompts(round, 24, shared=20, longest=40, size=290)
            engine.generate([Request(p, 40, constraint, sampling=Sampling(1.0, seed=i)) for i, p in enumerate(todo)])
            gc.collect()
            used.append(torch.cuda.memory_allocated())
        engine.check()

    assert max(used[3:]) <= 1.05 * used[2]


def test_the_pool_takes_half_of_the_free_memory() -> None:
    runner = HFRunner(model_of("Llama", "bfloat16"))
    slots = runner.reserve(None)

    assert slots * runner.slot_bytes <= torch.cuda.mem_get_info()[1] // 2
    assert slots > 1 << 16 or slots * runner.slot_bytes > torch.cuda.mem_get_info()[1] // 8
