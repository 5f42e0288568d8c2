"""A Hugging Face tokenizer out of the SentencePiece vocabulary in a Gemma GGUF file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

_CONTROL, _USER_DEFINED = 3, 4  # of tokenizer.ggml.token_type
_SPACE = "▁"

# Gemma's published turn format, for base models that bring no template.
_TURNS = """\
{{ bos_token }}
{%- set system = messages[0]['content'] + '\\n\\n' if messages and messages[0]['role'] == 'system' else '' -%}
{%- for message in (messages[1:] if system else messages) -%}
{%- if message['role'] not in ('user', 'assistant') or (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}
{{ raise_exception('After an optional system message, turns must alternate user, assistant, user, ...') }}
{%- endif -%}
{{ '<start_of_turn>' + ('user' if message['role'] == 'user' else 'model') + '\\n' -}}
{{ (system if loop.first else '') + message['content'] | trim + '<end_of_turn>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<start_of_turn>model\\n' }}{%- endif -%}
"""


def write_tokenizer(meta: dict[str, Any], folder: Path) -> None:
    """tokenizer.json, tokenizer_config.json and chat_template.jinja for the vocabulary in the GGUF metadata.

    Raises:
        ValueError: another kind of vocabulary than Gemma's.
    """
    if meta["tokenizer.ggml.model"] != "llama" or meta.get("tokenizer.ggml.add_space_prefix", True):
        raise ValueError("not a Gemma vocabulary (SentencePiece BPE without a leading space)")
    compact = json.dumps(backend(meta), ensure_ascii=False, separators=(",", ":"))
    (folder / "tokenizer.json").write_text(compact, encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(_config(meta), indent=2) + "\n")
    (folder / "chat_template.jinja").write_text(meta.get("tokenizer.chat_template", _TURNS), encoding="utf-8")


def backend(meta: dict[str, Any]) -> dict[str, Any]:
    """The content of tokenizer.json."""
    kinds: Sequence[int] = meta["tokenizer.ggml.token_type"]
    tokens = list(map(_piece, meta["tokenizer.ggml.tokens"], kinds))
    vocab = {token: i for i, token in enumerate(tokens)}
    bos = tokens[meta["tokenizer.ggml.bos_token_id"]]
    start = {"SpecialToken": {"id": bos, "type_id": 0}}
    first, second = ({"Sequence": {"id": name, "type_id": i}} for i, name in enumerate("AB"))
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": list(_added(tokens, kinds)),
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": _SPACE},
        "pre_tokenizer": {
            "type": "Split",
            "pattern": {"String": " "},
            "behavior": "MergedWithPrevious",
            "invert": False,
        },
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [start, first],
            "pair": [start, first, {"SpecialToken": {"id": bos, "type_id": 1}}, second],
            "special_tokens": {bos: {"id": bos, "ids": [vocab[bos]], "tokens": [bos]}},
        },
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": _SPACE}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
            ],
        },
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": tokens[meta["tokenizer.ggml.unknown_token_id"]],
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": True,
            "ignore_merges": False,
            "vocab": vocab,
            "merges": list(_merges(vocab)),
        },
    }


def _piece(token: str, kind: int) -> str:
    # GGUF writes the runs of spaces among the user-defined tokens with real spaces
    return token.replace(" ", _SPACE) if kind == _USER_DEFINED else token


def _merges(vocab: dict[str, int]) -> Iterator[tuple[str, str]]:
    # SentencePiece numbers pieces in the order of their merges: every split of a piece into two pieces is a merge,
    # ranked by the id of the whole; among the splits of one piece the longest left part goes first
    for token in vocab:
        for cut in range(len(token) - 1, 0, -1):
            if token[:cut] in vocab and token[cut:] in vocab:
                yield token[:cut], token[cut:]


def _added(tokens: Sequence[str], kinds: Sequence[int]) -> Iterator[dict[str, Any]]:
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    for i, (token, kind) in enumerate(zip(tokens, kinds, strict=True)):
        # runs of spaces come from merges: the text holds none once the normalizer has run
        if kind == _CONTROL or (kind == _USER_DEFINED and not token.startswith(_SPACE)):
            yield {"id": i, "content": token, **flags, "special": kind == _CONTROL}


def _config(meta: dict[str, Any]) -> dict[str, Any]:
    names = {"bos": "bos", "eos": "eos", "pad": "padding", "unk": "unknown"}
    tokens = meta["tokenizer.ggml.tokens"]
    special = {f"{short}_token": tokens[meta[f"tokenizer.ggml.{name}_token_id"]] for short, name in names.items()}
    return {
        # the generic class reads tokenizer.json directly; GemmaTokenizer rebuilds it in Python, which takes 3 s more
        "tokenizer_class": "PreTrainedTokenizerFast",
        **special,
        "mask_token": "<mask>",
        "padding_side": "left",
        "clean_up_tokenization_spaces": False,
        "model_max_length": meta["gemma3.context_length"],
    }
