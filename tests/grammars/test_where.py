"""`where` strings against Python's own evaluation of the same expression."""

from __future__ import annotations

import functools
import itertools
import random
import re
from collections.abc import Iterator
from typing import SupportsIndex

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmprog.grammars import (
    Constraint,
    EmptyLanguage,
    Grammar,
    InvalidConstraint,
    UnsupportedConstraint,
    Vocabulary,
    compile,
    regex,
)
from lmprog.grammars.derive import derive, nullable
from lmprog.grammars.errors import BudgetError
from lmprog.grammars.expr import EMPTY, Expr
from lmprog.grammars.where import restrict, where


class NotANumber(float):
    """Meets no comparison, not even `!=`."""

    def _never(self, _other: object) -> bool:
        return False

    __lt__ = __le__ = __gt__ = __ge__ = __eq__ = __ne__ = _never
    __hash__ = float.__hash__


class Missing(str):
    """A character that is not there meets no condition."""

    def __getattribute__(self, name: str) -> object:
        return (
            (lambda *_: False) if name.startswith(("is", "startswith", "endswith")) else super().__getattribute__(name)
        )

    def __eq__(self, other: object) -> bool:
        return False

    __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __eq__
    __hash__ = str.__hash__


class Text(str):
    def __getitem__(self, key: SupportsIndex | slice) -> str:
        try:
            return Text(super().__getitem__(key))
        except IndexError:
            return Missing("\0")

    def strip(self, *_: object) -> Text:
        return Text(super().strip())


def sentences(x: str) -> int:
    whole = [w for w in x.split() if re.search(r"""[.!?…。！？]["')\]}»”’」』]*$""", w)]
    words = x.split()
    return len(whole) + (bool(words) and words[-1] not in whole)


def number(x: str, kind: type[int] | type[float], pattern: str) -> float:
    return kind(x) if re.fullmatch(pattern, x, re.ASCII) else NotANumber("nan")


FUNCTIONS = {
    "words": lambda x: x if isinstance(x, int) else len(x.split()),
    "sentences": sentences,
    "len": lambda x: x if isinstance(x, int) else len(x),
    "int": lambda x: number(x, int, r"[+-]?\d+"),
    "float": lambda x: number(x, float, r"[+-]?\d+(\.\d+)?"),
    "startswith": lambda x, y: x.startswith(y),
    "endswith": lambda x, y: x.endswith(y),
    "matches": lambda x, p: re.fullmatch(p, x) is not None,
    "search": lambda x, p: re.search(p, x) is not None,
}


def oracle(expression: str, x: str) -> bool:
    return bool(eval(expression, dict(FUNCTIONS), {"x": Text(x)}))


def accepted(e: Expr, alphabet: str, size: int, so_far: str = "") -> Iterator[str]:
    if nullable(e):
        yield so_far
    for c in alphabet if size else "":
        after = functools.reduce(derive, c.encode(), e)
        if after is not EMPTY:
            yield from accepted(after, alphabet, size - 1, so_far + c)


def words_over(alphabet: str, size: int) -> Iterator[str]:
    return (w for n in range(size + 1) for w in map("".join, itertools.product(alphabet, repeat=n)))


CASES = [
    ("len(x) < 3", "aé😀"),
    ("2 <= len(x) < 5 and len(x) != 3", "aé"),
    ("not 2 <= len(x) <= 4 or len(x) in (3, 1)", "aé"),
    ("len(x) in range(2, 4) and len(x) > 2.5", "aé"),
    ("len(x)", "ab"),
    ("not x", "ab"),
    ("x and 3 > len(x)", "ab"),
    ('"ox" in x', "oxa"),
    ('"ox" not in x', "oxa"),
    ('"aab" in x and not "aabaab" in x', "ab"),
    ('"éa" in x or "é" not in x', "aé\N{LATIN SMALL LETTER E WITH GRAVE}"),
    ('len(x) < 5 and "ox" in x', "oxa"),
    ('"" in x', "a"),
    ('x.startswith("ab") or not startswith(x, "ba")', "abc"),
    ('x.startswith(("ab", "b")) and not x.endswith(("a", "cb"))', "abc"),
    ('endswith(x, "aba") or endswith(x, "")', "ab"),
    ('not endswith(x, "aba")', "ab"),
    ('x == "ab" or x != "ab" and x != "a"', "ab"),
    ('x in ["a", "ab", "", "é"]', "abé"),
    ('x not in {"a", "ab"}', "ab"),
    ('x in "abab"', "abc"),
    ('x not in "abab"', "abc"),
    ('x < "ab"', "abcé"),
    ('"ab" >= x and x > "a"', "abcé"),
    ('not x >= "b\u00e9"', "abcé"),
    ('x <= ""', "a"),
    ('matches(x, r"[ab]+c?")', "abc"),
    ("not matches(x, 'a.b|c*')", "abc\n"),
    ('search(x, r"\\bab\\b")', "ab ."),
    ('not search(x, "^a|b$")', "ab\n"),
    ("words(x) == 2", "a .\n"),
    ("words(x) <= 1", "aé \u3000"),
    ("1 < words(x) < 3 or words(x) == 0", "ab "),
    ("words(x) != 2 and len(x.split()) < 3", "ab "),
    ("len(words(x)) >= 2 and 'a b' in x", "ab "),
    ("sentences(x) == 2", "a. !"),
    ("sentences(x) < 2", 'a." '),
    ("len(sentences(x)) in [0, 3]", "a. "),
    ("not sentences(x) >= 1", "a.) "),
    ('x.count("a") == 2', "ab"),
    ('1 <= x.count("aa") < 3', "ab"),
    ('not x.count("aba") == 1', "ab"),
    ('x.count("ab") == 0 or x.count("ab") > 1', "abc"),
    ("3 <= int(x) <= 15", "0135-+"),
    ("int(x) < 0 or int(x) > 30", "013-+"),
    ("not int(x) != 10", "01-+."),
    ("int(x) != 0 and int(x) >= -3.5", "03-."),
    ("int(x) in (1, 10) or int(x) in range(3, 6)", "0135"),
    ("float(x) < 2.5", "0125.-"),
    ("1.05 <= float(x) < 10", "015.-"),
    ("float(x) == 0.5 or float(x) == -5", "05.-"),
    ("not float(x) >= 0", "01.-+"),
    ("-0.5 < float(x) < 0.1 and float(x) != 0", "015.-"),
    ("x.isdigit() or x.isspace()", "1٣² a"),
    ("x.isalpha() and x.isascii()", "aZ1é"),
    ("x.isupper()", "aA1ǅ"),
    ("not x.islower()", "aA1ǅ"),
    ("x.istitle()", "aA1ǅ"),
    ("x.isidentifier()", "a1_é-"),
    ("x.isalnum() and not x.isnumeric() and not x.isdecimal()", "a1½"),
    ("x.isprintable()", "a \n\x85"),
    ("x[0].isupper() and not x[-1].isdigit()", "aA1"),
    ('x[0] == "a" or not x[1] == "b"', "ab"),
    ('x[-2] != "a" and x[2] in "ab"', "abc"),
    ('x[:2] == "ab"', "ab"),
    ('x[2:] == "ab" or not x[1:]', "ab"),
    ('"a" in x[1:3] and x[:-2].count("b") < 2', "ab"),
    ('x[-2:] != "ab" and x[-3:-1] != "ba" and x[1:-1] != "a"', "ab"),
    ('x[:0] == "" and x[-0:] == "ab"', "ab"),
    ('not x[3:1] == "" or not x[:-2] in ["", "a"]', "ab"),
    ('x.strip() == "ab"', "ab "),
    ('2 <= len(x.strip()) and not x.strip().startswith("a")', "ab\t"),
    ("len(x.strip()) < 3 and words(x.strip()) < 2", "a \n"),
    ("x.strip()[0] == 'a'", "ab "),
    ('("a" in x) if len(x) > 2 else x == "b"', "ab"),
    ("True and not False", "a"),
    ("False or len(x) == 1", "a"),
    ("len(x) <= 4 and (x == 'a' or len(x) > 2 or 'ab' in x) and not (len(x) == 4 and x[0] == 'b')", "ab"),
]


@pytest.mark.parametrize(("expression", "alphabet"), CASES)
def test_equals_python(expression: str, alphabet: str) -> None:
    size = {1: 8, 2: 8, 3: 6, 4: 5, 5: 5, 6: 5}[len(alphabet)]

    actual = set(accepted(where(expression).expr, alphabet, size))

    assert actual == {w for w in words_over(alphabet, size) if oracle(expression, w)}


TEXTS = st.text("ab.é \n", max_size=3)
LETTERS = st.text("ab.é \n", min_size=1, max_size=3)
SMALL = st.integers(0, 6)
SIGNS = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])
SUBJECTS = st.sampled_from(["x", "x", "x", "x.strip()", "x[1:]", "x[:-1]", "x[:3]", "x[-2:]"])
ATOMS = st.one_of(
    st.builds("{0}({1}) {2} {3}".format, st.sampled_from(["len", "words", "sentences"]), SUBJECTS, SIGNS, SMALL),
    st.builds("{1} <= len({0}) < {2}".format, SUBJECTS, SMALL, SMALL),
    st.builds("{0}.count({1!r}) {2} {3}".format, SUBJECTS, LETTERS, SIGNS, SMALL),
    st.builds("{1!r} {2} {0}".format, SUBJECTS, TEXTS, st.sampled_from(["in", "not in", "==", "!=", "<", ">="])),
    st.builds("{0} in [{1!r}, {2!r}]".format, SUBJECTS, TEXTS, TEXTS),
    st.builds("{0}.{2}({1!r})".format, SUBJECTS, TEXTS, st.sampled_from(["startswith", "endswith"])),
    st.builds("{1}({0}, '{2}')".format, SUBJECTS, st.sampled_from(["matches", "search"]), st.sampled_from(
        ["a+b?", "(a|ab)(b|.b)", "[^b]*", r"\\ba", "(?!a).{2,}", "a$"])),
    st.builds("x[{0}] {1} {2!r}".format, st.integers(-2, 2), st.sampled_from(["==", "in", "<"]), LETTERS),
)  # fmt: skip
EXPRESSIONS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.builds("({0} and {1})".format, inner, inner),
        st.builds("({0} or {1})".format, inner, inner),
        st.builds("not {0}".format, inner),
        st.builds("({0} if {1} else {2})".format, inner, inner, inner),
    ),
    max_leaves=6,
)


@settings(max_examples=200, deadline=None)
@given(EXPRESSIONS, st.lists(st.text("ab.é \n", max_size=9), min_size=20, max_size=20))
def test_random_expressions_equal_python(expression: str, texts: list[str]) -> None:
    try:
        grammar = where(expression)
    except EmptyLanguage:
        assert not any(oracle(expression, text) for text in texts)
        return
    for text in texts:
        assert grammar.matches(text) == oracle(expression, text), text


TOKENS = ["a", "b", "o", "x", "ox", "xa", "foo", "aab", "é", "bé", "ox a", " ", "b ", "aaaa"]


def vocabulary(tokens: list[str]) -> Vocabulary:
    return Vocabulary([*[t.encode() for t in tokens], None], {len(tokens)})


def fewest_tokens(rest: str, tokens: tuple[str, ...]) -> float:
    least = [0.0] + [float("inf")] * len(rest)
    for i in range(len(rest)):
        for t in tokens:
            if rest.startswith(t, i):
                least[i + len(t)] = min(least[i + len(t)], least[i] + 1)
    return least[-1]


@pytest.mark.parametrize(
    ("expression", "base", "alphabet", "longest"),
    [
        ('len(x) < 6 and "ox" in x', None, "oxa", 5),
        ('len(x) < 5 and "ox" in x', "[xao ]+", "oxa ", 4),
        ('len(x) < 7 and "oo" not in x', "(foo|fo)?(ox|o)*a?", "foxa", 6),
        ('words(x) == 2 and x[0] != "b" and not x.endswith("ba")', "[ab ]{0,5}", "ab ", 5),
        ('3 < len(x) <= 5 and x != "aaab"', "(a|aab|b|é)+", "abé", 5),
        ('x.count("ab") == 1 and len(x) <= 5', None, "ab", 5),
    ],
)
@pytest.mark.parametrize("keep", [len(TOKENS), 6], ids=["many tokens", "few tokens"])
def test_masks_and_budgets_equal_brute_force(
    expression: str, base: str | None, alphabet: str, longest: int, keep: int
) -> None:
    """What may follow, and within how many tokens, told from the list of all accepted texts alone."""
    tokens = tuple(t for t in [*alphabet, *TOKENS[4:]][: keep + 4] if set(t) <= set(alphabet))
    texts = [w for w in words_over(alphabet, longest) if oracle(expression, w) and re.fullmatch(base or "(?s:.*)", w)]
    grammar = restrict(regex(base), expression) if base else where(expression) & regex(f"[{alphabet}]*")
    vocab = vocabulary(list(tokens))
    constraint, rng = compile(grammar, vocab), random.Random(expression)
    for budget in (None, 2, 3, 4):
        for _ in range(6):
            s, done, left = constraint.start(), "", budget
            for _ in range(8):
                rests = {t[len(done) :] for t in texts if t.startswith(done)}
                expected = {
                    i
                    for i, t in enumerate(tokens)
                    if any(fewest_tokens(r[len(t) :], tokens) < (left or 99) for r in rests if r.startswith(t))
                } | ({len(tokens)} if "" in rests else set())
                if not expected:
                    with pytest.raises(BudgetError):
                        constraint.mask(s, left)
                    break

                allowed = constraint.allowed(s, budget=left)
                assert allowed is not None
                assert set(allowed.tolist()) == expected

                token = rng.choice(sorted(expected))
                if token == len(tokens) or left == 0:
                    break
                after = constraint.advance(s, token)
                assert after is not None
                s, done, left = after, done + tokens[token], None if left is None else left - 1
                if left == 0:
                    assert constraint.accepting(s)
                    break


@functools.cache
def large_vocabulary() -> Vocabulary:
    """As many tokens as a real one: bytes, pieces, words with and without a space before them."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    pieces = ["".join(p) for n in (2, 3) for p in itertools.product(letters, repeat=n)]
    rng = random.Random(0)
    words = {"".join(rng.choices(letters + "éß日 .,!\n'", k=rng.randrange(3, 12))) for _ in range(20_000)}
    tokens = [bytes((i,)) for i in range(256)] + [t.encode() for p in sorted({*pieces, *words}) for t in (p, " " + p)]
    return Vocabulary([*dict.fromkeys(tokens), None], {len(dict.fromkeys(tokens))})


SAMPLED = [
    ('len(x) < 30 and "ox" in x', None, 12),
    ('len(x) < 30 and "ox" in x', "[a-z ]+", 6),
    ('len(x) < 100 and "moon" in x', None, 8),
    ('x != "fobar"', "(foo|fo)obar", 4),
    ('len(x) > 3 and "b" not in x[1:4]', "(a|ab|abc)+(c|bc|bcd)", 5),
    ("sentences(x) == 2 and words(x) < 12", r"[A-Za-z .!?']+", 20),
    ("10 <= len(x) < 14 and x.strip()[0].isupper() and not x.islower()", None, 14),
]


@pytest.mark.parametrize(("expression", "base", "budget"), SAMPLED)
def test_no_violation_in_a_thousand_samples(expression: str, base: str | None, budget: int) -> None:
    vocab, rng = large_vocabulary(), random.Random(expression)
    grammar = restrict(regex(base), expression) if base else where(expression)
    constraint = compile(grammar, vocab)
    for _ in range(1000):
        s, out = constraint.start(), b""
        for left in range(budget, 0, -1):
            token = uniform(constraint, s, left, rng)
            if token in vocab.eos:
                break
            out += vocab.token_bytes[token] or b""
            after = constraint.advance(s, token)
            assert after is not None
            s = after
        text = out.decode()

        assert oracle(expression, text), text
        assert base is None or re.fullmatch(base, text), text


def uniform(constraint: Constraint, s: int, left: int, rng: random.Random) -> int:
    ids = constraint.allowed(s, budget=left)
    if ids is not None:
        return int(rng.choice(ids))
    row = constraint.mask(s, left).view(np.uint32)
    while True:
        token = rng.randrange(constraint.vocab.size)
        if row[token >> 5] >> (token & 31) & 1:
            return token


REFUSED = [
    ("foo(x)", UnsupportedConstraint, "column 1"),
    ("len(x) < 3 and x.lower() == 'a'", UnsupportedConstraint, "column 16"),
    ("'é' in x and int(x) % 2 == 0", UnsupportedConstraint, "column 14"),
    ("len(x) < words(x)", UnsupportedConstraint, "column 1"),
    ("x[::2] == 'a'", UnsupportedConstraint, "column 3"),
    ("x[-3:2] == 'a'", UnsupportedConstraint, "column 1"),
    ("len(x) > 1e10", UnsupportedConstraint, "column 1"),
    ("x.startswith('a', 1)", UnsupportedConstraint, "column 1"),
    ("[c for c in x]", UnsupportedConstraint, "column 1"),
    ("matches(x, r'(a)\\1')", UnsupportedConstraint, "column 12"),
    ("x is 'a'", UnsupportedConstraint, "column 1"),
    ("lambda: x", UnsupportedConstraint, "column 1"),
    ("  len(y) < 3", InvalidConstraint, "column 7"),
    ("len(x", InvalidConstraint, "column 4"),
    ("", InvalidConstraint, "column 1"),
    ("len(x) = 3", InvalidConstraint, "column 8"),
    ("len(x) == 'a'", InvalidConstraint, "column 1"),
    ("x < 5", InvalidConstraint, "column 1"),
    ("1 < 2", InvalidConstraint, "column 1"),
    ("'a' in 'ab'", InvalidConstraint, "column 1"),
    ("matches(x, '[a')", InvalidConstraint, "column 12"),
    ("x.count('') > 1", InvalidConstraint, "column 9"),
    ("x == '\\ud800'", InvalidConstraint, "column 6"),
    ("(len(x) < 3 and\n foo(x))", UnsupportedConstraint, "line 2, column 2"),
]


@pytest.mark.parametrize(("expression", "error", "place"), REFUSED)
def test_refusals_name_the_column(expression: str, error: type[Exception], place: str) -> None:
    with pytest.raises(error, match=f"at {place}\\)$"):
        where(expression)


@pytest.mark.parametrize("depth", [100, 3000, 100_000])
def test_deep_nesting_is_an_answer_or_an_error(depth: int) -> None:
    try:
        assert where("not " * depth + "len(x) < 3").matches("abc") == bool(depth % 2)
    except (UnsupportedConstraint, InvalidConstraint) as error:
        assert "nest" in str(error)  # noqa: PT017


@pytest.mark.parametrize(
    ("expression", "parts"),
    [
        ("len(x) < 3 and x.startswith('abcd') and 'q' in x", ["'len(x) < 3'", "startswith"]),
        ("5 < len(x) < 3", ["'5 < len(x) < 3' is never true"]),
        ("False", ["'False' is never true"]),
        ("x == 'a' and (len(x) > 1 or 'b' in x)", ["x == 'a'", "'b' in x"]),
        ("words(x) > 50 and len(x) < 100", ["words(x) > 50", "len(x) < 100"]),
    ],
)
def test_contradictions_are_named(expression: str, parts: list[str]) -> None:
    with pytest.raises(EmptyLanguage) as caught:
        where(expression)
    for part in parts:
        assert part in str(caught.value)
    assert "'q' in x\" ex" not in str(caught.value)


def test_contradictions_with_the_language_of_the_value_are_named() -> None:
    with pytest.raises(EmptyLanguage, match="the language of the value' and \"'1' in x\" exclude"):
        restrict(regex("[a-z]+"), "len(x) < 3 and '1' in x")


def test_the_name_may_be_chosen_and_types_stay() -> None:
    base = Grammar(regex("[0-9]{1,3}").expr, int)

    assert where("len(city) == 2", name="city").matches("ab")
    assert restrict(base, "int(x) < 50").parse("7") == 7
    with pytest.raises(InvalidConstraint, match="no 'x' here; the value is called 'city'"):
        where("len(x) == 2", name="city")


def test_equal_conditions_are_one_expression() -> None:
    assert where("len(x) < 7 and 'a' in x").expr is where("len(x) < 7 and 'a' in x").expr


def test_counts_cost_nothing() -> None:
    vocab = Vocabulary([bytes((i,)) for i in range(256)] + [None], {256})
    constraint = compile(where("len(x) < 1_000_000 and 'ox' in x"), vocab)
    s = constraint.start()
    for byte in b"a long text without the word":
        s = constraint.advance(s, byte) or 0

    assert not constraint.accepting(s)
    assert constraint.distance(s) == 2
