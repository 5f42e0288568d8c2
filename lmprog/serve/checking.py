"""The server's side of the checker: what has been tried out, and what is being tried out."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import sys
from asyncio.subprocess import Process
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from ..grammars import Constraint, Grammar, Vocabulary, compile
from .constraints import Spec, build
from .errors import ApiError, refused
from .settings import Settings

T = TypeVar("T")
KNOWN = 512  # constraints that are remembered,
SOURCES = 1 << 21  # and bytes of their sources, which grammars take a few hundred times of
AT_ONCE = max(1, (os.cpu_count() or 1) // 2)  # that are tried out


class Checking:
    """Constraints for requests, each tried out in another process before it is compiled here (see checker.py)."""

    def __init__(self, vocab: Vocabulary, settings: Settings) -> None:
        self.vocab, self.settings = vocab, settings
        self._known: OrderedDict[Spec, Grammar | ApiError] = OrderedDict()
        self._under_way: dict[Spec, asyncio.Lock] = {}
        self._turns: WeakValueDictionary[Hashable, asyncio.Lock] = WeakValueDictionary()
        self._room = asyncio.Semaphore(AT_ONCE)
        self._starting = asyncio.Lock()
        self._process: Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._answers: dict[int, asyncio.Future[str | None]] = {}
        self._numbers = count()
        self._threads = ThreadPoolExecutor(2, "lmprog-compile")

    async def constraint(self, spec: Spec, client: Hashable) -> Constraint:
        """The compiled constraint. Clients take turns. Raises ApiError when it cannot be enforced, or not in time."""
        size = len(spec.source.encode()) + sum([len(text.encode()) for text in spec.without])
        if size > self.settings.constraint:
            message = f"{spec.param}: a constraint has at most {self.settings.constraint} bytes, this one {size}"
            raise refused(message, spec.param, "constraint_too_long")
        grammar = await self._grammar(spec, client)
        if isinstance(grammar, ApiError):
            raise refused(grammar.message, spec.param, grammar.code)
        return await self.apart(compile, grammar, self.vocab)

    async def apart(self, function: Callable[..., T], *args: Any) -> T:
        """Call it in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *args)

    async def _grammar(self, spec: Spec, client: Hashable) -> Grammar | ApiError:
        key = spec._replace(param="")
        lock = self._under_way.setdefault(key, asyncio.Lock())
        try:
            async with lock:
                found = self._known.get(key)
                if found is None:
                    turn = self._turns.setdefault(client, asyncio.Lock())
                    async with turn, self._room:
                        found = self._known[key] = await self._new(key)
                self._known.move_to_end(key)
        finally:
            if not lock.locked():
                self._under_way.pop(key, None)
        self._forget()
        return found

    def _forget(self) -> None:
        """The longest unused."""
        size = sum([len(spec.source) for spec in self._known])
        while len(self._known) > KNOWN or size > SOURCES:
            spec, _ = self._known.popitem(last=False)
            size -= len(spec.source)

    async def _new(self, spec: Spec) -> Grammar | ApiError:
        fault = await self._tried(spec)
        if fault is not None:
            return refused(fault, code="unusable_constraint")
        return await self.apart(build, spec)

    async def _tried(self, spec: Spec) -> str | None:
        """What is wrong with it."""
        process = await self._started()
        number = next(self._numbers)
        answer: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        job = {"id": number, "spec": spec, "seconds": self.settings.compile}
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(job).encode() + b"\n")
            await process.stdin.drain()
            return await answer
        except ConnectionError:
            raise _gone() from None
        finally:
            self._answers.pop(number, None)

    # -- the process ---------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start the process, so that the first request need not wait for it."""
        await self._started()

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._process is not None and self._reader is not None:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._reader

    async def _started(self) -> Process:
        async with self._starting:
            if self._process is None or self._process.returncode is not None:
                self._process = await self._launched()
                self._reader = asyncio.create_task(self._read(self._process))
            return self._process

    async def _launched(self) -> Process:
        pipe = asyncio.subprocess.PIPE
        command = sys.executable, "-m", "lmprog.serve.checker"
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, env=environment)
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(pickle.dumps((self.vocab.token_bytes, sorted(self.vocab.eos))))
            await process.stdin.drain()
            if await process.stdout.readline() != b"ready\n":
                raise _gone()
        except ConnectionError:
            raise _gone() from None
        return process

    async def _read(self, process: Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            answer = json.loads(line)
            future = self._answers.get(answer["id"])
            if future is not None and not future.done():
                future.set_result(answer["fault"])
        await process.wait()
        for future in self._answers.values():
            if not future.done():
                future.set_exception(_gone())


def _gone() -> ApiError:
    message = "the process that tries constraints out has ended; send the request again"
    return ApiError(503, message, code="checker_gone", headers={"Retry-After": "1"})
