"""Quotes against the list of all substrings."""

from __future__ import annotations

import functools
import itertools
import json
import random
import re
from collections.abc import Iterator

import numpy as np
import pytest

from lmprog.grammars import EmptyLanguage, InvalidConstraint, Vocabulary, compile, literal, regex
from lmprog.grammars._native import Arena, suffixes
from lmprog.grammars.algebra import Native
from lmprog.grammars.derive import derive, minlen, nullable
from lmprog.grammars.expr import EMPTY, INF, Expr, Kind
from lmprog.grammars.quote import Quote, json_quote, quote
from lmprog.grammars.store import load, save
from lmprog.grammars.where import where

from .test_native import agree

SOURCES = ["a", "banana", "to be, or not to be", "é日 é日😀é", "aaaa", "  a\n\n", 'say "no"\\ \t twice', "x_1 x-1 é1"]


def accepted(e: Expr, so_far: bytes = b"") -> Iterator[bytes]:
    """All that a finite language accepts; every state on the way must be alive."""
    if nullable(e):
        yield so_far
    for byte in range(256):
        after = derive(e, byte)
        if after is not EMPTY and minlen(after) < INF:
            yield from accepted(after, so_far + bytes((byte,)))


def expected(source: str, low: int = 1, high: int | None = None, words: bool = False) -> set[str]:
    borders = [i for i in range(len(source) + 1) if not (words and re.compile(r"(?<=\w)(?=\w)").match(source, i))]
    spans = [source[i:j] for i, j in itertools.combinations(borders, 2)]
    return {s for s in spans if low <= len(s) <= (high or len(s))}


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(("low", "high"), [(1, None), (1, 3), (3, None), (2, 5), (4, 4)])
@pytest.mark.parametrize("words", [False, True])
def test_exactly_the_substrings(source: str, low: int, high: int | None, words: bool) -> None:
    spans = expected(source, low, high, words)
    if len(source) < low:
        with pytest.raises(EmptyLanguage, match="has no quote of"):
            quote(source, min_chars=low, max_chars=high, words=words)
        return

    e = quote(source, min_chars=low, max_chars=high, words=words).expr

    assert {b.decode() for b in accepted(e)} == spans
    assert minlen(e) == min((len(s.encode()) for s in spans), default=INF)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("words", [False, True])
def test_quotes_inside_json(source: str, words: bool) -> None:
    grammar = json_quote(source, max_chars=4, words=words)

    assert {json.loads(b) for b in accepted(grammar.expr)} == expected(source, 1, 4, words)
    for spelled in accepted(grammar.expr):
        assert spelled.decode() == json.dumps(json.loads(spelled), ensure_ascii=False)
        assert grammar.parse(spelled.decode()).text == json.loads(spelled)


@pytest.mark.parametrize("source", SOURCES)
def test_native_and_reference_agree(source: str) -> None:
    for words in (False, True):
        agree(quote(source, words=words).expr, 0)
        agree((literal("<") + quote(source, max_chars=3, words=words) + "a" + quote(source) + ">").expr, 1)


@pytest.mark.parametrize("seed", range(30))
def test_random_sources(seed: int) -> None:
    rng = random.Random(seed)
    source = "".join(rng.choices("ab é", k=rng.randrange(1, 40)))
    low = rng.randrange(1, len(source) + 1)
    high, words = rng.choice([None, low, low + 3]), rng.random() < 0.5

    e = quote(source, min_chars=low, max_chars=high, words=words).expr

    assert {b.decode() for b in accepted(e)} == expected(source, low, high, words)
    agree(e, seed)


TOKENS = ["a", "b", "n", "an", "ana", "ban", "na", "é", " ", "a b", "\n", "nab"]


@pytest.mark.parametrize("follow", ["", "\n", "a\n"])
@pytest.mark.parametrize("condition", [None, "len(x) > 2 and 'an' in x", "not x.startswith('b') and words(x) < 3"])
def test_masks_equal_brute_force(follow: str, condition: str | None) -> None:
    source = "banana banab aébé n"
    grammar = quote(source, max_chars=6)
    texts = expected(source, 1, 6)
    if condition:
        grammar = grammar & where(condition)
        texts = {t for t in texts if where(condition).matches(t)}
    if follow:  # what follows ends the value at its first occurrence
        texts = {t + follow for t in texts}
        texts = {t for t in texts if not any(t != u and t.startswith(u) for u in texts)}
    vocab = Vocabulary([*[t.encode() for t in TOKENS], None], {len(TOKENS)})
    c, rng = compile(grammar, vocab), random.Random(0)
    for _ in range(60):
        s, done = c.start(follow=follow.encode()), ""
        while True:
            rests = {t[len(done) :] for t in texts if t.startswith(done)}
            wanted = {i for i, t in enumerate(TOKENS) if any(r.startswith(t) for r in rests)}
            ids = c.allowed(s)
            assert ids is not None
            allowed = set(ids.tolist())
            if not follow:
                assert allowed == wanted | ({len(TOKENS)} if "" in rests else set())
            else:  # a token may go beyond what follows
                assert wanted <= allowed
            steps = sorted(allowed - {len(TOKENS)})
            if not steps or c.finished(s):
                break
            token = rng.choice(steps)
            s, done = c.advance(s, token) or 0, done + TOKENS[token]
            if follow and c.finished(s):
                assert any(t.startswith(done) or done.startswith(t) for t in texts)
                break


def test_values_say_where_they_stand() -> None:
    source = "to be, or not to be: tobe"
    found = quote(source, words=True).parse("to be")

    assert found == Quote("to be", 0, 5, found.source)
    assert found.places == [(0, 5), (14, 19)]
    assert all(source[a:b] == "to be" for a, b in found.places)
    assert quote("aaa").parse("aa").places == [(0, 2), (1, 3)]
    assert repr(found) == "Quote(text='to be', start=0, end=5)"
    with pytest.raises(ValueError, match="is no quote of the source"):
        quote(source).parse("be to")
    with pytest.raises(ValueError, match="is no quote of the source"):
        quote(source, words=True).parse("obe")
    assert quote("é日 aé日").parse("aé").start == 3
    assert (literal("> ") + quote("abc")).matches("> bc")


def test_whole_words_find_their_first_whole_place() -> None:
    assert quote("category cat", words=True).parse("cat").start == 9


@pytest.mark.parametrize(
    "call",
    [
        lambda: quote("abc", min_chars=0),
        lambda: quote("abc", min_chars=3, max_chars=2),
        lambda: quote(b"abc"),  # type: ignore[arg-type]
        lambda: quote("ab\ud800c"),
    ],
)
def test_wrong_quotes_are_refused(call) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InvalidConstraint):
        call()


def test_a_source_without_a_quote() -> None:
    for source, limits in [("", {}), ("ab", {"min_chars": 3})]:
        with pytest.raises(EmptyLanguage, match=r"has no quote of \d"):
            quote(source, **limits)  # type: ignore[arg-type]
    with pytest.raises(EmptyLanguage):
        compile(quote("long words", max_chars=1) & regex("[0-9]+"), Vocabulary([b"1", None], {1}))


@functools.cache
def long_source() -> str:
    rng = random.Random(0)
    words = ["".join(rng.choices("abcdefghij é", k=rng.randrange(2, 9))) for _ in range(3000)]
    return " ".join(rng.choices(words, k=170_000))[:1_000_000]


def test_a_million_characters() -> None:
    source = long_source()
    vocab = Vocabulary([bytes((i,)) for i in range(256)] + [b"ab", b" a", "é ".encode(), None], {259})
    c, rng = compile(quote(source, max_chars=60), vocab), random.Random(1)
    for _ in range(20):
        start = rng.randrange(len(source) - 60)
        s = c.start()
        for byte in source[start : start + 60].encode():
            after = c.advance(s, byte)
            assert after is not None
            s = after

        assert c.finished(s)
        found = quote(source, max_chars=60).parse(source[start : start + 60])
        assert source[found.start : found.end] == found.text == source[start : start + 60]
    s = c.start()
    for _ in range(200):  # at random, but always within the source
        ids = c.allowed(s)
        assert ids is not None
        token = int(rng.choice(ids))
        s = c.start() if token == 259 or c.finished(s) else c.advance(s, token) or 0


@pytest.mark.parametrize("letters", [b"a", b"ab", b"\x00a", b"abc\xff", bytes(range(256))])
def test_suffix_arrays(letters: bytes) -> None:
    rng = random.Random(letters)
    for size in [*range(40), 100, 500]:
        data = bytes(rng.choices(letters, k=size))

        assert np.frombuffer(suffixes(data), np.int32).tolist() == sorted(range(size), key=lambda i: data[i:])


def test_broken_indexes_are_refused() -> None:
    few, ends = np.zeros(2, np.int32), np.arange(4, dtype=np.int32)
    wrong = [
        (few, few, few, few),
        (few, ends, few, ends),
        (few - 1, ends, few, few),
        (few + 2, ends, few, few),
        (few, ends, few + 4, few),
        (few, ends - 1, few, few),
        (few, ends + 1, few, few),
    ]
    for order, after, first, last in wrong:
        with pytest.raises(ValueError, match="not an index of suffixes"):
            Arena().index(b"abc", order, after, first, last)
    arena = Arena()
    assert arena.index(b"abc", few, ends, few, few) == 0
    assert arena.index(b"abc", few, ends, few, few) == 2
    for low, high in [(0, 3), (1, 3), (-1, 1), (2, 2), (3, 5)]:
        with pytest.raises(IndexError):
            arena.span(low, high)


def test_stored_quotes_go_on(tmp_path) -> None:  # type: ignore[no-untyped-def]
    vocab = Vocabulary([bytes((i,)) for i in range(256)] + [None], {256})
    grammar = quote("banana é") + ":" + quote("bandana", max_chars=3)
    c = compile(grammar, vocab)
    for byte in b"nana":
        c.mask(c.advance(c.start(), byte) or 0)
    save(c, tmp_path / "c.npz")

    again = load(tmp_path / "c.npz", vocab)

    for text in ("nana é:ban", "é:a"):
        s, t = c.start(), again.start()
        for byte in text.encode():
            assert np.array_equal(c.mask(s), again.mask(t))
            s, t = c.advance(s, byte) or 0, again.advance(t, byte) or 0
        assert again.accepting(t)


def test_several_sources_in_one_constraint() -> None:
    both = quote("abcab") + ":" + quote("xyé")
    native = Native()
    native.enter(both.expr)

    assert {b.decode() for b in accepted(both.expr)} == {f"{a}:{b}" for a in expected("abcab") for b in expected("xyé")}
    assert both.expr.kind is Kind.CAT
    agree(both.expr, 3)
