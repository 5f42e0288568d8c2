"""Constraints on the server's side: tried out elsewhere, metered here."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from lmprog.grammars import compile, regex
from lmprog.grammars.errors import ConstraintError
from lmprog.runtime.request import Request
from lmprog.serve import checking
from lmprog.serve.checking import Checking
from lmprog.serve.constraints import Spec, build, calls
from lmprog.serve.errors import ApiError
from lmprog.serve.metered import Metered
from lmprog.serve.settings import Settings
from lmprog.testing import RandomModel
from lmprog.testing.models import byte_vocabulary

T = TypeVar("T")


def checked(work: Callable[[Checking], Awaitable[T]], settings: Settings | None = None) -> T:
    async def run() -> T:
        checking = Checking(byte_vocabulary(), settings or Settings())
        await checking.start()
        try:
            return await work(checking)
        finally:
            await checking.close()

    return asyncio.run(run())


def pid(checking: Checking) -> int:
    assert checking._process is not None
    return checking._process.pid


# -- the checker -------------------------------------------------------------------------------------------------


def test_equal_constraints_are_tried_out_once() -> None:
    async def work(checking: Checking) -> None:
        many = [checking.constraint(Spec("regex", "[ab]+", param=f"p{i}"), i) for i in range(20)]
        found = await asyncio.gather(*many)

        assert 1 == len({id(constraint) for constraint in found}) == len(checking._known)
        assert 1 == next(checking._numbers)
        assert not checking._under_way
        assert not checking._answers

    checked(work)


def test_a_refusal_names_the_parameter_of_each_request() -> None:
    async def work(checking: Checking) -> None:
        for param in ("one", "two"):
            with pytest.raises(ApiError, match="backreferences") as caught:
                await checking.constraint(Spec("regex", r"(a)\1", param=param), "x")
            assert param == caught.value.param

    checked(work)


def test_only_so_many_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "KNOWN", 5)
    monkeypatch.setattr(checking, "SOURCES", 100)

    async def work(checking: Checking) -> None:
        await asyncio.gather(*[checking.constraint(Spec("regex", f"a{{{i}}}"), i) for i in range(9)])
        assert 5 == len(checking._known)
        await checking.constraint(Spec("regex", "b" * 95), "x")
        assert ["a{8}", "b" * 95] == [spec.source for spec in checking._known]

    checked(work)


def test_a_checker_that_is_killed_comes_back() -> None:
    async def work(checking: Checking) -> None:
        os.kill(pid(checking), signal.SIGSTOP)
        lost = asyncio.create_task(checking.constraint(Spec("regex", "a"), "x"))
        while not checking._answers:
            await asyncio.sleep(0.01)
        os.kill(pid(checking), signal.SIGKILL)
        with pytest.raises(ApiError, match="has ended") as caught:
            await lost
        assert 503 == caught.value.status
        await checking.constraint(Spec("regex", "a"), "x")

    checked(work)


@pytest.mark.parametrize(
    ("code", "ends"),
    [("bytearray(2 * MEMORY)", 1), ("while True: pass", -signal.SIGPROF), ("bytearray(MEMORY // 2)", 0)],
)
def test_the_kernel_enforces_the_limits(code: str, ends: int) -> None:
    script = f"from lmprog.serve.checker import MEMORY, _limit\n_limit(1)\n{code}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert ends == done.returncode
    assert ("MemoryError" in done.stderr) == (ends == 1)


# -- what is built -----------------------------------------------------------------------------------------------


def test_calls_and_text() -> None:
    tools = [("f", {"type": "object", "properties": {"a": {"enum": [1]}}, "required": ["a"]}), ("g", True)]
    only, either = build(calls(tools, text=False)), build(calls(tools, text=True))

    for text in ('{"name":"f","arguments":{"a":1}}', '{"name":"g","arguments":{}}'):
        assert only.matches(text)
        assert either.matches(text)
    for text in ('{"name":"f","arguments":{"a":2}}', '{"name":"h","arguments":{}}', '{"name":"g","arguments":5}'):
        assert not only.matches(text)
        assert not either.matches(text)
    for text in ("", "hello", "{", '{"a":1}'):
        assert not only.matches(text)
        assert either.matches(text)


def test_values_without_a_text() -> None:
    found = build(Spec("regex", "[abc]*", without=("ab", "c")))

    assert found.matches("bba")
    assert not found.matches("bab")
    assert not found.matches("c")


# -- masks that take long ----------------------------------------------------------------------------------------


def test_a_request_gets_only_so_much_time_for_its_masks() -> None:
    with RandomModel(0) as model:
        constraint = compile(regex("(a|b)*a(a|b){500}"), model.vocab)
        poor = Request([1], 900, Metered(constraint, 1e-5))
        rich = Request([1], 900, Metered(constraint, 1e5))
        with pytest.raises(ConstraintError, match="more time than this server gives"):
            model.submit(poor).result()

        assert model.submit(rich).result().ids == model.submit(Request([1], 900, constraint)).result().ids
        model.engine.check()
