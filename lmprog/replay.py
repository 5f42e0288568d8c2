"""A program's body as something that can run again and again without harm: previews get copies of what it was given."""

from __future__ import annotations

import copy
import random
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property, partial
from io import BytesIO, IOBase, StringIO
from random import Random
from types import FrameType, FunctionType, ModuleType
from typing import Any

from .changes import changed, closed_over
from .errors import LmprogError
from .runtime._native import watch
from .slot_frames import Ask, Cuts, Frame, Giving, apart, entered, giving
from .slots import Slot

CONTAINERS = (list, dict, set, bytearray, deque)
LOCKS = (type(threading.Lock()), type(threading.RLock()), threading.Condition, threading.Semaphore, threading.Barrier)
CHANGES = frozenset({
    "add", "append", "appendleft", "clear", "difference_update", "discard", "extend", "extendleft", "insert",
    "intersection_update", "pop", "popitem", "popleft", "remove", "reverse", "setdefault", "sort",
    "symmetric_difference_update", "update",
})  # fmt: skip
HARMLESS = {  # of the module posix
    "access", "cpu_count", "fspath", "get_terminal_size", "getcwd", "getpid", "listdir", "lstat", "scandir", "stat",
    "urandom",
}  # fmt: skip
DOES = {
    "builtins": {"breakpoint", "input", "open", "print"},
    "io": {"open", "open_code", "read", "readline", "readlines", "write", "writelines"},
    "_thread": {"__enter__", "acquire", "acquire_lock", "start_new_thread", "start_joinable_thread"},
    "time": {"sleep"},
}  # functions of these modules, and methods of their types, that are seen outside
OUTSIDE = {"_posixsubprocess", "_random", "_socket", "_sqlite3", "_ssl", "nt", "posix", "sqlite3"}
MODULES = frozenset({*OUTSIDE, "_io", "_thread", "io", "time"})  # whose functions and types may matter,
NAMES = frozenset({"getrandbits", "random", "seed", "setstate", *DOES["builtins"], *DOES["io"]})  # and of any module


class CannotCopy(LmprogError):
    """What the program was given cannot be copied, so that it cannot be previewed."""


def replica(value: Any) -> Any:
    try:
        return copy.deepcopy(value)
    except Exception as error:
        raise CannotCopy(f"{type(error).__name__}: {error}") from error


class Body:
    """A function and its arguments. A call runs it on copies of them, so that it cannot change the real ones.

    frame   of its slots; None: they are those of the program that it is in
    slots   that it asked for in any of its runs
    cuts    how much is left of those that gave way
    given   those of the last real run that may give way
    """

    def __init__(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        frame: Frame | None = None,
    ) -> None:
        self._call, self._frame = (function, args, kwargs), frame
        self.slots: dict[str, Slot] = {}
        self.cuts: Cuts = {}
        self.given: list[Ask] = []

    @contextmanager
    def _framed(self) -> Iterator[None]:
        if self._frame is None:
            yield
            return
        frame = replace(self._frame, asked={})
        try:
            with entered(frame, Giving(self.cuts)):
                yield
        finally:
            self.slots = {**self.slots, **{name: slot for name, slot in frame.asked.items() if name not in self.slots}}

    @cached_property
    def _near(self) -> dict[int, Any]:
        return {id(value): value for value in _reached(self._call[0])}

    @cached_property
    def _changed(self) -> str | None:
        return changed(self._call[0])

    def run(self, p: object) -> Any:
        """The real thing."""
        function, args, kwargs = self._call
        with self._framed():
            try:
                return function(p, *args, **kwargs)
            finally:
                self.given = giving().all()

    def __call__(self, p: object, stop: Callable[[str], object]) -> Any:
        """Run it on p. `stop` is called, and should raise, before it does what could be noticed outside of it."""
        if (name := self._changed) is not None:
            stop(f"an assignment to {name}")
        if any([isinstance(value, LOCKS) for value in self._near.values()]):
            raise CannotCopy("it uses a lock, which the run itself may hold")
        if any([isinstance(value, Iterator) for value in self._near.values()]):
            stop("an iterator from outside")
        if sys.getprofile() is not None:
            stop("calls cannot be watched under a profiler")
        function, args, kwargs = replica(self._call)
        with self._framed(), apart():
            return self._watched(partial(function, p, *args, **kwargs), stop)

    def _watched(self, call: Callable[[], Any], stop: Callable[[str], object]) -> Any:
        watch(MODULES, NAMES, CHANGES, self._near, _look(self._near, stop, sys._getframe()))
        try:
            return call()
        finally:
            sys.setprofile(None)


def _reached(value: Any, depth: int = 3) -> Iterator[Any]:
    """What can change and is reached by functions' closures and globals, or is an attribute of an object there."""
    value = getattr(value, "__func__", value)
    if isinstance(value, (*CONTAINERS, *LOCKS, Random, Iterator)):
        yield value
    elif isinstance(value, FunctionType):
        for inner in closed_over(value) if depth else ():
            yield from _reached(inner, depth - 1)
    elif not isinstance(value, ModuleType | type):
        yield from [
            inner
            for inner in getattr(value, "__dict__", {}).values()
            if isinstance(inner, (*CONTAINERS, *LOCKS, Iterator))
        ]


def _look(near: dict[int, Any], stop: Callable[[str], object], top: FrameType) -> Callable[[FrameType, Any], None]:
    """What looks at calls of built-in functions that may matter, before they happen."""

    def look(frame: FrameType, function: Any) -> None:
        if _shows(function, near) and not _ours(frame, top):
            stop(getattr(function, "__qualname__", repr(function)))

    return look


def _shows(function: Any, near: dict[int, Any]) -> bool:
    """Whether a call of this built-in function could be noticed outside of the program."""
    owner, name = getattr(function, "__self__", None), function.__name__
    if name in CHANGES and id(owner) in near:
        return True
    if isinstance(owner, IOBase):
        return name in DOES["io"] and not isinstance(owner, StringIO | BytesIO)
    module = owner.__name__ if isinstance(owner, ModuleType) else type(owner).__module__
    if module in DOES:
        return name in DOES[module]
    if isinstance(owner, Random):
        return id(owner) in near or owner is getattr(random, "_inst", None)
    return module in OUTSIDE and not (module == "posix" and name in HARMLESS)


def _ours(frame: FrameType | None, top: FrameType) -> bool:
    """The call comes from an import, or from code of this package, between the body and the call."""
    while frame is not None and frame is not top:
        name = frame.f_globals.get("__name__", "")
        if name.startswith("importlib.") or name.partition(".")[0] == "lmprog":
            return True
        frame = frame.f_back
    return False
