from __future__ import annotations

from typing import Any

import pytest

import lmprog as lp
from lmprog import gen, program, select


def outline(body: Any) -> str:
    return program(body).prompt()


def test_holes_are_shown_in_the_exact_text() -> None:
    @program
    def card(p: lp.Prompt, topic: str) -> None:
        p("Topic: ", topic, "\nKind: ", select(["a", "b"], name="kind"), "\n")
        body = p("line: ", gen(max_tokens=20), "\n")
        p("again: ", body, f" {body}\n")

    assert card.prompt("cats") == ("Topic: cats\nKind: ⟨kind: one of 'a', 'b'⟩\nline: ⟨1: str⟩\nagain: ⟨1⟩ ⟨1⟩\n")


ASKS = [
    lambda p, x: x == "math",
    lambda p, x: "yes" if x else "no",
    lambda p, x: len(x),
    lambda p, x: x.upper(),
    lambda p, x: x[0],
    lambda p, x: x + "!",
    lambda p, x: "!" + x,
    lambda p, x: x in ("a", "b"),
    lambda p, x: {x: 1},
    lambda p, x: [*x],
    lambda p, x: f"{x:>10}",
    lambda p, x: int(x),
    lambda p, x: x > 3,
]


@pytest.mark.parametrize("ask", ASKS)
def test_it_ends_where_a_value_is_asked_for(ask: Any) -> None:
    def body(p: lp.Prompt) -> None:
        ask(p, p("a ", gen(name="x"), "\n"))
        p("never shown")

    assert outline(body) == "a ⟨x: str⟩\n⟨… the rest depends on x⟩"


def test_a_programs_own_handlers_do_not_take_it() -> None:
    def body(p: lp.Prompt) -> None:
        try:
            if p(gen(name="x")) == "a":
                p("never")
        except Exception:
            p("never either")

    assert outline(body) == "⟨x: str⟩⟨… the rest depends on x⟩"


def test_a_stand_in_of_the_wrong_type_ends_it() -> None:
    def body(p: lp.Prompt) -> None:
        p(gen(name="x"))
        ", ".join([p(gen(name="y"))])

    assert outline(body).startswith("⟨x: str⟩⟨y: str⟩⟨… the rest depends on a value: TypeError(")


def test_errors_before_the_first_hole_are_the_programs_own() -> None:
    def body(p: lp.Prompt) -> None:
        p("text", 1 // 0)

    with pytest.raises(ZeroDivisionError):
        outline(body)


def test_roles_are_shown() -> None:
    def body(p: lp.Prompt) -> None:
        p.system("Be brief.")
        p.user("Hello")
        with p.assistant(), p.decoding(lp.Sample()):
            p("I say: ", gen(name="x"))

    assert outline(body) == "[system]\nBe brief.\n\n[user]\nHello\n\n[assistant]\nI say: ⟨x: str⟩\n\n"
