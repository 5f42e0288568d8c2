"""A smaller model drafts.

It is a model like any other, with an engine of its own: the texts of the sequences stay in its prefix cache, so that
each proposal costs the tokens that are new to it and those it proposes. It is asked for its likeliest tokens under the
same constraint. With another vocabulary it is asked without one, for a text that is spelt anew as bytes in both
directions (as in "any vocabulary" speculation, Timor et al. 2025, "Accelerating LLM Inference with Lossless Speculative
Decoding Algorithms for Heterogeneous Vocabularies"); special tokens are not part of that text.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence as Items
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import ContextOverflow, OutOfSlots, QueueFull
from ..request import Constraint, Request
from ..sampling import Sampling
from ..sequence import Sequence
from .tree import Tree

if TYPE_CHECKING:
    from ...grammars.vocabulary import Vocabulary
    from ..handle import Handle
    from ..model import Model

BOUNDS = (0.2, 0.4, 0.6, 0.8, 0.9, 0.97)  # chances, by the smaller model, between one kind and the next


class Small:
    """`model` drafts for a model with the vocabulary `vocab`. The model may do other work at the same time."""

    name = "model"
    chances: tuple[float, ...] = (0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95)

    def __init__(self, model: Model, vocab: Vocabulary) -> None:
        self.model, self.vocab = model, vocab
        self._same = model.vocab.token_bytes == vocab.token_bytes
        self._texts: dict[Sequence, Respelt] = {}

    def propose(self, seqs: Items[Sequence], limits: Items[int]) -> list[Tree]:
        handles = [self._submit(seq, limit) for seq, limit in zip(seqs, limits, strict=True)]
        return [self._tree(handle) for handle in handles]

    def ended(self, seq: Sequence) -> None:
        self._texts.pop(seq, None)

    def _submit(self, seq: Sequence, limit: int) -> Handle | None:
        request = self._request(seq, limit) if self._same else self._respelt(seq, limit)
        with suppress(ContextOverflow, OutOfSlots, QueueFull):  # no draft then
            return self.model.submit(request, block=False)
        return None

    def _request(self, seq: Sequence, limit: int) -> Request:
        """The rest of the request itself, greedy and cut short."""
        request, sampling = seq.request, seq.request.sampling
        constraint = request.constraint
        return replace(
            request,
            ids=seq.ids[: seq.length].tolist(),
            max_tokens=limit,
            constraint=None if constraint is None else Unhurried(constraint, seq.remaining - limit),
            state=seq.state,
            sampling=replace(sampling, temperature=0.0, arithmetic=None),
            logprobs=True,
            top_logprobs=0,
            group=None,
            timeout=None,
            on_tokens=None,
            speculate=False,
        )

    def _respelt(self, seq: Sequence, limit: int) -> Request:
        text = self._texts.get(seq)
        if text is None:
            text = self._texts[seq] = Respelt(self.model)
        text.add(self.vocab.decode(seq.ids[text.known : seq.length].tolist()), seq.length)
        return Request(text.ids, limit, sampling=Sampling(), logprobs=True, speculate=False)

    def _tree(self, handle: Handle | None) -> Tree:
        tree = Tree()
        if handle is not None:
            result = handle.result()
            tokens, chances = result.ids, [math.exp(p) for p in result.masked_logprobs]
            if not self._same:
                spelt = [self.model.vocab.token_bytes[token] or b"" for token in tokens]
                tokens, chances = respell(spelt, chances, self.vocab)
            tree.chain(tokens, [bisect_right(BOUNDS, chance) for chance in chances])
        return tree


class Respelt:
    """A sequence's text in the ids of another model; `known`: how many of its own tokens are in it."""

    def __init__(self, model: Model) -> None:
        self._vocab = model.vocab
        self.known = 0
        self.ids = [min(model.vocab.eos) if model.bos is None else model.bos]

    def add(self, data: bytes, known: int) -> None:
        self.ids += self._vocab.encode(data)
        self.known = known


def respell(spelt: list[bytes], chances: list[float], vocab: Vocabulary) -> tuple[list[int], list[float]]:
    """Tokens of `vocab` for a text given in pieces with their chances: each has that of the least likely piece that it
    has a byte of. The last one is left out if it might be longer with more text."""
    data = b"".join(spelt)
    try:
        tokens = vocab.encode(data)
    except ValueError:  # not with this vocabulary
        return [], []
    ends = np.cumsum([len(piece) for piece in spelt])
    out: list[float] = []
    start = 0
    for token in tokens:
        end = start + len(vocab.token_bytes[token] or b"")
        first, last = np.searchsorted(ends, [start, end - 1], side="right").tolist()
        out.append(min(chances[first : last + 1]))
        start = end
    if tokens and vocab.extendable(vocab.token_bytes[tokens[-1]] or b""):
        tokens.pop(), out.pop()
    return tokens, out


class Unhurried:
    """A constraint that is told of a smaller budget than there is: `more` tokens may come later."""

    def __init__(self, constraint: Constraint, more: int) -> None:
        self._inner, self._more = constraint, more
        self.advance, self.accepting, self.finished = constraint.advance, constraint.accepting, constraint.finished
        self.forced, self.forced_tokens = constraint.forced, constraint.forced_tokens
        self.start, self.distance = constraint.start, constraint.distance

    def mask(self, state: int, budget: int | None = None) -> NDArray[np.int32]:
        return self._inner.mask(state, budget=None if budget is None else budget + self._more)

    def allowed(self, state: int, limit: int = 256, budget: int | None = None) -> NDArray[np.int32] | None:
        return self._inner.allowed(state, limit=limit, budget=None if budget is None else budget + self._more)

    def fits(self, state: int, budget: int) -> bool:
        return self._inner.fits(state, budget + self._more)
