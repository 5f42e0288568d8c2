"""Masks, distances, budgets and forced text against brute force over small alphabets."""

from __future__ import annotations

import functools
import itertools
import random
import re

import numpy as np
import pytest

from lmprog.grammars.constraint import Automatic
from lmprog.grammars.derive import derive, minlen, nullable, solve
from lmprog.grammars.errors import BudgetError, EmptyLanguage
from lmprog.grammars.expr import (
    ANY_TEXT,
    EMPTY,
    INF,
    Expr,
    chars,
    concat,
    matches,
    options,
    repeat,
    text,
)
from lmprog.grammars.grammar import Grammar
from lmprog.grammars.regex import regex
from lmprog.grammars.vocabulary import Vocabulary
from lmprog.grammars.where import where

from .expressions import ALPHABET, solved
from .patterns import Patterns

TOKENS = ["a", "b", " ", "ab", "ba", "aab", "bb", "é", "aé", " a", "b "]


def vocabulary(tokens: list[str], spare: int = 1) -> Vocabulary:
    return Vocabulary([t.encode() for t in tokens] + [None] * spare, {len(tokens)})


def language(e: Expr, size: int) -> set[str]:
    return {
        w
        for n in range(size + 1)
        for w in map("".join, itertools.product(ALPHABET, repeat=n))
        if matches(e, w.encode())
    }


def after(e: Expr, data: bytes) -> Expr:
    for byte in data:
        e = derive(e, byte)
    return e


@functools.cache
def brute_distances(e: Expr, vocab: Vocabulary, horizon: int) -> int:
    """Breadth-first over token strings, by derivatives alone."""
    seen, layer = {e.uid}, [e]
    for n in range(horizon + 1):
        if any(nullable(x) for x in layer):
            return n
        found = [after(x, t) for x in layer for t in vocab.token_bytes if t]
        layer = [x for x in {y.uid: y for y in found if y is not EMPTY}.values() if x.uid not in seen]
        seen |= {x.uid for x in layer}
    return INF


def allowed(row: np.ndarray, vocab: Vocabulary) -> set[int]:
    return set(np.flatnonzero(np.unpackbits(row.view(np.uint8), bitorder="little")[: vocab.size]).tolist())


@pytest.mark.parametrize("seed", range(60))
@pytest.mark.parametrize("tokens", [TOKENS, ["ab", "b", "aé", "é", " "]], ids=["spells all", "cannot spell all"])
def test_masks_equal_brute_force(seed: int, tokens: list[str]) -> None:
    rng = random.Random(seed)
    e = solved(seed)
    vocab = vocabulary(tokens)
    horizon = 10
    if brute_distances(e, vocab, horizon) >= INF:
        with pytest.raises(EmptyLanguage):
            Automatic.of(e, vocab)
        return
    c = Automatic.of(e, vocab)
    for _walk in range(4):
        s, done = c.start(), b""
        for _ in range(6):
            here = after(e, done)
            expected = {
                i
                for i, t in enumerate(vocab.token_bytes)
                if t and brute_distances(after(here, t), vocab, horizon) < INF
            }
            if nullable(here):
                expected |= vocab.eos
            assert allowed(c.mask(s), vocab) == expected
            assert c.accepting(s) == nullable(here)
            assert c.distance(s) == brute_distances(here, vocab, horizon)
            ids = c.allowed(s)
            assert ids is not None
            assert set(ids.tolist()) == expected
            for budget in (1, 2, 3):
                fits = {
                    i
                    for i in expected - vocab.eos
                    if brute_distances(after(here, vocab.token_bytes[i] or b""), vocab, horizon) < budget
                }
                fits |= expected & vocab.eos
                if fits:
                    assert allowed(c.mask(s, budget), vocab) == fits
                else:
                    with pytest.raises(BudgetError):
                        c.mask(s, budget)
            steps = sorted(expected - vocab.eos)
            assert all(c.advance(s, t) is None for t in range(vocab.size) if t not in expected)
            if not steps:
                break
            token = rng.choice(steps)
            done += vocab.token_bytes[token] or b""
            advanced = c.advance(s, token)
            assert advanced is not None
            s = advanced


@pytest.mark.parametrize("seed", range(40))
def test_budgets_hold_on_a_vocabulary_with_every_byte(seed: int) -> None:
    """Never too long; and exactly what fits, as these automata are small enough to explore."""
    rng, e = random.Random(seed), solved(seed + 3000)
    vocab = Vocabulary([*(bytes((i,)) for i in range(256)), b"ab", b"ba", b"aab", " é".encode(), b"b b", None], {261})
    if minlen(e) >= INF:
        return
    c = Automatic.of(e, vocab)
    least = brute_distances(e, vocab, 10)
    assert c.fits(c.start(), least)
    assert least == 0 or not c.fits(c.start(), least - 1)
    for budget in range(max(1, least), least + 4):
        s = c.start()
        for left in range(budget, 0, -1):
            allowed_now = allowed(c.mask(s, left), vocab)
            short = {i for i in allowed(c.mask(s), vocab) - vocab.eos if c.fits(c.advance(s, i) or 0, left - 1)}
            assert allowed_now - vocab.eos == short
            token = rng.choice(sorted(allowed_now))
            if token in vocab.eos:
                break
            s = c.advance(s, token) or 0
        assert c.accepting(s)


@pytest.mark.parametrize("seed", range(40))
def test_minlen_is_the_shortest_word(seed: int) -> None:
    e = solved(seed + 1000)

    words = [len(w.encode()) for w in language(e, 5)]

    if words:
        assert minlen(e) == min(words)
    else:
        assert minlen(e) > 5


@pytest.mark.parametrize("seed", range(40))
def test_a_value_ends_where_the_text_that_follows_begins(seed: int) -> None:
    """Generate at random with `follow`; the value is the shortest one that the follow text completes."""
    rng = random.Random(seed)
    e, follow = solved(seed + 2000), rng.choice(["b", "a ", "ba", "é", "aa"])
    vocab = vocabulary(TOKENS)
    if minlen(e) >= INF:
        return
    c = Automatic.of(e, vocab)
    for _ in range(20):
        s, out = c.start(b"b", follow.encode()), b""
        for left in range(40, 0, -1):
            if c.finished(s):
                break
            ids = c.allowed(s, budget=left)
            assert ids is not None
            token = int(rng.choice(ids.tolist()))
            if token in vocab.eos:
                break
            out += vocab.token_bytes[token] or b""
            advanced = c.advance(s, token)
            assert advanced is not None
            s = advanced
        assert c.accepting(s)
        assert out.startswith(b"b")
        body = out[1:]
        used = c.followed(s)
        value = body[: len(body) - used]
        assert body[len(value) :] == follow.encode()[:used]
        assert matches(e, value)
        earlier = [n for n in range(len(value)) if matches(e, body[:n]) and body[n:].startswith(follow.encode())]
        assert earlier == []


def test_forced_text_keeps_a_straddling_token_open() -> None:
    vocab = vocabulary(["a", "b", "x", "y", "bx", "ab"])
    c = Automatic.of(concat(text("ab"), chars([(ord("x"), ord("y"))])), vocab)

    assert c.forced(c.start()) == b"ab"
    assert c.forced_tokens(c.start()) == [5]

    c = Automatic.of(concat(text("aab"), chars([(ord("x"), ord("y"))])), vocabulary(["a", "b", "x", "y", "bx"]))

    assert c.forced_tokens(c.start()) == [0, 0]  # "b" waits: "bx" could cover it


def test_prefix_tokens_may_straddle_the_border() -> None:
    vocab = vocabulary(["a", "b", " ", " a"])
    c = Automatic.of(options(["ab", "b"]), vocab)
    s = c.start(prefix=b" ")

    assert allowed(c.mask(s), vocab) == {2, 3}
    assert c.forced_tokens(s) == []


def test_a_state_after_eos_is_finished() -> None:
    vocab = vocabulary(["a", "b"])
    c = Automatic.of(repeat(text("a"), 1, None), vocab)
    s = c.start()

    assert c.advance(s, 2) is None
    s = c.advance(s, 0) or 0
    assert not c.finished(s)
    end = c.advance(s, 2)
    assert end is not None
    assert c.finished(end)


def test_wide_counters_cost_nothing() -> None:
    vocab = Vocabulary([bytes((i,)) for i in range(256)] + [None], {256})
    c = Automatic.of(repeat(chars([(97, 122)]), 0, 10**6), vocab)
    s = c.start()
    for _ in range(50):
        s = c.advance(s, ord("x")) or 0

    assert allowed(c.mask(s), vocab) == {*range(97, 123), 256}


def test_a_hundred_thousand_options() -> None:
    words = [f"item-{i:05d}" for i in range(100_000)]
    vocab = Vocabulary([bytes((i,)) for i in range(256)] + [None], {256})
    c = Automatic.of(options(words), vocab)

    assert c.forced(c.start()) == b"item-"
    assert c.distance(c.start()) == 10


def test_any_text_is_utf8() -> None:
    assert matches(ANY_TEXT, "aé€😀".encode())
    assert not matches(ANY_TEXT, b"\xed\xa0\x80")  # a surrogate
    assert not matches(ANY_TEXT, b"\xc0\x80")  # overlong
    assert not matches(ANY_TEXT, "é".encode()[:1])


LANGUAGES = [
    *[regex(p) for p in (
        "(?!ab|b$)[abé]{1,4}", "(?:a(?=b)|b(?!b)|é)*(?<!a)", r"(?:\b[ab]+\b ?){1,3}", "(?i)(?:AB|É)+b?",
        "(?<=a)b|a(?!é).*b",         "(?=.{4}$)(?:ab?|ba)*", r"(?m)(?:^a+$|b)*", "(?:(?<!a)b|a(?=a|b)){2,5}",
        "(?!.*(?:aa|bb))[ab ]{2,6}", "a?(?:ab){1,2}?é*$", r"[ab ]*\bab\b.*", "(?!)|(?:(?!ab|ba)[ab]{2}){1,2}")],
    *[where(w) for w in (
        "2 <= len(x) <= 4 and 'ab' in x", "words(x) == 2 and len(x) < 6", "sentences(x) == 1 and x.endswith('b')",
        "matches(x, '(a|ab)(b|é)*') and len(x) != 3", "search(x, 'a.b$') and not x.startswith('b')",
        "3 != len(x) > 1 and 5 > len(x) != 4", "x.count('ab') == 2 or x == 'é'",
        "'a' not in x and len(x.strip()) == 2")],
]  # fmt: skip


@pytest.mark.parametrize("grammar", LANGUAGES, ids=[str(i) for i in range(len(LANGUAGES))])
@pytest.mark.parametrize("tokens", [TOKENS, ["ab", "b", "aé", "é", " "]], ids=["spells all", "cannot spell all"])
def test_masks_of_regexes_and_conditions(grammar: Grammar, tokens: list[str]) -> None:
    """Along all texts of up to eight bytes or so, with budgets, told by derivatives alone."""
    e, vocab, horizon = grammar.expr, vocabulary(tokens), 8
    solve(e)
    c = Automatic.of(e, vocab)
    layer = {c.start(): e}
    for _ in range(4):
        following = {}
        for s, here in layer.items():
            ways = {i: after(here, t) for i, t in enumerate(vocab.token_bytes) if t}
            distances = {i: brute_distances(e, vocab, horizon) for i, e in ways.items()}
            ends = vocab.eos if nullable(here) else set()
            for budget in (None, 1, 2, 4):
                fits = {i for i, d in distances.items() if d < (INF if budget is None else budget)} | ends
                if fits:
                    assert fits == allowed(c.mask(s, budget), vocab)
                else:
                    with pytest.raises(BudgetError):
                        c.mask(s, budget)
            for i, d in distances.items():
                assert (d < INF) == (c.advance(s, i) is not None)
                if d < INF:
                    following[c.advance(s, i) or 0] = ways[i]
        layer = dict(list(following.items())[:40])


@pytest.mark.parametrize("seed", range(60))
def test_masks_of_random_regexes(seed: int) -> None:
    """A token is allowed exactly when some text of the alphabet that goes on with it matches, as `re` sees it."""
    rng = random.Random(f"masks {seed}")
    patterns = Patterns(rng)
    patterns.atoms = {"a": "a", "b": "b", "[ab]": "ab", "é": "é", "[^b]": "a", "(?i:A)": "a"}
    body = patterns.pattern(2).source
    pattern = rf"(?=[abé]{{0,5}}\Z){body}" if not body.startswith("(?") or body[2] not in "imsa" else "a|[bé]{2}a?"
    words = [w for n in range(6) for w in map("".join, itertools.product("abé", repeat=n)) if re.fullmatch(pattern, w)]
    tokens = ["a", "b", "é", "ab", "ba", "éa", "bb", "aab"]
    if not words:
        with pytest.raises(EmptyLanguage):
            Automatic.of(regex(pattern).expr, vocabulary(tokens))
        return
    c = Automatic.of(regex(pattern).expr, vocabulary(tokens))
    todo = [("", c.start())]
    for done, s in todo:
        expected = {i for i, t in enumerate(tokens) if any(w.startswith(done + t) for w in words)}
        assert expected | ({len(tokens)} if done in words else set()) == allowed(c.mask(s), c.vocab), done
        if len(todo) < 60:
            todo += [(done + tokens[i], c.advance(s, i) or 0) for i in expected]
