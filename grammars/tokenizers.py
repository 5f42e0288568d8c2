"""Tokenizers seen as bytes: what each token stands for in the middle of a text.

Hugging Face tokenizers are read by their own decoder: byte-level alphabets (GPT-2), `▁` for a space with `<0xNN>` byte
fallback (SentencePiece), words with `##` continuations (WordPiece); tiktoken encodings know their bytes.

At the very start of a text some decoders leave out a space that the first token stands for (SentencePiece with a prefix
space, WordPiece). Constraints continue a prompt, so here that space always counts; for a text that begins with nothing
before it, the space is a prefix: `constraint.start(b" ")`. A WordPiece word is a space and the word (a sign is what the
decoder's `cleanup` makes of it), so what follows a space or a line break in a text, or begins without one, can often
not be spelt: such constraints are refused as EmptyLanguage. transformers' `clean_up_tokenization_spaces` changes texts
after decoding and must be off.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from .errors import UnsupportedConstraint

_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>\Z")
_SPACES = ("Metaspace", "Replace")


def byte_alphabet() -> dict[str, int]:
    """GPT-2's printable stand-ins for bytes."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [b for b in range(256) if b not in printable]
    return {chr(b): b for b in printable} | {chr(256 + i): b for i, b in enumerate(hidden)}


def token_bytes(tokenizer: Any) -> list[bytes | None]:
    """Bytes of every id below the vocabulary's size; None for special and unknown tokens and holes in the numbering.

    Raises UnsupportedConstraint for tokenizers whose tokens do not stand for bytes of their own.
    """
    if is_tiktoken(tokenizer):
        return _tiktoken_bytes(tokenizer)
    backend = backend_of(tokenizer)
    rule = _rule(backend.decoder)
    vocabulary = backend.get_vocab(with_added_tokens=True)
    out: list[bytes | None] = [None] * (max(vocabulary.values()) + 1)
    never = _never_text(tokenizer, backend)
    for token, i in vocabulary.items():
        out[i] = None if i in never else rule(token)
    return out


def backend_of(tokenizer: Any) -> Any:
    """The `tokenizers.Tokenizer` inside a tokenizer of transformers, or the tokenizer if it is one."""
    backend = getattr(tokenizer, "backend_tokenizer", tokenizer)
    if not hasattr(backend, "get_added_tokens_decoder"):
        raise UnsupportedConstraint(
            f"{type(tokenizer).__name__} has no fast tokenizer; save it as tokenizer.json first"
        )
    return backend


def is_tiktoken(tokenizer: Any) -> bool:
    return hasattr(tokenizer, "decode_single_token_bytes")


def _tiktoken_bytes(encoding: Any) -> list[bytes | None]:
    special = {encoding.encode_single_token(name) for name in encoding.special_tokens_set}
    out: list[bytes | None] = [None] * encoding.n_vocab
    for i in range(encoding.n_vocab):
        if i not in special:
            try:
                out[i] = encoding.decode_single_token_bytes(i)
            except KeyError:  # a hole in the numbering
                out[i] = None
    return out


def _never_text(tokenizer: Any, backend: Any) -> set[int | None]:
    """The ids that are control tokens whatever they look like, and the one that stands for what cannot be spelt."""
    never: set[int | None] = {i for i, added in backend.get_added_tokens_decoder().items() if added.special}
    never.update(getattr(tokenizer, "all_special_ids", ()))
    model = backend.model
    if hasattr(model, "unk_token"):
        never.add(None if model.unk_token is None else backend.token_to_id(model.unk_token))
    else:
        never.add(json.loads(model.__getstate__())["unk_id"])
    return never


def _rule(decoder: Any) -> Callable[[str], bytes]:
    if decoder is None:  # what the library does without one
        return lambda token: f" {token}".encode()
    steps = flattened(json.loads(decoder.__getstate__()), "decoders")  # serialising all would take seconds
    for at, step in enumerate(steps):
        if not _is_known(step, [before["type"] for before in steps[:at]]):
            raise UnsupportedConstraint(f"what tokens stand for under the tokenizer's decoder {step} is not known")
    kinds = [step["type"] for step in steps]
    if "WordPiece" in kinds:
        return lambda token: str(decoder.decode(["", token])).encode()
    if "ByteLevel" in kinds:
        alphabet = byte_alphabet()
        return lambda token: _byte_level(token, alphabet)
    spaces = [step.get("replacement") or step["pattern"]["String"] for step in steps if step["type"] in _SPACES]
    return lambda token: _sentencepiece(token, spaces, "ByteFallback" in kinds)


def flattened(stage: dict[str, Any] | None, below: str) -> list[dict[str, Any]]:
    """A pipeline stage of tokenizer.json as the list of its steps."""
    if stage is None:
        return []
    return [step for part in stage[below] for step in flattened(part, below)] if below in stage else [stage]


def _is_known(step: dict[str, Any], before: list[str]) -> bool:
    """Whether it is clear what the step makes of a token, whatever comes before and after that."""
    match step:
        case {"type": "Metaspace"} | {"type": "Replace", "pattern": {"String": _}, "content": " "}:
            return "ByteFallback" not in before  # or it would also change what bytes spell together
        case {"type": "Strip", "stop": 0}:  # the front of the whole text, once that is one piece
            return not {"Fuse", "ByteLevel"}.isdisjoint(before)
    return step["type"] in ("ByteLevel", "ByteFallback", "Fuse", "WordPiece")


def _byte_level(token: str, alphabet: dict[str, int]) -> bytes:
    return bytes([alphabet[c] for c in token]) if all(c in alphabet for c in token) else token.encode()


def _sentencepiece(token: str, spaces: list[str], fallback: bool) -> bytes:
    if fallback and (found := _BYTE.match(token)):
        return bytes((int(found[1], 16),))
    for space in spaces:
        token = token.replace(space, " ")
    return token.encode()
