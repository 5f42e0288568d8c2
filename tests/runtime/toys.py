"""Small stand-ins for what the tests run on: vocabularies, table models, tiny random Hugging Face models."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmprog.runtime.engine import Engine
from lmprog.runtime.table import TableRunner

Prompt = list[int]


@dataclass(frozen=True)
class Ids:
    """A vocabulary of bare ids."""

    size: int
    eos: frozenset[int]


TOY = Ids(12, frozenset({11}))


def toy_logits(prefix: tuple[int, ...]) -> NDArray[np.float64]:
    return np.random.default_rng(prefix).normal(size=TOY.size)


def toy_engine(**settings: Any) -> Engine:
    return Engine(TableRunner(toy_logits, TOY.size, context=settings.pop("context", 512)), TOY, **settings)


def toy_greedy(prompt: Sequence[int], n: int) -> list[int]:
    """What greedy decoding of toy_logits gives, the plain way."""
    ids = list(prompt)
    for _ in range(n):
        token = int(toy_logits(tuple(ids)).argmax())
        if token in TOY.eos:
            break
        ids.append(token)
    return ids[len(prompt) :]


def prompts(seed: int, n: int, shared: int = 6, longest: int = 12, size: int = 11) -> list[Prompt]:
    """Prompts that begin alike and end anyhow."""
    rng = np.random.default_rng(seed)
    head = rng.integers(1, size, shared)
    cuts, tails = rng.integers(0, shared + 1, n), rng.integers(1, longest + 1, n)
    return [
        [*head[:cut].tolist(), *rng.integers(1, size, tail).tolist()] for cut, tail in zip(cuts, tails, strict=True)
    ]


def edges(prompts: list[Prompt]) -> int:
    """How many tokens a radix tree of the prompts holds."""
    return len({tuple(p[:i]) for p in prompts for i in range(1, len(p) + 1)})


def unrelated(prompts: list[Prompt]) -> list[Prompt]:
    """Those of the prompts that do not begin another one."""
    return [p for p in prompts if not any(q is not p and q[: len(p)] == p for q in prompts)]


class Gate(TableRunner):
    """A table whose forwards wait for permission."""

    def __init__(self) -> None:
        super().__init__(toy_logits, TOY.size)
        self.permits = threading.Semaphore(0)
        self.waiting = threading.Event()

    def forward(self, batch: Any) -> Any:
        self.waiting.set()
        assert self.permits.acquire(timeout=30)
        return super().forward(batch)


FAMILIES: dict[str, dict[str, Any]] = {
    "Llama": {},
    "Qwen2": {},
    "Qwen3": {"head_dim": 16},
    "Mistral": {"sliding_window": 8},
    "Gemma3Text": {"head_dim": 16, "sliding_window": 8, "layer_types": ["sliding_attention", "full_attention"]},
    "Gemma2": {"head_dim": 16, "sliding_window": 8, "layer_types": ["sliding_attention", "full_attention"]},
    "GptOss": {"head_dim": 16, "sliding_window": 8, "num_local_experts": 4, "num_experts_per_tok": 2},
    "GPT2": {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 512},
    "GPTNeoX": {},
    "Phi": {},
    "Phi3": {},
    "Mixtral": {"num_local_experts": 4},
    "StableLm": {},
    "Starcoder2": {"sliding_window": 8},
    "SmolLM3": {},
    "Olmo2": {},
    "Granite": {"logits_scaling": 2.0},
    "Cohere": {"logit_scale": 0.5},
    "OPT": {"ffn_dim": 96, "word_embed_proj_dim": 64},
    "Falcon": {"alibi": True},
    "Bloom": {},
    "Llama4Text": {"head_dim": 16, "intermediate_size_mlp": 96, "num_local_experts": 2},
    "Mpt": {"d_model": 64, "n_heads": 4, "n_layers": 2, "expansion_ratio": 2},
    "GPTJ": {"n_embd": 64, "n_layer": 2, "n_head": 4, "rotary_dim": 8},
    "Mamba": {"state_size": 8},
}
REFUSED = ("Falcon", "Bloom", "Llama4Text", "Mpt", "GPTJ", "Mamba")  # they do more than attention, or none of it
SUPPORTED = tuple(family for family in FAMILIES if family not in REFUSED)
HF = Ids(300, frozenset({299}))


def tiny(family: str, dtype: str = "float32", **sizes: Any) -> Any:
    """A random Hugging Face model of a family: 2 layers, 4 heads (2 for keys), 300 tokens."""
    import torch
    import transformers

    common = {
        "vocab_size": HF.size,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "bos_token_id": 1,
        "eos_token_id": 299,
        "pad_token_id": 0,
    }
    config = getattr(transformers, f"{family}Config")(**(common | FAMILIES[family] | sizes))
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config).eval().to(getattr(torch, dtype))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:  # larger than the usual start, so that attention is not uniform
                parameter.normal_(0, 0.15)
    return model


def differences(seen: dict[tuple[int, ...], set[bytes]], exact: Any, plain: Any) -> tuple[list[float], list[float]]:
    """Relative: of the logits seen from those of a rounded model, and of these from the plain model's."""
    import torch

    errors, effects = [], []
    for ids, rows in seen.items():
        got = np.frombuffer(next(iter(rows)), np.float32)
        with torch.inference_mode():
            want, other = (m(torch.tensor([ids])).logits[0, -1].numpy() for m in (exact, plain))
        errors.append(float(np.abs(want - got).max() / np.abs(want).max()))
        effects.append(float(np.abs(want - other).max() / np.abs(want).max()))
    return errors, effects
