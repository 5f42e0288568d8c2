"""What causes a field, on the embedded default model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import lmprog as lp
from lmprog import gen, program, select

pytestmark = pytest.mark.slow

CAPITALS = {"France": "Paris", "Japan": "Tokyo", "Italy": "Rome", "Egypt": "Cairo"}
DOCUMENT = """\
Miller wrote that the weather was fine.
Baker wrote that the sea was rough.
The code of the vault is 4817.
Stone wrote that the weather was cold.
"""


@pytest.fixture(scope="module")
def model() -> Iterator[Any]:
    with lp.load() as loaded:
        yield loaded


@program
def capital(p: lp.Prompt, country: str) -> None:
    p(f"The capital of {country} is", select([f" {city}" for city in CAPITALS.values()], name="city"))


@program
def code(p: lp.Prompt) -> None:
    p(DOCUMENT, "\nThe code of the vault is ", gen(regex="[0-9]{4}", name="code"))


@pytest.mark.parametrize("country", CAPITALS)
@pytest.mark.parametrize("unit", ["auto", "token"])
def test_the_country_causes_its_capital(model: Any, country: str, unit: Any) -> None:
    why = capital.run(country, model=model).why("city", unit=unit)

    assert f" {CAPITALS[country]}" == why.value
    assert f" {country}" == why.top(1)[0].text


def test_what_is_copied_causes_the_copy(model: Any) -> None:
    run = code.run(model=model)

    assert "4817" == run.captures["code"].text
    assert "4817." == run.why("code", samples=3).top(1)[0].text.strip()
    assert "The code of the vault is 4817.\n" == run.why("code", samples=2, unit="line").top(1)[0].text
