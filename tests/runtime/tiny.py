"""Tiny tokenizers of several families, and tiny random models with one of them, as Hugging Face folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

CORPUS = ["the cat sat on the mat, the end", "<|user|> is text; naïve café", "user\nassistant\nsystem\n"] * 3
CHATML = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] not in ['system', 'user', 'assistant'] %}"
    "{{ raise_exception('no role ' + m['role']) }}{% endif %}"
    "<|start|>{{ m['role'] }}\n{{ m['content'] | trim }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)
SPECIAL = ["<s>", "</s>", "<|start|>", "<|end|>"]


def byte_level(normalizer: Any = None, **options: Any) -> Any:
    """As GPT-2 and Qwen have it; a BOS is put in front."""
    backend = Tokenizer(models.BPE())
    backend.normalizer = normalizer
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    backend.train_from_iterator(
        CORPUS,
        trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, special_tokens=SPECIAL, show_progress=False),
    )
    return wrapped(backend, **options)


def sentencepiece() -> Any:
    """As Llama 2 has it: a space is put in front of every text, rare characters are spelt in bytes."""
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *"abcdefgt", "▁a", "ab"]
    vocab = {piece: i for i, piece in enumerate(pieces)}
    backend = Tokenizer(models.BPE(vocab, [("▁", "a"), ("a", "b")], unk_token="<unk>", byte_fallback=True))
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    backend.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    backend.add_special_tokens(["<unk>", "<s>", "</s>"])
    return wrapped(backend)


def wrapped(backend: Any, **options: Any) -> Any:
    from tokenizers.processors import TemplateProcessing

    backend.post_processor = TemplateProcessing("<s> $A", special_tokens=[("<s>", backend.token_to_id("<s>"))])
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="</s>", **options)


def phi_like() -> Any:
    """Its special tokens take the white space behind them along."""
    tokenizer = byte_level(chat_template=CHATML)
    names = [AddedToken(name, rstrip=True, special=True) for name in ("<|start|>", "<|end|>")]
    tokenizer.add_special_tokens({"additional_special_tokens": names})
    return tokenizer


def llama_folder(folder: Path, seed: int = 0, tokenizer: Any = None) -> Path:
    """A random Llama of two layers with the byte-level tokenizer and a chat template."""
    torch.manual_seed(seed)
    tokenizer = tokenizer or byte_level(chat_template=CHATML)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
