"""Routines: work of several rounds of requests that is one request to its caller.

    def best(prompts) -> Routine[int]:
        first = yield [Request(ids, 8) for ids in prompts]  # these run together
        again = yield [Request([*prompts[0], *first[0].ids], 4)]
        return len(again[0].ids)

A routine is a generator. Every yield hands over requests; when all of them have ended it is resumed on the engine's
thread, before the next step, with their results in order, or the first exception among them is thrown into it. So no
thread sleeps while it waits, and no step is lost between two rounds; its own code must be quick.

A request that names another `model` runs on that one's engine, beside those of the round that stay here. Neither engine
waits for the other: whichever ends the last request of a round rouses the thread of the routine's own engine.
(Considered: coroutines. Their `await` would need an event loop in the engine, and gives nothing that `yield` does not.)
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Generator, Hashable, Iterator
from collections.abc import Sequence as Items
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any, TypeVar, cast

from .errors import EngineClosed, RoutineCancelled
from .handle import Handle, Pending
from .request import Request, Result
from .sequence import Sequence

T = TypeVar("T")
Routine = Generator[Items[Request], list[Result], T]
log = logging.getLogger("lmprog")


def one(request: Request) -> Routine[Result]:
    """The routine of a single request."""
    (result,) = yield [request]
    return result


def together(routines: Items[Routine[T]]) -> Routine[list[T]]:
    """All of them at once: the next requests of each are one round. An error ends all."""
    results: list[T | None] = [None] * len(routines)
    rounds: dict[int, list[Result] | None] = dict.fromkeys(range(len(routines)))
    while rounds:
        wanted: dict[int, Items[Request]] = {}
        for i, given in rounds.items():
            try:
                wanted[i] = next(routines[i]) if given is None else routines[i].send(given)
            except StopIteration as stop:
                results[i] = stop.value
        answers = iter((yield [request for requests in wanted.values() for request in requests]) if wanted else ())
        rounds = {i: list(islice(answers, len(requests))) for i, requests in wanted.items()}
    return cast("list[T]", results)


class Course:
    """A routine under way. One thread at a time works on it: its caller's, then the engine's.

    placed   it holds a place in the bounded queue, which its first request is to take over
    """

    def __init__(self, routine: Routine[Any], group: Hashable, courses: Courses) -> None:
        self.routine, self.group, self.courses = routine, group, courses
        self.pending: Pending[Any] = Pending(self._cancel)
        self.placed = True
        self.due = True  # `advance` has something to do
        self.round: list[Handle] = []
        self._left = 0
        self._started = self._cancelled = False
        self._lock = threading.Lock()

    @property
    def stalled(self) -> bool:
        """All of a round have ended, but it was not resumed: the engine failed between the two."""
        return bool(self.round) and not self.due and all([handle.done() for handle in self.round])

    def advance(self) -> None:
        """Resume the routine with what its round gave, until it starts another one or ends. Never raises."""
        if not self.due:
            return
        self.due = False
        if not all([handle.done() for handle in self.round]):  # it was roused twice, and has gone on since
            return
        try:
            resume = self._resumption()
            while True:
                requests = resume()
                try:
                    self._start(requests)
                    break
                except Exception as error:  # known before they could run
                    resume = self._throwing(error)
        except StopIteration as stop:
            self._end(value=stop.value)
        except BaseException as error:
            self.fail(error)

    def fail(self, error: BaseException) -> None:
        """End it with an error, which it is not told of."""
        try:
            self.routine.close()
        except BaseException as closing:
            log.error("a routine that was to end raised", exc_info=closing)
        self._end(error=error)

    def _resumption(self) -> Callable[[], Items[Request]]:
        ended, self.round = self.round, []
        if self._cancelled:
            raise RoutineCancelled("the routine was cancelled")
        if not self._started:
            self._started = True
            return partial(next, self.routine)
        for handle in ended:
            if (error := handle.future.exception()) is not None:
                return self._throwing(error)
        return partial(self.routine.send, [handle.result() for handle in ended])

    def _throwing(self, error: BaseException) -> Callable[[], Items[Request]]:
        if isinstance(error, EngineClosed | RoutineCancelled):  # there is nothing that it could do about that
            raise error
        return partial(self.routine.throw, error)

    def _own(self, request: Request) -> Request:
        return request if request.group is self.group else replace(request, group=self.group)

    def _start(self, requests: Items[Request]) -> None:
        """Raises what is wrong with one of them; none runs then."""
        requests = [self._own(request) for request in requests]
        seqs = [self.courses.enter(request) for request in requests if request.model is None]
        with self._lock:
            if self._cancelled:
                raise RoutineCancelled("the routine was cancelled")
            with _lent(requests) as lent:
                placed, self.placed = self.placed and bool(seqs), self.placed and not seqs
                own = iter(self.courses.launch(seqs, seqs[:1] if placed else []))
            self._left = len(requests)
            self.round = [handle or next(own) for handle in lent]
        for handle in self.round:
            handle.future.add_done_callback(self._ended)
        if not requests:
            self.courses.resume(self)

    def _ended(self, _: object) -> None:
        with self._lock:
            self._left -= 1
            if self._left:
                return
        self.courses.resume(self)

    def _cancel(self) -> None:
        with self._lock:
            self._cancelled = True
        self.drop()

    def drop(self) -> None:
        """End what it waits for."""
        for handle in self.round:
            handle.cancel()

    def _end(self, value: Any = None, error: BaseException | None = None) -> None:
        if not self.courses.forget(self):
            return
        future = self.pending.future
        try:
            if error is None:
                future.set_result(value)
            else:
                future.set_exception(error)
        except BaseException as failure:  # of a done callback, which is the caller's code
            log.error("a callback of a routine that ended failed", exc_info=failure)
            if not future.done():
                future.set_exception(failure)


class Courses:
    """The routines under way on an engine.

    enter    makes a request's sequence, or raises what is wrong with it
    launch   queues sequences; those of the second list give back a place in the bounded queue when they run
    vacate   gives back the place of a group
    rouse    sees to it that the engine's thread comes round to `go_on`; raises EngineClosed
    """

    def __init__(
        self,
        enter: Callable[[Request], Sequence],
        launch: Callable[[list[Sequence], list[Sequence]], list[Handle]],
        vacate: Callable[[Hashable], None],
        rouse: Callable[[], None],
    ) -> None:
        self.enter, self.launch, self._vacate, self._rouse = enter, launch, vacate, rouse
        self.ready: deque[Course] = deque()
        self._all: dict[Course, None] = {}

    def start(self, routine: Routine[T], group: Hashable) -> Pending[T]:
        """Run it up to its first round in this thread. It has a place in the queue."""
        course = Course(routine, group, self)
        self._all[course] = None
        course.advance()
        return course.pending

    def resume(self, course: Course) -> None:
        """Its round has ended."""
        course.due = True
        self.ready.append(course)
        try:
            self._rouse()
        except EngineClosed as error:
            course.fail(error)

    def go_on(self) -> None:
        """Resume those that are ready; on the engine's thread."""
        for _ in range(len(self.ready)):
            self.ready[0].advance()
            self.ready.popleft()

    def recover(self) -> None:
        """After a fault of the engine: nothing is lost."""
        for course in list(self._all):
            if course.stalled:
                self.resume(course)

    def fail_all(self, error: EngineClosed) -> None:
        """The engine has ended. Those that wait for other engines fail when these have let go of their requests."""
        while self.ready:
            self.ready[0].fail(error)
            self.ready.popleft()
        for course in list(self._all):
            course.drop()

    def forget(self, course: Course) -> bool:
        """It ends. False: it has ended already."""
        if self._all.pop(course, course) is course:
            return False
        if course.placed:
            self._vacate(course.group)
        return True


@contextmanager
def _lent(requests: Items[Request]) -> Iterator[list[Handle | None]]:
    """Start those of other models; None for all others. They are cancelled where the rest of a round cannot begin."""
    handles: dict[int, Handle] = {}
    try:
        for i, request in enumerate(requests):
            if request.model is not None:
                handles[i] = request.model.lend(replace(request, model=None))
        yield [handles.get(i) for i in range(len(requests))]
    except BaseException:
        for handle in handles.values():
            handle.cancel()
        raise
