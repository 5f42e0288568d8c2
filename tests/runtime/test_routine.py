"""Routines: several rounds of requests that are one request to their caller."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from lmprog.runtime.engine import Engine
from lmprog.runtime.errors import (
    ContextOverflow,
    DeadlineExceeded,
    EngineClosed,
    EngineFault,
    QueueFull,
    RoutineCancelled,
)
from lmprog.runtime.request import Request, Result
from lmprog.runtime.routine import Routine
from lmprog.runtime.table import TableRunner

from .test_faults import EXPECTED, GOOD, fail_at, kill
from .toys import TOY, Gate, prompts, toy_engine, toy_greedy, toy_logits


def chain(prompt: list[int], rounds: int = 3, n: int = 3) -> Routine[list[int]]:
    """One request after the other, each going on where the last one ended."""
    ids = list(prompt)
    for _ in range(rounds):
        (result,) = yield [Request(ids, n, ignore_eos=True)]
        ids += result.ids
    return ids


def chained(prompt: list[int], rounds: int = 3, n: int = 3) -> list[int]:
    """The same, the plain way."""
    ids = list(prompt)
    for _ in range(rounds * n):
        ids.append(int(toy_logits(tuple(ids)).argmax()))
    return ids


def fan(todo: list[list[int]]) -> Routine[list[list[int]]]:
    results = yield [Request(p, 6) for p in todo]
    return [result.ids for result in results]


def test_rounds() -> None:
    with toy_engine() as engine:
        assert chained([1, 2]) == engine.run(chain([1, 2])).result(30)
        assert EXPECTED == engine.run(fan(GOOD)).result(30)


def test_a_round_begins_in_the_step_after_the_last_one_ended() -> None:
    with toy_engine() as engine:
        engine.run(chain([1, 2], rounds=5, n=2)).result(30)

        assert engine.stats.steps == 10


def test_nothing_to_ask() -> None:
    def nothing(rounds: int) -> Routine[int]:
        for _ in range(rounds):
            assert [] == (yield [])
        return rounds

    with toy_engine() as engine:
        assert [0, 1, 50] == [engine.run(nothing(n)).result(30) for n in (0, 1, 50)]


def test_one_that_never_asks_anything_does_not_hold_up_the_others() -> None:
    def idle() -> Routine[None]:
        while True:
            yield []

    with toy_engine() as engine:
        busy = engine.run(idle())

        assert chained([1, 2]) == engine.run(chain([1, 2])).result(30)
        busy.cancel()
        with pytest.raises(RoutineCancelled):
            busy.result(30)


def test_thousands_at_once() -> None:
    todo = prompts(3, 3000)
    threads = threading.active_count()
    with toy_engine(slots=4000) as engine:
        pending = [engine.run(chain(p, 2, 2), group=i % 7) for i, p in enumerate(todo)]

        assert threading.active_count() <= threads + 1
        assert [chained(p, 2, 2) for p in todo] == [one.result(60) for one in pending]
        engine.check()


def test_awaiting() -> None:
    async def main(engine: Engine) -> list[list[int]]:
        return await asyncio.gather(*[engine.run(chain(p)) for p in prompts(4, 200)])

    with toy_engine() as engine:
        assert [chained(p) for p in prompts(4, 200)] == asyncio.run(main(engine))


# -- errors ------------------------------------------------------------------------------------------------------


def forgiving(bad: Request) -> Routine[str]:
    """What went wrong, and that it goes on after it."""
    try:
        yield [Request([1, 2], 3), bad, Request([3], 30, ignore_eos=True)]
    except Exception as error:
        (result,) = yield [Request([3, 4, 5], 6)]
        assert EXPECTED[1] == result.ids
        return type(error).__name__
    return "nothing"


def complain(*_: object) -> None:
    raise ValueError("of the callback")


@pytest.mark.parametrize(
    ("bad", "expected"),
    [
        (Request([1], 10_000), "ContextOverflow"),
        (Request([], 1), "RequestError"),
        (Request([1], 5, on_tokens=complain), "ValueError"),
        (Request([1, 9], 400, ignore_eos=True, timeout=0.001), "DeadlineExceeded"),
        (Request([1], 3), "nothing"),
    ],
)
def test_errors_of_its_requests_are_raised_at_the_yield(bad: Request, expected: str) -> None:
    with toy_engine() as engine:
        assert expected == engine.run(forgiving(bad)).result(30)
        engine.check()


def test_its_requests_have_all_ended_when_one_failed() -> None:
    ended: list[int] = []

    def watching() -> Routine[None]:
        try:
            yield [Request([1], 2, on_tokens=complain), Request([3], 30, ignore_eos=True, on_tokens=ended.extend)]
        except ValueError:
            assert len(ended) == 30
            raise

    with toy_engine() as engine, pytest.raises(ValueError, match="of the callback"):
        engine.run(watching()).result(30)


@pytest.mark.parametrize("error", [RuntimeError, KeyError, SystemExit, KeyboardInterrupt, StopIteration])
@pytest.mark.parametrize("rounds", [0, 1, 3])
def test_its_own_exception_is_its_result(error: type[BaseException], rounds: int) -> None:
    def failing() -> Routine[None]:
        for _ in range(rounds):
            yield [Request([1], 2)]
        raise error("of the routine")

    expected = RuntimeError if error is StopIteration else error
    with toy_engine() as engine:
        others = [engine.run(chain(p)) for p in GOOD]
        with pytest.raises(expected):
            engine.run(failing()).result(30)

        assert [chained(p) for p in GOOD] == [other.result(30) for other in others]
        assert engine.stats.faults == 0
        engine.check()


def test_errors_nobody_catches() -> None:
    with toy_engine(context=20) as engine:
        with pytest.raises(ContextOverflow):
            engine.run(chain([1], rounds=9)).result(30)
        slow = Request([1], 9, timeout=1e-6)

        def late() -> Routine[Any]:
            return (yield [slow])

        with pytest.raises(DeadlineExceeded):
            engine.run(late()).result(30)


# -- cancelling --------------------------------------------------------------------------------------------------


def test_cancelling() -> None:
    closed: list[str] = []

    def endless() -> Routine[None]:
        try:
            while True:
                yield [Request([1], 400, ignore_eos=True), Request([2], 400, ignore_eos=True)]
        finally:
            closed.append(threading.current_thread().name)

    with toy_engine() as engine:
        pending = engine.run(endless())
        time.sleep(0.01)
        pending.cancel()
        with pytest.raises(RoutineCancelled):
            pending.result(30)
        engine.check()

        assert closed == ["lmprog-engine"]
        assert engine.stats.running == 0


def test_cancelling_what_has_ended() -> None:
    with toy_engine() as engine:
        pending = engine.run(chain([1, 2]))
        pending.result(30)
        pending.cancel()

        assert chained([1, 2]) == pending.result()


def test_one_that_will_not_end() -> None:
    def stubborn() -> Routine[None]:
        with contextlib.suppress(GeneratorExit):
            yield [Request([1], 100, ignore_eos=True)]
        yield [Request([2], 100, ignore_eos=True)]

    with toy_engine() as engine:
        pending = engine.run(stubborn())
        pending.cancel()
        with pytest.raises(RoutineCancelled):
            pending.result(30)

        assert chained([1]) == engine.run(chain([1])).result(30)


def test_cancelling_at_any_moment() -> None:
    chance = random.Random(0)
    todo = prompts(5, 300)
    with toy_engine(slots=300) as engine:
        pending = [engine.run(chain(p)) for p in todo]
        threads = [threading.Thread(target=one.cancel) for one in chance.sample(pending, 200)]
        for thread in threads:
            thread.start()
        outcomes = [outcome(one) for one in pending]
        for thread in threads:
            thread.join()
        cancelled = [isinstance(got, RoutineCancelled) for got in outcomes]

        assert sum(cancelled) <= 200
        assert all(c or chained(p) == got for p, got, c in zip(todo, outcomes, cancelled, strict=True))
        engine.check()
        assert engine.stats.running == engine.stats.waiting == 0


def test_cancelling_the_task_that_awaits() -> None:
    async def main(engine: Engine) -> None:
        task = asyncio.ensure_future(wait(engine))
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    async def wait(engine: Engine) -> None:
        await engine.run(chain([1], rounds=100))

    with toy_engine() as engine:
        asyncio.run(main(engine))

        assert EXPECTED == engine.run(fan(GOOD)).result(30)
        assert sum(engine.stats.ended.values()) < 100


def outcome(pending: Any) -> Any:
    try:
        return pending.result(30)
    except BaseException as error:
        return error


# -- the queue, and the end of the engine ------------------------------------------------------------------------


def test_it_takes_one_place_for_its_first_round_and_none_after_that() -> None:
    runner = Gate()
    with Engine(runner, TOY, max_running=1, max_queue=1) as engine:
        first = engine.run(fan(GOOD))
        runner.waiting.wait()
        second = engine.run(chain([1, 2]))
        with pytest.raises(QueueFull):
            engine.run(chain([1, 2]), block=False)
        with pytest.raises(QueueFull):
            engine.run(chain([1, 2]), timeout=0.01)
        other = engine.run(chain([3]), group="another program", block=False)
        runner.permits.release(10_000)
        third = engine.run(chain([1, 2]), timeout=30)

        assert EXPECTED == first.result(30)
        assert chained([1, 2]) == second.result(30) == third.result(30)
        assert chained([3]) == other.result(30)


@pytest.mark.parametrize("ends", ["at once", "by an error", "empty"])
def test_a_place_that_was_not_needed_is_given_back(ends: str) -> None:
    def short() -> Routine[None]:
        if ends == "by an error":
            raise ValueError(ends)
        if ends == "empty":
            yield []

    with toy_engine(max_queue=1) as engine:
        for _ in range(5):
            engine.run(short(), timeout=30).future.exception(30)

        assert chained([1]) == engine.run(chain([1]), timeout=30).result(30)


def test_closing_the_engine() -> None:
    def careful() -> Routine[None]:
        while True:
            try:
                yield [Request([1], 300, ignore_eos=True)]
            except Exception as error:
                raise AssertionError("it can do nothing about that") from error

    engine = toy_engine()
    pending = [engine.run(careful()) for _ in range(5)]
    engine.close()
    for one in [*pending, engine.run(careful())]:
        with pytest.raises(EngineClosed):
            one.result(30)


def test_faults_of_the_engine() -> None:
    with toy_engine() as engine:
        fail_at(engine, "schedule", [3, 20], AssertionError)
        pending = [engine.run(chain(p)) for p in GOOD]

        assert [chained(p) for p in GOOD] == [one.result(30) for one in pending]
        engine.check()


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_the_thread_is_killed_again_and_again(error: type[BaseException]) -> None:
    """None may hang, and none may be wrong."""
    todo = prompts(6, 40)
    with toy_engine(slots=300) as engine:
        pending = [engine.run(chain(p)) for p in todo]
        for _ in range(10):
            steps = engine.stats.steps
            while engine.stats.steps == steps and not all(one.done() for one in pending):
                time.sleep(0.001)
            if all(one.done() for one in pending):
                break
            kill(engine._thread, error)
            time.sleep(0.01)
        outcomes = [outcome(one) for one in pending]

        assert all(
            isinstance(got, (error, EngineFault)) or chained(p) == got for p, got in zip(todo, outcomes, strict=True)
        )
        time.sleep(0.05)
        assert EXPECTED == engine.run(fan(GOOD)).result(30)
        engine.check()


def test_routines_among_requests() -> None:
    """Long chains do not starve single requests, nor these the chains."""
    with Engine(TableRunner(toy_logits, TOY.size, context=512), TOY, max_running=4) as engine:
        chains = [engine.run(chain([1, i % 9], 20, 2), group="chains") for i in range(20)]
        handles = [engine.submit(Request([2, i % 9], 4, group="singles")) for i in range(100)]
        order: list[str] = []
        note(chains, order, "chain")
        note(handles, order, "single")

        assert [toy_greedy([2, i % 9], 4) for i in range(100)] == [handle.result(30).ids for handle in handles]
        assert [chained([1, i % 9], 20, 2) for i in range(20)] == [one.result(30) for one in chains]
        assert "single" in order[:20]


def note(pending: list[Any], order: list[str], name: str) -> None:
    for one in pending:
        one.future.add_done_callback(lambda _: order.append(name))


def test_nothing_is_kept_of_what_has_ended() -> None:
    class Big:
        """Something that a routine holds."""

    def holding(big: Big, end: Callable[[], None]) -> Routine[Result]:
        (result,) = yield [Request([1], 2)]
        end()
        return result

    with toy_engine() as engine:
        refs = []
        for end in [lambda: None, complain]:
            big = Big()
            refs.append(weakref.ref(big))
            engine.run(holding(big, end)).future.exception(30)
        del big
        engine.generate([Request([1], 2)])
        gc.collect()

        assert [None, None] == [ref() for ref in refs]
