"""Slots: parts of a program's text that can be changed from outside."""

from __future__ import annotations

import asyncio
import contextvars
import random
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import lmprog as lp
from lmprog import Slot, SlotError, SlotText, gen, program, select
from lmprog.testing import RandomModel, Scripted
from lmprog.view import pieces

MODEL = RandomModel(0)
SHOTS = [{"question": "cats", "answer": "animal"}, {"question": "oak", "answer": "plant"}]
SHOWN = "Q: cats\nA: animal\n\nQ: oak\nA: plant\n\n"


@program(model=MODEL)
def inner(p: lp.Prompt, x: object) -> Any:
    return p(lp.slot("instruction", "In a word:"), " ", x, " ", gen(regex="[a-z]{1,3}"), "\n")


@program(model=MODEL)
def card(p: lp.Prompt, topic: str) -> Any:
    p(lp.slot("instruction", "Describe it."), "\n", lp.examples())
    kind = p("Topic: ", topic, "\nKind: ", select(["math", "poem"], name="kind"), "\n")
    if kind == "math":
        p(lp.slot("formula", "A formula!"), "\n")
    return kind, inner(p, topic)


def spans(run: lp.Run[Any]) -> dict[str, list[str]]:
    """The texts of a run's slots, from their places."""
    return {name: [run.text[slice(*span)] for span in found] for name, found in run.slots.items()}


def test_defaults_hold_without_values() -> None:
    run = card.run("cats")

    assert run.text.startswith("Describe it.\nTopic: cats\nKind: ")
    assert {"instruction": ["Describe it."], "examples": [""], "inner.instruction": ["In a word:"]} == {
        name: texts for name, texts in spans(run).items() if name != "formula"
    }


def test_values_replace_defaults_in_the_changed_copy_only() -> None:
    changed = card.with_({"inner.instruction": "Briefly:"}, instruction="Name it.", examples=SHOTS)

    run = changed.run("cats")
    assert run.text.startswith(f"Name it.\n{SHOWN}Topic: cats\nKind: ")
    assert ["Briefly:"] == spans(run)["inner.instruction"]
    assert [SHOWN] == spans(run)["examples"]
    assert "Describe it." in card.run("cats").text
    assert {"instruction", "examples", "inner.instruction"} == changed.values.keys()
    assert {} == card.values


def test_values_are_laid_over_and_taken_back() -> None:
    changed = card.with_(instruction="A", examples=SHOTS).with_(instruction="B", examples=None)

    assert {"instruction": "B"} == changed.values
    assert card == changed.with_(instruction=None)


def test_values_are_copies() -> None:
    mine = [{"question": "a", "answer": ["b"]}]
    changed = card.with_(examples=mine)
    mine[0]["answer"] = "c"
    changed.values["examples"].append({})

    assert [{"question": "a", "answer": ["b"]}] == changed.values["examples"]


def test_what_is_shown_without_a_model() -> None:
    changed = card.with_(instruction="Name it.", examples=SHOTS)

    assert changed.prompt("cats").startswith(f"Name it.\n{SHOWN}Topic: cats\nKind: ⟨kind")
    assert "Name it." in str(changed.plan("cats"))
    assert "instruction='Name it.'" in repr(changed)
    assert "instruction" not in repr(card)


def test_slots_are_found_on_all_paths() -> None:
    found = card.with_(formula="x = 1").slots("cats")

    assert ["instruction", "examples", "formula", "inner.instruction"] == list(found)
    assert Slot("formula", "A formula!", "x = 1", "text", False) == found["formula"]
    assert Slot("examples", [], [], "examples", False) == found["examples"]


def test_a_slot_is_text() -> None:
    text = lp.slot("instruction", "Say it.")

    assert isinstance(text, SlotText)
    assert ("Say it.", "instruction", str) == (text, text.slot, type(text + ""))
    assert SHOWN == lp.examples(SHOTS)
    assert "cats-animal oak-plant " == lp.examples(SHOTS, format="{question}-{answer} ")
    assert "cats oak " == lp.examples(SHOTS, format=lambda row: f"{row['question']} ")


@pytest.mark.parametrize("changed", [card, card.with_(instruction="Do", examples=SHOTS, formula="f")])
def test_every_way_of_running_writes_the_same(changed: lp.Program[..., Any]) -> None:
    expected = changed.run("cats", preview=False)
    streamed = list(changed.stream("cats"))[-1]
    assert isinstance(streamed, lp.Done)
    runs = [
        changed.run("cats"),
        streamed.run,
        *changed.samples(2, "cats", seed=1, independent=True),
        asyncio.run(changed.arun("cats")),
    ]

    assert {expected.text} == {run.text for run in runs}
    assert all(expected.slots == run.slots for run in runs)
    assert [expected.value] * 3 == changed.map(["cats"] * 3)
    assert expected.value == asyncio.run(changed.acall("cats"))


def test_threads_do_not_mix_values() -> None:
    def one(number: int) -> bool:
        changed = card.with_({"inner.instruction": f"I{number}"}, instruction=f"N{number}")
        found = spans(changed.run("cats"))
        return ([f"N{number}"], [f"I{number}"]) == (found["instruction"], found["inner.instruction"])

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(one, range(64)))


def test_runs_of_their_own_have_the_values_of_the_run_around() -> None:
    @program(model=MODEL)
    def outer(p: lp.Prompt) -> list[lp.Run[Any]]:
        p(lp.slot("instruction", "outer"))
        return [inner.run("x"), inner.with_(instruction="own").run("x"), *inner.samples(2, "x", seed=0)]

    plain = outer()
    assert ["In a word:", "own", "In a word:", "In a word:"] == [spans(run)["instruction"][0] for run in plain]
    assert ["given"] * 4 == [
        spans(run)["instruction"][0] for run in outer.with_({"inner.instruction": "given"}).run().value
    ]
    assert ["In a word: x"] * 2 == [run.text[:12] for run in outer.with_(instruction="not theirs")()[2:]]


def test_branches_and_threads_of_the_body_have_the_values() -> None:
    @program(model=MODEL)
    def forks(p: lp.Prompt) -> str:
        found: list[str] = []
        context = contextvars.copy_context()
        thread = threading.Thread(target=lambda: found.append(context.run(lp.slot, "instruction", "code")))
        thread.start()
        thread.join()
        branches = p.fork(lambda q, word: q(lp.slot("instruction", "code"), word), ["a", "b"])
        p.append(branches, separator=" ")
        return found[0]

    run = forks.with_(instruction="new").run()
    assert "newa newb" == run.text
    assert {"instruction": ((0, 3), (5, 8))} == run.slots
    assert "new" == run.value


def test_programs_of_instances() -> None:
    class Shop:
        def __init__(self, name: str) -> None:
            self.name = name

        @program(model=MODEL)
        def sell(p: lp.Prompt, self: Any) -> None:
            p(lp.slot("greeting", "Hi"), " at ", self.name)

    class Other:
        name = "here"

        def greet(self, p: lp.Prompt) -> None:
            p(lp.slot("greeting", "Hi"), " ", self.name)

    bound = program(model=MODEL)(Other().greet)
    assert "Good day here" == bound.with_(greeting="Good day").run().text
    assert "Hi here" == bound.run().text


def test_a_program_that_calls_itself_keeps_its_values() -> None:
    @program(model=MODEL)
    def down(p: lp.Prompt, n: int) -> None:
        p(lp.slot("step", "."), n)
        if n:
            down(p, n - 1)

    run = down.with_(step="#").run(2)
    assert "#2#1#0" == run.text
    assert {"step": ((0, 1), (2, 3), (4, 5))} == run.slots


def test_defaults_may_depend_on_the_run() -> None:
    @program(model=Scripted(["poem", "moon"]))
    def two(p: lp.Prompt) -> None:
        kind = p(select(["math", "poem"], name="kind"), "\n")
        p(lp.slot("ask", f"A word for a {kind}: "), gen(regex="[a-z]+"))

    assert "poem\nA word for a poem: moon" == two.run().text
    assert Slot("ask", "A word for a ⟨…⟩: ", "A word for a ⟨…⟩: ") == two.slots()["ask"]


# -- what is refused -----------------------------------------------------------------------------------------------


def test_unknown_names_are_refused_before_the_model_is_asked() -> None:
    changed = card.with_(instrction="x")
    for call in (changed, changed.prompt, changed.plan, changed.slots, changed.run):
        with pytest.raises(
            SlotError, match=r"card has no slot 'instrction'; it has 'examples', 'formula', 'inner.inst"
        ):
            call("cats")
    with pytest.raises(SlotError, match=r"no slot 'iner.instruction'"):
        card.with_({"iner.instruction": "x"}).map(["cats"])


def test_unknown_names_of_a_program_that_cannot_be_foreseen_are_refused_when_it_has_run() -> None:
    @program(model=Scripted(["abc"]))
    def blind(p: lp.Prompt) -> str:
        word = p(lp.slot("instruction", "x"), gen(regex="[a-z]+"))
        return str(len(word))

    with pytest.raises(SlotError, match="blind has no slot 'instrction'; it has 'instruction'"):
        blind.with_(instrction="x").run()


def test_paths_that_a_preview_gets_wrong_are_no_mistake() -> None:
    names = ["part_1"]

    @program(model=Scripted(["abc"]))
    def made_up(p: lp.Prompt) -> None:
        if f"{p(gen(regex='[a-z]+'))}" < "m":  # a preview's text is not below it
            for name in names:
                p(lp.slot(name, "."))

    assert "abc!" == made_up.with_(part_1="!").run().text


def test_slots_of_a_program_inside_are_not_the_programs_own() -> None:
    @program
    def inner(p: lp.Prompt) -> None:
        p(lp.slot("style", "Briefly:"))

    def helper(p: lp.Prompt) -> None:
        p(lp.slot("head", "#"))
        inner(p)

    @program(model=MODEL)
    def outer(p: lp.Prompt) -> str:
        helper(p)
        return str(len(p(gen(regex="[a-z]", max_tokens=2))))

    assert outer.with_({"head": "?", "inner.style": "!"}).run().text.startswith("?!")
    for call in (outer.with_(style="x").run, outer.with_(style="x").prompt):
        with pytest.raises(SlotError, match=r"outer has no slot 'style'; it has 'head', 'inner.style'"):
            call()


def test_names_that_this_run_does_not_ask_for_are_no_mistake() -> None:
    @program(model=MODEL)
    def some(p: lp.Prompt, long: bool) -> None:
        if long:
            p(lp.slot("extra", ""))
        for i in range(2):
            p(lp.slot(f"part_{i}", "."))

    assert "..!" == some.with_(extra="!").run(False).text + "!"
    assert ".?" == some.with_(part_1="?").run(False).text


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (5, "'instruction' takes a text, or a list"),
        (b"x", "'instruction' takes a text, or a list"),
        ({"a": 1}, "'instruction' takes a text, or a list"),
        (["x"], "'instruction', example 0: an example is a dict"),
        ([{"a": 1}, {2: 1}], "'instruction', example 1: a field is called by a text"),
        ("\ud800", "'instruction': character 0 of the text is half a surrogate pair"),
        ([{"a": "\ud800"}], "'instruction', example 0, field 'a': character 0"),
    ],
)
def test_values_that_cannot_be(value: object, message: str) -> None:
    with pytest.raises(SlotError, match=message):
        card.with_(instruction=value)


def test_values_of_the_wrong_kind() -> None:
    with pytest.raises(SlotError, match="card: the slot 'instruction' takes a text, not"):
        card.with_(instruction=SHOTS).run("cats")
    with pytest.raises(SlotError, match="card: the slot 'examples' takes a list of examples, which are dicts, not 'x'"):
        card.with_(examples="x").prompt("cats")


def test_examples_without_a_field() -> None:
    with pytest.raises(
        SlotError, match=r"'examples', example 1: the field 'answer' of its format is missing; it has 'qu"
    ):
        card.with_(examples=[SHOTS[0], {"question": "oak"}]).run("cats")
    with pytest.raises(SlotError, match="example 0: the field 'word', which its format asks for, is missing"):
        lp.examples([{"a": 1}], format=lambda row: str(row["word"]))
    with pytest.raises(SlotError, match="example 0 cannot be written in the format"):
        lp.examples([{"a": 1}], format="{} {a}")


def test_two_slots_of_one_name() -> None:
    @program(model=MODEL)
    def twice(p: lp.Prompt) -> None:
        p(lp.slot("a", ""), lp.examples(name="a"))

    with pytest.raises(
        SlotError, match="twice: two slots are called 'a': one is text, shorten=False, the other examples"
    ):
        twice.run()


def test_defaults_and_formats_that_cannot_be() -> None:
    with pytest.raises(SlotError, match="the slot 'a' has no default"):
        lp.slot("a", None)  # type: ignore[arg-type]
    with pytest.raises(SlotError, match=r"the slot 'a': p\(...\) takes text, not bytes"):
        lp.slot("a", b"x")  # type: ignore[arg-type]
    with pytest.raises(SlotError, match="format= is a text or a function of one example, not 5"):
        lp.examples(format=5)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["", "a.b", "a b", 5])
def test_names_that_slots_cannot_have(name: Any) -> None:
    with pytest.raises(SlotError, match="a slot is called by a Python name"):
        lp.slot(name, "")


def test_changed_programs_are_equal_when_their_values_are() -> None:
    assert card.with_(instruction="x") == card.with_({"instruction": "x"})
    assert hash(card.with_(instruction="x")) == hash(card.with_({"instruction": "x"}))
    assert card.with_(instruction="x") != card
    assert card != inner


# -- where they stand ------------------------------------------------------------------------------------------------


def test_slots_of_a_chat() -> None:
    @program
    def chat(p: lp.Prompt) -> None:
        p.system(lp.slot("system", "Be brief."))
        p.user("Say: ", lp.slot("word", "moon"))
        p.assistant(lp.slot("empty", ""), gen(regex="[a-z]+"))

    run = chat.with_(word="sun").run(model=Scripted(["ok"]))
    assert {"system": ["Be brief."], "word": ["sun"], "empty": [""]} == spans(run)


def test_text_that_was_taken_back_has_no_slots() -> None:
    @program(model=MODEL)
    def back(p: lp.Prompt) -> None:
        mark = p.mark()
        p(lp.slot("a", "gone"))
        p.reset(mark)
        p("x", lp.slot("b", "kept"))
        p.adopt(p.fork(lambda q, word: q(lp.slot("c", word)), ["one", "two"])[1])

    run = back.run()
    assert ("xkepttwo", {"b": ["kept"], "c": ["two"]}) == (run.text, spans(run))


def test_saved_runs_have_their_slots(tmp_path: Path) -> None:
    run = card.run("cats")
    run.save(tmp_path / "run.json")

    assert run.slots == lp.Run.load(tmp_path / "run.json").slots


def test_templates() -> None:
    source = '{% if long %}{{ slot("extra", "!") }}{% endif %}{{ slot("instruction", "Do.") }}\n'
    template = lp.Template(source + '{{ examples([], name="shots") }}K: {{ select("kind", ["a", "b"]) }}', model=MODEL)
    changed = template.with_(instruction="Now.", shots=SHOTS, extra="?")

    run = changed.run(long=False)
    assert f"Now.\n{SHOWN}K: " == run.text[:-1]
    assert {"instruction": ["Now."], "shots": [SHOWN]} == spans(run)
    assert changed.prompt(long=True).startswith("?Now.")
    assert {"extra", "instruction", "shots"} == template.slots(long=True).keys()
    with pytest.raises(SlotError, match="template has no slot 'other'; it has 'instruction', 'shots'"):
        template.with_(other="x").run(long=False)


def test_slots_of_a_templates_messages() -> None:
    source = '{% system %}{{ slot("a", "A") }}{% endsystem %}\n{{ slot("none", "") }}{% user %}x{% enduser %}'
    run = lp.Template(source, model=Scripted([])).with_(a="B").run()

    assert "[system]\nB\n\n[user]\nx\n\n" == run.text
    assert {"a": ((9, 10),), "none": ((12, 12),)} == run.slots


def test_errors_of_a_templates_slots_name_the_line() -> None:
    with pytest.raises(SlotError) as caught:
        lp.Template('a\n{{ examples([{"question": 1}]) }}', model=MODEL).run()

    assert ["in the template 'template', line 2"] == caught.value.__notes__


# -- random programs -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_the_text_is_the_same_as_without_slots(seed: int) -> None:
    """A program whose texts stand in slots asks the model for what a program with those texts asks for."""
    rng = random.Random(seed)
    texts = ["".join(rng.choices("ab \n", k=rng.randrange(4))) for _ in range(6)]
    holes = [rng.random() < 0.5 for _ in texts]

    def write(p: lp.Prompt, marked: bool) -> None:
        for i, (text, hole) in enumerate(zip(texts, holes, strict=True)):
            p(lp.slot(f"s{i}", "other") if marked else text)
            if hole and p(select(["x", "yz"])) == "x":
                p(".")

    values = {f"s{i}": text for i, text in enumerate(texts)}
    slotted = program(model=MODEL)(lambda p: write(p, True)).with_(values).run()
    plain = program(model=MODEL)(lambda p: write(p, False)).run()
    assert (plain.text, plain.captures["0"].tokens if any(holes) else 0) == (
        slotted.text,
        slotted.captures["0"].tokens if any(holes) else 0,
    )
    assert {name: [text] for name, text in values.items()} == spans(slotted)


def test_pages_mark_slots() -> None:
    @program(model=MODEL)
    def marked(p: lp.Prompt) -> None:
        p("a ", lp.slot("word", "<b>"), " c ", gen(regex="[a-z]"))

    page = marked.run().html()
    assert '<span class="text slot" title="slot word">&lt;b&gt;</span>' in page
    assert '<span class="slot">slot</span>' in page
    traced = marked.run(trace=True)
    assert ['title="slot word · program text;'] == re.findall('title="slot word · program text;', traced.html())

    assert traced.text == "".join([piece.text for piece in pieces(traced)])
