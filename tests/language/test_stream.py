from __future__ import annotations

import asyncio
import datetime
import gc
import json
import random
import threading
import time
from itertools import pairwise
from typing import Any

import pydantic
import pytest

import lmprog as lp
from lmprog import gen, program, select
from lmprog.partial_json import partial_json
from lmprog.testing import RandomModel, Scripted

from .test_checkpoints import replayed


@program
def card(p: lp.Prompt, topic: str) -> Any:
    kind = p("Topic: ", topic, "\nKind: ", select(["math", "poem"], name="kind"), "\n")
    return kind, p("line: ", gen(name="body", max_tokens=20), "\n")


def of_hole(events: list[Any], name: str) -> list[str]:
    return [event.text for event in events if isinstance(event, lp.Text) and event.hole == name]


def test_events_come_one_after_the_other() -> None:
    stream = card.stream("cats", model=Scripted(["poem", "purr é🙂"]))
    texts = []
    events = []
    for event in stream:
        events.append(event)
        texts.append(stream.text)

    assert [type(event).__name__ for event in events[:4]] == ["Text", "Text", "Text", "Open"]
    assert of_hole(events, "body") == ["p", "u", "r", "r", " ", "é", "🙂"]
    assert isinstance(events[-1], lp.Done)
    assert events[-1].run.value == ("poem", "purr é🙂")
    assert texts[-1] == replayed(tuple(events)) == stream.run.text == events[-1].run.text  # type: ignore[union-attr]
    assert all(after.startswith(before) for before, after in pairwise(texts))
    assert [event.value for event in events if isinstance(event, lp.Close)] == ["poem", "purr é🙂"]


def test_a_stream_gives_what_a_run_gives(model: RandomModel) -> None:
    for decoder in (lp.Argmax(), lp.Sample(temperature=1.5, seed=3)):
        for topic in ("a", "日本", "x y"):
            run = card.run(topic, model=model, decoder=decoder)
            events = list(card.stream(topic, model=model, decoder=decoder))

            assert events[-1].run.text == replayed(tuple(events)) == run.text  # type: ignore[attr-defined]
            assert "".join(of_hole(events, "body")) == run.captures["body"].text
            assert tuple(e for e in events if not (isinstance(e, lp.Text) and e.hole))[:-1] == run.trace


HOLES = [
    gen(max_tokens=30),
    gen(stop=["a", "th", "\n"], max_tokens=30),
    gen(regex=r"[^\n]{3,60}", stop="e", max_tokens=40),
    gen(regex="[a-z日本🙂é ]{5,40}"),
    gen(max_tokens=4),
    gen(json={"type": "object", "properties": {"é": {"type": "string", "maxLength": 9}}, "required": ["é"]}),
]


@pytest.mark.filterwarnings("ignore::lmprog.ends.UnclearEnd")
@pytest.mark.parametrize("seed", range(40))
def test_pieces_are_never_taken_back_and_join_up_to_the_value(seed: int, model: RandomModel) -> None:
    rng = random.Random(seed)
    hole, follow = rng.choice(HOLES), rng.choice(["", "\n", " th", ", and", "é"])
    prompt = rng.choice(["the sea ", "日本", "a", "x:"])
    decoder = lp.Sample(temperature=1.3, seed=seed)
    events = list(program(lambda p: p(prompt, hole, follow)).stream(model=model, decoder=decoder))
    pieces = of_hole(events, "0")

    assert "".join(pieces) == events[-1].run.captures[0].text  # type: ignore[attr-defined]
    assert "�" not in "".join(pieces)
    assert not [event for event in events if isinstance(event, lp.Retract)]


def test_what_may_be_a_stop_is_held_back() -> None:
    hole = gen(stop=["END", "é!"])
    events = list(program(lambda p: p(hole)).stream(model=Scripted(["aENxé é!"])))

    assert of_hole(events, "0") == ["a", "ENx", "é "]
    assert events[-1].run.value == "aENxé "  # type: ignore[attr-defined]


def test_the_first_piece_comes_before_the_value_is_complete() -> None:
    reached = threading.Event()
    slow = RandomModel(4)
    forward = slow.engine.runner.forward
    steps = [0]

    def waiting(*args: Any) -> Any:
        steps[0] += 1
        if steps[0] > 3:
            assert reached.wait(30)
        return forward(*args)

    slow.engine.runner.forward = waiting  # type: ignore[assignment,method-assign]
    stream = program(lambda p: p("x", gen(regex="[a-z]{30}"))).stream(model=slow)
    for event in stream:
        if isinstance(event, lp.Text) and event.hole:
            reached.set()

    assert reached.is_set()
    assert steps[0] > 3
    slow.close()


def test_retries_are_told_of() -> None:
    @program
    def retry(p: lp.Prompt) -> None:
        for a in p.attempts(2):
            with a:
                value = p("v: ", gen(), "\n")
                a.check(value == "good", "bad")
        p(gen(where=lambda v: v == "y"))

    events = list(retry.stream(model=Scripted(["bad", "good", "x", "y"])))

    assert [(e.removed, e.reason) for e in events if isinstance(e, lp.Retract)] == [
        ("v: bad\n", "bad"),
        ("x", "the condition of the hole '1'"),
    ]
    assert replayed(tuple(events)) == events[-1].run.text == "v: good\ny"  # type: ignore[attr-defined]


def test_branches_are_told_of(model: RandomModel) -> None:
    @program(model=model)
    def forks(p: lp.Prompt) -> None:
        p("go ")
        branches = p.fork(lambda p, i: p(i, gen(max_tokens=5, name=f"b{i}")), range(3))
        p.adopt(branches[2])
        for a in p.attempts(2, otherwise="best"):
            with a:
                p("then ", gen(regex="[a-z]{3}"), "\n")
                a.suggest(False, weight=1 + a.number)
        p("!")

    stream = forks.stream()
    events = list(stream)
    run = events[-1].run  # type: ignore[attr-defined]

    texts = ""
    for event in (e for e in events if isinstance(e, lp.Text | lp.Retract) and not e.branch):
        texts = texts[: event.span[0]] + event.text

    assert replayed(tuple(e for e in events if not e.branch)) == run.text == stream.text == texts
    for i in range(3):
        pieces = [e.text for e in events if isinstance(e, lp.Text) and e.hole == f"b{i}" and e.branch]
        whole = [e.text for e in events if isinstance(e, lp.Text) and e.hole == f"b{i}" and not e.branch]
        assert {e.branch for e in events if isinstance(e, lp.Text) and e.hole == f"b{i}"} - {()} == {(0, i)}
        assert pieces
        assert whole == (["".join(pieces)] if i == 2 else [])
    assert sum(isinstance(e, lp.Fork) for e in events) == 1


class Entry(pydantic.BaseModel):
    name: str
    age: int
    tags: list[str]


def test_partial_values_hold_what_is_complete() -> None:
    text = '{"name":"Ann \\" é","age":42,"tags":["a","b"]}'
    stream = program(lambda p: p("x: ", gen(Entry, name="entry"))).stream(model=Scripted([text]))
    seen: list[Any] = []
    for _ in stream:
        value = stream.partial("entry")
        if not seen or value != seen[-1]:
            seen.append(value)

    assert seen == [
        None,
        {},
        {"name": 'Ann " é'},
        {"name": 'Ann " é', "age": 42},
        {"name": 'Ann " é', "age": 42, "tags": []},
        {"name": 'Ann " é', "age": 42, "tags": ["a"]},
        {"name": 'Ann " é', "age": 42, "tags": ["a", "b"]},
        Entry(name='Ann " é', age=42, tags=["a", "b"]),
    ]
    assert stream.partial("other") is None


def test_partial_values_of_other_holes() -> None:
    @program
    def others(p: lp.Prompt) -> None:
        p(gen(name="free"), "\n", gen(int, name="int"), "\n", gen(regex="[0-9]+", name="digits"), "\n")
        for a in p.attempts(2):
            with a:
                p(gen(name="again"), "\n")
                a.check(a.number)

    stream = others.stream(model=Scripted(["ab", "12", "34", "no", "yes"]))
    seen: dict[str, list[Any]] = {name: [] for name in ("free", "int", "digits", "again")}
    for _ in stream:
        for name, values in seen.items():
            value = stream.partial(name)
            if not values or value != values[-1]:
                values.append(value)

    assert seen["free"] == [None, "a", "ab"]
    assert seen["int"] == [None, 12]
    assert seen["digits"] == [None, "3", "34"]
    assert seen["again"] == [None, "n", "no", None, "y", "ye", "yes"]


def complete(whole: Any, part: Any) -> bool:
    """Whether `part` holds only what is complete in `whole`."""
    if isinstance(whole, dict) and isinstance(part, dict):
        keys = list(whole)[: len(part)]
        return keys == list(part) and all([complete(whole[key], part[key]) for key in keys])
    if isinstance(whole, list) and isinstance(part, list):
        return len(part) <= len(whole) and all([complete(w, p) for w, p in zip(whole, part, strict=False)])
    return bool(type(whole) is type(part) and whole == part)


def test_every_beginning_of_json() -> None:
    rng = random.Random(0)

    def value(depth: int) -> Any:
        kind = rng.randrange(7 if depth else 4)
        if kind >= 5:
            return {rng.choice(["a", 'b"', "é", "{"]) + str(i): value(depth - 1) for i in range(rng.randrange(4))}
        if kind == 4:
            return [value(depth - 1) for _ in range(rng.randrange(4))]
        return rng.choice([True, None, 0, -1.5e3, "", 'x"\\', "[1,", "日\n"])

    for _ in range(200):
        whole = value(3)
        text = json.dumps(whole, ensure_ascii=rng.random() < 0.5, indent=rng.choice([None, 1]))
        for end in range(len(text)):
            part = partial_json(text[:end])
            assert part is None or complete(whole, part), (text[:end], part)
        if isinstance(whole, dict | list | str):
            assert partial_json(text) == whole


def test_async_streams(model: RandomModel) -> None:
    async def read(topic: str) -> tuple[Any, str]:
        stream = card.stream(topic, model=model)
        async for event in stream:
            last = event
        return last, stream.text

    async def both() -> list[Any]:
        return await asyncio.gather(*[read(topic) for topic in ("a", "b", "c")])

    for topic, (last, text) in zip("abc", asyncio.run(both()), strict=True):
        assert last.run.text == text == card.run(topic, model=model).text


def test_a_failing_run_raises_in_the_loop() -> None:
    @program
    def fails(p: lp.Prompt) -> None:
        p("a")
        raise ValueError("no")

    async def read() -> list[Any]:
        return [event async for event in fails.stream(model=Scripted([]))]

    stream = fails.stream(model=Scripted([]))
    with pytest.raises(ValueError, match="no"):
        list(stream)
    assert stream.text == "a"
    with pytest.raises(ValueError, match="no"):
        asyncio.run(read())


def endless(ended: list[BaseException], model: RandomModel) -> Any:
    @program(model=model)
    def goes_on(p: lp.Prompt) -> None:
        try:
            while True:
                p(gen(max_tokens=50))
        except BaseException as error:
            ended.append(error)
            raise

    return goes_on.stream()


def gone(name: str = "lmprog-stream") -> bool:
    for _ in range(1000):
        if not [thread for thread in threading.enumerate() if thread.name.startswith(name)]:
            return True
        time.sleep(0.01)
    return False


def test_leaving_the_loop_cancels_the_run(model: RandomModel) -> None:
    ended: list[BaseException] = []
    stream = endless(ended, model)
    for count, _ in enumerate(stream):
        if count == 30:
            break

    assert gone()
    assert [type(error) for error in ended] == [lp.RunCancelled]
    with pytest.raises(lp.ProgramError, match="read once"):
        list(stream)
    with pytest.raises(KeyError):  # noqa: PT012
        for _ in endless(ended, model):
            raise KeyError
    assert gone()
    model.engine.check()


def test_leaving_an_async_loop_cancels_the_run(model: RandomModel) -> None:
    ended: list[BaseException] = []

    async def leave() -> None:
        async for _ in endless(ended, model):
            break
        await asyncio.sleep(0.01)

    async def cancelled() -> None:
        async def read() -> None:
            async for _ in endless(ended, model):
                pass

        task = asyncio.ensure_future(read())
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    for run in (leave, cancelled):
        asyncio.run(run())
        gc.collect()
        assert gone()
        assert type(ended.pop()) is lp.RunCancelled


def test_cancel_from_another_thread(model: RandomModel) -> None:
    ended: list[BaseException] = []
    stream = endless(ended, model)
    threading.Timer(0.1, stream.cancel).start()

    with pytest.raises(lp.RunCancelled):
        list(stream)


def test_a_stream_that_is_not_read_does_nothing() -> None:
    model = Scripted(["x"])
    program(lambda p: p(gen())).stream(model=model)

    assert model.left == 1
    with pytest.raises(lp.NoModel):
        card.stream("x")


def test_dates_are_not_cut() -> None:
    stream = program(lambda p: p(gen(datetime.date, name="day"))).stream(model=Scripted(["2026-11-28"]))

    assert {str(stream.partial("day")) for _ in stream} == {"None", "2026-11-28"}
