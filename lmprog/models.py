"""What a program needs of a model, and which model it gets."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from .errors import NoModel, RunCancelled
from .grammars import Vocabulary
from .runtime.request import Request, Result


class Handle(Protocol):
    """A request under way."""

    def result(self, timeout: float | None = None) -> Result: ...
    def cancel(self) -> None: ...


class LanguageModel(Protocol):
    """What `lp.load` returns, and the models of `lmprog.testing`."""

    @property
    def name(self) -> str: ...
    @property
    def vocab(self) -> Vocabulary: ...
    @property
    def bos(self) -> int | None: ...
    @property
    def context(self) -> int: ...
    def submit(self, request: Request) -> Handle: ...
    def chat(self, messages: Sequence[Mapping[str, Any]], add_generation_prompt: bool = True) -> list[int]: ...


M = TypeVar("M", bound=LanguageModel)

_override: ContextVar[LanguageModel | None] = ContextVar("lmprog.using", default=None)
_around: ContextVar[LanguageModel | None] = ContextVar("lmprog.around", default=None)


@contextlib.contextmanager
def using(model: M) -> Iterator[M]:
    """Run every program inside on `model`, whatever model it names itself; only `model=` in a call wins over this."""
    token = _override.set(model)
    try:
        yield model
    finally:
        _override.reset(token)


@contextlib.contextmanager
def around(model: LanguageModel) -> Iterator[None]:
    """Programs called inside a run, and that name no model, take the model of that run."""
    token = _around.set(model)
    try:
        yield
    finally:
        _around.reset(token)


def choose(called: LanguageModel | None, own: LanguageModel | None, program: str) -> LanguageModel:
    """The model of a call: `model=` of the call, `lp.using`, the program's own, that of the run around it."""
    for model in (called, _override.get(), own, _around.get()):
        if model is not None:
            return model
    raise NoModel(
        f"{program} has no model to run on: give one in the call, {program}(..., model=lp.load()), in the decorator, "
        "@program(model=...), or by `with lp.using(model):`"
    )


class Canceller:
    """Ends a run from another thread: cancels the request it waits for, and all that would follow.

    A run, or a `map` of many rows, is also the group whose share of the engine is as large as any other's.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: set[Handle] = set()
        self._cancelled = False

    def submit(self, model: LanguageModel, request: Request) -> Result:
        """Submit and wait. Raises RunCancelled; whatever interrupts the waiting cancels the request."""
        handle = self._enter(model, request)
        try:
            result = handle.result()
        except BaseException:
            handle.cancel()
            raise
        finally:
            with self._lock:
                self._waiting.discard(handle)
        if result.finish == "cancelled":
            raise RunCancelled("the run was cancelled")
        return result

    def _enter(self, model: LanguageModel, request: Request) -> Handle:
        with self._lock:
            if self._cancelled:
                raise RunCancelled("the run was cancelled")
            handle = model.submit(replace(request, group=self))
            self._waiting.add(handle)
            return handle

    def cancel(self) -> None:
        with self._lock:
            self._cancelled = True
            waiting = list(self._waiting)
        for handle in waiting:
            handle.cancel()
