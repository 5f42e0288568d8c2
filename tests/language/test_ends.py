from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import pytest

import lmprog as lp
from lmprog import gen, program, select
from lmprog.testing import RandomModel

UNCLEAR: list[tuple[lp.Hole, str]] = [
    (gen(regex="[a-z ]+"), " and"),
    (gen(regex="[a-z]+"), "s"),
    (gen(regex=".+"), " is"),
    (gen(int), "0"),
    (gen(float), "."),
    (gen(regex="(ab)*", max_tokens=30), "ab"),
    (gen(grammar=lp.regex("[a-z]") + lp.regex("[0-9]").many()), "7"),
]
CLEAR: list[tuple[lp.Hole, str]] = [
    (gen(regex=".+"), " is\nmore"),
    (gen(regex="[a-z ]+"), "\n"),
    (gen(regex="[a-z ]+"), " moon."),
    (gen(regex="[a-z ]{3}"), " and"),
    (gen(regex="[a-z ]+", where="' and' not in x"), " and"),
    (gen(), " and"),
    (gen(where="len(x) < 9"), "\n"),
    (gen(str, max_length=5), "a"),
    (gen(regex="[a-z]+", stop="s"), "s"),
    (gen(float), ".\n"),
    (gen(json={"type": "object"}), "\n"),
    (select(["a", "b"]), "a"),
    (gen(bool), "e"),
]


def warned(model: RandomModel, *parts: Any) -> Sequence[warnings.WarningMessage]:
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        program(lambda p: p("x", *parts)).run(model=model)
    return found


@pytest.mark.parametrize(("hole", "follow"), UNCLEAR, ids=lambda x: getattr(x, "kind", x))
def test_a_value_that_can_contain_what_ends_it(model: RandomModel, hole: lp.Hole, follow: str) -> None:
    warning, *again = warned(model, hole, follow)  # again: previews run the body, too

    assert lp.UnclearEnd is warning.category
    assert __file__ == warning.filename
    assert hole.kind in str(warning.message)
    assert {str(warning.message)} >= {str(other.message) for other in again}


@pytest.mark.parametrize(("hole", "follow"), CLEAR, ids=lambda x: getattr(x, "kind", x))
def test_no_warning(model: RandomModel, hole: lp.Hole, follow: str) -> None:
    assert [] == warned(model, hole, follow)


def test_nothing_follows(model: RandomModel) -> None:
    assert [] == warned(model, gen(regex="[a-z]+"))
    assert [] == warned(model, gen(regex="[a-z]+"), gen(regex="[0-9]"))


def test_an_empty_language_is_an_error_on_the_line_of_the_hole() -> None:
    with pytest.raises(lp.EmptyLanguage, match="accepts no text") as raised:
        gen(grammar=lp.regex("a+") & lp.regex("b+"))  # this line

    assert any("this line" in str(entry.statement) for entry in raised.traceback)
    with pytest.raises(lp.EmptyLanguage):
        gen(choices=["a", "b"], where="len(x) > 3")
    with pytest.raises(lp.EmptyLanguage):
        gen(regex="[^\\s\\S]")
