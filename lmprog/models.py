"""What a program needs of a model, and which model it gets."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar
from weakref import WeakSet

from .errors import NoModel, RoutineCancelled, RunCancelled
from .grammars import Vocabulary
from .runtime.handle import Pending
from .runtime.request import Request, Result
from .runtime.routine import Routine
from .workers import WORKERS

T = TypeVar("T")


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
    @property
    def scores(self) -> bool:
        """Whether it answers requests with `asks`, that is, tells how probable given tokens are."""
        ...

    def submit(self, request: Request) -> Pending[Result]: ...
    def run(self, routine: Routine[T], *, group: Hashable = None, block: bool = True) -> Pending[T]: ...
    def chat(self, messages: Sequence[Mapping[str, Any]], add_generation_prompt: bool = True) -> list[int]: ...


CANCELLED = "the run was cancelled"
M = TypeVar("M", bound=LanguageModel)

_override: ContextVar[LanguageModel | None] = ContextVar("lmprog.using", default=None)
_around: ContextVar[LanguageModel | None] = ContextVar("lmprog.around", default=None)
_group: ContextVar[Hashable] = ContextVar("lmprog.group", default=None)


@contextlib.contextmanager
def using(model: M) -> Iterator[M]:
    """Run every program inside on `model`, whatever model it names itself; only `model=` in a call wins over this."""
    token = _override.set(model)
    try:
        yield model
    finally:
        _override.reset(token)


def overridden() -> LanguageModel | None:
    """The model of the `using` around, if there is one."""
    return _override.get()


@contextlib.contextmanager
def around(model: LanguageModel) -> Iterator[None]:
    """Programs called inside a run, and that name no model, take the model of that run."""
    token = _around.set(model)
    try:
        yield
    finally:
        _around.reset(token)


@contextlib.contextmanager
def grouped(group: Hashable) -> Iterator[None]:
    """Runs that begin inside belong to one group: together they get one share of the engine."""
    token = _group.set(group)
    try:
        yield
    finally:
        _group.reset(token)


def choose(called: LanguageModel | None, own: LanguageModel | None, program: str) -> LanguageModel:
    """The model of a call: `model=` of the call, `lp.using`, the program's own, that of the run around it."""
    for model in (called, _override.get(), own, _around.get()):
        if isinstance(model, str):
            raise NoModel(f"a model is what lp.load({model!r}) gives, not its name")
        if model is not None:
            return model
    raise NoModel(
        f"{program} has no model to run on: give one in the call, {program}(..., model=lp.load()), in the decorator, "
        "@program(model=...), or by `with lp.using(model):`"
    )


class Canceller:
    """Ends a run from another thread: cancels what it waits for, and all that would follow.

    A run, or a `map` of many rows, is also the group whose share of the engine is as large as any other's, unless it
    began inside of `grouped`.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: set[Pending[Any]] = set()
        self._children: WeakSet[Canceller] = WeakSet()
        self._cancelled = False
        self._group: Hashable = _group.get() or self

    def child(self) -> Canceller:
        """One for a part of the run; cancelling the run cancels its parts."""
        child = Canceller()
        child._group = self._group
        with self._lock:
            self._children.add(child)
            child._cancelled = self._cancelled
        return child

    def run(self, model: LanguageModel, routine: Routine[T]) -> T:
        """Run it and wait. Raises RunCancelled; whatever interrupts the waiting cancels the routine."""
        pending = self.start(model, routine)
        try:
            with WORKERS.waiting():
                return pending.result()
        except RoutineCancelled:
            raise RunCancelled(CANCELLED) from None
        except BaseException:
            pending.cancel()
            raise

    def start(self, model: LanguageModel, routine: Routine[T], *, block: bool = True) -> Pending[T]:
        """Run it without waiting. Raises RunCancelled; QueueFull when it would have to wait and must not `block`."""
        self.check()
        pending = model.run(routine, group=self._group, block=block)
        with self._lock:
            self._waiting.add(pending)
        pending.future.add_done_callback(lambda _: self._forget(pending))
        if self._cancelled:
            pending.cancel()
        return pending

    def check(self) -> None:
        """Raises RunCancelled if it is."""
        if self._cancelled:
            raise RunCancelled(CANCELLED)

    def _forget(self, pending: Pending[Any]) -> None:
        with self._lock:
            self._waiting.discard(pending)

    def cancel(self) -> None:
        with self._lock:
            self._cancelled = True
            waiting, children = list(self._waiting), list(self._children)
        for pending in waiting:
            pending.cancel()
        for child in children:
            child.cancel()
