"""Threads, asyncio, branches, attempts, streams and nested programs at once, with cancellations at any moment: what
finishes is what a sequential run gives, and nothing is lost."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import lmprog as lp
from lmprog import gen, program, select
from lmprog.testing import RandomModel


def leaf(p: lp.Prompt, i: int) -> str:
    return str(p(f"{i}: ", gen(regex="[a-z]{2,6}", temperature=1.2), "\n"))


def limb(p: lp.Prompt, i: int) -> tuple[Any, ...]:
    kind = p("kind ", select(["a", "b", "c"], temperature=1.0), "\n")
    branches = p.fork(leaf, range(1 + i % 3))
    return kind, *p.append(branches)


@program
def inner(p: lp.Prompt, i: int) -> Any:
    return p("inner ", i, " ", gen(max_tokens=4, temperature=0.8), "\n")


@program
def everything(p: lp.Prompt, i: int) -> list[Any]:
    """Something of each kind, depending on `i`."""
    values: list[Any] = []
    p("The sea and the moon.\n" * (1 + i % 4))
    for a in p.attempts(4, feedback="hidden" if i % 2 else "none", otherwise="best"):
        with a:
            values = [p("n = ", gen(int, ge=0, le=99, where=lambda n: n != 13), "\n")]
            a.suggest(values[0] % 3 == i % 3, "another one")
    branches = p.fork(limb, range(i % 5))
    if branches:
        values.append(p.adopt(branches[i % len(branches)]))
    values += [inner(i, seed=i), inner(p, i)]
    here = p.mark()
    for _ in range(i % 3):
        p.reset(here)
        values.append(p("end ", gen(max_tokens=5), "\n"))
    return values


Way = Callable[[Any, random.Random], Any]


async def _async(call: Any, rng: random.Random) -> Any:
    task = asyncio.ensure_future(call())
    if rng.random() < 0.5:
        await asyncio.sleep(rng.random() * 0.03)
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        return await task
    return None


def by_stream(i: int, options: dict[str, Any], rng: random.Random) -> Any:
    stream, last = everything.stream(i, **options), rng.choice([10**9, rng.randrange(60)])
    for count, _ in enumerate(stream):
        if count == last:
            return None
    return stream.run and stream.run.value


def by_asyncio(i: int, options: dict[str, Any], rng: random.Random) -> Any:
    return asyncio.run(_async(lambda: everything.acall(i, **options), rng))


def by_async_stream(i: int, options: dict[str, Any], rng: random.Random) -> Any:
    async def read() -> Any:
        stream = everything.stream(i, **options)
        async for _ in stream:
            pass
        return stream.run and stream.run.value

    return asyncio.run(_async(read, rng))


def by_call(i: int, options: dict[str, Any], rng: random.Random) -> Any:
    return everything(i, **options)


WAYS = [by_call, by_stream, by_asyncio, by_async_stream]


def threads() -> Iterator[str]:
    """Those of programs: not of engines, nor of the kernels of models that other tests loaded."""
    names = (t.name for t in threading.enumerate() if t.name.startswith("lmprog-"))
    return (name for name in names if not name.startswith(("lmprog-engine", "lmprog-int8")))


def stress(seed: int, workers: int, each: int) -> int:
    """How many runs finished."""
    expected = [everything(i, model=RandomModel(0), seed=5) for i in range(20)]
    shared = RandomModel(0, slots=6000)
    finished: list[tuple[int, Any]] = []
    failed: list[BaseException] = []

    def work(number: int) -> None:
        rng = random.Random(seed * 1000 + number)
        try:
            for _ in range(each):
                i = rng.randrange(20)
                value = rng.choice(WAYS)(i, {"model": shared, "seed": 5}, rng)
                if value is not None:
                    finished.append((i, value))
        except BaseException as error:
            failed.append(error)

    pool = [threading.Thread(target=work, args=(number,)) for number in range(workers)]
    for thread in pool:
        thread.start()
    for thread in pool:
        thread.join()
    for _ in range(500):
        if not list(threads()):
            break
        time.sleep(0.02)

    assert failed == []
    for i, value in finished:
        assert expected[i] == value
    assert list(threads()) == []
    shared.engine.check()
    assert shared.engine.stats.running == shared.engine.stats.waiting == 0
    shared.close()
    return len(finished)


def test_everything_at_once() -> None:
    assert stress(1, workers=6, each=5) > 8


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 5))
def test_everything_at_once_for_longer(seed: int) -> None:
    assert stress(seed, workers=12, each=10) > 40


def test_map_with_branches_is_what_single_calls_give() -> None:
    expected = [everything(i, model=RandomModel(0), seed=lp.decoders.derive_seed(9, "row", i)) for i in range(12)]
    model = RandomModel(0)

    for concurrency in (1, 12):
        assert everything.map(range(12), model=model, seed=9, concurrency=concurrency) == expected
    model.engine.check()


def test_generators_of_programs() -> None:
    """Programs called by a generator that is used inside of a program, inline and apart, and as the rows of a map."""
    model = RandomModel(0)

    @program(model=model)
    def outer(p: lp.Prompt) -> list[Any]:
        apart = (inner(i) for i in range(3))
        inline = (inner(p, i) for i in range(3))
        return [value for pair in zip(apart, inline, strict=True) for value in pair]

    run = outer.run(seed=3)
    rows = (inner(i, model=model, seed=1) for i in range(4))

    assert len(run.value) == 6
    assert [capture.value for capture in run.captures.all()] == run.value[1::2]
    assert len(inner.map(rows, model=model, concurrency=2)) == 4


def test_cancelled_branches_do_not_disturb_later_runs() -> None:
    model = RandomModel(0)

    @program(model=model)
    def forks(p: lp.Prompt, i: int) -> Any:
        p("x" * i)
        return [b.value for b in p.fork(leaf, range(4))]

    expected = forks(2, seed=1)
    for delay in range(12):

        async def cancelled(delay: int = delay) -> None:
            task = asyncio.ensure_future(forks.acall(2, seed=1))
            await asyncio.sleep(delay / 1000)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

        asyncio.run(cancelled())
        assert forks(2, seed=1) == expected
    model.engine.check()


@pytest.mark.parametrize("kind", [threading.Lock, threading.RLock, threading.Condition, threading.Semaphore])
def test_programs_may_hold_locks(kind: Any) -> None:
    model, lock = RandomModel(0), kind()

    class Held:
        def __init__(self) -> None:
            self.lock = lock

        @program(model=model)
        def method(self, p: lp.Prompt) -> Any:
            with self.lock:
                return p("a", gen(int, ge=0, le=9), "\n"), p("b", gen(int, ge=0, le=9), "\n")

    @program(model=model)
    def function(p: lp.Prompt) -> Any:
        with lock:
            return p("a", gen(int, ge=0, le=9), "\n"), p("b", gen(int, ge=0, le=9), "\n")

    assert function() == Held().method()
