"""`p.infill` on the real engine with random weights and exact tables."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest

import lmprog as lp
from lmprog import gen
from lmprog.grammars import gbnf
from lmprog.testing import RandomModel, TableModel

DYCK = gbnf('root ::= ("(" root ")" | "[" root "]")*')
BRACKETS = r"[()\[\]]{0,3}"


@pytest.fixture(scope="module")
def model() -> Any:
    with RandomModel(3) as model:
        yield model


def balanced(text: str) -> bool:
    while (shorter := text.replace("()", "").replace("[]", "")) != text:
        text = shorter
    return not text


@lp.program
def fill(p: lp.Prompt, template: str, order: list[str] | None = None, **options: Any) -> dict[str, Any]:
    return p.infill(template, order=order, **options)


def short() -> list[str]:
    return ["".join(w) for n in range(4) for w in itertools.product("()[]", repeat=n)]


@pytest.mark.parametrize("order", [None, ["a", "b"], ["b", "a"]], ids=str)
def test_filled_if_and_only_if_it_can_be(model: RandomModel, order: list[str] | None) -> None:
    rng = random.Random(5)
    holes = {"a": gen(regex=BRACKETS), "b": gen(regex=BRACKETS)}
    outcomes = set()
    for _ in range(25):
        x, y, z = ["".join(rng.choices("()[]", k=rng.randint(0, 2))) for _ in range(3)]
        possible = any(balanced(x + a + y + b + z) for a in short() for b in short())
        outcomes.add(possible)
        arguments = {"grammar": DYCK, **holes}
        template = f"{x}[[a]]{y}[[b]]{z}"
        if not possible:
            with pytest.raises(lp.EmptyLanguage, match="no filling"):
                fill.run(template, order, model=model, **arguments)
            continue
        run = fill.run(template, order, model=model, decoder=lp.Sample(seed=rng.randrange(99)), **arguments)

        assert f"{x}{run.value['a']}{y}{run.value['b']}{z}" == run.text
        assert balanced(run.text)
        assert all(holes[name].matches(value) for name, value in run.value.items())
        assert run.value == {name: run.captures[name].value for name in "ab"}
    assert {True, False} == outcomes


def test_values_are_typed_and_each_as_short_as_it_can_be(model: RandomModel) -> None:
    run = fill.run("[[a]]-[[b]]=[[n]]", model=model, grammar=lp.regex("x-y-z=7"), n=gen(int))

    assert {"a": "x", "b": "y-z", "n": 7} == run.value
    assert "x-y-z=7" == run.text


def test_sampling_from_the_left_and_smc_weigh_the_text_that_follows() -> None:
    """`a` is x or y alike; behind x the fixed text is improbable."""
    after = {(): (0.5, 0.5, 0.0, 0.0), (0,): (0.0, 0.0, 0.1, 0.9), (1,): (0.0, 0.0, 0.9, 0.1)}
    with TableModel(["x", "y", "!"], lambda ids: after.get(ids[-1:] if len(ids) < 2 else (2,), (0, 0, 0, 1))) as model:
        hole = gen(regex="x|y")
        plain = [fill("[[a]]!", model=model, a=hole, decoder=lp.Sample(seed=s))["a"] for s in range(200)]
        smc = [fill("[[a]]!", model=model, a=hole, decoder=lp.SMC(32, seed=s))["a"] for s in range(100)]

    assert 70 < plain.count("y") < 130
    assert 82 < smc.count("y") < 97


WRONG: list[tuple[str, str, dict[str, Any]]] = [
    ("no hole: write", "text", {}),
    (r"two holes \[\[a\]\]", "[[a]][[a]]", {}),
    (r"no hole \[\[b\]\], only a", "[[a]]", {"b": gen()}),
    ("each hole once", "[[a]][[b]]", {"order": ["a"]}),
    ("a language alone", "[[a]]", {"a": gen(stop="x")}),
    ("not by 'x'", "[[a]]", {"a": "x"}),
]


@pytest.mark.parametrize(("message", "template", "options"), WRONG, ids=lambda x: x if isinstance(x, str) else "")
def test_what_is_wrong_is_said(model: RandomModel, message: str, template: str, options: dict[str, Any]) -> None:
    with pytest.raises(lp.HoleError, match=message):
        fill.run(template, model=model, **options)


def test_in_a_chat_and_inside_of_a_program(model: RandomModel) -> None:
    @lp.program
    def chat(p: lp.Prompt) -> Any:
        p.user("Fill in.")
        with p.assistant():
            values = p.infill("{[[a]]}", a=gen(int, ge=3, le=5))
            return values["a"], p(" ", gen(regex="[a-z]", name="next"))

    run = chat.run(model=model)

    assert run.value[0] in (3, 4, 5)
    assert ["a", "next"] == list(run.captures)
