"""Compiled constraints are shared, and bounded in memory."""

from __future__ import annotations

from lmprog.grammars import Vocabulary, choices, compile
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
