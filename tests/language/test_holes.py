from __future__ import annotations

import math
from typing import Any

import pytest

import lmprog as lp
from lmprog import gen, program, select
from lmprog.testing import RandomModel

ACCEPT = [
    (gen(), ["", "anything\nat all ☕"], []),
    (gen(stop="\n"), ["one line"], ["two\nlines"]),
    (gen(regex="[a-z]+"), ["moon"], ["", "Moon", "moon "]),
    (gen(int, ge=0, le=999), ["0", "999"], ["-1", "1000", "x"]),
    (gen(bool), ["true", "false"], ["True", "maybe"]),
    (gen(choices=["a", "ab"]), ["a", "ab"], ["abc", ""]),
    (gen(grammar=lp.regex("a|b") + "!"), ["a!", "b!"], ["a", "!"]),
    (gen(json={"type": "integer", "minimum": 3}), ["3"], ["2"]),
    (gen(json='{"enum": ["x"]}'), ['"x"'], ["x"]),
    (select([1, 2, "three"]), ["1", "three"], ["4"]),
]


@pytest.mark.parametrize("case", ACCEPT, ids=lambda case: case[0].kind)
def test_matches(case: tuple[lp.Hole, list[str], list[str]]) -> None:
    hole, good, bad = case

    assert [hole.matches(text) for text in good] == [True] * len(good)
    assert [hole.matches(text) for text in bad] == [False] * len(bad)


WRONG: list[tuple[type[Exception], str, dict[str, Any]]] = [
    (lp.HoleError, "one language source; regex and choices", {"regex": "a", "choices": ["a"]}),
    (lp.HoleError, "one language source; type and json", {"type": int, "json": {}}),
    (lp.HoleError, "no options", {"choices": []}),
    (lp.HoleError, "same text: '1'", {"choices": [1, "1"]}),
    (lp.HoleError, "half a surrogate pair", {"choices": ["x\ud800", "y"]}),
    (lp.HoleError, "options are a list", {"choices": "abc"}),
    (lp.HoleError, "not bytes", {"choices": [b"abc"]}),
    (lp.HoleError, "ge= limits a type", {"regex": "[0-9]+", "ge": 1}),
    (lp.HoleError, "where= takes a condition on x as a text", {"where": 3}),
    (lp.UnsupportedConstraint, "hash", {"where": "hash(x) == 3"}),
    (lp.EmptyLanguage, "exclude each other", {"regex": "[a-z]{5}", "where": "len(x) < 3"}),
    (lp.HoleError, "gen has no argument regexp=: did you mean regex=", {"regexp": "a"}),
    (lp.HoleError, "gen has no argument max_token=: did you mean max_tokens=", {"regex": "a", "max_token": 3}),
    (lp.HoleError, "gen has no argument colour=: limits of a type are decimal_places, ge", {"colour": "red"}),
    (lp.HoleError, "min_tokens", {"min_tokens": 3}),
    (lp.HoleError, "max_tokens is a whole number", {"max_tokens": 0}),
    (lp.HoleError, "max_tokens is a whole number", {"max_tokens": 2.5}),
    (lp.HoleError, "a stop is", {"stop": ["a", ""]}),
    (lp.HoleError, "name is a text", {"name": ""}),
    (lp.HoleError, "boundary is", {"boundary": "cut"}),
    (lp.HoleError, "json= takes", {"json": 3}),
    (lp.HoleError, "regex= takes", {"regex": 3}),
    (lp.HoleError, "grammar= takes", {"grammar": 3}),
    (lp.InvalidConstraint, "not JSON", {"json": "{"}),
    (lp.InvalidConstraint, "not JSON", {"json": {"enum": [object()]}}),
    (lp.InvalidConstraint, "position", {"regex": "(a"}),
    (lp.UnsupportedConstraint, "position", {"regex": r"(a)\1"}),
    (lp.SamplingError, "temperature", {"temperature": math.nan}),
    (lp.SamplingError, "temperature", {"temperature": math.inf}),
    (lp.SamplingError, "top_p", {"top_p": 0.0}),
    (lp.SamplingError, "a decoder is", {"decoder": "greedy"}),
]


@pytest.mark.parametrize(("error", "message", "arguments"), WRONG, ids=lambda x: str(x)[:40])
def test_wrong_descriptions_are_typed_errors(error: type[Exception], message: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(error, match=message):
        gen(**arguments)


def test_an_unknown_limit_is_an_error() -> None:
    with pytest.raises(lp.LmprogError, match="colour"):
        gen(int, colour=3)


STRINGS = [
    lambda h: f"{h}",
    lambda h: f"{h:>10}",
    lambda h: f"{h!s}",
    lambda h: "%s" % h,  # noqa: UP031
    lambda h: "{}".format(h),  # noqa: UP032
    lambda h: "a " + h,
    lambda h: h + " a",
    str,
]


@pytest.mark.parametrize("use", STRINGS)
def test_a_hole_in_a_string_shows_the_mend(use: Any) -> None:
    with pytest.raises(lp.HoleInString, match=r'p\("Kind: ", gen'):
        use(gen(int, name="n"))


@pytest.mark.parametrize("part", [lambda h: f"{h!r}", lambda h: f"{h=}", lambda h: [h], lambda h: {"x": (h,)}])
def test_a_hole_that_leaks_by_its_repr_is_caught(part: Any) -> None:
    @lp.program
    def leak(p: lp.Prompt) -> None:
        p("text ", part(gen(int)), "\n")

    with pytest.raises(lp.HoleInString):
        leak.prompt()


def test_repr_says_what_it_is() -> None:
    assert repr(gen(int, ge=0, name="n")).startswith("<hole n: int, ge=0 at 0x")
    assert repr(select(list("abcdef"))).startswith("<hole one of 'a', 'b', 'c', 'd', … at")


def test_holes_can_be_shared_and_are_compared_by_identity() -> None:
    a, b = gen(int), gen(int)

    assert (a == a, a == b, len({a, b})) == (True, False, 2)


def test_where_narrows_a_language_and_keeps_its_type() -> None:
    assert gen(where="len(x) < 5 and 'oo' in x").matches("moo")
    assert not gen(where="len(x) < 5 and 'oo' in x").matches("moooon")

    hole = gen(int, ge=10, le=99, where="not x.endswith('7')")
    assert hole.matches("42")
    assert not hole.matches("47")
    assert hole.parse("42") == 42


@pytest.mark.parametrize("pattern", ["a{10000000,}", "(ab|cd){3000000}"])
def test_values_that_are_far_too_long_are_refused(pattern: str) -> None:
    with pytest.raises(lp.BudgetError, match="the shortest complete value takes"), RandomModel(0) as model:
        program(lambda p: p(gen(regex=pattern, max_tokens=20)))(model=model)
