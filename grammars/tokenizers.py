"""Hugging Face tokenizers seen as bytes: what each token stands for.

The rules are read from the tokenizer's own decoder: byte-level alphabets (GPT-2), `▁` for a space with `<0xNN>` byte
fallback (SentencePiece).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from .errors import UnsupportedConstraint

_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>\Z")


def byte_alphabet() -> dict[str, int]:
    """GPT-2's printable stand-ins for bytes."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [b for b in range(256) if b not in printable]
    return {chr(b): b for b in printable} | {chr(256 + i): b for i, b in enumerate(hidden)}


def token_bytes(tokenizer: Any) -> list[bytes | None]:
    """Bytes of every id below the vocabulary's size; None for special tokens and holes in the numbering."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise UnsupportedConstraint(
            f"{type(tokenizer).__name__} has no fast tokenizer; save it as tokenizer.json first"
        )
    decoder = backend.decoder  # its state alone: serialising a vocabulary of 262,144 tokens takes seconds
    rule = _rule(None if decoder is None else json.loads(decoder.__getstate__()))
    vocabulary = backend.get_vocab(with_added_tokens=True)
    out: list[bytes | None] = [None] * (max(vocabulary.values()) + 1)
    for token, i in vocabulary.items():
        out[i] = rule(token)
    for i, added in backend.get_added_tokens_decoder().items():
        out[i] = None if added.special else added.content.encode()
    return out


def _rule(decoder: dict[str, Any] | None) -> Callable[[str], bytes]:
    kinds = {part.get("type") for part in _parts(decoder, "decoders")}
    if "ByteLevel" in kinds:
        alphabet = byte_alphabet()
        return lambda token: _byte_level(token, alphabet)
    if "WordPiece" in kinds:
        raise UnsupportedConstraint("a WordPiece vocabulary cannot spell arbitrary text")
    space = "▁" if {"Metaspace", "Replace"} & kinds else None
    return lambda token: _sentencepiece(token, space, "ByteFallback" in kinds)


def _parts(stage: dict[str, Any] | None, below: str) -> list[dict[str, Any]]:
    """A pipeline stage of tokenizer.json as the list of its steps."""
    if stage is None:
        return []
    steps: list[dict[str, Any]] = stage[below] if stage.get("type") == "Sequence" else [stage]
    return steps


def _byte_level(token: str, alphabet: dict[str, int]) -> bytes:
    return bytes([alphabet[c] for c in token]) if all(c in alphabet for c in token) else token.encode()


def _sentencepiece(token: str, space: str | None, fallback: bool) -> bytes:
    if fallback and (found := _BYTE.match(token)):
        return bytes((int(found[1], 16),))
    return (token.replace(space, " ") if space else token).encode()
