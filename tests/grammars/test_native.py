"""The C arena against derive.py, which is its specification."""

from __future__ import annotations

import random

import pytest

from lmprog.grammars._native import Arena
from lmprog.grammars.algebra import Native, Reference
from lmprog.grammars.derive import derive
from lmprog.grammars.errors import UnsupportedConstraint
from lmprog.grammars.expr import ANY_TEXT, INF, Expr, Kind, alt, both, chars, concat, hole, negate, ref, repeat, text

from .expressions import solved


def agree(e: Expr, seed: int) -> None:
    """Walk both sides at random and compare all that can be asked."""
    rng, native, reference = random.Random(seed), Native(), Reference()
    for _ in range(5):
        n, r = native.enter(e), reference.enter(e)
        for _ in range(8):
            assert native.nullable(n) == reference.nullable(r)
            assert native.minlen(n) == reference.minlen(r)
            if native.minlen(n) >= INF:
                break
            assert native.only(n) == reference.only(r)
            mine, theirs = native.parts(n), reference.parts(r)
            assert (mine is None) == (theirs is None)
            if mine is not None and theirs is not None:
                assert (mine[0] < 0, mine[1:]) == (theirs[0] < 0, theirs[1:])
            alive = []
            for byte in rng.sample(range(256), 24) + list(b"ab \xc3\xa9"):
                after, expected = native.expand(n, byte)[2], reference.expand(r, byte)[2]
                assert (after < 0) == (expected < 0)
                if after >= 0:
                    alive.append((after, expected))
            if not alive:
                break
            n, r = rng.choice(alive)


@pytest.mark.parametrize("seed", range(80))
def test_random_expressions(seed: int) -> None:
    agree(solved(seed), seed)


@pytest.mark.parametrize("seed", range(30))
def test_random_holes(seed: int) -> None:
    follow = [b"b", b"a ", b"ba", "é".encode(), b"aa"][seed % 5]
    agree(concat(text("b"), hole(solved(seed + 500), follow)), seed)


def test_searches_agree_on_conjunctions() -> None:
    letters = repeat(chars([(97, 122)]), 3, 40)
    for e in (
        both(letters, concat(ANY_TEXT, text("moon"), ANY_TEXT), negate(concat(text("moon"), ANY_TEXT))),
        both(repeat(text("ab"), 0, None), repeat(text("aba"), 1, None)),
        both(letters, repeat(chars([(48, 57)]), 1, None)),
    ):
        agree(e, 0)


def test_shared_results_of_both_are_equal_objects() -> None:
    native = Native()
    e = alt(text("ab"), concat(text("a"), text("b")), negate(negate(text("x"))))
    h = native.enter(e)

    assert native.enter(e) == h
    assert native.expand(h, ord("a"))[2] == native.enter(derive(e, ord("a")))


def test_deep_nesting_is_an_error_not_a_crash() -> None:
    e = text("x")
    for _ in range(9000):
        e = alt(text("y"), concat(text("("), repeat(e, 0, 3), text(")")))
    native = Native()
    with pytest.raises((UnsupportedConstraint, RecursionError)):
        native.minlen(native.enter(e))


def test_recursion_under_an_intersection_that_can_be_decided() -> None:
    rule = ref("r")
    rule.define(alt(text("x"), concat(text("("), both(rule, negate(concat(ANY_TEXT, text(")")))), text(")"))))
    native = Native()
    h = native.enter(rule)

    assert native.minlen(h) == 1


@pytest.mark.parametrize(
    "call",
    [
        lambda a: a.cat(0, 99),
        lambda a: a.leaf(5),
        lambda a: a.nary(Kind.ALT, [99]),
        lambda a: a.nary(Kind.CAT, [0]),
        lambda a: a.expand(0, 256),
        lambda a: a.define(0, 0),
        lambda a: a.hole(0, b""),
        lambda a: a.dag([(0, 1, 7)], False),
    ],
)
def test_wrong_arguments_are_refused(call) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises((IndexError, ValueError)):
        call(Arena())
