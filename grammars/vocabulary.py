"""A tokenizer's vocabulary as bytes."""

from __future__ import annotations

import hashlib
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ._native import Slices, Trie
from .letters import KINDS

_UTF8_BYTES = frozenset({*range(0xC0), *range(0xC2, 0xF5)})


class Vocabulary:
    """`token_bytes[i]` is what token i stands for in text; None for special tokens, which are never text.

    `eos`: ids that end a text. `encode`: bytes to ids as the tokenizer would (longest match from the left otherwise).
    `memory`: bytes that compiled constraints and their masks may take, about; beyond, the longest unused go.
    """

    def __init__(
        self,
        token_bytes: Sequence[bytes | None],
        eos: Iterable[int],
        encode: Callable[[bytes], list[int]] | None = None,
        memory: int = 1 << 30,
    ) -> None:
        self.memory = memory
        self.variants: dict[Hashable, Any] = {}  # what others derive from it and keep as long as it
        self.token_bytes = list(token_bytes)
        self.eos = frozenset(eos)
        for i in self.eos:
            if not 0 <= i < len(self.token_bytes):
                raise ValueError(f"eos id {i} is outside the vocabulary of {len(self.token_bytes)} tokens")
            self.token_bytes[i] = None
        self._encode = encode

    @classmethod
    def from_tokenizer(cls, tokenizer: Any, eos: Iterable[int] | None = None) -> Vocabulary:
        """Of a Hugging Face tokenizer (byte-level BPE, SentencePiece, WordPiece) or a tiktoken encoding.

        See tokenizers.py for what a token stands for. Raises UnsupportedConstraint for other kinds.
        """
        from .plain_text import PlainText
        from .tokenizers import is_tiktoken, token_bytes

        tokens = token_bytes(tokenizer)
        if is_tiktoken(tokenizer):
            ends = [tokenizer.eot_token] if eos is None else eos
            return cls(tokens, ends, lambda data: list(tokenizer.encode_ordinary(data.decode())))
        ids = [getattr(tokenizer, "eos_token_id", None)] if eos is None else eos
        return cls(tokens, [i for i in ids if i is not None], PlainText(tokenizer, tokens))

    @classmethod
    def from_ranks(cls, ranks: Mapping[bytes, int], eos: Iterable[int]) -> Vocabulary:
        """Of a tiktoken-style table of tokens and their ids; all other ids up to the greatest EOS are special."""
        ends = list(eos)
        tokens: list[bytes | None] = [None] * (max([*ranks.values(), *ends]) + 1)
        for token, i in ranks.items():
            tokens[i] = token
        return cls(tokens, ends)

    @property
    def size(self) -> int:
        return len(self.token_bytes)

    @property
    def words(self) -> int:
        """int32 words of a mask row."""
        return (self.size + 31) // 32

    @cached_property
    def trie(self) -> Trie:
        return Trie(self.token_bytes)

    @cached_property
    def slices(self) -> Slices:
        return Slices(self.token_bytes, KINDS)

    @cached_property
    def lengths(self) -> npt.NDArray[np.int32]:
        """int32 [V]: bytes of each token, 0 for special ones."""
        return np.fromiter((len(t) if t else 0 for t in self.token_bytes), np.int32, self.size)

    @cached_property
    def longest(self) -> int:
        """Bytes of the longest token."""
        return int(self.lengths.max(initial=1))

    @cached_property
    def _longest_from(self) -> list[int]:
        """Bytes of the longest token that starts with each byte."""
        out = [0] * 256
        for token in self.ids:
            out[token[0]] = max(out[token[0]], len(token))
        return out

    @cached_property
    def complete(self) -> bool:
        """Every byte of UTF-8 text is a token by itself, so any text can be spelt."""
        return {t[0] for t in self.token_bytes if t and len(t) == 1} >= _UTF8_BYTES

    @cached_property
    def ids(self) -> dict[bytes, int]:
        """Token bytes to the least id that spells them."""
        return {t: i for i, t in reversed(list(enumerate(self.token_bytes))) if t}

    @cached_property
    def spelling(self) -> bytes:
        """Equal for vocabularies with the same text under the same ids, whatever special tokens they have."""
        digest = hashlib.blake2b()
        for i, token in enumerate(self.token_bytes):
            if token:
                digest.update(b"%d:%d:%b" % (i, len(token), token))
        return digest.digest()

    @cached_property
    def eos_row(self) -> npt.NDArray[np.int32]:
        """A mask row with the EOS ids alone."""
        row = np.zeros(self.words, np.uint32)
        for i in self.eos:
            row[i >> 5] |= np.uint32(1 << (i & 31))
        return row.view(np.int32)

    def encode(self, data: bytes) -> list[int]:
        """Ids that spell exactly `data`: the tokenizer's own choice wherever it has one."""
        if self._encode is not None:
            try:
                ids = self._encode(data)
                if self.decode(ids) == data:
                    return ids
            except UnicodeDecodeError:
                pass  # a piece of a code point
        return self.longest_match(data)

    def longest_match(self, data: bytes) -> list[int]:
        """Greedy spelling from the left; the shortest one where that leads nowhere; ValueError when there is none."""
        out, at = [], 0
        while at < len(data):
            for size in range(min(self._longest_from[data[at]], len(data) - at), 0, -1):
                token = self.ids.get(data[at : at + size])
                if token is not None:
                    out.append(token)
                    at += size
                    break
            else:
                return self._shortest_spelling(data)
        return out

    def _shortest_spelling(self, data: bytes) -> list[int]:
        best = {0: (0, 0, -1)}  # of each end that can be spelt: the number of tokens, where the last one starts, its id
        for at in range(len(data)):
            if at in best:
                count = best[at][0] + 1
                for end in range(at + 1, min(at + self.longest, len(data)) + 1):
                    token = self.ids.get(data[at:end])
                    if token is not None and (end not in best or count < best[end][0]):
                        best[end] = (count, at, token)
        end, out = len(data), list[int]()
        if end not in best:
            raise ValueError(
                f"no tokens of this vocabulary spell what is at byte {max(best)}: {data[max(best) :][:9]!r}"
            )
        while end:
            _, end, token = best[end]
            out.append(token)
        return out[::-1]

    def decode(self, ids: Iterable[int]) -> bytes:
        """The bytes of `ids`; special tokens give none."""
        return b"".join([self.token_bytes[i] or b"" for i in ids])

    def extendable(self, tail: bytes) -> bool:
        """Whether some token starts with `tail` and is longer."""
        at = bisect_right(self._sorted, tail)
        return at < len(self._sorted) and self._sorted[at].startswith(tail)

    def starting_with(self, data: bytes) -> npt.NDArray[np.int32]:
        """The ids of the tokens whose bytes begin with `data`."""
        end = bisect_right(self._sorted, data + b"\xff" * self.longest)
        return self._order[bisect_left(self._sorted, data) : end]

    def same(self, data: bytes) -> npt.NDArray[np.int32]:
        """The ids of the tokens whose bytes are `data`."""
        return self._order[bisect_left(self._sorted, data) : bisect_right(self._sorted, data)]

    @cached_property
    def _order(self) -> npt.NDArray[np.int32]:
        """The ids of text tokens, sorted by their bytes."""
        ids = [i for i, t in enumerate(self.token_bytes) if t]
        return np.array(sorted(ids, key=lambda i: self.token_bytes[i] or b""), np.int32)

    @cached_property
    def _sorted(self) -> list[bytes]:
        return [self.token_bytes[i] or b"" for i in self._order.tolist()]

    def __repr__(self) -> str:
        return f"Vocabulary({self.size} tokens, eos={sorted(self.eos)})"
