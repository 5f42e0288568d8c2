"""Identities that keep expressions small: shared beginnings, neighbouring and nested counts."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from lmprog.grammars import ConstraintError, Vocabulary, compile, gbnf, json_schema, regex
from lmprog.grammars._native import Arena
from lmprog.grammars.algebra import Native
from lmprog.grammars.derive import minlen
from lmprog.grammars.expr import MOST_REPEATS, Expr, Kind, alt, chars, concat, matches, repeat, text
from lmprog.grammars.sketches import tokens_of

A, B = text("a"), chars([(98, 99)])


def lengths(e: Expr) -> list[int]:
    return [n for n in range(40) if matches(e, b"a" * n)]


@pytest.mark.parametrize(("a", "b"), [(0, 2), (1, 3), (2, 3), (2, 2), (3, 5), (2, None), (4, None)])
@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 3), (1, 2), (2, 2), (2, 4), (3, None), (0, None)])
def test_counts_inside_counts(a: int, b: int | None, low: int, high: int | None) -> None:
    """Made into one only where the counts have no gap."""
    most = 40 if b is None else b
    times = range(low, (40 if high is None else high) + 1)
    expected = sorted({n for k in times for n in range(a * k, most * k + 1) if n < 40 - a})

    assert expected == [n for n in lengths(repeat(repeat(A, a, b), low, high)) if n < 40 - a]


@pytest.mark.parametrize(
    ("first", "second"), list(itertools.combinations([(0, 2), (1, 1), (2, 5), (4, 9), (7, None)], 2))
)
def test_counts_beside_counts(first: tuple[int, int | None], second: tuple[int, int | None]) -> None:
    one, two = repeat(A, *first), repeat(A, *second)
    found = {n for n in range(40) if n in lengths(one) or n in lengths(two)}

    assert sorted(found) == lengths(alt(one, two))
    both = {m + n for m in lengths(one) for n in lengths(two) if m + n < 40}
    assert sorted(both) == lengths(concat(one, two))


def test_the_same_forms_in_both_algebras() -> None:
    """What Python joins, C joins too, also behind a derivative."""
    native = Native()
    cases = [
        (alt(concat(B, A), concat(B, B)), concat(B, alt(A, B))),
        (concat(repeat(B, 0, 2), repeat(B, 1, None)), repeat(B, 1, None)),
        (alt(concat(repeat(B, 0, 2), A), concat(repeat(B, 1, 5), A)), concat(repeat(B, 0, 5), A)),
        (repeat(repeat(B, 0, 3), 2, 4), repeat(B, 0, 12)),
    ]
    for made, expected in cases:
        assert expected is made
        assert native.enter(expected) == native.enter(made)


def test_counts_that_do_not_fit() -> None:
    """They stay apart in both algebras; texts are found all the same."""
    nested = regex("(" * 8 + "a" + "{1,1000})" * 8)
    beside = concat(repeat(A, 1, MOST_REPEATS), repeat(A, 1, MOST_REPEATS))
    native = Native()

    for first, e in ((1, nested.expr), (2, beside)):
        assert list(range(first, 40)) == lengths(e)
        assert native.minlen(native.enter(e)) == minlen(e)
    vocab = Vocabulary([*[bytes((i,)) for i in range(256)], None], {256})
    constraint = compile(nested, vocab)
    state = constraint.advance(constraint.start(), ord("a"))
    assert state is not None
    assert sorted(vocab.eos | {97}) == sorted(tokens_of(constraint.mask(state)))


@pytest.mark.parametrize(
    "build",
    [
        lambda: repeat(A, 0, MOST_REPEATS + 1),
        lambda: regex("a{0,4000000000}"),
        lambda: gbnf('root ::= "a"{0,4000000000}'),
        lambda: json_schema({"type": "string", "maxLength": 10**12}),
        lambda: json_schema({"type": "array", "maxItems": 10**18}),
        lambda: json_schema({"type": "array", "uniqueItems": True, "items": {"type": "integer"}, "minItems": 10**18}),
        lambda: json_schema({"type": "object", "minProperties": 10**18}),
        lambda: json_schema({"type": "object", "maxProperties": 10**18}),
    ],
)
def test_counts_that_nobody_counts_to(build: Callable[[], object]) -> None:
    with pytest.raises(ConstraintError, match=r"more than|too large"):
        build()


def test_c_joins_by_itself() -> None:
    arena = Arena()
    a, b = arena.text(b"a"), arena.text(b"b")
    some, more = arena.repeat(b, 0, 2), arena.repeat(b, 1, -1)

    assert arena.cat(a, arena.nary(Kind.ALT, [a, b])) == arena.nary(Kind.ALT, [arena.cat(a, a), arena.cat(a, b)])
    assert more == arena.cat(some, more)
    assert arena.cat(arena.repeat(b, 0, -1), a) == arena.nary(Kind.ALT, [arena.cat(some, a), arena.cat(more, a)])
    assert arena.repeat(b, 0, 6) == arena.repeat(some, 2, 3)
    assert arena.repeat(b, 2, 6) != arena.repeat(arena.repeat(b, 2, 2), 1, 3)
