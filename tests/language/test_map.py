from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
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


# -- threads ------------------------------------------------------------------------------------------------------


@program
def compiled(p: lp.Prompt, i: int) -> tuple[int, str]:
    if p(f"{i} ", select(["a", "b"]), " ") == "a":
        return i, p(select(["x", "y"]))
    return i, p("else ", gen(bool))


def most_threads(run: Callable[[], Any]) -> tuple[Any, int]:
    """What `run` gives, and how many threads came at most while it went on."""
    most, over, before = 0, threading.Event(), threading.active_count()

    def count() -> None:
        nonlocal most
        while not over.wait(0.001):
            most = max(most, threading.active_count())

    watcher = threading.Thread(target=count)
    watcher.start()
    try:
        return run(), most - before
    finally:
        over.set()
        watcher.join()


async def call_all(model: RandomModel, n: int) -> list[Any]:
    return await asyncio.gather(*[compiled.acall(i, model=model) for i in range(n)])


@pytest.mark.slow
def test_thousands_of_calls_without_a_thread_each() -> None:
    model, n = RandomModel(3, slots=1 << 14), 5000
    values, threads = most_threads(lambda: asyncio.run(call_all(model, n)))

    assert threads < 40
    assert list(range(n)) == [i for i, _ in values]
    assert [compiled(i, model=model, preview=False) for i in range(0, n, 500)] == values[::500]
    model.engine.check()
    model.close()


def test_rows_without_a_thread_each(model: RandomModel) -> None:
    rows = range(400)
    values, threads = most_threads(lambda: compiled.map(rows, concurrency=400, model=model))

    assert threads < 40
    assert [compiled(i, model=model, preview=False) for i in rows] == values


def test_rows_that_wait_for_one_another(model: RandomModel) -> None:
    """Bodies that cannot be compiled have a thread each, and may block it."""
    together = threading.Barrier(20)

    @program(model=model)
    def meets(p: lp.Prompt, i: int) -> int:
        p(select(["a", "b"]))
        p.effect(together.wait, 30)
        return i

    assert list(range(20)) == meets.map(range(20))


def test_bodies_that_leave_their_plans(model: RandomModel) -> None:
    """They wait in the threads of compiled ones, which others then replace."""

    @program(model=model)
    def leaves(p: lp.Prompt, i: int) -> tuple[Any, ...]:
        first = p(f"{i} ", select(["a", "b"]), " ")
        return first, p("seen " if lp.previewing() else "live ", select(["c", "d"]), " "), p(gen(bool))

    assert [leaves(i, preview=False) for i in range(60)] == leaves.map(range(60), concurrency=60)


def test_programs_inside_of_rows(model: RandomModel) -> None:
    inner = program(lambda p, i: p(f"{i} ", select(["a", "b"])))

    @program(model=model)
    def outer(p: lp.Prompt, i: int) -> Any:
        first = p(f"{i} ", select(["x", "y"]), " ")
        return first, inner.map([i, i + 1]), asyncio.run(inner.acall(i))

    assert [outer(i) for i in range(30)] == outer.map(range(30), concurrency=30)


@pytest.mark.parametrize("preview", [True, False])
def test_cancelling_calls_at_any_moment(preview: bool, model: RandomModel) -> None:
    async def main() -> list[Any]:
        tasks = [asyncio.ensure_future(compiled.acall(i, model=model, preview=preview)) for i in range(200)]
        for task in tasks[::3]:
            await asyncio.sleep(0)
            task.cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    values = asyncio.run(main())
    kept = {i: value for i, value in enumerate(values) if not isinstance(value, BaseException)}

    assert all(isinstance(value, asyncio.CancelledError) for i, value in enumerate(values) if i not in kept)
    assert {i: compiled(i, model=model) for i in kept} == kept
    assert 133 <= len(kept)
    model.engine.check()
