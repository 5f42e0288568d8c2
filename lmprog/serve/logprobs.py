"""Log-probabilities in the two shapes of OpenAI's API."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..grammars import Vocabulary
from .generate import Token

LEAST = -9999.0  # OpenAI's way to write minus infinity, which JSON cannot

Json = dict[str, Any]


def for_chat(tokens: Sequence[Token], vocab: Vocabulary) -> Json:
    content = []
    for token in tokens:
        top = [_entry(vocab.token_bytes[i] or b"", logprob) for i, logprob in token.top.items()]
        content.append({**_entry(token.data, token.logprob), "top_logprobs": top})
    return {"content": content, "refusal": None}


def _entry(data: bytes, logprob: float) -> Json:
    return {"token": data.decode(errors="replace"), "logprob": _finite(logprob), "bytes": list(data)}


def for_completion(tokens: Sequence[Token], vocab: Vocabulary, offset: int) -> Json:
    """`offset`: characters of the answer before the first token."""
    offsets = []
    for token in tokens:
        offsets.append(offset)
        offset += len(token.data.decode(errors="ignore"))
    return {
        "tokens": [token.data.decode(errors="replace") for token in tokens],
        "token_logprobs": [_finite(token.logprob) for token in tokens],
        "top_logprobs": [_by_text(token, vocab) for token in tokens],
        "text_offset": offsets,
    }


def _by_text(token: Token, vocab: Vocabulary) -> dict[str, float]:
    """The likeliest of the tokens with the same text stands for them; the one that came is among them."""
    found: dict[str, float] = {}
    for i, logprob in token.top.items():
        found.setdefault((vocab.token_bytes[i] or b"").decode(errors="replace"), _finite(logprob))
    found.setdefault(token.data.decode(errors="replace"), _finite(token.logprob))
    return found


def _finite(logprob: float) -> float:
    return logprob if math.isfinite(logprob) else LEAST
