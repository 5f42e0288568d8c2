from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import traceback
import weakref
from typing import Any

import pytest

import lmprog as lp
from lmprog import gen, program, select
from lmprog.testing import RandomModel, Scripted


@program
def card(p: lp.Prompt, topic: str, *, ending: str = "!") -> dict[str, Any]:
    """A card about a topic."""
    kind = p("Topic: ", topic, "\nKind: ", select(["math", "poem"], name="kind"), "\n")
    body = p("line: ", gen(name="body", max_tokens=20), "\n")
    p("end", ending)
    return {"kind": kind, "body": body}


def test_a_call_gives_the_plain_value() -> None:
    assert card("cats", model=Scripted(["poem", "purr"])) == {"kind": "poem", "body": "purr"}


def test_a_run_gives_everything() -> None:
    run = card.run("cats", ending="?", model=Scripted(["math", "1 cat"]))

    assert run.value == {"kind": "math", "body": "1 cat"}
    assert run.text == "Topic: cats\nKind: math\nline: 1 cat\nend?"
    assert [(c.name, c.value, run.text[slice(*c.span)]) for c in run.captures.all()] == [
        ("kind", "math", "math"),
        ("body", "1 cat", "1 cat"),
    ]
    assert (run.captures["kind"].span, run.captures[1].name) == ((18, 22), "body")
    assert (run.usage.requests, run.usage.sampled_tokens) == (1, 9)
    assert "".join(e.text for e in run.trace) == run.text
    assert [run.text[slice(*e.span)] for e in run.trace] == [e.text for e in run.trace]
    assert [e.name for e in run.trace if isinstance(e, lp.Close)] == ["kind", "body"]


def test_spans_count_characters() -> None:
    @program
    def beyond_ascii(p: lp.Prompt) -> None:
        p("日本 ☕ ", gen(name="a"), " é ", gen(name="b"))

    run = beyond_ascii.run(model=Scripted(["語🙂", "ü"]))

    assert [run.text[slice(*c.span)] for c in run.captures.all()] == ["語🙂", "ü"]


def test_values_come_back_by_their_number() -> None:
    @program
    def values(p: lp.Prompt) -> list[Any]:
        return [p("text"), p(), p(gen(), "\n"), p("a", gen(), " ", select([1, 2]), "b")]

    assert values(model=Scripted(["x", "y", "2"])) == [None, None, "x", ("y", 2)]


def test_parts_are_appended_by_their_str() -> None:
    @program
    def parts(p: lp.Prompt) -> None:
        p(1, " ", 2.5, " ", None, " ", [1, "a"], gen())

    assert parts.run(model=Scripted(["."])).text == "1 2.5 None [1, 'a']."


@pytest.mark.parametrize("part", [b"bytes", bytearray(b"x"), memoryview(b"x"), lp.literal("x"), "\ud800"])
def test_parts_that_are_not_text_are_refused(part: object) -> None:
    @program
    def bad(p: lp.Prompt) -> None:
        p("before ", part)

    with pytest.raises(lp.PartError):
        bad(model=Scripted([]))
    with pytest.raises(TypeError):
        bad.prompt()


def test_nothing_is_appended_when_a_part_is_refused() -> None:
    @program
    def recovers(p: lp.Prompt) -> None:
        try:
            p("lost", b"bytes")
        except TypeError:
            p("kept")

    assert recovers.run(model=Scripted([])).text == "kept"


def test_calls_of_p_can_be_nested() -> None:
    @program
    def nested(p: lp.Prompt) -> None:
        p("again: ", p("first: ", gen(), "\n"), "\n")

    assert nested.run(model=Scripted(["x"])).text == "first: x\nagain: x\n"


def test_captures_of_a_loop_keep_their_order() -> None:
    @program
    def loop(p: lp.Prompt) -> None:
        for i in range(3):
            p(f"{i}: ", gen(name="item"), "\n")
        p(gen())

    captures = loop.run(model=Scripted(["a", "b", "c", "d"])).captures

    assert [c.text for c in captures.all("item")] == ["a", "b", "c"]
    assert (captures["item"].text, captures["3"].text, list(captures), len(captures)) == ("c", "d", ["item", "3"], 2)
    with pytest.raises(KeyError, match="no hole named 'items'; this run has item, 3"):
        captures["items"]


class Quiz:
    def __init__(self, subject: str) -> None:
        self.subject = subject

    @program
    def ask(self, p: Any, question: str = "why") -> Any:
        return p(self.subject, ": ", question, "? ", gen(), "\n")

    @classmethod
    @program
    def of_class(cls, p: Any) -> Any:
        return p(cls.__name__, gen(), "\n")

    @staticmethod
    @program
    def of_nothing(p: Any) -> Any:
        return p("static ", gen(), "\n")


def test_methods_are_programs() -> None:
    assert Quiz("maths").ask.run(model=Scripted(["x"])).text == "maths: why? x\n"
    assert Quiz("maths").ask.run("how", model=Scripted(["x"])).text == "maths: how? x\n"
    assert Quiz.of_class(model=Scripted(["x"])) == "x"
    assert Quiz.of_nothing(model=Scripted(["x"])) == "x"
    assert isinstance(Quiz.ask, lp.Program)


def test_programs_look_like_their_function() -> None:
    assert (card.__name__, card.__doc__, card.__module__) == ("card", "A card about a topic.", __name__)
    assert list(inspect.signature(card).parameters) == ["p", "topic", "ending"]
    assert repr(card).startswith("<program card(p: ")


def test_exceptions_carry_the_users_line() -> None:
    @program
    def fails(p: lp.Prompt) -> None:
        value = p("n = ", gen(), "\n")
        raise ValueError(f"no {value}")  # this line

    with pytest.raises(ValueError, match="no x") as caught:
        fails(model=Scripted(["x"]))

    assert traceback.extract_tb(caught.value.__traceback__)[-1].line == 'raise ValueError(f"no {value}")  # this line'


def test_errors_of_a_hole_name_it_and_carry_the_users_line(model: RandomModel) -> None:
    @program
    def tight(p: lp.Prompt) -> None:
        p("n = ", gen(regex="[a-z]{3}[0-9]{3}[A-Z]{300}", max_tokens=4, name="code"))

    with pytest.raises(lp.BudgetError) as caught:
        tight(model=model)

    assert caught.value.__notes__ == ["in the hole 'code': /[a-z]{3}[0-9]{3}[A-Z]{300}/"]
    lines = [frame.line for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert any(line is not None and line.startswith('p("n = ", gen(regex=') for line in lines)


def test_a_run_goes_on_after_a_caught_error(model: RandomModel) -> None:
    @program
    def retries(p: lp.Prompt) -> str:
        try:
            p("n = ", gen(regex="[A-Z]{300}", max_tokens=4))
        except lp.BudgetError:
            return str(p(gen(regex="[A-Z]{3}")))
        return "never"

    run = retries.run(model=model)

    assert (run.text, len(run.captures)) == (f"n = {run.value}", 1)


def test_programs_can_be_nested() -> None:
    @program
    def inner(p: lp.Prompt, x: str) -> str:
        return str(p("[", x, " ", gen(name="inner"), "]"))

    @program
    def outer(p: lp.Prompt) -> tuple[str, str]:
        p("begin ")
        return inner(p, "inline"), inner("apart")

    model = Scripted(["a", "b"])
    run = outer.run(model=model)

    assert (run.value, run.text) == (("a", "b"), "begin [inline a]")
    assert model.prompts == ["begin [inline ", "[apart "]


def test_the_model_is_the_nearest_one() -> None:
    @program
    def plain(p: lp.Prompt) -> Any:
        return p(gen(), "\n")

    @program(model=Scripted(["own"] * 9))
    def owning(p: lp.Prompt) -> Any:
        return p(gen(), "\n"), plain()

    assert owning() == ("own", "own")
    with lp.using(Scripted(["used"] * 9)) as used:
        assert owning() == ("used", "used")
        assert owning(model=Scripted(["called"])) == ("called", "used")
    assert used.left == 6
    with pytest.raises(lp.NoModel, match=r"plain\(\.\.\., model=lp\.load\(\)\)"):
        plain()


def test_p_is_over_when_its_program_has_returned() -> None:
    kept: list[Any] = []

    @program
    def keeps(p: lp.Prompt) -> None:
        kept.append(p)

    keeps(model=Scripted([]))

    with pytest.raises(lp.ProgramError, match="this run is over"):
        kept[0]("more")


def _no_prompt() -> None: ...


async def _async(p: lp.Prompt) -> None: ...


def _reserved(p: lp.Prompt, seed: int) -> None: ...


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (_no_prompt, "needs the prompt"),
        (_async, "async"),
        (_reserved, "parameter 'seed'"),
        (Quiz, "is for functions"),
        (3, "is for functions"),
    ],
)
def test_what_cannot_be_a_program(function: Any, message: str) -> None:
    with pytest.raises(lp.ProgramError, match=message):
        program(function)


def test_a_boundary_that_is_none() -> None:
    with pytest.raises(lp.HoleError, match="boundary is"):
        program(boundary="near")  # type: ignore[call-overload]


def test_other_callables_are_programs() -> None:
    def greet(p: lp.Prompt, greeting: str, name: str) -> None:
        p(greeting, " ", name, gen())

    assert program(functools.partial(greet, greeting="Hi")).run(name="Eve", model=Scripted(["!"])).text == "Hi Eve!"
    assert program(lambda p: p("x", gen())).run(model=Scripted(["!"])).text == "x!"


def test_wrong_arguments_are_type_errors() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        card("cats", colour="red", model=Scripted([]))


def test_programs_are_collected(model: RandomModel) -> None:
    gone: list[Any] = []
    for i in range(50):

        @program
        def short(p: lp.Prompt, i: int = i) -> Any:
            return p("n", i, gen(choices=["a", "b"]), "\n")

        run = short.run(model=model)
        gone += [weakref.ref(short), weakref.ref(run)]
    del short, run
    gc.collect()

    assert [ref for ref in gone if ref() is not None] == []


def test_acall() -> None:
    async def two() -> list[Any]:
        calls = [card.acall(topic, model=Scripted(["poem", topic])) for topic in ("a", "b")]
        return await asyncio.gather(*calls)

    assert asyncio.run(two()) == [{"kind": "poem", "body": "a"}, {"kind": "poem", "body": "b"}]


def test_acall_raises_what_the_program_raises() -> None:
    @program
    def stops(p: lp.Prompt) -> None:
        raise StopIteration

    async def run() -> None:
        await stops.acall(model=Scripted([]))

    with pytest.raises(RuntimeError, match="StopIteration"):
        asyncio.run(run())


def test_acall_can_be_cancelled(model: RandomModel) -> None:
    left: list[BaseException] = []

    @program(model=model)
    def endless(p: lp.Prompt) -> None:
        try:
            while True:
                p(gen(max_tokens=50))
        except lp.RunCancelled as error:
            left.append(error)
            raise

    async def run() -> None:
        task = asyncio.ensure_future(endless.acall())
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        for _ in range(500):
            if left:
                return
            await asyncio.sleep(0.01)

    asyncio.run(run())

    assert len(left) == 1


def test_show_prints_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    card.run("cats", model=Scripted(["math", "[bold]1[/bold]"])).show()
    printed = capsys.readouterr().out

    assert "Topic: cats" in printed
    assert "'[bold]1[/bold]'" in printed
    assert "1 request" in printed


def test_repr_of_a_run_is_short() -> None:
    run = card.run("cats" * 200, model=Scripted(["math", "x"]))

    assert len(repr(run)) < 600
    assert "kind='math'" in repr(run)
