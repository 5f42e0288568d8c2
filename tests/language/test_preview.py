"""Previews: what they see of a program, what they never do, and what they save."""

from __future__ import annotations

import enum
import gc
import itertools
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

import lmprog as lp
from lmprog import Sample, gen, program, select
from lmprog.explore import explore, explore_all
from lmprog.plan import End, Fill, Text, nodes
from lmprog.preview import preview
from lmprog.replay import Body
from lmprog.testing import RandomModel, Scripted

Run = Callable[..., Any]
YES = ["yes", "no"]


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


def items(body: Callable[..., Any], *args: Any, answers: tuple[int, ...] = ()) -> list[Any]:
    return preview(Body(body, args, {}), (), answers).items


def end(body: Callable[..., Any], *args: Any) -> End:
    last: End = items(body, *args)[-1]
    return last


# -- requests ----------------------------------------------------------------------------------------------------


def card(p: lp.Prompt, topic: str) -> dict[str, Any]:
    kind = p("Topic: ", topic, "\nKind: ", select(["math", "poem"], name="kind"), "\n")
    if kind == "math":
        body = p("n = ", gen(int, ge=0, le=999), "\n")
    else:
        body = p("line: ", gen(regex="[a-z ]{1,20}"), "\n")
    return {"kind": kind, "body": body}


def ten_selects(p: lp.Prompt) -> list[str]:
    return [p(f"{i}. ", select([f"option {k}" for k in range(50)]), "\n") for i in range(10)]


def seven_ifs(p: lp.Prompt) -> int:
    count = 0
    for i in range(7):
        if p(f"Q{i} ", select(YES), "\n") == "yes":
            p("Good.\n")
            count += 1
        else:
            p("Bad.\n")
    return count


def dispatch(p: lp.Prompt) -> Any:
    first = p(select(["a", "b", "c"]), " ")
    second = p({"a": "one ", "b": "two ", "c": "three "}[first], gen(int, ge=0, le=3), " ")
    match second:
        case 0 | 1:
            third = p("few ", gen(Color), " ")
        case _:
            third = p("many ", gen(Literal["x", "y"]), " ")
    if third is Color.RED or third == "x":
        p(f"{first}: ", gen(max_tokens=3), " ")
    return p(gen(bool))


def talk(p: lp.Prompt) -> Any:
    p.user("Pick one.")
    with p.assistant():
        mood = p("I pick ", select(["calm", "wild"]), ".")
    p.user(f"Why {mood}?")
    with p.assistant(), p.decoding(Sample(seed=2)):
        return p(gen(max_tokens=5))


@pytest.mark.parametrize(
    ("body", "args", "one_by_one"),
    [(card, ("cats",), 2), (ten_selects, (), 10), (seven_ifs, (), 7), (dispatch, (), None), (talk, (), 2)],
)
@pytest.mark.parametrize("decoder", [None, Sample(seed=1), Sample(0.5, seed=2)])
def test_a_segment_is_one_request(
    body: Any, args: Any, one_by_one: int | None, decoder: Any, model: RandomModel
) -> None:
    run = program(body).run(*args, model=model, decoder=decoder)
    plain = program(body).run(*args, model=model, decoder=decoder, preview=False)

    assert 1 == run.usage.requests
    assert one_by_one in (None, plain.usage.requests)
    assert (plain.value, plain.text, plain.captures.all()) == (run.value, run.text, run.captures.all())
    assert plain.usage.sampled_tokens == run.usage.sampled_tokens


def test_seven_branches_take_few_runs_of_the_body() -> None:
    runs = []

    def path(answers: Any) -> Any:
        runs.append(answers)
        return items(seven_ifs, answers=tuple(answers))

    root = explore(path)

    assert len(runs) <= 15
    assert 7 == sum(isinstance(node.item, Fill) for node in nodes(root))
    assert {"return"} == {node.item.why for node in nodes(root) if isinstance(node.item, End)}


COLD = """
from lmprog import gen, program, select
from lmprog.testing import RandomModel

@program(model=RandomModel(0))
def card(p, topic):
    if p("Topic: ", topic, "\\nKind: ", select(["math", "poem"]), "\\n") == "math":
        return p("n = ", gen(int, ge=0, le=999), "\\n")
    return p("line: ", gen(regex="[a-z ]+", where="len(x) < 40 and 'moon' in x"), "\\n")

print(card.run("cats").usage.requests)
"""


def test_the_first_run_of_a_process() -> None:
    """Its preview also imports modules and builds grammars."""
    done = subprocess.run([sys.executable, "-c", COLD], capture_output=True, text=True, check=True)

    assert "1" == done.stdout.strip()


def test_an_option_of_program_and_call(model: RandomModel) -> None:
    @program(preview=False)
    def off(p: lp.Prompt) -> Any:
        return p(select(YES), " ", select(YES))

    assert [2, 1, 2] == [off.run(model=model, **how).usage.requests for how in ({}, {"preview": True}, {})]


def test_what_follows_an_effect_is_a_request_of_its_own(model: RandomModel) -> None:
    calls = []

    def search(query: Any) -> str:
        calls.append(query)
        return f"found {query[0]}"

    @program(model=model)
    def searching(p: lp.Prompt) -> Any:
        query = p("Q: ", select(["a", "b"]), " or ", select(["c", "d"]), "\n")
        found = p.effect(search, query)
        return p(found, " ", select(YES), " ", select(YES))

    run = searching.run()

    assert 2 == run.usage.requests
    assert [(run.captures[0].value, run.captures[1].value)] == calls


# -- what an abstract value can do --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ask",
    [
        lambda x: x == "moon",
        lambda x: x != "moon",
        lambda x: x in ("moon", "sun"),
        lambda x: "oo" in x,
        lambda x: x < "n",
        lambda x: len(x) > 3,
        lambda x: x.startswith("m"),
        lambda x: {"moon": 1, "sea": 2, "sun": 3}[x] > 1,
        lambda x: x.upper() == "MOON",
        lambda x: (x + "s") == "moons",
        lambda x: x[0] == "m",
        lambda x: bool(x.replace("moon", "")),
        lambda x: hash(x) == hash("moon"),
        lambda x: {x} == {"moon"},
        lambda x: sorted(x)[0] == "a",
        lambda x: isinstance(x, str) and x == "sea",
    ],
)
def test_questions(ask: Callable[[Any], bool]) -> None:
    """Every path gets an answer that is right for all the values that it stands for."""
    seen: dict[str, Any] = {}

    def body(p: lp.Prompt) -> None:
        p("yes" if ask(p(select(["moon", "sea", "sun"]))) else "no")

    for node in nodes(explore_all(lambda answers: items(body, answers=tuple(answers)))[0]):
        if hasattr(node.item, "cells"):
            for cell, after in zip(node.item.cells, node.next, strict=True):
                while not isinstance(after.item, Text):
                    after = after.next[0]
                seen |= dict.fromkeys(cell, after.item.pieces[0]) if len(nodes_of(after)) == 2 else {}

    assert seen
    assert {value: "yes" if ask(value) else "no" for value in seen} == seen


def nodes_of(node: Any) -> list[Any]:
    return list(nodes(node))


@pytest.mark.parametrize(
    ("hole", "use", "expected"),
    [
        (gen(name="x"), lambda x: f"<{x}>", "<moon>"),
        (gen(name="x"), lambda x: f"{x:>6}|{x!r}", "  moon|'moon'"),
        (gen(name="x"), lambda x: "a" + x + "b", "amoonb"),
        (
            gen(name="x"),
            lambda x: "%s, %s" % (x, x),  # noqa: UP031
            "moon, moon",
        ),
        (gen(name="x"), lambda x: x.strip().upper()[:3], "MOO"),
        (
            gen(name="x"),
            lambda x: "{} {}".format(x, 1),  # noqa: UP032
            "moon 1",
        ),
        (gen(int, name="x"), lambda x: f"{x + 1:04d} {2 * x}", "0013 24"),
        (select(["moon", "sea"], name="x"), lambda x: x.title() + f" {x!s}", "Moon moon"),
        (gen(Color, name="x"), lambda x: f"{x.name} {x.value}", "RED red"),
        (gen(bool, name="x"), lambda x: f"{x}", "True"),
    ],
)
def test_texts_made_of_values(hole: lp.Hole, use: Callable[[Any], str], expected: str) -> None:
    @program
    def body(p: lp.Prompt) -> str:
        text = use(p("x: ", hole, "\n"))
        p(text, ".\n", gen(name="y"))
        return text

    answer = {"int": "12"}.get(hole.kind, {"Color": "red", "bool": "true"}.get(hole.kind, "moon"))
    run = body.run(model=Scripted([answer, "end"]))

    assert f"x: {answer}\n{expected}.\nend" == run.text
    assert expected == run.value
    assert 1 == run.usage.requests


@pytest.mark.parametrize(
    "use",
    [
        lambda p, x: p(f"{x}".upper(), " ", gen(int, name="y")),
        lambda p, x: p(f"{x} a"[1:], " ", gen(int, name="y")),
        lambda p, x: p(gen(regex=f"{x}|b", name="y")),
        lambda p, x: p(select([x, "other"], name="y")),
        lambda p, x: p(select(["other", "a", "b", "c", "d", f"{x}"], name="y")),
        lambda p, x: p(gen(regex="[a-z]+", stop=f"{x}", name="y", max_tokens=4)),
        lambda p, x: p(gen(int, name=f"{x} y", max_tokens=4)),
    ],
)
def test_markers_never_leak(use: Callable[[Any, Any], Any], model: RandomModel) -> None:
    @program(model=model)
    def body(p: lp.Prompt) -> Any:
        return use(p, p("x: ", gen(regex="[ab]{1,20}", name="x"), "\n"))

    run = body.run(seed=3)

    assert not any(0xE000 <= ord(char) <= 0xF8FF for char in run.text)
    assert body.run(seed=3, preview=False).text == run.text


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (lambda p: p(gen()) == "a", End("question", "0")),
        (lambda p: len(p(gen(name="text"))), End("question", "text")),
        (lambda p: p(gen(int)) > 3, End("question", "0")),
        (lambda p: int(p(gen(regex="[0-9]+", name="n")).strip()), End("question", "n.strip()")),
        (lambda p: p.effect(print), End("effect")),
        (lambda p: [p(select(YES)) for _ in range(100)], End("budget", "64 holes on one path")),
        (lambda p: 1 / 0, End("exception", "ZeroDivisionError: division by zero")),
        (lambda p: p.mark(), End("unknown", "p.mark")),
        (lambda p: p(select(YES)), End("return")),
        (lambda p: p(select([0, 1])) / 2 + 1 / 3, End("return")),
    ],
)
def test_where_a_preview_ends(body: Any, expected: End) -> None:
    assert expected == end(body)


# -- what a preview must not do ----------------------------------------------------------------------------------

NEVER = Path(tempfile.gettempdir()) / "lmprog never makes this"
COUNTS: list[int] = []
DICE = random.Random(0)


class Holder:
    """An object with state, as programs find it in their globals."""

    def __init__(self) -> None:
        self.items: list[Any] = []


HOLDER = Holder()


@pytest.mark.parametrize(
    "act",
    [
        lambda x: print("shown"),
        lambda x: sys.stdout.write("shown"),
        lambda x: open(NEVER, "w"),  # noqa: SIM115
        lambda x: COUNTS.append(1),
        lambda x: HOLDER.items.extend([1]),
        lambda x: random.random(),
        lambda x: random.choice([1, 2]),
        lambda x: DICE.random(),
        lambda x: NEVER.mkdir(),
        lambda x: NEVER.write_text("shown"),
        lambda x: time.sleep(0.001),
        lambda x: subprocess.run(["touch", NEVER], check=False),
        lambda x: socket.create_connection(("127.0.0.1", 9)),
        lambda x: threading.Thread(target=print).start(),
    ],
)
def test_a_preview_stops_before_what_could_be_noticed(act: Any, capsys: pytest.CaptureFixture[str]) -> None:
    state, dice = random.getstate(), DICE.getstate()
    COUNTS.clear()
    HOLDER.items.clear()

    def body(p: lp.Prompt) -> None:
        act(p(select(YES)))
        p("never seen")

    seen = end(body)

    assert "effect" == seen.why
    assert ([], [], "") == (COUNTS, HOLDER.items, capsys.readouterr().out)
    assert (state, dice) == (random.getstate(), DICE.getstate())
    assert not NEVER.exists()


class Clicker:
    total = 0

    def __init__(self) -> None:
        self.clicks = 0

    def click(self) -> None:
        self.clicks += 1


CLICKER = Clicker()
TABLE = {"n": 0}
NUMBERS = itertools.count()
clicks = 0


def click_global() -> None:
    global clicks
    clicks += 1


def click_class() -> None:
    Clicker.total += 1


def click_table() -> None:
    TABLE["n"] += 1


@program
def click_in_a_program(p: lp.Prompt) -> None:
    TABLE["n"] += 1


def clicks_so_far() -> int:
    return clicks + Clicker.total + TABLE["n"] + CLICKER.clicks


@pytest.mark.parametrize(
    "act",
    [
        lambda p: click_global(),
        lambda p: click_class(),
        lambda p: click_table(),
        lambda p: CLICKER.click(),
        click_in_a_program,
        lambda p: setattr(CLICKER, "clicks", next(NUMBERS) * 0 + CLICKER.clicks + 1),
    ],
)
def test_assignments_outside_of_the_body_happen_once(act: Callable[[lp.Prompt], Any], model: RandomModel) -> None:
    before = clicks_so_far()

    @program(model=model)
    def counts(p: lp.Prompt) -> int:
        act(p)
        p("a ", select(YES), " ")
        p("b ", select(YES), " ")
        return clicks_so_far() - before

    assert 1 == counts()
    assert 1 == clicks_so_far() - before


def test_under_a_profiler_nothing_is_previewed(model: RandomModel, capsys: pytest.CaptureFixture[str]) -> None:
    @program(model=model)
    def shows(p: lp.Prompt) -> None:
        print("shown")
        p("a ", select(YES), " b ", select(YES), " ")

    sys.setprofile(lambda *_: None)
    try:
        shows()
    finally:
        sys.setprofile(None)

    assert "shown\n" == capsys.readouterr().out


def test_variables_around_the_body_are_not_counted_up_by_previews(model: RandomModel) -> None:
    n = 0

    @program(model=model)
    def counts(p: lp.Prompt) -> int:
        nonlocal n
        n += 1
        p("a ", select(YES), " b ", select(YES), " ")
        return n

    assert [1, 2, 3] == [counts(), counts(), counts()]


def test_assignments_inside_of_the_body_cost_no_preview(model: RandomModel) -> None:
    options = {"first": YES}

    @program(model=model)
    def counts(p: lp.Prompt) -> dict[str, str]:
        found = {}
        for name in options:
            found[name] = p("a ", select(options[name]), " ")
        found["last"] = p("b ", select(options["first"]), " ")
        return found

    assert 1 == counts.run().usage.requests


def test_what_a_program_is_given_is_not_changed_by_previews(model: RandomModel) -> None:
    @dataclass
    class Memory:
        seen: list[str]

    @program(model=model)
    def remembers(p: lp.Prompt, notes: list[str], memory: Memory, chance: random.Random) -> str:
        notes.append(p(select(YES), " "))
        memory.seen += [p(select(YES))]
        return f"{chance.random():.3f}"

    notes: list[str] = []
    memory = Memory([])
    run = remembers.run(notes, memory, random.Random(5))

    assert 1 == run.usage.requests
    assert ([run.captures[0].value], [run.captures[1].value]) == (notes, memory.seen)
    assert f"{random.Random(5).random():.3f}" == run.value


def test_what_cannot_be_copied_is_not_previewed(model: RandomModel) -> None:
    @program(model=model)
    def counts(p: lp.Prompt, numbers: Any) -> Any:
        return [(next(numbers), p(select(YES))) for _ in range(3)]

    run = counts.run(n for n in range(3))

    assert [0, 1, 2] == [n for n, _ in run.value]
    assert 3 == run.usage.requests


def test_programs_inside_of_a_preview_do_not_run(model: RandomModel) -> None:
    inner = program(lambda p: p(select(YES)))

    @program
    def outer(p: lp.Prompt) -> Any:
        return p(select(YES)), inner(), p(select(YES))

    spied = outer.run(model=model)

    assert spied.value == (spied.captures[0].value, inner(model=model), spied.captures[1].value)
    assert end(lambda p: inner(model=model)).why == "effect"


def test_previewing_says_so(model: RandomModel) -> None:
    seen = set()

    @program(model=model)
    def body(p: lp.Prompt) -> None:
        p(select(YES), select(YES))
        if not lp.previewing():
            seen.add("live")

    body()

    assert {"live"} == seen
    assert not lp.previewing()


# -- when a plan is wrong ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("decoder", [None, Sample(seed=4)])
def test_an_impure_branch(decoder: Any, model: RandomModel) -> None:
    """The body takes another way whenever it runs: what it gives is consistent all the same."""
    state = {"n": 0}

    def body(p: lp.Prompt) -> Any:
        state["n"] += 1
        if state["n"] % 3 == 0:
            return p("odd ", select(["a", "b"], name="one"), " ", gen(int, ge=0, le=9))
        return p("even ", select(["c", "d"], name="two"), " ", select(YES), " ", gen(max_tokens=3))

    for _ in range(6):
        run = program(body).run(model=model, decoder=decoder)

        assert tuple(c.value for c in run.captures.all()) == run.value
        assert all(run.text[slice(*c.span)] == c.text for c in run.captures.all())
        odd = run.text.startswith("odd")
        assert (["one", "1"] if odd else ["two", "1", "2"]) == [c.name for c in run.captures.all()]


def test_a_plan_that_turns_out_wrong_is_left(model: RandomModel) -> None:
    @program(model=model)
    def lies(p: lp.Prompt) -> Any:
        first = p("a ", select(YES), "\n")
        second = p("b " if lp.previewing() else "c ", select(YES), "\n")
        return first, second, p("d ", select(YES), " ", select(YES))

    run = lies.run(seed=1)

    assert lies.run(seed=1, preview=False).captures.all() == run.captures.all()
    assert "c " in run.text


def test_exceptions_carry_the_users_line(model: RandomModel) -> None:
    @program(model=model)
    def fails(p: lp.Prompt) -> None:
        x = p(select(YES), " ", select(YES))
        raise ValueError(x)  # this line

    with pytest.raises(ValueError, match=r"yes|no") as caught:
        fails()

    assert "raise ValueError(x)  # this line" in "".join(traceback.format_exception(caught.value))


def test_errors_of_later_holes_come_in_their_place(model: RandomModel) -> None:
    done = []

    @program(model=model)
    def too_small(p: lp.Prompt) -> None:
        done.append(p("a ", select(YES), "\n"))
        p("b ", gen(regex="[a-z]{30}", max_tokens=2, name="narrow"))

    with pytest.raises(lp.BudgetError) as caught:
        too_small()

    assert 1 == len(done)
    assert ["in the hole 'narrow': /[a-z]{30}/"] == caught.value.__notes__


def test_bare_handlers_do_not_keep_a_preview_going() -> None:
    def body(p: lp.Prompt) -> None:
        for _ in range(3):
            try:
                if p(gen()) == "x":
                    return
            except:  # noqa: E722
                pass
        p("over")

    assert [End("question", "0")] == items(body)[1:]


def test_values_that_were_kept_are_refused(model: RandomModel) -> None:
    kept: dict[str, Any] = {}

    @program(model=model)
    def keeps(p: lp.Prompt) -> None:
        x = p(select(YES), " ", select(YES), " ", select(YES))[0]
        if lp.previewing():
            other_name = kept
            other_name["x"] = x

    keeps()

    assert kept["x"] != "yes"
    assert kept["x"] not in {"yes": 1}
    with pytest.raises(lp.ProgramError, match=r"p\.effect"):
        str(kept["x"])


def test_nothing_is_kept_of_what_is_over(model: RandomModel) -> None:
    class Topic(str):
        """Something that can be referred to weakly."""

    refs: list[Callable[[], Any]] = []
    for i in range(1000):

        @program(model=model)
        def short(p: lp.Prompt, topic: Any) -> Any:
            return p(topic, select(YES), " ", gen(bool))

        topic = Topic(i)
        refs += [weakref.ref(short), weakref.ref(topic)]
        short(topic)
    del short, topic
    gc.collect()

    assert 0 == sum(ref() is not None for ref in refs)
