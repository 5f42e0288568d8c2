"""Lark's notation, feature by feature, against Lark's own parsers; errors; hostile grammars."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lark import Lark
from lark.exceptions import LarkError

from lmprog.grammars import (
    ConstraintError,
    EmptyLanguage,
    Grammar,
    InvalidConstraint,
    UnsupportedConstraint,
    compile,
    lark,
)
from lmprog.grammars.lark import Lexer

from .walks import BYTES, accepts, mutated, walk

LEXERS: list[Lexer] = ["dynamic", "dynamic_complete", "basic"]

COMMON = """
start: (ESCAPED_STRING | SIGNED_NUMBER | CNAME | INT)+
%import common (ESCAPED_STRING, SIGNED_NUMBER, CNAME, INT, WS, SH_COMMENT)
%ignore WS
%ignore SH_COMMENT
"""
PYTHON = """
start: statement+
statement: "if" expr ":" statement | NAME "=" expr ";"
?expr: expr "+" term | term
?term: NAME | NUMBER | "(" expr ")" | "not" term
NAME: /[a-z_]\\w*/
NUMBER: /\\d+/
%ignore /[ \\t\\n]+/
"""
FEATURES: dict[str, tuple[str, list[str]]] = {
    "strings and ranges": ('start: "a" "b".."d" "é"', ["abé", "adé", "aeé", "ab", "abé "]),
    "repeats": ('start: "a"~2 "b"~1..3 "c"? "d"* "e"+', ["aabe", "aabbbcddee", "abe", "aabbbbe", "aab"]),
    "maybe": ('start: ["a"] ["b" "c"] "d"', ["d", "ad", "bcd", "abcd", "bd"]),
    "alternatives and the empty one": ('start: "a" (| "b" | "c" "d") "e"', ["ae", "abe", "acde", "ace"]),
    "case": ('start: "select"i /[a-c]+/i "X"', ["SeLecTAbCX", "selectaX", "selectax"]),
    "flags": ("start: /a . b  # comment\n  /x /c.d/s /e$/m", ["axbc\nde", "axbcxde", "axbc\nd", "a b"]),
    "terminals of terminals": ('start: A\nA: B ("," B)* | /x+/\nB: "b" | "c"~2', ["b,cc", "b", "b,", "xx", "c"]),
    "templates": (
        'start: _list{"a", ","} ";" _list{pair{"b", "c"}, _S}\n_list{x, sep}: x (sep x)*\npair{x, y}: x y\n_S: "/"',
        ["a;bc", "a,a;bc/bc", ";bc", "a;b"],
    ),
    "inline rules and aliases": (
        '!start: x | _y -> other\n?x: "a" -> first\n     | "b" x\n_y: "c" _y?',
        ["a", "bba", "ccc", "b", "ca"],
    ),
    "priorities of rules": ('start: a | b\na.2: "x"+\nb.1: /x+/', ["x", "xxx", ""]),
    "ignored text": ('start: "a" "b"+\n%ignore " "\n%ignore /#[^\\n]*\\n/', ["ab", " a # b\n b b ", "a #", "a b #x\n"]),
    "common terminals": (COMMON, ['"a\\"b" -1.5e3 x_1 # c\n 7', "-x", '"a', "1 2 x", "# a"]),
    "left recursion": ('start: start "+" x | x\nx: x "*" y | y\ny: "n" | "(" start ")"', ["n+n*n", "(n+n)*n", "*n"]),
    "indirect left recursion": ('start: a\na: b "x" | "a"\nb: c "y" | a\nc: a | b', ["a", "ax", "ayx", "x", "ay"]),
    "left recursion behind nothing": ('start: e start "x" | "a"\ne: "b"?', ["a", "bbax", "bax", "bbaxx", "b", "bbbax"]),
    "look-ahead": ("start: (A | B)+\nA: /a(?=b)/\nB: /b(?!b)/", ["ab", "abab", "aab", "abb", "a"]),
    "word boundaries": ('start: A B\nA: /a+\\b/\nB: / b/ | "b"', ["a b", "ab", "aa b"]),
    "lazy repeats": ('start: S+\nS: /".*?"/', ['"a"', '"a""b"', '"a"b"', '"']),
    "choice in a terminal": ("start: A B?\nA: /a|ab/\nB: /b/", ["a", "ab", "abb"]),
    "unicode": ('start: /[α-ω]+/ "→" /\\w/', ["αβ→x", "αβ→ß", "αβ→", "→x"]),
    "keywords and names": (PYTHON, ["x=1;", "if x: y=not z+1;", "if if: x=1;", "ifx=1;", "x=notx;"]),
    "nullable loops": ('start: (("a"?)*)* ("b"*)+', ["", "a", "aab", "ba"]),
}  # fmt: skip


def verdict(parser: Lark, text: str) -> bool:
    try:
        parser.parse(text)
    except LarkError:
        return False
    return True


def compare(source: str, lexer: Lexer, texts: list[str], rounds: int = 20) -> set[bool]:
    """The verdicts on texts, on random ones of the grammar, and on near misses of all of them."""
    parser = Lark(source, parser="earley", lexer=lexer, ambiguity="forest")
    c, rng, seen = compile(lark(source, lexer=lexer), BYTES), random.Random(0), set[bool]()
    walks = [walk(c, rng, 30) for _ in range(rounds)]
    assert [] == [text for text in walks if not verdict(parser, text)]
    alphabet = "".join([*texts, *walks])
    near = [mutated(text, alphabet, rng) for text in [*texts, *walks] for _ in range(3)]
    for text in [*texts, *near]:
        found = accepts(c, text)
        assert verdict(parser, text) == found, text
        seen.add(found)
    return seen


@pytest.mark.parametrize("lexer", LEXERS)
@pytest.mark.parametrize("name", FEATURES)
def test_features(name: str, lexer: Lexer) -> None:
    source, texts = FEATURES[name]
    if lexer == "dynamic_complete" and name in ("flags", "look-ahead", "word boundaries"):
        with pytest.raises(UnsupportedConstraint, match="look-ahead beyond the end"):
            lark(source, lexer=lexer)
        return

    assert compare(source, lexer, texts) == {True, False}


@pytest.mark.parametrize("lexer", ["basic", "contextual"])
def test_basic_is_what_lalr_accepts(lexer: str) -> None:
    source = """
    start: (assign ";")*
    assign: NAME "=" sum | "let" NAME "=" sum | "print" sum
    ?sum: sum "+" product | product
    ?product: product "*" atom | atom
    ?atom: NUMBER | NAME | "(" sum ")" | "-" atom | HEX
    NAME: /[a-z]+/
    NUMBER: /[0-9]+(\\.[0-9]+)?/
    HEX.2: "0x" /[0-9a-f]+/
    %ignore " "
    """
    parser, rng = Lark(source, parser="lalr", lexer=lexer), random.Random(1)
    c = compile(lark(source, lexer="basic"), BYTES)
    walks = [walk(c, rng, 40) for _ in range(60)]
    texts = [*walks, *(mutated(text, "let print=+-*();0x1.a", rng) for text in walks for _ in range(4))]
    verdicts = [(accepts(c, text), verdict(parser, text)) for text in texts]

    assert {(True, True), (False, False)} <= set(verdicts)
    if lexer == "basic":
        assert all(mine == theirs for mine, theirs in verdicts)
    assert all(theirs for mine, theirs in verdicts if mine)


def test_names_exclude_keywords_with_the_basic_lexer_only() -> None:
    source = 'start: "if" NAME | NAME\nNAME: /[a-z]+/\n%ignore " "'

    assert [True, True] == [lark(source).matches(text) for text in ("if if", "if")]
    assert [False, False, True] == [lark(source, lexer="basic").matches(text) for text in ("if if", "if", "if iff")]


# -- imports


def test_imports_of_files_beside_the_grammar(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "words.lark").write_text('WORD: /[a-z]+/\nlist{x}: x ("," x)*\npair: WORD ":" WORD\n')
    main = tmp_path / "main.lark"
    main.write_text("start: list{pair}\n%import .lib.words (list, pair)\n")
    for grammar in (lark(main), lark(str(main))):
        assert [True, True, False] == [grammar.matches(text) for text in ("a:b", "a:b,cc:d", "a,b")]


def test_override_and_extend_of_imports(tmp_path: Path) -> None:
    (tmp_path / "base.lark").write_text('start: item+\nitem: "a" | NUM\nNUM: /[0-9]/\n')
    changed = tmp_path / "main.lark"
    changed.write_text('%import .base (start, item, NUM)\n%override NUM: "n"\n%extend item: "b"\n')
    grammar, parser = lark(changed), Lark.open(str(changed))
    for text in ("a", "b", "n", "ban", "1", ""):
        assert verdict(parser, text) == grammar.matches(text)
    assert grammar.matches("abn")


def test_imports_of_the_library() -> None:
    grammar = lark('start: "Q: " query\n%import lmprog.sql.query')

    assert grammar.matches("Q: SELECT a FROM t")
    assert not grammar.matches("SELECT a FROM t")


# -- errors


BROKEN = {
    "start: x": "Rule 'x' used but not defined (in rule start)",
    'start: "a"\nstart: "b"': "Rule 'start' defined more than once",
    'start: A\nA: "a"\nA: "b"': "Terminal 'A' defined more than once",
    'start: "a\n': "Unexpected input in the grammar",
    'start: "a" @ "b"': "Unexpected input in the grammar",
    'start: ("a"\n': "Unexpected token _NL; expected _RPAR",
    'Start: "a"': "missing colon",
    'x: "a"': "the start rule 'start' is not defined",
    "": "the start rule 'start' is not defined",
    "start: A\nA: /(/": "the terminal A: missing ), unterminated subpattern at position 0",
    "start: /[b-a]/": "the terminal /[b-a]/: bad character range b-a at position 1",
    'start: A\nA: "a"*': "the terminal A may be empty: put the repeat into a rule",
    "start: A\nA: B\nB: A": "Recursion in terminal 'A'",
    'start: "\\xZZ"': "the string '\\\\xZZ': (unicode error)",
    'start: "a"~3..1': "Bad Range",
    't{x}: x\nstart: t{"a", "b"}': "Wrong number of template arguments used for t (expected 1, got 2)",
    'start: "a"\n%import nothing.X': "the grammar to import is not found: nothing.lark",
}
UNSUPPORTED = {
    "start: A\n%declare A": "the terminal A is only declared: it has no text of its own (at rule start)",
    "start: /(a)b\\1/": "backreferences are not regular and cannot be enforced (at position 4)",
    'start: "c" A\nA: /(?<=b)a/': "the terminal A: it looks at the text before it",
    "start: /a{1000000}/": "the terminal /a{1000000}/: it takes more than 5000 states to find the preferred match",
}


@pytest.mark.parametrize("source", [*BROKEN, *UNSUPPORTED])
def test_errors(source: str) -> None:
    with pytest.raises(ConstraintError) as found:
        lark(source)

    assert (InvalidConstraint if source in BROKEN else UnsupportedConstraint) is type(found.value)
    assert (BROKEN | UNSUPPORTED)[source] in str(found.value)


@pytest.mark.parametrize(
    ("source", "line", "column"),
    [
        ("start: x", 1, 8),
        ('start: "a"\nstart: "b"', 2, 1),
        ('start: A\nA: "a"\nA: "b"', 3, 1),
        ('start: "b"\n\nx: ("a"\n', 3, 8),
        ('start: "a" @ "b"', 1, 12),
        ("start: A\nA: /(/", 2, 1),
        ("start: /[b-a]/", 1, 8),
    ],
)
def test_errors_point_at_the_place(source: str, line: int, column: int) -> None:
    with pytest.raises(InvalidConstraint) as found:
        lark(source)

    shown = source.split("\n")[line - 1]
    assert str(found.value).endswith(f"\n    {shown}\n    {' ' * (column - 1)}^ (at line {line}, column {column})")
    assert f"line {line}, column {column}" == found.value.where


def test_an_unknown_lexer_is_refused() -> None:
    lexer: Any = "contextual"
    with pytest.raises(InvalidConstraint, match="lexer='contextual' is not one of dynamic, dynamic_complete, basic"):
        lark('start: "a"', lexer=lexer)


@pytest.mark.parametrize(
    "source", ["start: start", 'start: "a" start', 'start: a\na: b\nb: a | a "x"', 'start: "a" x\nx: x']
)
def test_empty_languages(source: str) -> None:
    with pytest.raises(EmptyLanguage, match="accepts no text at all"):
        compile(lark(source), BYTES)


# -- hostile grammars

AMBIGUOUS = {
    "pairs": ('start: start start | "a"', "a" * 300, 10),
    "triples": ('start: start start start | start start | "a" | ', "a" * 300, 10),
    "sums": ('start: start "+" start | start "*" start | "(" start ")" | "a"', "(a+a*" * 100 + "a" + ")" * 100, 1000),
    "dangling else": ('start: "i" start "e" start | "i" start | "a"', "i" * 200 + "a" + "ea" * 100, 2000),
    "two calls at the end": ('start: "a" start start | "a" start | "a"', "a" * 300, 1000),
    "any number of ends": ('start: "a" start | "a" start "b" | "a" start "bb" | "c"', "aa" * 99 + "c" + "b" * 99, 2000),
    "palindromes": ('start: "a" start "a" | "b" start "b" | ', "abba" * 50, 2000),
    "brackets or not": ('start: "a" start "b" start | "a" start | ', "a" * 200 + "b" * 200, 2000),
    "unit rules in a circle": ('start: b\nb: c | "x"\nc: b | "y"', "x", 10),
    "loops of nothing": ('start: ((("a"?)*)+ ("b"*)*)*', "ab" * 50, 10),
    "counters in counters": ("start: r~0..1000\nr: s~0..1000\ns: \"a\"~0..1000", "a" * 300, 1000),
    "a million": ('start: r~0..1000000\nr: "a" | "(" r ")"', "(a)" * 200, 2000),
    "nesting": ('start: "(" start ")" | "a"', "(" * 10_000 + "a" + ")" * 10_000, 50_000),
}  # fmt: skip


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_ambiguity_does_not_make_states_grow_without_bound(name: str) -> None:
    """The text is walked in time that the work per state does not explode in; the states are about its bytes."""
    source, text, most_states = AMBIGUOUS[name]
    c = compile(lark(source), BYTES)

    assert accepts(c, text)
    assert len(c._automaton) <= most_states  # type: ignore[attr-defined]


def chain(count: int) -> str:
    return "start: r0\n" + "".join(f'r{i}: "x" r{i + 1} | "y"\n' for i in range(count)) + f'r{count}: "z"'


def circle(count: int) -> str:
    return "start: r0\n" + "".join(f'r{i}: r{i + 1} "x" | "y"\n' for i in range(count)) + f'r{count}: r0 "z"'


def alternatives(count: int) -> str:
    return f"start: {' | '.join(f'r{i}' for i in range(count))}\n" + "".join(
        f'r{i}: "k{i};" start?\n' for i in range(count)
    )


@pytest.mark.parametrize(
    ("source", "texts", "wrong"),
    [
        (chain(1000), ["y", "xxxy", "x" * 1000 + "z"], ["x", "x" * 1001 + "z"]),
        (circle(100), ["y", "yx", "y" + "x" * 99, "yz" + "x" * 100], ["x", "yz", "y" + "x" * 100]),
        (alternatives(1000), ["k1;", "k1;k999;k2;"], ["k1000;", "k1"]),
    ],
    ids=["chain", "circle of left recursion", "alternatives"],
)
def test_many_rules(source: str, texts: list[str], wrong: list[str]) -> None:
    grammar = lark(source)

    assert [True] * len(texts) == [grammar.matches(text) for text in texts]
    assert [False] * len(wrong) == [grammar.matches(text) for text in wrong]


@pytest.mark.slow
@pytest.mark.parametrize(("make", "text"), [(chain, "xxxy"), (alternatives, "k4999;k0;")])
def test_five_thousand_rules(make: Callable[[int], str], text: str) -> None:
    assert accepts(compile(lark(make(5000)), BYTES), text)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(lambda: lark(circle(1100)), "a rule of the grammar is too large", marks=pytest.mark.slow),
        (lambda: lark("start: " + "(" * 10_000 + '"a"' + ")" * 10_000), "more than 500 groups inside each other"),
        (lambda: lark("start: /" + "(" * 10_000 + "a" + ")" * 10_000 + "/"), "nested too deeply"),
        (lambda: lark("start: (/(a|b)*a(a|b){20}/ \"c\")*"), "more than 5000 states"),
    ],
)  # fmt: skip
def test_what_is_too_much_is_refused(make: Callable[[], Grammar], message: str) -> None:
    with pytest.raises(ConstraintError, match=message):
        make()
