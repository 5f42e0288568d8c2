"""What parts are replaced by: for each token of the text a few others, drawn by the model's own predictions.

In the place of a token comes what the model would have written there, given the original text before it, but nothing
that is in the part already, so that what the part says is gone:

    p(r | text before) / sum of p(s | text before) over all s that are text and no token of the part

Tokens of one part are drawn independently of one another, all from a single reading of the text. (Considered: to
sample a part as one continuation, which costs a request for each draw and drifts away from the length and the form of
the text; ReAGent's second, bidirectional model, which is one more model to load.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..grammars import Vocabulary
from ..runtime.request import Ask, Request, Result

Ids = NDArray[np.int32]
Floats = NDArray[np.float64]
Replacement = Literal["model", "uniform", "delete"]
CHUNK = 1 << 23  # log-probabilities that are held at once
LEAST = 1e-12  # of all probability: where others have less, they are drawn evenly


class Drawer:
    """Draws replacements. `ask` has the model answer a request; `even`: every other text is as likely."""

    def __init__(self, vocab: Vocabulary, ask: Callable[[Request], Result], even: bool) -> None:
        self.vocab, self.ask, self.even = vocab, ask, even
        self.texts = texts_of(vocab)

    def draw(
        self, ids: Sequence[int], parts: Sequence[tuple[Sequence[int], int]], seed: tuple[int, ...]
    ) -> dict[int, list[int]]:
        """For each place of the parts so many tokens to come there as is said of the part; none where there is no
        other text."""
        words = {place: [ids[i] for i in part] for part, _ in parts for place in part}
        counts = {place: count for part, count in parts for place in part}
        drawn: dict[int, list[int]] = {}
        for place, row in self._rows(ids, sorted(words)):
            weights = others(self.vocab, self.texts, ids[place], words[place], row)
            drawn[place] = self._drawn(weights, np.random.default_rng((*seed, place)).random(counts[place]))
        return drawn

    def _rows(self, ids: Sequence[int], places: Sequence[int]) -> Iterator[tuple[int, Floats | None]]:
        """What the model says of the texts in each place; None: it is not asked, or nothing comes before."""
        asked = [] if self.even else [place for place in places if place]
        step = max(1, CHUNK // max(1, len(self.texts)))
        for at in range(0, len(asked), step):
            some = asked[at : at + step]
            result = self.ask(Request(ids[: some[-1]], 0, asks=[Ask(place, self.texts) for place in some]))
            yield from zip(some, result.answers, strict=True)
        yield from [(place, None) for place in places if self.even or not place]

    def _drawn(self, weights: Floats, uniforms: Floats) -> list[int]:
        ends = weights.cumsum()
        if not ends.size or not ends[-1]:
            return []
        last = int(np.searchsorted(ends, ends[-1]))  # the last one that has a part of the sum
        at = np.searchsorted(ends, uniforms * ends[-1], side="right")
        found: list[int] = self.texts[np.minimum(at, last)].tolist()
        return found


def texts_of(vocab: Vocabulary) -> Ids:
    """The tokens that are text by themselves."""
    return np.array([i for i, data in enumerate(vocab.token_bytes) if i not in vocab.eos and _is_text(data)], np.int32)


def _is_text(data: bytes | None) -> bool:
    try:
        return bool(data and data.decode())
    except UnicodeDecodeError:
        return False


def others(vocab: Vocabulary, texts: Ids, token: int, part: Sequence[int], logprobs: Floats | None) -> Floats:
    """The probability of each of `texts` to come instead of `token`, which stands in a part of those tokens.

    Even, where nothing else has a probability, or none is known. Where the part has every text, any other than the
    token may come; all are 0 where there is none.
    """
    gone = _same(vocab, texts, part)
    if gone.all():
        gone = _same(vocab, texts, [token])
    weights: Floats = np.where(gone, 0.0, 1.0 if logprobs is None else np.exp(logprobs))
    if weights.sum() < LEAST:
        weights = (~gone).astype(np.float64)
    total = weights.sum()
    return weights / total if total else weights


def _same(vocab: Vocabulary, texts: Ids, tokens: Sequence[int]) -> NDArray[np.bool_]:
    """Which texts, given in ascending order, are spelt as one of the tokens is."""
    ids = np.concatenate([vocab.same(data) for data in {vocab.token_bytes[token] or b"" for token in tokens}])
    at = np.searchsorted(texts, ids)
    at = at[at < len(texts)]
    found = np.zeros(len(texts), np.bool_)
    found[at] = np.isin(texts[at], ids)
    return found
