"""A limit on the time of one document, however many requests it takes."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial

from ..runtime.routine import Routine, T

LEAST = 1e-3  # seconds that a request gets when the time is over: it fails, and the routine is told


def within(routine: Routine[T], seconds: float | None) -> Routine[T]:
    """The same routine, whose requests fail with DeadlineExceeded when `seconds` have passed since its first one."""
    if seconds is None:
        return (yield from routine)
    end, resume = time.monotonic() + seconds, partial(next, routine)
    while True:
        try:
            requests = resume()
        except StopIteration as stop:
            value: T = stop.value
            return value
        left = max(end - time.monotonic(), LEAST)
        try:
            results = yield [replace(r, timeout=min(left, r.timeout or left)) for r in requests]
            resume = partial(routine.send, results)
        except GeneratorExit:
            routine.close()
            raise
        except BaseException as error:
            resume = partial(routine.throw, error)
