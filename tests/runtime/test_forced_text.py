"""Jump-forward: forced text must come out in the tokens that sampling under the masks would have given."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lmprog.grammars import compile
from lmprog.grammars.constraint import Constraint
from lmprog.grammars.regex import regex
from lmprog.grammars.sketches import tokens_of
from lmprog.grammars.vocabulary import Vocabulary
from lmprog.runtime.engine import Engine
from lmprog.runtime.request import Request, Result
from lmprog.runtime.table import TableRunner

LETTERS = "abé"
BYTES = [bytes([b]) for b in sorted(set(LETTERS.encode()))]

texts = st.text(st.sampled_from("aabb" + LETTERS), min_size=1, max_size=4)
pieces = st.lists(st.sampled_from([b"a", b"b", b"a", b"b", *BYTES]), min_size=2, max_size=5).map(b"".join)
vocabularies = st.lists(pieces, max_size=25, unique=True).map(
    lambda more: Vocabulary([*BYTES, *more, None], eos={len(BYTES) + len(more)})
)
patterns = st.recursive(
    st.tuples(texts, texts, texts).map(lambda three: "{}(?:{}|{})".format(*three)),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda two: f"(?:{two[0]}|{two[1]})"),
        inner.map(lambda one: f"(?:{one}){{1,3}}"),
        inner.map(lambda one: f"(?:{one})?"),
    ),
    max_leaves=4,
)


class MasksOnly:
    """The same constraint, which never says that text is forced."""

    def __init__(self, constraint: Constraint) -> None:
        self._constraint = constraint

    def __getattr__(self, name: str) -> Any:
        return getattr(self._constraint, name)

    def forced_tokens(self, state: int) -> list[int]:
        return []


def by_length(vocab: Vocabulary, seed: int) -> Any:
    """A model that spells as its tokenizer does, with the longest token; between texts it chooses at random."""
    lengths = 10.0 * vocab.lengths

    def logits(prefix: tuple[int, ...]) -> NDArray[np.float64]:
        said = vocab.decode(prefix[1:])
        return np.asarray(lengths + np.random.default_rng([seed, *said]).normal(size=vocab.size))

    return logits


def run(vocab: Vocabulary, constraint: Any, seed: int) -> Result:
    with Engine(TableRunner(by_length(vocab, seed), vocab.size), vocab, slots=1 << 10) as engine:
        return engine.generate([Request([0], 120, constraint)])[0]


@settings(max_examples=250, deadline=None)
@given(vocab=vocabularies, pattern=patterns, seed=st.integers(0, 99))
def test_forced_tokens_are_those_that_the_masks_lead_to(vocab: Vocabulary, pattern: str, seed: int) -> None:
    constraint = compile(regex(pattern), vocab)
    sampled, jumped = run(vocab, MasksOnly(constraint), seed), run(vocab, constraint, seed)

    assert sampled.ids == jumped.ids
    assert sampled.finish == jumped.finish
    assert jumped.sampled_tokens <= sampled.sampled_tokens


@settings(max_examples=100, deadline=None)
@given(vocab=vocabularies, pattern=patterns, seed=st.integers(0, 99))
def test_forced_tokens_spell_the_forced_bytes(vocab: Vocabulary, pattern: str, seed: int) -> None:
    """At every state of a random walk: exactly the first of the bytes, each token within its mask."""
    constraint, rng = compile(regex(pattern), vocab), np.random.default_rng(seed)
    at: int | None = constraint.start()
    while at is not None and not constraint.finished(at):
        s: int | None = at
        data, tokens = constraint.forced(at), constraint.forced_tokens(at)
        assert data.startswith(vocab.decode(tokens))
        assert vocab.encode(data)[: len(tokens)] == tokens
        for token in tokens:
            assert s is not None
            assert token in tokens_of(constraint.mask(s))
            s = constraint.advance(s, token)
        assert s is not None
        ids = tokens_of(constraint.mask(at))
        at = constraint.advance(at, int(rng.choice(ids)))


def test_a_token_that_reaches_over_several_forced_ones_stays_open() -> None:
    """ "abx" covers the places of both forced letters, and no token covers that of the second alone."""
    vocab = Vocabulary([b"a", b"b", b"x", b"y", b"abx", None], eos={5})
    constraint = compile(regex("ab[xy]"), vocab)

    assert b"ab" == constraint.forced(constraint.start())
    assert [] == constraint.forced_tokens(constraint.start())
