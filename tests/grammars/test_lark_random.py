"""Random grammars: against derivation by brute force, and against Lark's own parsers."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass

import pytest
from lark import Lark
from lark.exceptions import LarkError

from lmprog.grammars import UnsupportedConstraint, gbnf, lark
from lmprog.grammars.lark import Lexer

LONGEST = 5
TEXTS = ["".join(w) for n in range(LONGEST + 1) for w in itertools.product("ab", repeat=n)]


@dataclass(frozen=True)
class Call:
    name: str


@dataclass(frozen=True)
class Word:
    text: str


@dataclass(frozen=True)
class Row:
    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Either:
    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Times:
    body: Node
    low: int
    high: int | None


Node = Call | Word | Row | Either | Times
Rules = dict[str, Node]


def random_rules(rng: random.Random) -> Rules:
    names = ["start", "p", "q", "r"][: rng.randint(1, 4)]
    return {name: _either(names, rng, 2) for name in names}


def _either(names: list[str], rng: random.Random, depth: int) -> Node:
    return Either(tuple([_row(names, rng, depth) for _ in range(rng.randint(1, 3))]))


def _row(names: list[str], rng: random.Random, depth: int) -> Node:
    return Row(tuple([_item(names, rng, depth) for _ in range(rng.choice([0, 1, 1, 2, 2, 3]))]))


def _item(names: list[str], rng: random.Random, depth: int) -> Node:
    kind = rng.random()
    if depth == 0 or kind < 0.45:
        return Word(rng.choice(["a", "b", "a", "ab"]))
    if kind < 0.75:
        return Call(rng.choice(names))
    if kind < 0.85:
        return _either(names, rng, depth - 1)
    low = rng.randrange(3)
    high = rng.choice([None, max(low + rng.randrange(3), 1)])
    return Times(_item(names, rng, depth - 1), low, high)


def as_lark(node: Node) -> str:
    match node:
        case Call(name):
            return name
        case Word(text):
            return f'"{text}"'
        case Row(parts):
            return " ".join(map(as_lark, parts))
        case Either(parts):
            return f"({' | '.join(map(as_lark, parts))})"
        case Times(body, low, None):
            return f"({as_lark(body)})" + ("*" if low == 0 else "+" if low == 1 else f"~{low} ({as_lark(body)})*")
        case Times(body, low, high):
            return f"({as_lark(body)})" + ("?" if (low, high) == (0, 1) else f"~{low}..{high}")


def as_gbnf(node: Node) -> str:
    match node:
        case Call(name):
            return name
        case Word(text):
            return f'"{text}"'
        case Row(parts):
            return " ".join(map(as_gbnf, parts)) or '""'
        case Either(parts):
            return f"({' | '.join(map(as_gbnf, parts))})"
        case Times(body, low, high):
            return f"({as_gbnf(body)}){{{low},{'' if high is None else high}}}"


def derived(rules: Rules) -> set[str]:
    """All texts up to LONGEST: the least fixpoint."""
    known: dict[str, set[str]] = {name: set() for name in rules}
    while (found := {name: _texts(node, known) for name, node in rules.items()}) != known:
        known = found
    return known["start"]


def _texts(node: Node, known: dict[str, set[str]]) -> set[str]:
    match node:
        case Call(name):
            return known[name]
        case Word(text):
            return {text}
        case Row(parts):
            out = {""}
            for part in parts:
                out = _chained(out, _texts(part, known))
            return out
        case Either(parts):
            return set[str]().union(*[_texts(part, known) for part in parts])
        case Times(body, low, high):
            some = _texts(body, known)
            return _texts(Row((body,) * low), known) if high == low else _repeated(some, low, high)


def _repeated(some: set[str], low: int, high: int | None) -> set[str]:
    out, last = set[str](), {""}
    for count in range(low + LONGEST + 1 if high is None else high + 1):
        out |= last if count >= low else set()
        last = _chained(last, some)
    return out


def _chained(left: set[str], right: set[str]) -> set[str]:
    return {a + b for a in left for b in right if len(a + b) <= LONGEST}


@pytest.mark.parametrize("seed", range(200))
def test_the_language_is_what_the_rules_derive(seed: int) -> None:
    """Also with left recursion: direct, indirect, through rules that may be empty."""
    rules = random_rules(random.Random(seed))
    expected = derived(rules)
    for grammar in (
        lark("\n".join(f"{name}: {as_lark(node)}" for name, node in rules.items())),
        gbnf("\n".join(f"{name} ::= {as_gbnf(node)}" for name, node in rules.items()), start="start"),
    ):
        assert expected == {text for text in TEXTS if grammar.matches(text)}


# -- Lark's own parsers

ALPHABET = "ab +"
PATTERNS = [
    "/a+/", "/[ab]+/", "/b/", "/ab?/", "/a*b/", "/(a|b)+?b/", "/a+?/", "/[ab]+/i", "/A/i", "/a(?!b)/", "/a(?=b| )/",
    "/ab|a/", "/a|ab/", "/b\\b/", "/\\+ */", "/b+ /", "/(ab)+/", "/a{1,2}/", "/b.a?/", "/[^a]/", "/ +/", "/\\w+/",
    "/a$/", "/(?i:B)a*/", "/b (?#any)a/x", "/(?:[ab]{2})+?/",
]  # fmt: skip
STRINGS = [
    '"a"', '"b"', '"ab"', '"aa"', '"+"', '"b "', '"A"', '"a"i', '"AB"i', '"a" | "ab"', '"a"~2', '"b" "+"?', '"a".."b"',
]  # fmt: skip
IGNORED = ["", "", '" "', "/ +/", "/ |\\+/", "/ a?/", "/b+/"]


def random_source(rng: random.Random) -> str:
    rules = ["start", "p", "q"][: rng.randint(1, 3)]
    terminals = [f"T{i}" for i in range(rng.randint(1, 4))]
    atoms = [*terminals, '"a"', '"+"', '"b"']

    def item(depth: int) -> str:
        kind = rng.random()
        if depth == 0 or kind < 0.5:
            return rng.choice(atoms)
        if kind < 0.75:
            return rng.choice(rules)
        return f"({either(depth - 1)}){rng.choice(['?', '*', '+', '', '~2', '~1..2'])}"

    def either(depth: int) -> str:
        rows = [[item(depth) for _ in range(rng.choice([0, 1, 1, 2, 2, 3]))] for _ in range(rng.randint(1, 2))]
        return " | ".join(map(" ".join, rows))

    def terminal(name: str) -> str:
        return f"{name}{rng.choice(['', '', '.1', '.2'])}: {rng.choice(rng.choice([PATTERNS, STRINGS]))}"

    ignored = rng.choice(IGNORED)
    lines = [*(f"{rule}: {either(2)}" for rule in rules), *map(terminal, terminals)]
    return "\n".join([*lines, *([f"%ignore {ignored}"] if ignored else [])])


def verdict(parser: Lark, text: str) -> bool | None:
    try:
        parser.parse(text)
    except LarkError:
        return False
    except RuntimeError:  # "Earley should not generate multiple start symbol items! Please report this bug."
        return None
    return True


def random_texts(rng: random.Random) -> list[str]:
    short = ["".join(w) for n in range(3) for w in itertools.product(ALPHABET, repeat=n)]
    return short + ["".join(rng.choices(ALPHABET, k=rng.randint(3, 7))) for _ in range(100)]


@pytest.mark.parametrize("lexer", ["dynamic", "dynamic_complete", "basic"])
@pytest.mark.parametrize("seed", range(60))
def test_verdicts_are_those_of_lark(seed: int, lexer: Lexer) -> None:
    rng = random.Random(seed)
    source = random_source(rng)
    parser = Lark(source, parser="earley", lexer=lexer, ambiguity="forest")
    try:
        grammar = lark(source, lexer=lexer)
    except UnsupportedConstraint as e:
        assert "not supported with lexer='dynamic_complete'" in str(e)  # noqa: PT017
        return
    for text in random_texts(rng):
        assert verdict(parser, text) in (grammar.matches(text), None), text


@pytest.mark.parametrize("seed", range(60))
def test_what_lalr_accepts_is_accepted(seed: int) -> None:
    """Not the other way round: LALR settles conflicts by reading on, and so refuses texts of the grammar."""
    rng = random.Random(seed)
    source = random_source(rng)
    try:
        parser = Lark(source, parser="lalr", lexer="basic")
    except LarkError:  # conflicts that it does not settle
        return
    grammar = lark(source, lexer="basic")
    assert [] == [text for text in random_texts(rng) if verdict(parser, text) and not grammar.matches(text)]
