"""Things go wrong in the middle: whose fault it is ends with a clear error, the rest is unharmed."""

from __future__ import annotations

import ctypes
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from lmprog.grammars import Vocabulary, compile, regex
from lmprog.runtime.engine import Engine
from lmprog.runtime.errors import EngineClosed, EngineFault, SamplingError
from lmprog.runtime.handle import Handle
from lmprog.runtime.request import Request, Result
from lmprog.runtime.runner import Batch
from lmprog.runtime.sampling import Sampling
from lmprog.runtime.table import TableRunner

from .toys import TOY, Gate, prompts, toy_engine, toy_greedy, toy_logits

GOOD = [[1, 2], [3, 4, 5], [3, 4, 6]]
EXPECTED = [toy_greedy(p, 6) for p in GOOD]


def with_good_ones(engine: Engine, *bad: Request) -> list[Handle]:
    """Run the bad requests among the good ones, check these, and that the engine goes on. Returns the bad ones'."""
    handles = engine.submit_many([Request(GOOD[0], 6), *bad, *[Request(p, 6) for p in GOOD[1:]]])
    good = [handles[0], *handles[1 + len(bad) :]]

    assert EXPECTED == [handle.result(30).ids for handle in good]
    for handle in handles:
        handle.future.exception(30)
    assert EXPECTED == [result.ids for result in engine.generate([Request(p, 6) for p in GOOD])]
    engine.check()
    return handles[1 : 1 + len(bad)]


# -- code of one request -----------------------------------------------------------------------------------------

ERRORS = [RuntimeError, MemoryError, SystemExit, KeyboardInterrupt]


def thrower(error: type[BaseException], after: int = 1) -> Callable[..., Any]:
    """A function that raises at its call number `after`."""
    calls = iter(range(1, 1 << 30))

    def throw(*_: object, **__: object) -> None:
        if next(calls) >= after:
            raise error("of this request")

    return throw


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("after", [1, 3])
def test_an_exception_in_a_token_callback(error: type[BaseException], after: int) -> None:
    with toy_engine() as engine:
        bad = Request([7], 9, ignore_eos=True, on_tokens=thrower(error, after))
        (handle,) = with_good_ones(engine, bad)

        with pytest.raises(error, match="of this request"):
            handle.result(30)
        assert len(handle._seq.since(0)) == after


@pytest.mark.parametrize("error", ERRORS)
def test_an_exception_in_a_done_callback(error: type[BaseException]) -> None:
    with toy_engine() as engine:
        engine.submit(Request([7], 3, ignore_eos=True)).future.add_done_callback(thrower(error))
        with_good_ones(engine)

        assert engine.stats.faults == 0


class Broken:
    """A constraint of which one method raises."""

    def __init__(self, method: str, error: type[BaseException], after: int) -> None:
        self._whole = compile(regex("[ab]{2,9}"), LETTERS)
        self._method, self._throw = method, thrower(error, after)

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            if name == self._method:
                self._throw()
            return getattr(self._whole, name)(*args, **kwargs)

        return call


LETTERS = Vocabulary([bytes((b,)) for b in b"abcdefghijk"] + [None], {11})


@pytest.mark.parametrize("error", [RuntimeError, SystemExit])
@pytest.mark.parametrize("after", [1, 3])
@pytest.mark.parametrize("method", ["mask", "allowed", "advance", "finished", "forced_tokens", "fits"])
def test_an_exception_in_a_constraint(method: str, after: int, error: type[BaseException]) -> None:
    with Engine(TableRunner(toy_logits, TOY.size), LETTERS) as engine:
        broken: Any = Broken(method, error, after)
        try:
            handle = with_good_ones(engine, Request([7], 9, broken))[0]
        except error:
            assert method == "fits"  # asked before the request is taken
            return
        if handle.future.exception(30) is None:
            assert set(handle.result().ids) <= {0, 1}  # never asked so often
        else:
            with pytest.raises(error, match="of this request"):
                handle.result()


def test_a_mask_that_lies() -> None:
    class Liar(Broken):
        def __getattr__(self, name: str) -> Any:
            if name == "allowed":
                return lambda *_, **__: np.array([2, 3], np.int32)
            return super().__getattr__(name)

    with Engine(TableRunner(toy_logits, TOY.size), LETTERS) as engine:
        liar: Any = Liar("", RuntimeError, 1)
        (handle,) = with_good_ones(engine, Request([7], 9, liar))

        with pytest.raises(SamplingError, match="leads nowhere"):
            handle.result()


@pytest.mark.parametrize("value", [np.nan, -np.inf, np.inf])
@pytest.mark.parametrize("sampling", [Sampling(), Sampling(1.0, seed=1), Sampling(1.0, top_p=0.5, top_k=3, seed=1)])
def test_logits_that_are_no_numbers(value: float, sampling: Sampling) -> None:
    def logits(prefix: tuple[int, ...]) -> NDArray[np.float64]:
        return np.full(12, value) if prefix[0] == 7 and len(prefix) > 3 else toy_logits(prefix)

    with Engine(TableRunner(logits, TOY.size), TOY) as engine:
        (handle,) = with_good_ones(engine, Request([7], 9, sampling=sampling, ignore_eos=True))

        with pytest.raises(SamplingError, match=r"NaN|inf"):
            handle.result()
        assert len(handle._seq.since(0)) == 3


# -- the model ---------------------------------------------------------------------------------------------------


def is_bad(batch: Batch) -> bool:
    """Whether a prompt [7, 10, ...] is being computed."""
    return bool(((batch.ids == 10) & (batch.positions == 1)).any())


class Faulty(TableRunner):
    """A runner that raises what `fault` says for a batch."""

    def __init__(self, fault: Callable[[Batch], BaseException | None]) -> None:
        super().__init__(toy_logits, TOY.size)
        self.fault = fault
        self.sizes: list[int] = []

    def forward(self, batch: Batch) -> Any:
        self.sizes.append(len(batch.ids))
        if (error := self.fault(batch)) is not None:
            raise error
        return super().forward(batch)


@pytest.mark.parametrize("error", [RuntimeError, SystemExit, KeyboardInterrupt])
def test_the_model_fails_for_one_request(error: type[BaseException]) -> None:
    runner = Faulty(lambda batch: error("of this request") if is_bad(batch) else None)
    with Engine(runner, TOY) as engine:
        (handle,) = with_good_ones(engine, Request([7, 10, 2], 9, ignore_eos=True))

        with pytest.raises(error, match="of this request"):
            handle.result()


def test_the_model_fails_now_and_then() -> None:
    """Steps of many that fail are done again, and nothing is lost."""
    chance = random.Random(0)
    runner = Faulty(lambda batch: RuntimeError() if len(batch.spans) > 1 and chance.random() < 0.3 else None)
    todo = prompts(9, 40)
    with Engine(runner, TOY, slots=60) as engine:
        results = engine.generate([Request(p, 6) for p in todo])

        assert [toy_greedy(p, 6) for p in todo] == [r.ids for r in results]
        engine.check()


class OutOfMemoryError(RuntimeError):
    """Named like torch's."""


@pytest.mark.parametrize("error", [MemoryError, OutOfMemoryError])
def test_steps_that_do_not_fit_in_memory_become_smaller(error: type[Exception]) -> None:
    runner = Faulty(lambda batch: error() if len(batch.ids) > 10 else None)
    todo = [[*range(1, 11)] * 3 + [i] for i in range(5)]
    with Engine(runner, TOY) as engine:
        results = engine.generate([Request(p, 6) for p in todo])

        assert [toy_greedy(p, 6) for p in todo] == [r.ids for r in results]
        assert max(runner.sizes) == 35
        engine.check()


def test_later_steps_may_be_large_again() -> None:
    runner = Faulty(lambda batch: MemoryError() if len(batch.ids) > 10 and len(runner.sizes) < 5 else None)
    with Engine(runner, TOY) as engine:
        engine.generate([Request([1] * 30, 300, ignore_eos=True)])
        engine.generate([Request([2] * 30, 2)])

    assert max(runner.sizes[:5]) == 30 == runner.sizes[-2] or runner.sizes[-1] == 30


def test_a_token_that_does_not_fit_in_memory() -> None:
    runner = Faulty(lambda batch: MemoryError("no room") if is_bad(batch) else None)
    with Engine(runner, TOY) as engine:
        (handle,) = with_good_ones(engine, Request([7, 10, 2], 9, ignore_eos=True))

        with pytest.raises(MemoryError, match="no room"):
            handle.result()


def test_a_model_that_gives_too_few_rows() -> None:
    class Short(TableRunner):
        def forward(self, batch: Batch) -> Any:
            rows = super().forward(batch)
            return rows[:-1] if is_bad(batch) else rows

    with Engine(Short(toy_logits, TOY.size), TOY) as engine:
        (handle,) = with_good_ones(engine, Request([7, 10], 3))

        with pytest.raises(IndexError):
            handle.result()


# -- the engine itself -------------------------------------------------------------------------------------------


def fail_at(engine: Engine, method: str, steps: list[int], error: type[BaseException]) -> None:
    """Have a method of the scheduler raise, after its work, the first time it is called after so many steps."""
    scheduler = engine._scheduler
    whole = getattr(scheduler, method)

    def failing(*args: Any) -> Any:
        answer = whole(*args)
        if steps and engine._loop.stats.steps >= steps[0]:
            del steps[0]
            raise error("in the middle")
        return answer

    setattr(scheduler, method, failing)


@pytest.mark.parametrize("error", [AssertionError, SystemExit])
@pytest.mark.parametrize("method", ["schedule", "commit", "_plan", "_reserve", "_admit", "_release", "_make_room"])
def test_the_engine_starts_afresh(method: str, error: type[BaseException]) -> None:
    todo = prompts(4, 30)
    kinds = [Sampling(), Sampling(1.0, seed=3), Sampling(1.0, seed=3, presence_penalty=1.0, arithmetic=(1, 2))]
    requests = [Request(p, 6, sampling=kinds[i % 3], ignore_eos=True) for i, p in enumerate(todo)]
    with toy_engine(slots=80) as engine:
        expected = [r.ids for r in engine.generate(requests)]
    with toy_engine(slots=80) as engine:
        fail_at(engine, method, [0, 4, 7], error)
        results = engine.generate(requests)

        assert expected == [r.ids for r in results]
        assert engine.stats.faults == 3
        engine.check()


def test_a_fault_that_stays() -> None:
    with toy_engine() as engine:
        fail_at(engine, "schedule", [0, 0], AssertionError)
        handles = engine.submit_many([Request(p, 6) for p in GOOD])
        for handle in handles:
            with pytest.raises(EngineFault, match="twice in a row, the last time with AssertionError"):
                handle.result(30)

        assert EXPECTED == [r.ids for r in engine.generate([Request(p, 6) for p in GOOD])]
        assert engine.stats.faults == 2


def test_nobody_waits_for_ever() -> None:
    """Not even starting afresh works."""
    engine = toy_engine()
    fail_at(engine, "schedule", [0] * 100, AssertionError)
    fail_at(engine, "restart", [0] * 100, AssertionError)
    handles = engine.submit_many([Request(p, 6) for p in GOOD])
    for handle in handles:
        with pytest.raises(EngineClosed, match="broke down"):
            handle.result(30)
    with pytest.raises(EngineClosed, match="broke down"):
        engine.submit(Request([1], 1))
    assert engine.closed


def kill(thread: threading.Thread | None, error: type[BaseException]) -> None:
    """Raise an exception in another thread, wherever it happens to be."""
    assert thread is not None
    assert thread.ident is not None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(error))


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_the_thread_is_killed_again_and_again(error: type[BaseException]) -> None:
    """Some requests may end with the error (it came while their own code ran) or as engine faults; none may hang, and
    none may be wrong."""
    todo = prompts(6, 60)
    requests = [Request(p, 8, sampling=Sampling(1.0, seed=i), ignore_eos=True) for i, p in enumerate(todo)]
    with toy_engine(slots=200) as engine:
        expected = [r.ids for r in engine.generate(requests)]
    with toy_engine(slots=200) as engine:
        handles = engine.submit_many(requests)
        for _ in range(10):
            before = engine.stats
            while engine.stats.steps == before.steps and engine.stats.ended.total() < len(todo):
                time.sleep(0.001)
            if engine.stats.ended.total() == len(todo):
                break
            kill(engine._thread, error)
            end = time.monotonic() + 0.5  # it may have hit a place where it is only logged
            while time.monotonic() < end and before.faults == engine.stats.faults:
                time.sleep(0.001)
        outcomes = [outcome(handle) for handle in handles]
        right = [ids for ids, got in zip(expected, outcomes, strict=True) if isinstance(got, Result) and ids == got.ids]
        failed = [got for got in outcomes if not isinstance(got, Result)]

        assert len(todo) == len(right) + len(failed)
        assert len(failed) <= 15 or any(isinstance(got, EngineFault) for got in failed)
        assert all(isinstance(got, (error, EngineFault)) for got in failed)
        time.sleep(0.05)
        assert EXPECTED == [r.ids for r in engine.generate([Request(p, 6) for p in GOOD])]
        engine.check()


def outcome(handle: Handle) -> Result | BaseException:
    try:
        return handle.result(30)
    except BaseException as error:
        return error


def test_interrupts_of_the_main_thread() -> None:
    """Ctrl-C while `generate` waits: its requests are cancelled, those of others go on."""
    runner = Gate()
    with Engine(runner, TOY) as engine:
        other = engine.submit(Request([1, 3], 6, ignore_eos=True))
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            engine.generate([Request([2], 300, ignore_eos=True)] * 3)
        runner.permits.release(10_000)

        assert len(other.result(30).ids) == 6
        assert EXPECTED == [r.ids for r in engine.generate([Request(p, 6) for p in GOOD])]
        assert engine.stats.ended["cancelled"] == 3
        engine.check()


def test_interrupts_while_waiting_for_room() -> None:
    runner = Gate()
    with Engine(runner, TOY, max_running=1, max_queue=1) as engine:
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            engine.generate([Request([2], 300, ignore_eos=True)] * 5)
        runner.permits.release(10_000)

        assert EXPECTED == [r.ids for r in engine.generate([Request(p, 6) for p in GOOD])]


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_after_a_fork() -> None:
    """The child is told at once."""
    with toy_engine() as engine:
        engine.generate([Request([1], 2)])
        child = os.fork()
        if not child:
            try:
                engine.submit(Request([1], 2))
            except EngineClosed as error:
                os._exit(17 if "load the model again" in str(error) else 1)
            os._exit(2)

        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 17
