"""Operators of grammars against brute force: exceptions, look-ahead, separators, distinct items, many choices."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator

import pytest

from lmprog.grammars import (
    EmptyLanguage,
    Grammar,
    InvalidConstraint,
    UnsupportedConstraint,
    Vocabulary,
    choices,
    compile,
    literal,
    regex,
)
from lmprog.grammars.derive import derive, minlen
from lmprog.grammars.distinct import distinct, shortest
from lmprog.grammars.expr import EMPTY, INF, Expr, alt, chars, concat, matches, options, repeat, text
from lmprog.grammars.store import load, save
from lmprog.grammars.where import where

from .expressions import solved
from .test_native import agree

SMALL = "ab,"


def words(size: int, alphabet: str = SMALL) -> Iterator[str]:
    return (w for n in range(size + 1) for w in map("".join, itertools.product(alphabet, repeat=n)))


def language(grammar: Grammar, size: int, alphabet: str = SMALL) -> set[str]:
    return {w for w in words(size, alphabet) if grammar.matches(w)}


def test_except() -> None:
    numbers = regex("[ab]{1,3}")
    grammar = numbers.except_("ab", regex("b+"), literal("zz"))

    assert language(grammar, 4) == {w for w in language(numbers, 4) if w != "ab" and set(w) != {"b"}}
    assert Grammar(regex("[0-9]+").expr, int).except_("7").parse("12") == 12
    assert not regex("a").except_(regex("b")).matches("é")


@pytest.mark.parametrize(
    ("grammar", "meant"),
    [
        (literal("a").lookahead("b") + regex("[ab]*"), r"a(?=b)[ab]*"),
        (literal("a").lookahead("ba") + "b" + regex("[ab]"), r"a(?=ba)b[ab]"),
        (literal("a").lookahead("ba") + ("b" + regex("[ab]") + "b"), r"a(?=ba)b[ab]b"),
        ("b" + literal("a").lookahead("bb", negative=True) + "b" + regex("[ab]*"), r"ba(?!bb)b[ab]*"),
        (regex("a*").lookahead("ab") + regex("[ab]+"), r"a*(?=ab)[ab]+"),
        (regex("a?").lookahead(regex(".b")).lookahead("a", negative=True) + regex("[ab]{2}"), r"a?(?=.b)(?!a)[ab]{2}"),
        (literal("a").lookahead(regex("b*")), r"a(?=b*)"),
        (literal("a").lookahead("b"), r"a(?=b)"),
        ((literal("a").lookahead("b") + "b") | "a", r"a(?=b)b|a"),
        (literal("a").lookahead("b") + (literal("b").lookahead("a") + "a") + "b", r"a(?=b)b(?=a)ab"),
        (literal("a").lookahead("", negative=True) + "b", r"a(?!)b|[^\s\S]"),
    ],
)
def test_lookahead_is_that_of_a_regex(grammar: Grammar, meant: str) -> None:
    meant = meant.replace("(?!)b", "(?!(?:))b")

    assert language(grammar, 5) == language(regex(meant), 5)


@pytest.mark.parametrize("sep", ["", ",", "ab"])
@pytest.mark.parametrize(("low", "high"), [(0, None), (0, 0), (1, None), (2, 3), (0, 2), (3, 3)])
def test_separated_repetitions(sep: str, low: int, high: int | None) -> None:
    body = regex("a|ab?b")
    grammar = body.times(low, high, sep) if high is not None else body.many(sep)
    low = low if high is not None else 0
    items = [w for w in words(3) if body.matches(w)]
    expected = {
        joined
        for n in range(low, (7 if high is None else high) + 1)
        for chosen in itertools.product(items, repeat=n)
        if len(joined := sep.join(chosen)) <= 6
    }

    assert language(grammar, 6) == expected


def sequences(items: list[str], sep: str, low: int, high: int | None, size: int) -> set[str]:
    """All texts of distinct items, up to a length."""
    found = {""} if low == 0 else set()
    layer: list[tuple[str, ...]] = [()]
    for n in range(1, (len(items) if high is None else high) + 1):
        layer = [(*s, i) for s in layer for i in items if i not in s and len(sep.join((*s, i))) <= size]
        found |= {sep.join(s) for s in layer} if n >= low else set()
    return found


UNIQUE: list[tuple[str, Expr]] = [
    ("a few words", options(["a", "b", "ab", "ba"])),
    ("words with separators in them", options(["a", "b", "a,b", "b,"])),
    ("an empty item", options(["", "a", "aa"])),
    ("any letters", repeat(chars([(97, 98)]), 1, None)),
    ("letters or nothing", repeat(chars([(97, 98)]), 0, 2)),
    ("nested", alt(text("a"), concat(text("b"), repeat(text("a"), 0, None)))),
]


@pytest.mark.parametrize(("name", "item"), UNIQUE)
@pytest.mark.parametrize("sep", [",", "", "b"])
@pytest.mark.parametrize(("low", "high"), [(0, None), (1, 2), (2, None), (3, 3), (4, None), (0, 1)])
def test_distinct_items(name: str, item: Expr, sep: str, low: int, high: int | None) -> None:
    size = 7
    items = [w for w in words(size) if matches(item, w.encode())]
    expected = sequences(items, sep, low, high, size)

    e = distinct(item, text(sep), low, high)

    assert {w for w in words(size) if matches(e, w.encode())} == expected
    if expected:
        assert minlen(e) == min(map(len, expected))
        agree(e, len(name))


def test_distinct_items_know_their_shortest_end() -> None:
    """For every beginning of a sequence, the least number of bytes that it still takes."""
    items = ["a", "bb", "bba", "ab", "bbbb"]
    e, everything = distinct(options(items), text(","), 4, 5), sequences(items, ",", 4, 5, 99)
    rng = random.Random(0)
    for whole in rng.sample(sorted(everything), 60):
        state = e
        for i, byte in enumerate(whole.encode()):
            rest = [t[i:] for t in everything if t.startswith(whole[:i])]

            assert minlen(state) == min(map(len, rest))
            state = derive(state, byte)


def test_too_many_distinct_items() -> None:
    few = options(["a", "b"])

    assert distinct(few, text(","), 3) is EMPTY
    assert minlen(distinct(few, text(","), 2, 2)) == 3
    assert minlen(distinct(both_none(), text(","), 1)) >= INF
    with pytest.raises(UnsupportedConstraint, match="all differ"):
        distinct(repeat(few, 1), text(","), 100_000)
    with pytest.raises(EmptyLanguage):
        compile(choices(["a", "b"]).many_unique(",", low=3), Vocabulary([b"a", b"b", b",", None], {3}))
    with pytest.raises(EmptyLanguage):  # lengths without an end are not added up beyond what an integer holds
        compile(regex("[ab]{1,9}").many_unique(Grammar(both_none()), low=20), Vocabulary([b"a", b"b", b",", None], {3}))


def both_none() -> Expr:
    return concat(chars([(97, 98)]), EMPTY)


@pytest.mark.parametrize("seed", range(30))
def test_shortest_texts_come_in_order(seed: int) -> None:
    e = solved(f"shortest {seed}")
    expected = sorted(len(w.encode()) for w in words(5, "ab é") if matches(e, w.encode()))

    found = list(itertools.islice(shortest(e), 9))

    assert all(matches(e, w) for w in found)
    assert len(set(found)) == len(found)
    sizes = [len(w) for w in found]
    assert sizes == sorted(sizes)
    reached = min(5, *[*sizes[8:], 5])  # all texts of at most so many bytes were written
    assert [n for n in sizes if n < reached] == [n for n in expected if n < reached]


def test_masks_of_distinct_items_equal_brute_force(tmp_path) -> None:  # type: ignore[no-untyped-def]
    items, tokens = (
        ["".join(w) for n in (1, 2) for w in itertools.product("abc", repeat=n)],
        ["a", "b", "c", ",", "ab", "a,", ",b", "bc", "b,a", "c,c"],
    )
    texts = sequences(items, ",", 2, None, 8)
    vocab = Vocabulary([*[t.encode() for t in tokens], None], {len(tokens)})
    c, rng = compile(regex("[a-c]{1,2}").many_unique(",", low=2) & where("len(x) < 9"), vocab), random.Random(0)
    for round_ in range(60):
        if round_ == 30:  # a stored constraint goes on as before
            save(c, tmp_path / "c.npz")
            c = load(tmp_path / "c.npz", vocab)
        s, done = c.start(), ""
        while True:
            rests = {t[len(done) :] for t in texts if t.startswith(done)}
            expected = {i for i, t in enumerate(tokens) if any(r.startswith(t) for r in rests)}
            ids = c.allowed(s)
            assert ids is not None

            assert set(ids.tolist()) == expected | ({len(tokens)} if "" in rests else set())

            if not expected:
                break
            token = rng.choice(sorted(expected))
            s, done = c.advance(s, token) or 0, done + tokens[token]


def test_a_long_list_of_distinct_numbers() -> None:
    vocab = Vocabulary([bytes((i,)) for i in range(256)] + [None], {256})
    c, rng = compile(regex("[1-9][0-9]{0,2}").many_unique(", ", low=50, high=60), vocab), random.Random(0)
    s, out = c.start(), b""
    while not c.finished(s) and len(out) < 2000:
        ids = c.allowed(s)
        assert ids is not None
        token = int(rng.choice(ids))
        if token == 256:
            break
        s, out = c.advance(s, token) or 0, out + bytes((token,))
    numbers = out.decode().split(", ")

    assert 50 <= len(numbers) <= 60
    assert len(set(numbers)) == len(numbers)


def test_a_hundred_thousand_choices() -> None:
    rng = random.Random(0)
    names = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyzé ", k=rng.randrange(3, 30))) for _ in range(100_000)]
    vocab = Vocabulary([bytes((i,)) for i in range(256)] + [None], {256})
    c = compile(choices(names), vocab)
    known = set(names)
    for _ in range(200):
        s, out = c.start(), b""
        while not c.finished(s):
            ids = c.allowed(s)
            assert ids is not None
            token = int(rng.choice(ids))
            if token == 256:
                break
            s, out = c.advance(s, token) or 0, out + bytes((token,))

        assert out.decode() in known


@pytest.mark.parametrize(
    "call",
    [
        lambda: regex("a").times(3, 2),
        lambda: regex("a").times(3, 2, ","),
        lambda: regex("a").many_unique(",", 3, 2),
        lambda: regex("a").many_unique(",", -1),
    ],
)
def test_wrong_bounds_are_refused(call: Callable[[], object]) -> None:
    with pytest.raises(InvalidConstraint, match="needs 0 <= low <= high"):
        call()
