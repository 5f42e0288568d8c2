"""The regex dialects: what is accepted and refused, checked by hand and against `re`; and what the errors say."""

from __future__ import annotations

import json
import re
import unicodedata
from pathlib import Path
from typing import Any

import pytest
import regex as third_party

from lmprog.grammars import InvalidConstraint, UnsupportedConstraint, regex
from lmprog.grammars.expr import matches
from lmprog.grammars.regex import PLAIN, search, whole
from lmprog.grammars.regex_nodes import Chars
from lmprog.grammars.regex_parse import Dialect, parse
from lmprog.grammars.unicode_sets import Ranges

PYTHON = [
    # classes
    ("[a-c]", "a b c", "d A -"),
    ("[^a-c]+", "d de é", "a da"),
    ("[]a]", "] a", "[ b"),
    ("[^]a]", "b", "] a"),
    ("[a-]", "a -", "b"),
    (r"[\w-]+", "a-_é", ". +"),
    (r"[\]\\^-]+", r"]\^-", "a"),
    (r"[\b]", "\b", "b"),
    ("[.*+?(|){}$]+", ".*+?(|){}$", "a"),
    (r"[^\W\d_]+", "aé日", "1 _ a1"),
    ("[α-ω]+", "αβω", "a ΑΒ"),
    ("[🙂-🙄]", "🙂 🙃", "🚀"),
    (r"\p{Lu}\p{Ll}+\P{L}", "Éa1 Ab-", "ab1 Abc"),
    (r"[\p{Nd}\p{letter}]+", "a1é٣", "a-"),
    (r"\p{gc=Lu}\p{General_Category=Decimal_Number}", "A1", "a1"),
    (".", "a é 🙂", "\n ab"),
    # \d \w \s
    (r"\d+", "12 ٣ ١٢", "a ²"),
    (r"(?a)\d+", "12", "٣"),
    (r"\w+", "aé_1 日本 ٣", "- a-b"),
    (r"(?a)\w+", "a_1", "é 日"),
    (r"(?a:\w)\w", "aé", "éa"),
    (r"\D\S\W", "aa-", "1a- aaa"),
    # repeats
    ("a*b", "b ab aaab", "a ba"),
    ("a{2}", "aa", "a aaa"),
    ("a{2,}", "aa aaaa", "a"),
    ("a{,2}b", "b ab aab", "aaab"),
    ("a{1,3}?", "a aa aaa", "aaaa"),
    ("a+?b??c*?", "a aab abcc", "bc abb"),
    ("a{}", "a{}", "a"),
    ("a{,}", "a aa", "b a{,}"),
    ("a{x}{1", "a{x}{1", "a"),
    ("x{2}{", "xx{", "x{2}{"),
    ("(?:(?:ab?){2,3}c?){2}", "aaaa ababcaa aaac" + "aa", "ab aac abb"),
    ("(?:a|ab)(?:c|bcd)(?:d*)", "abcd acd", "abccd"),
    ("(?:)|a", "a", "b"),
    ("(?:a|b|)c", "ac bc c", "abc"),
    # groups
    ("(a)(?:b)(?P<name>c)", "abc", "ab"),
    ("(?P<é>a)", "a", "b"),
    ("a(?#comment (nested)b", "ab", "a"),
    # anchors
    ("^a$", "a", "b"),
    (r"\Aa\Z", "a", "b"),
    ("a^b|c", "c", "ab"),
    ("(?:^|-)a(?:$|-)", "a -a -a- a-", "aa -aa"),
    ("(^a|b)+", "a ab b abb", "ba aa"),
    # boundaries
    (r"\bfoo\b.*", "foo foo-", "foobar"),
    (r"a\Bb", "ab", "a-b"),
    (r"a\b-\bb", "a-b", "ab a--b"),
    (r"\w+\b\w+", "", "ab abc"),
    (r"(?:a\b-?)+", "a a-a a-a-", "aa"),
    (r"(?a)é\ba", "éa", "éé"),
    # look-around
    ("(?=ab).*", "ab abc", "ac"),
    ("(?!ab).*", "ac a b", "ab abc"),
    (".*(?<=ab)", "ab cab", "ba"),
    (".*(?<!ab)", "ba b", "ab cab"),
    ("(?=.*a)(?=.*b)(?!.*c).{2,3}", "ab bxa aab", "aa abc abxx"),
    ("a(?=b)(?!bc)b.*", "ab abd", "abc a"),
    ("(?=(?!ab)a.)..", "ac aa", "ab bb"),
    ("(?!(?=a)..c).*", "abd b", "abc"),
    ("(?:(?!ab).)*ab", "ab cab aab", "abab"),
    ("(?:a(?=b)|b(?!b))*", "ab abab b", "aa bb"),
    ("(?:(?<=a)b|a|(?<!b)c)+", "ab abac c ac", "b bc abb"),
    ("(?<=^)a(?=$)", "a", "aa"),
    ("(?<=a|b)c|d", "d", "c"),
    ("(?<!^)a|b", "b", "a"),
    ("(?:x|(?<=xy)z|y)+", "xyz xxyy", "z yz xz"),
    ("a(?=c)(?!d)|b", "b", "a ac"),
    ("(?:(?=a)|b)*a", "a ba", "b"),
    (r"(?:(?:a|\b){2}-)*", "a- aa- a-aa-", "-a a"),
    (r"(?:\b|x){2,3}y?", "xy xxx", "yx xyx"),
    ("(?=a)*b|(?!a){2}c", "b c", "a"),
    # flags
    ("(?i)straße", "STRAßE straẞe", "strasse STRASSE"),
    ("(?i)k", "k K \u212a", "c"),
    ("(?i)s+", "sSſ", "ß"),
    ("(?i)[^k]", "a", "k K \u212a"),
    ("(?i)İ", "İ i I ı", "l"),
    ("(?i)σ", "σ ς Σ", "s"),
    ("(?i)µ", "µ μ Μ", "u"),
    ("(?i)[a-z]+", "aZſ\u212a", "é"),
    ("(?ia)k", "k K", "\u212a"),
    ("(?i:a)b", "ab Ab", "aB AB"),
    ("(?i)a(?-i:b)c", "abc AbC", "aBc"),
    ("(?x) a b # comment\n c", "abc", "a"),
    ("(?x: a )b c", "", "abc"),
    ("(?i)(?s)a.", "Ab", "b"),
    # escapes
    (r"\x41\u00e9\U0001F642\101\0", "Aé🙂A\0", "a"),
    (r"\N{GREEK SMALL LETTER ALPHA}\N{BULLET}", "α•", "a"),
    (r"\101", "A", "1"),
]

EXACT_TEXTS = [  # what the tables, split at spaces, cannot hold
    ("python", r"\s+", [" \t\n\r\f\v\x1c\x85\xa0\u3000"], ["\ufeff", "\u200b", ""]),
    ("python", r"(?a)\s+", [" \t\n\r\f\v"], ["\xa0", "\x1c"]),
    ("ecma", r"\s+", [" \t\n\r\f\v\xa0\u3000\ufeff\u2028"], ["\x1c", "\x85", "\u200b"]),
    ("python", "a$", ["a"], ["a\n"]),
    ("python", "a$\n?", ["a", "a\n"], ["a\n\n"]),
    ("python", "(?m)a$\n^b", ["a\nb"], ["ab"]),
    ("python", "(?m)a$.?", ["a"], ["ab", "a\n"]),
    ("python", "(?m)(?:^a*$\n?)*", ["a\naa\n", "\n\n"], ["b"]),
    ("python", "(?m:^)a|\n(?m:^)b", ["a", "\nb"], ["b"]),
    ("ecma", "a$\n?", ["a"], ["a\n"]),
    ("ecma", ".", ["a", "\x85"], ["\n", "\r", "\u2028", "\u2029"]),
    ("python", ".", ["\r", "\u2028"], ["\n"]),
    ("ecma", "[^]", ["\n", "a"], [""]),
    ("ecma", "(?m:^a$)\n.", ["a\nb"], ["b\na"]),
    ("python", r"\B", [""] * bool(re.search(r"\B", "")), ["a"]),
    ("ecma", r"\B", [""], ["a"]),
    ("python", r"\b", [], ["", "a"]),
    ("python", r"(?x)a\ b[ ]", ["a b "], ["ab", "a b"]),
    ("python", r"\.\/\-\ \é", ["./- é"], ["./-é"]),
    ("python", "(?x: a )b c", ["ab c"], ["a b c"]),
    ("python", "", [""], ["a"]),
    ("python", "(?s).(?-s:.)", ["\na"], ["a\n"]),
    ("python", "(?s:.)", ["\n", "a"], [""]),
    ("python", r"\a\f\v", ["\a\f\v"], ["afv"]),
    ("python", "[^\n]*", ["", "é\r"], ["a\n"]),
    ("ecma", r"\cA\cj\0", ["\1\n\0"], ["cA"]),
]  # fmt: skip

ECMA = [
    (r"\d+", "12", "٣"),
    (r"\w+", "a_1", "é"),
    (r"\W", "é -", "a _"),
    ("[]|a", "a", "b ]"),
    ("[^a-c]", "d ]", "a"),
    (r"[\w-.]+", "a-.", "é"),
    (r"(?<name>a)(?<$b>b)", "ab", "a"),
    (r"\u{1F642}\u0041\x41", "🙂AA", "a"),
    (r"\ud83d\ude42", "🙂", "a"),
    (r"[\u{1F600}-\u{1F64F}]", "🙂", "a"),
    (r"\p{Lu}\P{Lu}", "Éa", "aa"),
    (r"^\$\/\-$", "$/-", "a"),
    ("a(?=b)b|(?<!a)c(?!d)", "ab c", "cd ac"),
    ("(?<=a{1,3})b|a+(?<=a{2})b", "aab aaab", "b ab"),
    ("(?i:K)[a-z]", "ka Ka", "kA"),
    ("(?:a|b)*?c{2,}", "abcc ccc", "abc"),
    (r"a\bb|\Ba|c\b", "c", "ab a"),
]


def accepts(pattern: str, text: str, dialect: Dialect = "python") -> bool:
    return matches(whole(pattern, dialect, PLAIN), text.encode())


@pytest.mark.parametrize(("pattern", "good", "bad"), PYTHON)
def test_python(pattern: str, good: str, bad: str) -> None:
    known = None if r"\p{" in pattern or r"\P{" in pattern else re.compile(pattern)
    for expected, texts in ((True, good), (False, bad)):
        for text in texts.split():
            assert expected == accepts(pattern, text), text
            assert known is None or expected == bool(known.fullmatch(text)), text


@pytest.mark.parametrize(("pattern", "good", "bad"), ECMA)
def test_ecma(pattern: str, good: str, bad: str) -> None:
    assert [True] * len(good.split()) == [accepts(pattern, text, "ecma") for text in good.split()]
    assert [False] * len(bad.split()) == [accepts(pattern, text, "ecma") for text in bad.split()]


@pytest.mark.parametrize(("dialect", "pattern", "good", "bad"), EXACT_TEXTS)
def test_exact_texts(dialect: Dialect, pattern: str, good: list[str], bad: list[str]) -> None:
    assert [True] * len(good) == [accepts(pattern, text, dialect) for text in good]
    assert [False] * len(bad) == [accepts(pattern, text, dialect) for text in bad]


@pytest.mark.parametrize(
    ("dialect", "pattern", "good", "bad"),
    [
        ("ecma", "b", ["b", "abc", "\nb"], ["", "ac"]),
        ("ecma", "^ab", ["ab", "abc"], ["cab", "\nab"]),
        ("ecma", "ab$", ["ab", "cab"], ["abc", "ab\n"]),
        ("python", "ab$", ["ab", "ab\n"], ["abc", "ab\n\n"]),
        ("python", "(?m)^ab$", ["ab", "x\nab\ny"], ["xab"]),
        ("ecma", r"\bab\b", ["ab", "x ab-"], ["abx", "_ab"]),
        ("ecma", "a|^b|c$", ["xa", "bx", "xc"], ["xbx", "cx"]),
        ("ecma", "(?<!a)b(?!c)", ["b", "abb", "bcb"], ["ab", "bc", "abc"]),
        ("ecma", "(?!)", [], ["", "a"]),
        ("ecma", "", ["", "a\n"], []),
        ("ecma", "^(?!.*b)", ["", "ac", "a\nb"], ["b", "ab"]),
        ("ecma", "(?=a)b|c(?<=c)", ["c", "xcx"], ["a", "b", "ab"]),
    ],
)
def test_search(dialect: Dialect, pattern: str, good: list[str], bad: list[str]) -> None:
    found = search(pattern, dialect, PLAIN)

    assert [True] * len(good) == [matches(found, text.encode()) for text in good]
    assert [False] * len(bad) == [matches(found, text.encode()) for text in bad]


UNSUPPORTED = [
    ("python", r"(a)b\1", 4, "backreferences"),
    ("python", r"(?P<n>a)(?P=n)", 8, "backreferences"),
    ("python", "(a)?(?(1)b|c)", 4, "conditional"),
    ("python", "x(?>a+)", 1, "atomic"),
    ("python", "a++b", 2, "possessive"),
    ("python", "a{1,2}+b", 6, "possessive"),
    ("python", r"\p{Script=Greek}", 0, "general categories"),
    ("python", r"(?<=\b)a", 0, "look-behind"),
    ("ecma", r"(a)b\1", 4, "backreferences"),
    ("ecma", r"(?<n>a)\k<n>", 7, "backreferences"),
    ("ecma", "(?<=a+)b", 0, "look-behind"),
]


@pytest.mark.parametrize(("dialect", "pattern", "position", "why"), UNSUPPORTED)
def test_what_is_refused(dialect: Dialect, pattern: str, position: int, why: str) -> None:
    with pytest.raises(UnsupportedConstraint, match=why) as caught:
        regex(pattern, dialect=dialect)

    assert f"position {position}" == caught.value.where
    assert repr(pattern) in str(caught.value)


BROKEN = ["(", "a)", "(a", "[a", "[", "[b-a]", r"[\d-z]", "*a", "a**", "a{2}{3}", "a{3,2}", "a|*", "(?P<1>a)",
          "(?P<>a)", "(?P<n>a)(?P<n>b)", "(?Pa)", "(?z)", "a(?i)b", "(?i-i:a)", "(?", "(?:", "(?=", "(?<", "(?<a",
          "(?#", "\\", r"\x4", r"\u12", r"\U00110000", r"\N{NO SUCH}", r"\N{BULLET", r"\q", r"[\q]", r"\400", "^*",
          r"\b+", "$?", "(?a-a:b)", "(?L)a", "x(?-:a)", "a{9999999999999999999}", "(?P<n", "(?<=a"]  # fmt: skip
BROKEN_ECMA = ["(", "a)", "[a", "[b-a]", "*a", "a**", "a{3,2}", "(?<1>a)", "(?<n>a)(?<n>b)", "(?P<n>a)", "(?i)a",
               "(?>a)", "\\", r"\x4", r"\u12", r"\u{}", r"\u{110000}", r"\q", r"\A", r"\Z", r"\01", "(?<=a)*", "^*",
               r"\b+", "(?#a)", r"\U00000041", r"\N{BULLET}", r"\a"]  # fmt: skip


@pytest.mark.parametrize(("dialect", "pattern"), [("python", p) for p in BROKEN] + [("ecma", p) for p in BROKEN_ECMA])
def test_broken_patterns_name_the_position(dialect: Dialect, pattern: str) -> None:
    with pytest.raises((InvalidConstraint, UnsupportedConstraint), match=r"\(at position \d+\)$") as caught:
        regex(pattern, dialect=dialect)

    assert caught.value.where is not None
    assert 0 <= int(caught.value.where.split()[1]) <= len(pattern)
    if dialect == "python":
        with pytest.raises((re.error, OverflowError)):
            re.compile(pattern)


SETS = [r"\w", r"\d", r"\s", r"\W", r"\S", r"(?a)\w", "(?a)\\S", ".", "(?i)k", "(?i)ſ", "(?i)[a-z]", "(?i)İ", "(?i)ı",
        "(?i)ß", "(?i)σ", "(?i)[µÿ]", "(?i)ǆ", "(?i)[à-þ]", "(?i)\u0345", "(?i)ﬆ", "(?i)[^k]", "(?ia)[k-m]", "(?i)\\w",
        "(?i)[Ͱ-Ͽ]", "(?i)[А-Я]", "(?i)Ꭰ", "(?i)ა"]  # fmt: skip


PLANES = range(0x1F000)  # all that have case, and most others


@pytest.mark.parametrize("pattern", SETS)
def test_sets_of_code_points_equal_those_of_re(pattern: str) -> None:
    node, known = parse(pattern), re.compile(pattern)
    assert isinstance(node, Chars)

    assert [chr(c) for c in codes(node.ranges) if c in PLANES] == [c for c in map(chr, PLANES) if known.match(c)]


CATEGORIES = [*map(unicodedata.category, map(chr, range(0x110000)))]


@pytest.mark.parametrize(
    "name", ["L", "Lu", "N", "Nd", "P", "S", "Z", "C", "Cn", "Cs", "Co", "M", "LC", "Any", "ASCII", "Assigned"]
)
def test_properties_equal_unicodedata(name: str) -> None:
    node = parse(rf"\p{{{name}}}", "ecma")
    assert isinstance(node, Chars)
    special = {"LC": ("Lu", "Ll", "Lt"), "Any": ("",), "Assigned": (*tuple("LMNPSZ"), "Cc", "Cf", "Cs", "Co")}
    wanted = special.get(name, (name,))

    expected = [c for c in range(0x110000) if CATEGORIES[c].startswith(wanted)]
    assert (list(range(128)) if name == "ASCII" else expected) == list(codes(node.ranges))


def codes(ranges: Ranges) -> list[int]:
    return [c for low, high in ranges for c in range(low, high + 1)]


DATA = Path(__file__).parents[1] / "data" / "regexes.jsonl"  # written for this test
REALISTIC = [json.loads(line) for line in DATA.read_text().splitlines()]


@pytest.mark.parametrize("row", REALISTIC, ids=[row["name"] for row in REALISTIC])
def test_realistic(row: dict[str, Any]) -> None:
    pattern, found = row["pattern"], regex(row["pattern"])
    for expected, words in ((True, row["accept"]), (False, row["reject"])):
        for word in words:
            assert expected == bool(third_party.fullmatch(pattern, word)), word
            assert expected == found.matches(word), word
