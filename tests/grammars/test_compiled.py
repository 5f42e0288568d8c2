"""Compiled constraints are shared, and bounded in memory."""

from __future__ import annotations

import gc
import weakref

import pytest

from lmprog.grammars import BudgetError, EmptyLanguage, Vocabulary, choices, compile, json_schema, regex, where
from lmprog.grammars.constraint import Automatic
from lmprog.grammars.expr import chars, repeat


def vocabulary(memory: int = 1 << 30) -> Vocabulary:
    return Vocabulary([*(bytes((i,)) for i in range(256)), None], {256}, memory=memory)


def test_equal_grammars_share_a_constraint() -> None:
    vocab = vocabulary()

    assert compile(choices(["a", "b"]), vocab) is compile(choices(["b", "a"]), vocab)
    assert compile(choices(["a", "b"]), vocab) is not compile(choices(["a"]), vocab)
    assert compile(choices(["a", "b"]), vocab) is not compile(choices(["a", "b"]), vocabulary())


def test_the_longest_unused_is_given_up_first() -> None:
    vocab = vocabulary(memory=100_000)
    first, second = choices(["first"]), choices(["second"])
    kept, lost = compile(first, vocab), compile(second, vocab)
    for i in range(200):
        assert compile(first, vocab) is kept
        c = compile(choices([f"other {i}"]), vocab)
        c.mask(c.start())

    assert compile(second, vocab) is not lost


def test_a_constraint_that_has_grown_too_large_is_made_anew() -> None:
    vocab = vocabulary(memory=100_000)
    grammar = repeat(chars([(97, 122)]), 0, 1000)
    c = compile(grammar, vocab)
    s = c.start()
    for _ in range(100):
        c.mask(s)
        s = c.advance(s, ord("x")) or 0

    assert compile(grammar, vocab) is not c
    assert c.accepting(s)  # those that hold it go on


def test_many_constraints_stay_within_the_configured_memory() -> None:
    limit = 400_000
    vocab = vocabulary(limit)
    alive: list[weakref.ref[Automatic]] = []
    for i in range(300):
        c = compile(regex(f"[a-z]{{3,9}} {i}"), vocab)
        assert isinstance(c, Automatic)
        s = c.start()
        for byte in b"some words":
            c.mask(s)
            s = c.advance(s, byte) or s
        alive.append(weakref.ref(c))
        if i % 50 == 49:
            gc.collect()
            kept = [found.memory for ref in alive if (found := ref()) is not None]

            assert len(kept) < 40
            assert sum(kept) <= limit + max(kept)  # the one in use grows after room was made for it


@pytest.mark.parametrize(
    "grammar",
    [
        regex("[a-z]{3}") & where("len(x) > 5"),
        regex("[0-9]+") & where("x.startswith('a')"),
        json_schema({"type": "integer", "minimum": 3, "maximum": 7}) & regex("[89]"),
        choices(["yes", "no"]).except_("yes", "no"),
        choices(["a", "b"]).many_unique(",", low=3),
        json_schema({"type": "array", "items": {"enum": [1, 2]}, "minItems": 3}) & where("len(x) < 7"),
    ],
)
def test_what_nothing_satisfies_is_an_error_at_compile_time(grammar) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(EmptyLanguage, match="accepts no text at all"):
        compile(grammar, vocabulary())


@pytest.mark.parametrize("pattern", ["[a-z]{7}", "ab+(cd){3}|[0-9]{9}", "(ab|ba){3,}x"])
def test_a_budget_that_is_too_small_says_what_is_needed(pattern: str) -> None:
    vocab = Vocabulary([*(bytes((i,)) for i in range(256)), b"ab", b"cd", b"aba", None], {259})
    c = compile(regex(pattern), vocab)
    s = c.start()
    needed = c.distance(s)

    assert c.fits(s, needed)
    assert c.mask(s, needed).any()
    for budget in range(needed):
        assert not c.fits(s, budget)
        with pytest.raises(BudgetError, match=rf"in {budget} more tokens; (about )?{needed} are needed"):
            c.mask(s, budget)
