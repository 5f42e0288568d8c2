"""The engine as a server: back-pressure, deadlines, streams, coroutines."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

import pytest

from lmprog.runtime.engine import Engine
from lmprog.runtime.errors import DeadlineExceeded, EngineClosed, QueueFull, RequestError
from lmprog.runtime.handle import Handle
from lmprog.runtime.request import Request

from .toys import TOY, Gate, prompts, toy_engine, toy_greedy


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.001)


def endless(prompt: int = 1, n: int = 400) -> Request:
    return Request([prompt], n, ignore_eos=True)


# -- the bounded queue -------------------------------------------------------------------------------------------


def test_a_full_queue_raises_or_waits() -> None:
    runner = Gate()
    with Engine(runner, TOY, max_running=1, max_queue=2) as engine:
        first = engine.submit(endless(n=2))
        assert runner.waiting.wait(30)
        queued = [engine.submit(Request([2], 2)) for _ in range(2)]

        with pytest.raises(QueueFull, match="no room for 1 more: 2 of a group may wait"):
            engine.submit(Request([3], 2), block=False)
        with pytest.raises(QueueFull, match=r"no room within 0\.01 s"):
            engine.submit(Request([3], 2), timeout=0.01)
        with pytest.raises(QueueFull, match=r"no room within 0\.02 s"):
            engine.submit(Request([3], 2, timeout=0.02), timeout=5)
        other = engine.submit(Request([4], 2, group="another program"), block=False)
        threading.Timer(0.05, runner.permits.release, (1000,)).start()
        late = engine.submit(Request([3], 2))

        assert [toy_greedy([i], 2) for i in (2, 2, 3, 4)] == [h.result(30).ids for h in (*queued, late, other)]
        assert len(first.result(30).ids) == 2
        engine.check()


def test_more_requests_than_the_queue_holds() -> None:
    todo = prompts(5, 40)
    with toy_engine(max_running=2, max_queue=3) as engine:
        results = engine.generate([Request(p, 4) for p in todo])

        assert [toy_greedy(p, 4) for p in todo] == [r.ids for r in results]
        with pytest.raises(QueueFull, match="no room for 4 more"):
            engine.submit_many([Request([1], 1)] * 4, block=False)
        assert len(engine.submit_many([Request([1], 1)] * 3, block=False)) == 3


def test_a_place_is_free_again_however_a_request_ends() -> None:
    runner = Gate()
    with Engine(runner, TOY, max_running=1, max_queue=1) as engine:
        running = engine.submit(endless(n=60_000))
        assert runner.waiting.wait(30)
        runner.permits.release(1_000_000)
        for _ in range(3):
            engine.submit(Request([2], 2), timeout=30).cancel()
            until(lambda: not engine._places._taken)
            with pytest.raises(DeadlineExceeded):
                engine.submit(Request([2], 2, timeout=0.001)).result(30)
        running.cancel()

        assert toy_greedy([3], 2) == engine.submit(Request([3], 2), timeout=30).result(30).ids


def test_submitting_from_a_callback_never_blocks_the_engine() -> None:
    caught: list[BaseException] = []
    nexts: list[Handle] = []

    def again(_: object) -> None:
        try:
            nexts.extend(engine.submit(Request([2], 2)) for _ in range(3))
        except QueueFull as error:
            caught.append(error)

    with toy_engine(max_queue=2) as engine:
        handle = engine.submit(Request([1], 2))
        handle.future.add_done_callback(again)
        handle.result(30)
        until(lambda: bool(caught))

        assert [toy_greedy([2], 2)] * 2 == [h.result(30).ids for h in nexts]


def test_closing_wakes_those_who_wait_for_room() -> None:
    runner = Gate()
    engine = Engine(runner, TOY, max_running=1, max_queue=1)
    engine.submit(endless())
    assert runner.waiting.wait(30)
    engine.submit(endless())
    caught: list[BaseException] = []

    def wait() -> None:
        try:
            engine.submit(endless())
        except EngineClosed as error:
            caught.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    until(lambda: bool(engine._places._tickets))
    threading.Timer(0.02, runner.permits.release, (1000,)).start()
    engine.close()
    thread.join(30)

    assert len(caught) == 1


# -- deadlines ---------------------------------------------------------------------------------------------------


def test_a_deadline_gives_what_there_was() -> None:
    runner = Gate()
    with Engine(runner, TOY) as engine:
        runner.permits.release(3)
        handle = engine.submit(Request([4], 50, ignore_eos=True, timeout=0.2))
        other = engine.submit(Request([3], 4))
        time.sleep(0.25)
        runner.permits.release(1000)
        with pytest.raises(DeadlineExceeded, match=r"timeout of 0\.2 s is over: \d+ tokens of at most 50") as error:
            handle.result(30)
        result = error.value.result

        assert result.finish == "deadline"
        assert 1 <= len(result.ids) < 50
        assert toy_greedy([4], 1) == result.ids[:1]
        assert toy_greedy([3], 4) == other.result(30).ids
        assert engine.stats.ended["deadline"] == 1
        engine.check()


def test_a_deadline_in_the_queue() -> None:
    runner = Gate()
    with Engine(runner, TOY, max_running=1) as engine:
        engine.submit(endless())
        handle = engine.submit(Request([2], 2, timeout=0.01))
        assert runner.waiting.wait(30)
        time.sleep(0.02)
        runner.permits.release(1)
        with pytest.raises(DeadlineExceeded) as error:
            handle.result(30)
        runner.permits.release(1000)

        assert error.value.result.ids == []


def test_a_deadline_that_is_not_needed() -> None:
    with toy_engine() as engine:
        results = engine.generate([Request([i % 11], 3, timeout=60) for i in range(200)])

        assert [toy_greedy([i], 3) for i in range(11)] == [r.ids for r in results[:11]]
        until(lambda: len(engine._loop._deadlines) <= 200)


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf")])
def test_a_timeout_out_of_range(timeout: float) -> None:
    with toy_engine() as engine, pytest.raises(RequestError, match="timeout"):
        engine.submit(Request([1], 1, timeout=timeout))


# -- streams -----------------------------------------------------------------------------------------------------


def test_tokens_come_one_by_one() -> None:
    runner = Gate()
    with Engine(runner, TOY) as engine:
        handle = engine.submit(endless(n=4))
        stream, got = iter(handle), []
        for _ in range(4):
            runner.permits.release(1)
            got.append(next(stream))
        assert list(stream) == []

        assert handle.result(30).ids == got == list(handle)


def test_leaving_a_stream_early_leaves_nothing_behind() -> None:
    with toy_engine() as engine:
        handle = engine.submit(endless(n=30))
        for _ in handle:
            break

        assert len(handle.result(30).ids) == 30
        assert handle._seq.watchers == ()


def test_a_stream_ends_with_the_error() -> None:
    runner = Gate()
    with Engine(runner, TOY) as engine:
        handle = engine.submit(Request([1], 50, ignore_eos=True, timeout=0.1))
        runner.permits.release(2)
        stream = iter(handle)
        got = [next(stream), next(stream)]
        time.sleep(0.12)
        runner.permits.release(1000)
        with pytest.raises(DeadlineExceeded) as error:
            got.extend(stream)

        assert error.value.result.ids == got


def test_many_threads_may_read_one_stream() -> None:
    with toy_engine() as engine:
        handle = engine.submit(endless(n=100))
        seen: list[list[int]] = []
        threads = [threading.Thread(target=lambda: seen.append(list(handle))) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)

        assert [handle.result(30).ids] * 6 == seen


def test_a_callback_gets_the_tokens() -> None:
    seen: list[list[int]] = []
    with toy_engine() as engine:
        (result,) = engine.generate([Request([1, 2], 6, ignore_eos=True, on_tokens=seen.append)])

    assert [[token] for token in result.ids] == seen


# -- coroutines --------------------------------------------------------------------------------------------------


def test_awaiting_and_streaming_in_coroutines() -> None:
    async def one(engine: Engine, prompt: list[int]) -> tuple[list[int], list[int]]:
        handle = await engine.asubmit(Request(prompt, 5))
        tokens = [token async for token in handle]
        return tokens, (await handle).ids

    async def main(engine: Engine) -> list[tuple[list[int], list[int]]]:
        return await asyncio.gather(*[one(engine, p) for p in todo])

    todo = prompts(7, 30)
    with toy_engine(max_running=3, max_queue=2) as engine:
        both = asyncio.run(main(engine))

    assert [(toy_greedy(p, 5), toy_greedy(p, 5)) for p in todo] == both


def test_agenerate_awaits_room() -> None:
    todo = prompts(8, 30)
    with toy_engine(max_running=2, max_queue=2) as engine:
        results = asyncio.run(engine.agenerate([Request(p, 4) for p in todo]))

    assert [toy_greedy(p, 4) for p in todo] == [r.ids for r in results]


def test_cancelling_a_task_cancels_its_request() -> None:
    async def main() -> None:
        task = asyncio.ensure_future(engine.agenerate([endless(1), endless(2)]))
        while not engine.stats.running:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    runner = Gate()
    with Engine(runner, TOY) as engine:
        runner.permits.release(5)
        asyncio.run(main())
        runner.permits.release(1000)
        until(lambda: engine.stats.ended["cancelled"] == 2)
        engine.check()


def test_cancelling_a_task_that_awaits_room() -> None:
    async def main() -> None:
        task = asyncio.ensure_future(engine.asubmit(endless()))
        while not engine._places._tickets:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    runner = Gate()
    with Engine(runner, TOY, max_running=1, max_queue=1) as engine:
        first = engine.submit(endless(n=3))
        assert runner.waiting.wait(30)
        second = engine.submit(Request([2], 2))
        asyncio.run(main())
        runner.permits.release(1000)

        assert len(first.result(30).ids) == 3
        assert toy_greedy([2], 2) == second.result(30).ids
        assert engine.submit(Request([3], 2), timeout=30).result(30).ids == toy_greedy([3], 2)
        assert engine.stats.requests == 3


def test_an_error_in_a_coroutine() -> None:
    async def main() -> None:
        handle = await engine.asubmit(Request([1], 50, ignore_eos=True, timeout=1e-6))
        with pytest.raises(DeadlineExceeded):
            await handle
        with pytest.raises(DeadlineExceeded):
            await engine.agenerate([Request([1], 50, ignore_eos=True, timeout=1e-6), Request([1], 2)])

    with toy_engine() as engine:
        asyncio.run(main())


# -- priorities and groups -----------------------------------------------------------------------------------------


def test_a_program_with_many_requests_does_not_hold_up_another() -> None:
    runner = Gate()
    with Engine(runner, TOY, max_running=2) as engine:
        many = engine.submit_many([Request([1, i % 9], 2, group="many", ignore_eos=True) for i in range(300)])
        assert runner.waiting.wait(30)
        few = engine.submit_many([Request([2, i], 2, group="few", ignore_eos=True) for i in range(3)])
        urgent = engine.submit(Request([3], 2, group="many", priority=1, ignore_eos=True))
        ended: list[Handle] = []
        for handle in [*many, *few, urgent]:
            handle.future.add_done_callback(lambda _, handle=handle: ended.append(handle))  # type: ignore[misc]
        runner.permits.release(10_000)
        for handle in many:
            handle.result(30)

        assert ended.index(urgent) < 4
        assert max(ended.index(handle) for handle in few) < 12
