"""A constraint that may take only so much of the engine's time.

The checker has walked a little way into every constraint. What lies further on could still be slow, and the engine's
thread serves everybody: a request whose masks take too long all together ends with an error.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from ..grammars import Constraint
from ..grammars.errors import ConstraintError
from ..grammars.rows import Mask, State

P = ParamSpec("P")
T = TypeVar("T")


class Metered:
    """What the runtime needs of a constraint, for one request. `seconds`: of processor time."""

    def __init__(self, constraint: Constraint, seconds: float) -> None:
        c, self._left = constraint, seconds
        self.start, self.accepting, self.finished = c.start, c.accepting, c.finished
        self.advance = self._timed(c.advance)
        self.forced = self._timed(c.forced)
        self.forced_tokens = self._timed(c.forced_tokens)
        self.distance = self._timed(c.distance)
        self.fits = self._timed(c.fits)
        self._mask, self._allowed = self._timed(c.mask), self._timed(c.allowed)

    def mask(self, state: State, budget: int | None = None) -> Mask:
        return self._mask(state, budget)

    def allowed(self, state: State, limit: int = 256, budget: int | None = None) -> Mask | None:
        return self._allowed(state, limit, budget)

    def _timed(self, function: Callable[P, T]) -> Callable[P, T]:
        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            began = time.thread_time()
            found = function(*args, **kwargs)
            self._left -= time.thread_time() - began
            if self._left < 0:
                raise ConstraintError("the constraint's masks take more time than this server gives to a request")
            return found

        return call
