"""Routines that ask the model of another engine."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from lmprog.runtime.engine import Engine
from lmprog.runtime.errors import ContextOverflow, EngineClosed, QueueFull, RequestError, RoutineCancelled
from lmprog.runtime.request import Request
from lmprog.runtime.routine import Routine
from lmprog.runtime.table import TableRunner

from .test_routine import outcome
from .toys import TOY, Gate, prompts, toy_engine, toy_greedy, toy_logits


def other_logits(prefix: tuple[int, ...]) -> NDArray[np.float64]:
    return np.random.default_rng((7, *prefix)).normal(size=TOY.size)


def greedy(logits: Any, prompt: list[int], n: int) -> list[int]:
    ids = list(prompt)
    for _ in range(n):
        ids.append(int(logits(tuple(ids)).argmax()))
    return ids[len(prompt) :]


@contextmanager
def two(**settings: Any) -> Iterator[tuple[Engine, Engine]]:
    with toy_engine(**settings) as one, Engine(TableRunner(other_logits, TOY.size, context=512), TOY) as other:
        yield one, other


def turns(prompt: list[int], other: Engine, rounds: int = 3) -> Routine[list[Any]]:
    """Both models continue the text; then all of it is what both continue."""
    ids, all_of = list(prompt), []
    for _ in range(rounds):
        mine, theirs = yield [Request(ids, 2, ignore_eos=True), Request(ids, 3, ignore_eos=True, model=other)]
        all_of += [mine.ids, theirs.ids]
        ids += mine.ids + theirs.ids
    return all_of


def turned(prompt: list[int], rounds: int = 3) -> list[Any]:
    ids, all_of = list(prompt), []
    for _ in range(rounds):
        mine, theirs = greedy(toy_logits, ids, 2), greedy(other_logits, ids, 3)
        all_of += [mine, theirs]
        ids += mine + theirs
    return all_of


def test_requests_go_where_they_are_named() -> None:
    with two() as (one, other):
        assert turned([1, 2]) == one.run(turns([1, 2], other)).result(30)
        one.check()
        other.check()

        assert one.stats.requests == other.stats.requests == 3


def test_a_round_of_the_other_model_alone() -> None:
    def asking() -> Routine[list[int]]:
        (result,) = yield [Request([1, 2], 3, ignore_eos=True, model=other)]
        return result.ids

    with two(max_queue=1) as (one, other):
        for _ in range(3):  # its place in the queue comes back
            assert greedy(other_logits, [1, 2], 3) == one.run(asking(), timeout=30).result(30)
        assert one.stats.requests == 0


def test_engines_that_ask_each_other() -> None:
    todo = prompts(3, 300)
    threads = threading.active_count()
    with two(slots=2000) as (one, other):
        mine = [one.run(turns(p, other), group=i % 5) for i, p in enumerate(todo)]
        theirs = [other.run(turns(p, one), group=i % 5) for i, p in enumerate(todo)]

        assert threading.active_count() <= threads + 2
        assert [turned(p) for p in todo] == [pending.result(60) for pending in mine]
        assert all(isinstance(pending.result(60), list) for pending in theirs)
        one.check()
        other.check()


def test_an_engine_may_be_named_by_its_own_routines() -> None:
    with toy_engine(max_queue=1) as engine:

        def same() -> Routine[list[int]]:
            first, second = yield [Request([1, 2], 4), Request([1, 2], 4, model=engine)]
            assert first.ids == second.ids
            return first.ids

        assert toy_greedy([1, 2], 4) == engine.run(same()).result(30)


def test_a_full_queue_of_the_other_engine_holds_up_nobody() -> None:
    runner = Gate()
    with toy_engine() as one, Engine(runner, TOY, max_running=1, max_queue=1) as other:
        handles = [other.submit(Request([1], 2))]
        runner.waiting.wait()
        handles.append(other.submit(Request([1], 2)))
        with pytest.raises(QueueFull):
            other.submit(Request([1], 2), block=False)
        pending = one.run(turns([1, 2], other))
        runner.permits.release(10_000)

        assert len(pending.result(30)) == 6
        assert [2, 2] == [len(handle.result(30).ids) for handle in handles]


# -- errors ------------------------------------------------------------------------------------------------------


def test_errors_of_either_are_raised_at_the_yield() -> None:
    def forgiving(bad: Request) -> Routine[str]:
        try:
            yield [Request([1, 2], 3), bad, Request([1, 2], 3, model=other)]
        except Exception as error:
            (result,) = yield [Request([1], 2, ignore_eos=True, model=other)]
            assert greedy(other_logits, [1], 2) == result.ids
            return type(error).__name__
        return "nothing"

    def complain(_: object) -> None:
        raise ValueError("of the callback")

    with two() as (one, other):
        for bad, expected in [
            (Request([1], 10_000, model=other), "ContextOverflow"),
            (Request([99], 1, model=other), "RequestError"),
            (Request([1], 10_000), "ContextOverflow"),
            (Request([1], 3, model=other, on_tokens=complain), "ValueError"),
            (Request([1, 9], 400, ignore_eos=True, timeout=1e-6, model=other), "DeadlineExceeded"),
            (Request([1], 3, model=other), "nothing"),
        ]:
            assert expected == one.run(forgiving(bad)).result(30)
        one.check()
        other.check()


def test_nothing_else_may_name_a_model() -> None:
    with two() as (one, other), pytest.raises(RequestError, match="of a routine only"):
        one.submit(Request([1], 2, model=other))


def test_errors_nobody_catches() -> None:
    def long() -> Routine[None]:
        yield [Request([1], 10_000, model=other)]

    with two() as (one, other), pytest.raises(ContextOverflow):
        one.run(long()).result(30)


# -- ends --------------------------------------------------------------------------------------------------------


@dataclass
class Ends:
    closed: bool = False

    def endless(self, other: Engine) -> Routine[None]:
        try:
            while True:
                yield [Request([1], 4, ignore_eos=True), Request([2], 4, ignore_eos=True, model=other)]
        except EngineClosed as error:
            raise AssertionError("it can do nothing about that") from error
        finally:
            self.closed = True


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("waits", [False, True])
def test_closing_either_engine(which: int, waits: bool) -> None:
    """Also while the own engine has nothing to do and the other one does not get on."""
    runner, ends = Gate(), Ends()
    with toy_engine() as one, Engine(runner, TOY) as other:
        if not waits:
            runner.permits.release(10_000)
        pending = one.run(ends.endless(other))
        runner.waiting.wait()
        time.sleep(0.02)
        closing = threading.Thread(target=(one, other)[which].close)
        closing.start()
        runner.permits.release(10_000)
        with pytest.raises(EngineClosed):
            pending.result(30)
        closing.join()

        assert ends.closed
        with pytest.raises(EngineClosed):
            one.run(Ends().endless(other)).result(30)


def test_the_own_engine_is_closed_while_only_the_other_one_works() -> None:
    """What the routine asked of the other engine is given up, not finished."""

    def asking() -> Routine[None]:
        yield [Request([1], 400, ignore_eos=True, model=other)]

    runner = Gate()
    with toy_engine() as one, Engine(runner, TOY) as other:
        pending = one.run(asking())
        runner.waiting.wait()
        one.close()
        runner.permits.release(10)
        with pytest.raises(EngineClosed):
            pending.result(30)
        runner.permits.release(10_000)

        assert other.stats.running == 0


def test_cancelling_at_any_moment() -> None:
    chance, todo = random.Random(0), prompts(5, 200)
    with two(slots=1000) as (one, other):
        pending = [one.run(turns(p, other)) for p in todo]
        threads = [threading.Thread(target=each.cancel) for each in chance.sample(pending, 120)]
        for thread in threads:
            thread.start()
        outcomes = [outcome(each) for each in pending]
        for thread in threads:
            thread.join()

        assert all(isinstance(got, RoutineCancelled) or turned(p) == got for p, got in zip(todo, outcomes, strict=True))
        for engine in (one, other):
            engine.check()
            assert engine.stats.running == engine.stats.waiting == 0
