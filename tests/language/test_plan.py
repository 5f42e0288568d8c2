"""Plans: as listings, as JSON, as grammars; and `lmprog compile`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import lmprog as lp
from lmprog import Sample, gen, program, select
from lmprog.cli import app
from lmprog.testing import RandomModel

from .test_preview import card, dispatch, seven_ifs, talk, ten_selects

CARD = """\
"Topic: cats\\nKind: " ⟨kind: one of 'math', 'poem'⟩ "\\n"
⟨kind⟩ = "math":
    "n = " ⟨1: int, ge=0, le=999⟩
⟨kind⟩ = "poem":
    "line: " ⟨1: /[a-z ]{1,20}/⟩
"\\n"
return"""


def either(p: lp.Prompt, flag: bool) -> None:
    kind = p(select(["a", "b", "c"], name="kind"))
    if kind == "a":
        p("A")
    elif kind == "b":
        p("B")
    p(f"({kind}", ")" * flag)
    with p.decoding(Sample(0.5)):
        rest = p(" ", gen(max_tokens=3, name="rest"), ".\n")
    p(f"{rest!r} {kind.upper()}", gen(stop="x"))
    if rest:
        p("never known")


def test_a_listing() -> None:
    plan = program(card).plan("cats")

    assert CARD == str(plan)
    assert "<plan of 3 holes>" == repr(plan)
    assert plan.whole
    assert plan.complete
    assert "<pre>&quot;Topic" in plan._repr_html_()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (talk, '[user] "Pick one." [end]\n[assistant] "I pick " ⟨0: one of \'calm\', \'wild\'⟩ "." [end]\n[user]'),
        (talk, '[user] f"Why {0}?" [end]\n[assistant] [decoding by'),
        (talk, "[assistant] [decoding by Sample(seed=2)] ⟨1: str, max_tokens=5⟩ [decoding as before] [end]\nreturn"),
        (lambda p: p(gen(name="x")) == "a", "⟨x: str⟩\n… not known: question (x)"),
        (lambda p: p("a{", f"{p(gen(name='x'))}}}"), '⟨x: str⟩ f"a{{{x}}}"\nreturn'),
        (lambda p: p(select(range(9))) > 6 and p("big"), '= "0", "1", "2", "3", "4", "5" or 1 others: nothing'),
    ],
)  # fmt: skip
def test_more_listings(body: Any, expected: str) -> None:
    assert expected in str(program(body).plan())


def test_what_comes_behind_a_branch_stands_there_once() -> None:
    listing = str(program(seven_ifs).plan())

    assert 7 == listing.count("Good.")
    assert listing.endswith("\nreturn")
    assert "as from" not in listing


def test_ways_that_meet_elsewhere_have_numbers() -> None:
    listing = str(program(dispatch).plan())

    assert 1 == listing.count("⟨4: bool⟩")
    assert "as from #1" in listing


def test_many_paths_are_merged() -> None:
    @program
    def eleven(p: lp.Prompt) -> None:
        for i in range(11):
            if p(f"{i} ", select(["x", "y"])) == "x":
                p(" good")

    plan = eleven.plan()

    assert not plan.complete
    assert plan.whole
    assert 11 == str(plan).count("one of")


def test_json() -> None:
    data = json.loads(json.dumps(program(either).plan(True).to_dict()))
    kinds = {node["kind"] for node in data["nodes"]}

    assert {"text", "hole", "branch", "decoding", "end"} == kinds
    assert all(0 <= after < len(data["nodes"]) for node in data["nodes"] for after in node["next"])
    branch = next(node for node in data["nodes"] if node["kind"] == "branch")
    assert ("kind", [["a"], ["b"], ["c"]]) == (branch["hole"], branch["cells"])


# -- as a grammar ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "args"),
    [(card, ("cats",)), (seven_ifs, ()), (ten_selects, ()), (dispatch, ())],
)
@pytest.mark.parametrize("seed", range(5))
def test_the_grammar_holds_what_runs_write(body: Any, args: Any, seed: int, model: RandomModel) -> None:
    plan = program(body).plan(*args)
    run = program(body).run(*args, model=model, decoder=Sample(seed=seed))

    assert plan.grammar().matches(run.text)
    assert not plan.grammar().matches(run.text + "!")
    assert {name: capture.value for name, capture in run.captures.items()} == plan.read(run.text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Topic: cats\nKind: math\nn = 12\n", {"kind": "math", "1": 12}),
        ("Topic: cats\nKind: poem\nline: a b\n", {"kind": "poem", "1": "a b"}),
        ("Topic: cats\nKind: poem\nn = 12\n", None),
        ("Topic: cats\nKind: math\nn = 1000\n", None),
        ("Topic: cats\nKind: math\nn = 12", None),
        ("", None),
    ],
)
def test_texts_of_a_plan(text: str, expected: dict[str, Any] | None) -> None:
    plan = program(card).plan("cats")

    assert (expected is not None) == plan.grammar().matches(text)
    if expected is None:
        with pytest.raises(ValueError, match="not a text of the plan"):
            plan.read(text)
    else:
        assert expected == plan.read(text)


def test_values_that_are_used_again() -> None:
    @program
    def again(p: lp.Prompt) -> None:
        x = p(select(["a", "b", "c"], name="x"), "-", gen(name="free"), ";")[0]
        p(f"{x}{x.upper()}")

    grammar = again.plan().grammar()

    assert [True, True, False, False] == list(map(grammar.matches, ["a-?;aA", "c-;cC", "a-?;bB", "a-;;aA"]))
    assert {"x": "b", "free": "e"} == again.plan().read("b-e;bB")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (talk, "a chat is not one text"),
        (lambda p: p(f"{p(gen(name='x'))}"), "the value of x is used again"),
    ],
)
def test_what_is_no_grammar(body: Any, message: str) -> None:
    with pytest.raises(lp.UnsupportedConstraint, match=message):
        program(body).plan().grammar()


# -- the command -------------------------------------------------------------------------------------------------

PROGRAM = """
from lmprog import gen, program, select

@program
def card(p, topic, times=1):
    if p(topic, " " * times, select(["yes", "no"])) == "yes":
        p(gen(int))

other = 3
"""


@pytest.mark.parametrize(
    ("args", "code", "expected"),
    [
        (["card", "--arg", "topic=cats"], 0, '"cats " ⟨0: one of'),
        (["card", "--arg", "topic=a=b", "--arg", "times=3"], 0, '"a=b   " ⟨0: one of'),
        (["card", "--arg", "topic=x", "--json"], 0, '{"nodes": [{"kind": "text", "pieces": ["x"], "next": [1]}'),
        (["card", "--arg", "topic=x", "--grammar"], 0, "Grammar("),
        (["card", "--arg", "topic"], 2, "an argument is name=value"),
        (["card"], 2, "missing a required argument: 'topic'"),
        (["other"], 2, "is not a program: it is 3"),
        (["missing"], 2, "has no 'missing'"),
    ],
)
def test_the_command(args: list[str], code: int, expected: str, tmp_path: Path) -> None:
    file = tmp_path / "prog.py"
    file.write_text(PROGRAM)
    name, *rest = args
    done = CliRunner().invoke(app, ["compile", f"{file}:{name}", *rest])

    assert code == done.exit_code
    assert expected in done.output
