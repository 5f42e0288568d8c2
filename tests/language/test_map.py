from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import lmprog as lp
from lmprog import gen, program, select
from lmprog.testing import RandomModel, Scripted


@program
def echo(p: lp.Prompt, a: Any, b: Any = "-") -> str:
    if a == "bad":
        raise ValueError("a bad row")
    return f"{a}{b}{p('a', a, gen(max_tokens=4), ' ', select(['x', 'y']))[1]}"


def test_rows_are_arguments_in_any_form(model: RandomModel) -> None:
    rows = ["one", ("two", 2), {"a": "three", "b": 3}, ({"a": 1},), (("t", 2),), 6]
    values = echo.map(rows, model=model)

    assert [value[:-1] for value in values] == ["one-", "two2", "three3", "{'a': 1}-", "('t', 2)-", "6-"]


def test_map_gives_what_single_calls_give(model: RandomModel) -> None:
    rows = [f"row {i}" for i in range(40)]

    assert echo.map(rows, model=model) == [echo(row, model=model) for row in rows]


def test_rows_are_batched(model: RandomModel) -> None:
    rows = [f"batch {i}" for i in range(32)]
    before = model.engine.stats.steps
    echo.map(rows, model=RandomModel(0), concurrency=1)
    fresh = RandomModel(0)
    echo.map(rows, model=fresh, concurrency=32)

    assert fresh.engine.stats.steps < 32 * 5 / 2
    assert model.engine.stats.steps == before


def test_errors_are_returned_in_their_place(model: RandomModel) -> None:
    values = echo.map(["one", "bad", ("too", "many", "arguments"), "two"], model=model, errors="return")

    assert [type(value) for value in values] == [str, ValueError, TypeError, str]
    assert values[0] == echo("one", model=model)


def test_errors_are_raised_with_their_row(model: RandomModel) -> None:
    with pytest.raises(ValueError, match="a bad row") as caught:
        echo.map(["one", "bad", "two"], model=model)

    assert caught.value.__notes__ == ["in row 1 of echo.map: 'bad'"]


def test_a_failing_row_stops_the_others(model: RandomModel) -> None:
    started = []

    @program(model=model)
    def row(p: lp.Prompt, i: int) -> None:
        started.append(i)
        if i == 3:
            raise ValueError("three")
        p(gen(max_tokens=20))

    with pytest.raises(ValueError, match="three"):
        row.map(range(10_000), concurrency=4)

    assert len(started) < 100


def test_rows_are_taken_as_they_are_needed(model: RandomModel) -> None:
    taken = []

    def rows() -> Iterator[int]:
        for i in range(20):
            taken.append(i)
            yield i

    seen = []

    @program(model=model)
    def row(p: lp.Prompt, i: int) -> int:
        seen.append(len(taken))
        return i

    assert row.map(rows(), concurrency=2) == list(range(20))
    assert seen[0] <= 2


def test_no_rows(model: RandomModel) -> None:
    assert echo.map([], model=model, progress=True) == []


@pytest.mark.parametrize("wrong", [{"errors": "ignore"}, {"concurrency": 0}])
def test_wrong_options(wrong: Any, model: RandomModel) -> None:
    with pytest.raises(lp.ProgramError):
        echo.map(["a"], model=model, **wrong)


def test_rows_inherit_the_models_around_them() -> None:
    inner = program(lambda p: p("inner", gen(), "\n"))
    outer = program(lambda p, i: inner())

    with lp.using(Scripted(["x"] * 3)):
        assert outer.map(range(3)) == ["x"] * 3
    assert outer.map(range(3), model=Scripted(["y"] * 3)) == ["y"] * 3


def test_progress_goes_to_stderr(capsys: pytest.CaptureFixture[str], model: RandomModel) -> None:
    echo.map(["one", "bad", "two"], model=model, progress=True, errors="return")
    out, err = capsys.readouterr()

    assert out == ""
    for part in ("echo", "3/3", "rows/s", "tokens/s", "cache", "1 failed"):
        assert part in err


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_ctrl_c_stops_cleanly(model: RandomModel) -> None:
    ended = []

    @program(model=model)
    def endless(p: lp.Prompt, i: int) -> None:
        try:
            while True:
                p(gen(max_tokens=50))
        finally:
            ended.append(i)

    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        endless.map(range(100), concurrency=4)

    assert sorted(ended) == [0, 1, 2, 3]
    assert not [t for t in threading.enumerate() if t.name.startswith("lmprog-map")]


def test_a_program_can_be_run_by_many_threads(model: RandomModel) -> None:
    expected = [echo(i, model=model) for i in range(16)]
    actual: dict[int, str] = {}
    threads = [threading.Thread(target=lambda i=i: actual.__setitem__(i, echo(i, model=model))) for i in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [actual[i] for i in range(16)] == expected


def test_cancelled_runs_do_not_disturb_the_others(model: RandomModel) -> None:
    expected = [echo(i, model=model) for i in range(40)]
    fresh = RandomModel(0)

    async def run() -> list[Any]:
        tasks = [asyncio.ensure_future(echo.acall(i, model=fresh)) for i in range(40)]
        await asyncio.sleep(0.005)
        for task in tasks[::3]:
            task.cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    actual = asyncio.run(run())

    for i, value in enumerate(actual):
        assert value == expected[i] or (i % 3 == 0 and isinstance(value, asyncio.CancelledError))
    assert fresh.engine.generate([]) == []
