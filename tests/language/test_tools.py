from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

import lmprog as lp
from lmprog.testing import RandomModel, Scripted


class Point(BaseModel):
    x: float
    y: float = 0.0


class Color(Enum):
    RED = "red"
    BLUE = "blue"


def plot(
    points: list[Point], color: Color = Color.RED, when: datetime.date | None = None, *, title: Literal["a", "b"] = "a"
) -> str:
    """Plots points.

    On paper.

    Args:
        points (list): where they are,
            one by one
        color: of the ink
    """
    return f"{points!r} {color!r} {when!r} {title!r}"


def divide(a: int, b: Annotated[int, Field(ge=0, le=9)], /) -> float:
    """Divides.

    :param a: the first
    :param int b: the second
    :returns: the quotient
    """
    return a / b


def now() -> dict[str, int]:
    return {"hour": 12}


@lp.program
def use(p: lp.Prompt, tools: list[Callable[..., Any]], **options: Any) -> lp.ToolCall:
    p("Call: ")
    return p.tool_call(tools, **options)


def call(name: str, **arguments: Any) -> str:
    return json.dumps({"name": name, "arguments": arguments}, separators=(",", ":"))


def test_a_call_gets_python_values() -> None:
    written = call("plot", points=[{"x": 1.5}], color="blue", when="2024-01-02")
    run = use.run([plot, divide], name="call", model=Scripted([written]))
    made = run.value

    assert made.arguments == {"points": [Point(x=1.5)], "color": Color.BLUE, "when": datetime.date(2024, 1, 2)}
    assert made.text == "[Point(x=1.5, y=0.0)] <Color.BLUE: 'blue'> datetime.date(2024, 1, 2) 'a'"
    assert (made.name, made.value, made.error) == ("plot", made.text, None)
    assert run.text == f"Call: {written}\nResult: {made.text}\n"
    assert run.captures["call"].text == written


def test_results_are_text() -> None:
    assert use([now], model=Scripted([call("now")])).text == '{"hour":12}'
    assert use([divide], model=Scripted([call("divide", a=1, b=4)])).text == "0.25"
    assert use.run([now], result=" -> {};", model=Scripted([call("now")])).text.endswith(' -> {"hour":12};')


def test_exceptions_are_appended_or_raised() -> None:
    written = call("divide", a=1, b=0)
    run = use.run([divide], model=Scripted([written]))

    assert isinstance(run.value.error, ZeroDivisionError)
    assert run.text.endswith("\nResult: ZeroDivisionError: division by zero\n")
    with pytest.raises(ZeroDivisionError) as caught:
        use([divide], errors="raise", model=Scripted([written]))
    assert caught.value.__notes__ == ["in the tool divide, called with {'a': 1, 'b': 0}"]


def test_errors_of_lmprog_pass_through() -> None:
    def ask(question: str) -> str:
        raise lp.RunCancelled("stop")

    with pytest.raises(lp.RunCancelled):
        use([ask], model=Scripted([call("ask", question="why")]))


@pytest.mark.parametrize(
    "written",
    [
        call("unknown"),
        call("divide", a=1),
        call("divide", a=1, b=10),
        call("divide", a=1.5, b=2),
        call("divide", a=1, b=2, c=3),
        call("plot", points=[{"x": "1"}]),
        call("plot", points=[], color="green"),
        call("now", x=1),
    ],
)
def test_only_calls_that_fit_can_be_written(written: str) -> None:
    with pytest.raises(lp.ScriptError):
        use([plot, divide, now], model=Scripted([written]))


def test_every_sample_is_a_call(model: RandomModel) -> None:
    names = {use([plot, divide, now], model=model, decoder=lp.Sample(5.0, seed=seed)).name for seed in range(30)}

    assert names == {"plot", "divide", "now"}


def test_a_chat_gets_messages(model: RandomModel) -> None:
    @lp.program
    def chat(p: lp.Prompt, **options: Any) -> lp.ToolCall:
        p.user("What time is it?")
        return p.tool_call([now], **options)

    run = chat.run(model=Scripted([call("now")]))

    assert run.messages[1:] == (
        {"role": "assistant", "content": call("now")},
        {"role": "tool", "name": "now", "content": '{"hour":12}'},
    )
    assert chat.run(role="user", model=Scripted([call("now")])).messages[2]["role"] == "user"
    assert chat(model=model).value == {"hour": 12}


def test_no_call_inside_of_a_message() -> None:
    @lp.program
    def inside(p: lp.Prompt) -> None:
        with p.assistant():
            p.tool_call([now])

    with pytest.raises(lp.RoleError, match="call it between messages"):
        inside(model=Scripted([call("now")]))


def test_an_outline_calls_nothing() -> None:
    def explode() -> None:
        raise AssertionError

    assert use.prompt([explode], name="c") == (
        "Call: ⟨c: a call of explode⟩\nResult: ⟨… the rest depends on an effect⟩"
    )


async def later(x: int) -> int:
    return x


def untyped(x) -> int:  # type: ignore[no-untyped-def]
    return int(x)


def many(*xs: int) -> int:
    return len(xs)


def unknown_type(x: Missing) -> int:  # type: ignore[name-defined]  # noqa: F821
    return 1


def opaque(x: RandomModel) -> int:
    return 1


def awaited(x: int) -> Any:
    return later(x)


class Caller:
    async def __call__(self, x: int) -> int:
        return x


@pytest.mark.parametrize(
    ("tools", "message"),
    [
        ([], "no tools to call"),
        (now, r"a list of functions: \[now\]"),
        ([3], "a tool is a function, not 3"),
        ([now, now], "two tools are called 'now'"),
        ([lambda x: x], "has none: write a def"),
        ([later], r"later is async.*\n.*\n.*asyncio.run\(later"),
        ([Caller()], "Caller is async"),
        ([untyped], "parameter 'x' of untyped has no type: annotate it"),
        ([many], r"many takes \*xs"),
        ([unknown_type], "the types of unknown_type cannot be resolved: name 'Missing'"),
        ([opaque], "the parameters of opaque cannot be enforced"),
    ],
)
def test_functions_that_cannot_be_tools(tools: Any, message: str) -> None:
    with pytest.raises(lp.ToolError, match=message):
        use(tools, model=Scripted([]))


@pytest.mark.parametrize("options", [{"errors": "ignore"}, {"result": "none"}, {"role": "system"}])
def test_wrong_options(options: dict[str, str]) -> None:
    with pytest.raises(lp.ToolError):
        use([now], **options, model=Scripted([]))


def test_a_coroutine_is_no_result() -> None:
    with pytest.raises(lp.ToolError, match="awaited is async"):
        use([awaited], model=Scripted([call("awaited", x=1)]))


def test_objects_and_methods_are_tools() -> None:
    @dataclass
    class Scale:
        by: int

        def __call__(self, x: int) -> int:
            """Scales."""
            return self.by * x

        def grow(self, x: int) -> int:
            return self.by + x

    scale = Scale(3)

    assert use([scale], model=Scripted([call("Scale", x=2)])).value == 6
    assert use([scale.grow], model=Scripted([call("grow", x=2)])).value == 5


def test_descriptions() -> None:
    shown = [json.loads(line) for line in lp.describe_tools([plot, divide, now]).splitlines()]

    assert [tool["description"] for tool in shown] == ["Plots points.\n\nOn paper.", "Divides.", ""]
    properties = shown[0]["parameters"]["properties"]
    assert properties["points"]["description"] == "where they are, one by one"
    assert properties["color"]["default"] == "red"
    assert properties["title"] == {"enum": ["a", "b"], "type": "string", "default": "a"}
    assert shown[0]["parameters"]["required"] == ["points"]
    assert shown[1]["parameters"]["properties"]["b"] == {
        "description": "the second", "maximum": 9, "minimum": 0, "type": "integer",
    }  # fmt: skip


DOCSTRINGS = [
    "About.\n\nArgs:\n    a: the first\n        number\n    b (int): the second\n\nReturns:\n    a: thing",
    "About.\n\nParameters\n----------\na : int\n    the first\n    number\nb : int\n    the second\n\nReturns\n---\n",
    "About.\n\n:param a: the first\n    number\n:param int b: the second\n:returns: a thing",
    "About.\n\na   the first\n    number\nb   the second\n\nRaises:\n    a: never",
    "About.\n\n    a: the first number\n    b: the second",
]


@pytest.mark.parametrize("doc", DOCSTRINGS)
def test_styles_of_docstrings(doc: str) -> None:
    def tool(a: int, b: int) -> int:
        return a

    tool.__doc__ = doc
    (shown,) = map(json.loads, lp.describe_tools([tool]).splitlines())

    assert shown["description"] == "About."
    about = {name: field.get("description") for name, field in shown["parameters"]["properties"].items()}
    assert about == {"a": "the first number", "b": "the second"}


def test_a_preview_calls_nothing(model: RandomModel) -> None:
    """The holes behind the call come ahead, the function is called once."""
    called: list[int] = []

    def tick(step: int) -> int:
        called.append(step)
        return len(called)

    @lp.program
    def ticking(p: lp.Prompt) -> list[Any]:
        p("begin ", lp.select(["a", "b"]), " ", lp.select(["a", "b"]), "\n")
        first = p.tool_call([tick], result=" = {}\n")
        p(lp.select(["c", "d"]), " ", lp.select(["c", "d"]), "\n")
        return [first.value, p.tool_call([tick]).value]

    run = ticking.run(model=model)
    plain = ticking.run(model=model, preview=False)

    assert ([1, 2], [3, 4], 4) == (run.value, plain.value, len(called))
    assert run.usage.requests < plain.usage.requests
