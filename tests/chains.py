"""Strings of a Markov chain over letters, and models of their tokens: the truth is known letter by letter."""

from __future__ import annotations

import itertools
import random
from collections import defaultdict
from collections.abc import Callable, Sequence

from lmprog.testing import TableModel

Encode = Callable[[str], list[str]]


class Chain:
    """Texts of exactly `length` letters; the first is uniform."""

    def __init__(self, letters: str, then: dict[str, list[float]], length: int) -> None:
        self.letters, self.then, self.length = letters, then, length

    @classmethod
    def random(cls, rng: random.Random, letters: str, length: int) -> Chain:
        rows = {}
        for letter in letters:
            row = [rng.random() + 0.05 for _ in letters]
            rows[letter] = [p / sum(row) for p in row]
        return cls(letters, rows, length)

    def prob(self, start: str) -> float:
        """Of the texts that begin so."""
        if len(start) > self.length or not start:
            return float(not start)
        found = 1 / len(self.letters)
        for a, b in itertools.pairwise(start):
            found *= self.then[a][self.letters.index(b)]
        return found

    def model(self, tokens: Sequence[str], encode: Encode) -> TableModel:
        """Of the texts' tokens, as `encode` spells them: the exact distribution of what comes next."""
        counts: dict[tuple[int, ...], list[float]] = defaultdict(lambda: [0.0] * (len(tokens) + 1))
        for text in map("".join, itertools.product(self.letters, repeat=self.length)):
            ids = [tokens.index(token) for token in encode(text)]
            for n, following in enumerate([*ids, len(tokens)]):
                counts[tuple(ids[:n])][following] += self.prob(text)
        return TableModel(tokens, lambda ids: counts[ids] if ids in counts else [1.0] * (len(tokens) + 1))


def longest_match(tokens: Sequence[str]) -> Encode:
    def encode(text: str) -> list[str]:
        found, at = [], 0
        while at < len(text):
            found.append(max((t for t in tokens if text.startswith(t, at)), key=len))
            at += len(found[-1])
        return found

    return encode


def merges(pairs: Sequence[tuple[str, str]]) -> Encode:
    """Byte pair encoding: each merge in turn, from the left, wherever it applies."""

    def encode(text: str) -> list[str]:
        found = list(text)
        for a, b in pairs:
            at = 0
            while at + 1 < len(found):
                if (found[at], found[at + 1]) == (a, b):
                    found[at : at + 2] = [a + b]
                at += 1
        return found

    return encode


def random_tokens(rng: random.Random, letters: str, kind: str) -> tuple[list[str], Encode]:
    """A vocabulary, and how its tokenizer spells texts."""
    tokens, pairs = list(letters), []
    for _ in range(rng.randint(1, 5)):
        a, b = rng.choice(tokens), rng.choice(tokens)
        if a + b not in tokens:
            tokens.append(a + b)
            pairs.append((a, b))
    return tokens, merges(pairs) if kind == "bpe" else longest_match(tokens)
