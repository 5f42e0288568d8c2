"""Text to token ids with the model's own tokenizer, byte for byte.

A Hugging Face tokenizer reads special tokens out of the data, puts a space in front (Llama 2), normalises (NFC in Qwen)
or truncates, whatever its files or its last caller told it. Here text is bytes: the ids stand for exactly these bytes,
and what looks like a special token is text.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from typing import Any

from .tokenizers import backend_of, flattened

_SPACE = "▁"  # stands for a space inside SentencePiece tokens, so the character itself needs its bytes spelt out


class PlainText:
    """Callable: bytes of UTF-8 text → ids, without BOS. Any thread may call it.

    Works on the tokenizer's own backend until that turns out to change text; then on a copy without the parts that do,
    since copying a vocabulary of 262,144 tokens takes a second and a half.
    """

    def __init__(self, tokenizer: Any, token_bytes: Sequence[bytes | None]) -> None:
        self._backend, self._own = backend_of(tokenizer), False
        self._bytes = token_bytes
        self._lock = threading.Lock()
        spelling = [self._backend.token_to_id(f"<0x{byte:02X}>") for byte in _SPACE.encode()]
        self._space: list[int] | None = None if None in spelling else spelling

    def __call__(self, data: bytes) -> list[int]:
        """Raises UnicodeDecodeError when `data` is not UTF-8."""
        text = data.decode()
        if self._space is None or _SPACE not in text:
            return self._spell(text)
        first, *rest = text.split(_SPACE)
        return self._spell(first) + [i for piece in rest for i in self._space + self._spell(piece)]

    def _spell(self, text: str) -> list[int]:
        ids = self._encode(text)
        if not self._own and b"".join([self._bytes[i] or b"" for i in ids]) != text.encode():
            with self._lock:
                if not self._own:
                    self._backend, self._own = faithful_copy(self._backend), True
            ids = self._encode(text)
        return ids

    def _encode(self, text: str) -> list[int]:
        with self._lock:
            # the tokenizer's other users switch this back; one who does so in between is caught by the comparison above
            if not self._backend.encode_special_tokens:
                self._backend.encode_special_tokens = True
            ids: list[int] = self._backend.encode(text, add_special_tokens=False).ids
        return ids


def faithful_copy(backend: Any) -> Any:
    """A copy of a `tokenizers.Tokenizer` that takes text as it is: no prefix space, normalising, truncation or so."""
    from tokenizers import Tokenizer

    state = json.loads(backend.to_str())
    state |= {"truncation": None, "padding": None}
    kept = [part for part in flattened(state["normalizer"], "normalizers") if part.get("content") == _SPACE]
    state["normalizer"] = {"type": "Sequence", "normalizers": kept} if kept else None
    for part in flattened(state["pre_tokenizer"], "pretokenizers"):
        if part["type"] == "Metaspace":
            part["prepend_scheme"] = "never"
        elif part["type"] == "ByteLevel":
            part["add_prefix_space"] = False
    copy = Tokenizer.from_str(json.dumps(state))
    copy.encode_special_tokens = True
    return copy
