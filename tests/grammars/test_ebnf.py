"""GBNF and xgrammar's EBNF: notation, verdicts on realistic texts, errors, hostile grammars. Random grammars are in
test_lark_random.py."""

from __future__ import annotations

import json
import random
import re

import pytest

from lmprog.grammars import (
    ConstraintError,
    EmptyLanguage,
    InvalidConstraint,
    UnsupportedConstraint,
    compile,
    ebnf,
    gbnf,
)

from .walks import BYTES, accepts, mutated, walk

JSON = r"""
# JSON, as llama.cpp's users write it
root   ::= object
value  ::= object | array | string | number | ("true" | "false" | "null") ws

object ::=
  "{" ws (
            string ":" ws value
    ("," ws string ":" ws value)*
  )? "}" ws

array  ::= "[" ws ( value ("," ws value)* )? "]" ws   # may be empty
string ::= "\"" ([^"\\\x7F\x00-\x1F] | "\\" (["\\bfnrt/] | "u" [0-9a-fA-F]{4}))* "\"" ws
number ::= ("-"? ([0-9] | [1-9] [0-9]{0,15})) ("." [0-9]+)? ([eE] [-+]? [0-9]{1,3})? ws
ws     ::= | " " | "\n" [ \t]{0,20}
"""

CALCULATOR = """
root ::= (expr "=" ws term "\\n")+
expr ::= term ([-+*/] term)*
term ::= ident | num | "(" ws expr ")" ws
ident ::= [a-z] [a-z0-9_]* ws
num ::= [0-9]+ ws
ws ::= [ \\t\\n]*
"""


@pytest.mark.parametrize(
    ("source", "good", "wrong"),
    [
        ('root ::= "a" {2}', ["aa"], ["a", "aaa"]),
        ('root ::= "a"{2,}', ["aa", "aaaaa"], ["", "a"]),
        ('root ::= "ab"{1,2}', ["ab", "abab"], ["", "abb", "ababab"]),
        ('root ::= "a"{,2} "b"{0}', ["", "a", "aa"], ["aaa", "b"]),
        ('root ::= ("a" | "b"){ 2 , 3 }', ["ab", "bab"], ["a", "abab"]),
        ('root ::= ("a" | "b") * "c" # once or more\n +', ["c", "abcc"], ["ab"]),
        ('root ::= "a"?* "b"+?', ["", "aab", "bbb"], ["ba"]),
        ("root ::= [a-cx] [^a-c] [-a] [a-]", ["ad--", "xxa-", "cé-a"], ["aa--", "yd--", "adb-"]),
        (r"root ::= [\]\-\\^] [\n\t] [^\]]", ["]\na", "-\t[", "\\\n\\", "^\t^"], ["]\n]", "a\na"]),
        (r"root ::= [\x41-\x43] [\u00e9\U0001F600] .", ["Aé\n", "C😀😀"], ["Dé.", "Aê."]),
        (r'root ::= "\x41\u00e9\U0001F600\"\\\n"', ['Aé😀"\\\n'], ["A"]),
        ('root ::= a-b a.c1 _x\na-b ::= "1"\na.c1 ::= "2"\n_x ::= "3"', ["123"], ["12"]),
        ('root ::= "a" # " ( [\n  "b" |\n  # nothing\n  "c"\nx ::= "d" root ::=', ["ab", "c"], ["abc", "a"]),
        ('root ::= "a" | | "b" ("" | "c")', ["", "a", "b", "bc"], ["ac"]),
        ('root ::= root "+" n | n\nn ::= [0-9]+', ["1", "1+22+3"], ["+", "1+"]),
        ('root ::= a "x"?\na ::= b "y"? | "z"\nb ::= root?', ["zx", "zyx", "zxyxy", "yx", ""], ["xz", "yz"]),
    ],
)
def test_notation(source: str, good: list[str], wrong: list[str]) -> None:
    if source.endswith("root ::="):
        source = source.removesuffix(" root ::=")
    for grammar in (gbnf(source), ebnf(source)):
        assert [] == [text for text in good if not grammar.matches(text)]
        assert [] == [text for text in wrong if grammar.matches(text)]


@pytest.mark.parametrize("kind", [r"[a-f0-9]{2,4}", r"[^\"\\]", r"[\x00-\x1f]", r"[\u0100-\u017f]+", "[ab]{0,2}[b-d]?"])
def test_classes_are_those_of_re(kind: str) -> None:
    grammar = gbnf("root ::= " + kind)
    for char in map(chr, [*range(0x250), 0xD7FF, 0xE000, 0xFFFF, 0x10000, 0x10FFFF]):
        for text in (char, char * 2, "b" + char):
            assert bool(re.fullmatch(kind, text, re.DOTALL)) == grammar.matches(text), (kind, text)


def test_a_grammar_of_json() -> None:
    c, rng = compile(gbnf(JSON), BYTES), random.Random(0)
    texts = [walk(c, rng, 80) for _ in range(100)]
    for text in texts:
        assert isinstance(json.loads(text), dict)
    document = {"name": "Ada", "tags": ["a\n", "é", ""], "n": [0, -1.5e-3, 12345], "ok": True, "none": None, "o": {}}
    for indent in (None, 2):
        assert accepts(c, json.dumps(document, indent=indent))
        assert accepts(c, json.dumps(document, indent=indent, ensure_ascii=False))
    wrong = 0
    for text in texts:
        near = mutated(text, '{}[]",:0a\\ ', rng)
        try:
            json.loads(near)
        except ValueError:
            wrong += 1
            assert not accepts(c, near)
    assert wrong > 50


def test_a_calculator() -> None:
    c = compile(gbnf(CALCULATOR), BYTES)

    assert accepts(c, "1 +2*(x -3)= y\na=1\n")
    assert not accepts(c, "1 + = y\n")
    assert not accepts(c, "1 + 2 = y")


@pytest.mark.parametrize(
    ("source", "message", "column"),
    [
        ("root ::= x", "the rule 'x' is used but never defined", 10),
        ('root ::= a\nb ::= "x"', "the rule 'a' is used but never defined; defined but never used: b", 10),
        ('root ::= "a', "this string is never closed", 10),
        ("root ::= [a", "this character class is never closed", 10),
        ('root ::= ("a"', "this parenthesis is never closed", 10),
        ('root ::= "a")', "expected a rule, that is a name and '::='", 13),
        ('root ::= "a"{', "a repeat is written {m}, {m,}, {m,n} or {,n}", 13),
        ('root ::= "a"{2,1}', "the bounds of the repeat are too large or the wrong way round", 13),
        ('root ::= "a"{99999999999}', "the bounds of the repeat are too large or the wrong way round", 13),
        (r'root ::= "\q"', r"unknown escape \q", 11),
        (r'root ::= "\x4"', "expected 2 hexadecimal digits of a code point", 13),
        ("root ::= [z-a]", "the range is the wrong way round", 11),
        ("root ::= *", "unexpected '*'", 10),
        ('root = "a"', "expected a rule, that is a name and '::='", 1),
    ],
)
def test_errors_point_at_the_place(source: str, message: str, column: int) -> None:
    with pytest.raises(InvalidConstraint) as found:
        gbnf(source)

    line, caret = source.split("\n")[0], " " * (column - 1) + "^"
    assert f"{message}\n    {line}\n    {caret} (at line 1, column {column})" == str(found.value)


def test_errors_on_later_lines() -> None:
    with pytest.raises(InvalidConstraint) as found:
        gbnf('root ::= "a"\n# comment\nroot ::= "b"')

    assert "the rule 'root' is defined twice" in str(found.value)
    assert "line 3, column 1" == found.value.where


@pytest.mark.parametrize("source", ["", 'x ::= "a"'])
def test_a_missing_start_rule(source: str) -> None:
    with pytest.raises(InvalidConstraint, match="the start rule 'root' is not defined"):
        gbnf(source)
    if source:
        assert gbnf(source, start="x").matches("a")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("root ::= <think>", "tokens in a grammar"),
        ('root ::= (= "a")', "look-ahead assertions"),
        ('root ::= TagDispatch(("a", b))', r"TagDispatch\(...\) is not supported"),
        ("root ::= " + "(" * 10_000 + '"a"' + ")" * 10_000, "more than 500 groups inside each other"),
    ],
)
def test_what_is_not_supported_is_refused(source: str, message: str) -> None:
    with pytest.raises(UnsupportedConstraint, match=message):
        gbnf(source)


@pytest.mark.parametrize(
    "source", ["root ::= root", 'root ::= "a" root', "root ::= []", "root ::= a\na ::= b\nb ::= a"]
)
def test_empty_languages(source: str) -> None:
    with pytest.raises(EmptyLanguage):
        compile(gbnf(source), BYTES)


CHAIN = "root ::= r0\n" + "".join(f'r{i} ::= "x" r{i + 1} | "y"\n' for i in range(5000)) + 'r5000 ::= "z"'


@pytest.mark.parametrize(
    ("source", "text", "most_states"),
    [
        ('root ::= root root | "a"', "a" * 300, 10),
        ('root ::= root root root | root root | "a" | ""', "a" * 300, 10),
        ('root ::= "(" root ")" | "a"', "(" * 10_000 + "a" + ")" * 10_000, 50_000),
        ('root ::= (("a"?)*)*', "a" * 100, 10),
        ('root ::= "a"{1000000} | "a"{0,300}', "a" * 300, 1000),
        ('root ::= r{0,1000000}\nr ::= "a" | "(" r ")"', "(a)" * 200, 2000),
        ('root ::= (("a"{0,1000}){0,1000}){0,1000}', "a" * 300, 1000),
        ('root ::= (r{0,1000}){0,1000}\nr ::= ("a" | "(" r ")"){0,1000}', "a(a)" * 75, 2000),
        ('root ::= ("a"{2,3} | "b"){2,5}', "aabaaab", 100),
        (CHAIN, "xxxy", 5100),
    ],
    ids=range(10),
)
def test_hostile_grammars(source: str, text: str, most_states: int) -> None:
    c = compile(gbnf(source), BYTES)

    assert accepts(c, text)
    assert len(c._automaton) <= most_states  # type: ignore[attr-defined]


def test_errors_are_typed() -> None:
    """Random damage to a good grammar is an error of ours or another grammar, never something else."""
    rng, refused = random.Random(3), 0
    for _ in range(300):
        broken = JSON
        for _ in range(rng.randint(1, 4)):
            broken = mutated(broken, '(){}[]"|*+?\\^-:=#\n x1,', rng)
        try:
            compile(gbnf(broken), BYTES)
        except ConstraintError:
            refused += 1
    assert refused > 50
