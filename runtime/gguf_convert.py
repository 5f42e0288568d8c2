"""Gemma 3 (text) from GGUF to a Hugging Face folder with float32 safetensors.

Everything is streamed: the largest block in memory is a few megabytes, whatever the size of the model. The transformers
GGUF path takes over a minute and several gigabytes for the same.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .gguf_file import GgufFile, Tensor
from .gguf_tokenizer import write_tokenizer

Progress = Callable[[int, int], None]  # bytes of weights written, of how many

_OUTER = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
_LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "post_attention_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "post_ffw_norm": "post_feedforward_layernorm",
}
_LOCAL_ROPE_BASE = 10_000.0  # of every Gemma 3; GGUF stores the global base only
_LOCAL_LAYERS_PER_GLOBAL = 5


def convert(gguf: GgufFile, folder: Path, progress: Progress = lambda done, total: None) -> None:
    """Writes config, weights and tokenizer of `gguf` into the existing folder `folder`.

    Raises:
        ValueError: not a Gemma 3 text model, or an unknown tensor.
        OSError: the folder cannot be written.
    """
    _write_json(folder / "config.json", model_config(gguf))
    _write_json(folder / "generation_config.json", _generation_config(gguf.metadata))
    write_tokenizer(gguf.metadata, folder)
    write_weights(gguf, folder / "model.safetensors", progress)


def model_config(gguf: GgufFile) -> dict[str, Any]:
    """The `Gemma3TextConfig` as it stands in config.json."""
    meta = gguf.metadata
    if meta["general.architecture"] != "gemma3":
        raise ValueError(f"only Gemma 3 text models can be converted, not {meta['general.architecture']!r}")
    layers, head = meta["gemma3.block_count"], meta["gemma3.attention.key_length"]
    period = _LOCAL_LAYERS_PER_GLOBAL + 1
    return {
        "architectures": ["Gemma3ForCausalLM"],
        "model_type": "gemma3_text",
        "dtype": "float32",
        "vocab_size": gguf.tensors["token_embd.weight"].shape[0],
        "hidden_size": meta["gemma3.embedding_length"],
        "intermediate_size": meta["gemma3.feed_forward_length"],
        "num_hidden_layers": layers,
        "num_attention_heads": meta["gemma3.attention.head_count"],
        "num_key_value_heads": meta["gemma3.attention.head_count_kv"],
        "head_dim": head,
        "query_pre_attn_scalar": head,  # true of every size but 27B, which GGUF does not tell apart
        "max_position_embeddings": meta["gemma3.context_length"],
        "rms_norm_eps": float(str(np.float32(meta["gemma3.attention.layer_norm_rms_epsilon"]))),
        "sliding_window": meta["gemma3.attention.sliding_window"],
        "layer_types": ["sliding_attention" if (i + 1) % period else "full_attention" for i in range(layers)],
        "rope_parameters": {
            "full_attention": {"rope_type": "default", "rope_theta": meta["gemma3.rope.freq_base"]},
            "sliding_attention": {"rope_type": "default", "rope_theta": _LOCAL_ROPE_BASE},
        },
        "tie_word_embeddings": "output.weight" not in gguf.tensors,
        "bos_token_id": meta["tokenizer.ggml.bos_token_id"],
        "eos_token_id": meta["tokenizer.ggml.eos_token_id"],
        "pad_token_id": meta["tokenizer.ggml.padding_token_id"],
    }


def hf_name(name: str) -> str:
    """The transformers name of a GGUF tensor, such as `blk.3.attn_q.weight`."""
    layer = re.fullmatch(r"blk\.(\d+)\.(\w+)\.weight", name)
    if layer and layer[2] in _LAYER:
        return f"model.layers.{layer[1]}.{_LAYER[layer[2]]}.weight"
    stem = name.removesuffix(".weight")
    if stem in _OUTER:
        return f"{_OUTER[stem]}.weight"
    raise ValueError(f"unknown tensor {name!r} in a Gemma 3 GGUF file")


def write_weights(gguf: GgufFile, path: Path, progress: Progress) -> None:
    """One safetensors file, float32, tensors in the order of the GGUF file."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    total = 0
    for tensor in gguf.tensors.values():
        size = 4 * math.prod(tensor.shape)
        offsets = [total, total + size]
        header[hf_name(tensor.name)] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": offsets}
        total += size
    text = json.dumps(header).encode()
    text += b" " * (-(len(text) + 8) % 64)  # the data begin at an aligned byte
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        done = 0
        for tensor in gguf.tensors.values():
            for block in _weights(gguf, tensor):
                done += file.write(block.data)
                progress(done, total)


def _weights(gguf: GgufFile, tensor: Tensor) -> Iterator[NDArray[np.float32]]:
    # GGUF stores norms as the factor itself, transformers multiplies by 1 + weight
    norm = tensor.name.endswith("norm.weight")
    return (block - np.float32(1) if norm else block for block in gguf.rows(tensor))


def _generation_config(meta: dict[str, Any]) -> dict[str, Any]:
    tokens: list[str] = meta["tokenizer.ggml.tokens"]
    eos = [meta["tokenizer.ggml.eos_token_id"], tokens.index("<end_of_turn>")]
    return {
        "bos_token_id": meta["tokenizer.ggml.bos_token_id"],
        "eos_token_id": eos,
        "pad_token_id": meta["tokenizer.ggml.padding_token_id"],
    }


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n")
