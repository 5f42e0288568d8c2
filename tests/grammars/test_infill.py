"""Templates filled with texts of a grammar, against brute force over all fillings."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest

from lmprog.grammars import (
    EmptyLanguage,
    Grammar,
    UnsupportedConstraint,
    Vocabulary,
    any_text,
    compile,
    gbnf,
    library,
    literal,
    regex,
)
from lmprog.grammars.derive import minlen
from lmprog.grammars.expr import INF
from lmprog.grammars.infill import filled

DYCK = gbnf('root ::= ("(" root ")" | "[" root "]")*')
LEFT = gbnf('root ::= root "(" root ")" | root "[" root "]" | ""')
ALPHABET = "()[]"
TOKENS = [*ALPHABET, "()", "[]", "([", ")]", "](", "[()]"]
VOCAB = Vocabulary([*[t.encode() for t in TOKENS], None], eos={len(TOKENS)})


def balanced(text: str) -> bool:
    while (shorter := text.replace("()", "").replace("[]", "")) != text:
        text = shorter
    return not text


def random_template(rng: random.Random) -> list[str | int]:
    """Texts, and holes as their greatest lengths."""
    parts: list[str | int] = []
    for longest in rng.choice([[3], [4], [2, 2], [1, 3], [2, 3], [1, 2, 2]]):
        parts += ["".join(rng.choices(ALPHABET, k=rng.randint(0, 2))), longest]
    return [*parts, "".join(rng.choices(ALPHABET, k=rng.randint(0, 2)))]


def pieces_of(parts: list[str | int]) -> list[Grammar]:
    return [literal(p) if isinstance(p, str) else regex(rf"[()\[\]]{{0,{p}}}") for p in parts]


def fillings(parts: list[str | int]) -> list[tuple[str, ...]]:
    """By brute force: every way to fill the template, as its parts."""
    each = [
        [p] if isinstance(p, str) else ["".join(w) for n in range(p + 1) for w in itertools.product(ALPHABET, repeat=n)]
        for p in parts
    ]
    return [filling for filling in itertools.product(*each) if balanced("".join(filling))]


def allowed(texts: set[str], before: str) -> set[int]:
    """The tokens behind which a text can still be completed; the last one is the end."""
    out = {i for i, token in enumerate(TOKENS) if any(text.startswith(before + token) for text in texts)}
    return out | {len(TOKENS)} if before in texts else out


def check_masks(language: Grammar, texts: set[str], rng: random.Random) -> None:
    constraint = compile(language, VOCAB)
    state, before = constraint.start(), ""
    while True:
        row = np.unpackbits(constraint.mask(state).view(np.uint8), bitorder="little")
        ids = set(map(int, np.flatnonzero(row)))

        assert allowed(texts, before) == ids
        token = rng.choice(sorted(ids))
        if token == len(TOKENS):
            return
        after = constraint.advance(state, token)
        assert after is not None
        state, before = after, before + TOKENS[token]


@pytest.mark.parametrize("grammar", [DYCK, LEFT], ids=["loop", "left recursion"])
def test_random_templates_against_brute_force(grammar: Grammar) -> None:
    rng = random.Random(7)
    possible = 0
    for _ in range(300):
        parts = random_template(rng)
        pieces, every = pieces_of(parts), fillings(parts)
        whole = filled(grammar, pieces)

        assert bool(every) == (minlen(whole.expr) < INF)
        if not every:
            continue
        possible += 1
        check_masks(whole, {"".join(filling) for filling in every}, rng)
        hole = rng.choice(range(1, len(parts), 2))
        check_masks(filled(grammar, pieces, [hole]), {filling[hole] for filling in every}, rng)
    assert 60 < possible < 240


def test_holes_without_a_bound_are_decided() -> None:
    free = regex(r"[()\[\]]*")

    assert minlen(filled(DYCK, [literal("(]"), free]).expr) == INF
    assert minlen(filled(DYCK, [literal("("), free, literal("(]"), free]).expr) == INF
    assert filled(DYCK, [literal("("), free, literal("]"), free], [1]).matches("[")
    assert filled(DYCK, [literal("["), free, literal(")"), free], [1, 3]).matches("(]")
    assert not filled(DYCK, [literal("("), free, literal("]"), free], [1]).matches("")


def test_regular_grammar_and_multibyte_text() -> None:
    words = regex("[a-zé]+( [a-zé]+)*")
    hole = filled(words, [literal("é "), regex(".*"), literal(" b")], [1])

    assert [hole.matches(text) for text in ("é", "a é", "", " é", "B")] == [True, True, False, False, False]


def test_a_grammar_of_the_library() -> None:
    hole = filled(library("csv"), [literal('a,"'), any_text(), literal("\n1,2\n")], [1])
    texts = ['"', 'b"', "b", 'b",c', '"\n3,4']

    assert [hole.matches(text) for text in texts] == [library("csv").matches(f'a,"{text}\n1,2\n') for text in texts]


def test_what_is_not_supported_is_refused() -> None:
    with pytest.raises(UnsupportedConstraint, match="own language is regular"):
        filled(DYCK, [DYCK])
    with pytest.raises(UnsupportedConstraint, match="inside of and"):
        filled(DYCK & regex(".*"), [regex(".*")])
    with pytest.raises(EmptyLanguage):
        compile(filled(DYCK, [literal("(]")]), VOCAB)
