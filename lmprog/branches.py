"""`p.fork`: branches that go on from here, each with a prompt of its own, together.

A branch begins with the ids of the text before it, so its prefix is in the cache as soon as one of them has computed
it: the prompt tokens computed are those of the distinct edges of the tree. Each branch has its own seed, derived from
the run's, and runs in a thread of its own, in which it mostly waits.

Afterwards the run stands where it stood. `p.adopt(branch)` goes on from one, `p.append(branches)` appends their texts.
"""

from __future__ import annotations

import contextvars
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from .checkpoints import Mark, mark
from .errors import ProgramError, RoleError, RunCancelled
from .events import Close, Fork, Span
from .prompt import Prompt, finish
from .replay import Body
from .run import Captures, Usage
from .shortening import GiveWay
from .slot_frames import branched

if TYPE_CHECKING:
    from .models import Canceller
    from .session import Live

T = TypeVar("T")


@dataclass(frozen=True, eq=False, repr=False)
class Branch(Generic[T]):
    """A branch that is over.

    index     its position among the branches of its fork
    value     what the function returned; None when it failed
    text      what it appended
    captures  its own holes; their spans count from the beginning of the run, as if the branch were adopted
    usage     what it cost; the run's usage holds it already
    error     why it failed, with errors="return"
    """

    index: int
    value: T
    text: str
    captures: Captures
    usage: Usage
    error: Exception | None
    start: Mark = field(repr=False)
    live: Live = field(repr=False)

    def __repr__(self) -> str:
        outcome = f"value={self.value!r}" if self.error is None else f"error={self.error!r}"
        return f"Branch({self.index}, {outcome}, text={self.text!r})"


def fork(live: Live, function: Callable[..., T], args: Sequence[Any], errors: str, concurrency: int) -> list[Branch[T]]:
    """`Prompt.fork`."""
    if errors not in ("raise", "return"):
        raise ProgramError(f'errors is "raise" or "return", not {errors!r}')
    if isinstance(concurrency, bool) or not isinstance(concurrency, int) or concurrency < 1:
        raise ProgramError(f"concurrency is 1 or more, not {concurrency!r}")
    branches = _replayed(live, len(args)) or _run(live, function, args, errors, concurrency)
    live.keep(branches)
    return branches


def _replayed(live: Live, count: int) -> list[Branch[Any]] | None:
    step = live.next_step()
    if not isinstance(step, list) or len(step) != count:
        live.replay.clear()
        return None
    start = mark(live)
    return [replace(branch, start=start) for branch in step]


def _run(live: Live, function: Callable[..., T], args: Sequence[Any], errors: str, concurrency: int) -> list[Branch[T]]:
    live.recorder.add(Fork, index=live.forks, branches=len(args))
    start, canceller = mark(live), live.canceller.child()
    lives = [live.branch(live.forks, i, Body(function, (arg,), {}), canceller) for i, arg in enumerate(args)]
    live.forks += 1
    grow = partial(_grow, function, start, errors)
    try:
        grown = _together([partial(grow, *part) for part in zip(lives, args, strict=True)], canceller, concurrency)
    finally:
        for branch in lives:
            live.joined(branch)
    for less in grown:
        if isinstance(less, GiveWay):
            less.check([step for branch in lives for step in branch.steps])
            raise less
    return [branch for branch in grown if isinstance(branch, Branch)]


def _grow(function: Callable[..., T], start: Mark, errors: str, live: Live, arg: Any) -> Branch[Any] | GiveWay:
    """One branch, in its thread. One that overflows does not stop the others: which is the first to do so is chance."""
    began, value, error = time.perf_counter(), None, None
    index, p = live.recorder.branch[-1], Prompt(live)
    try:
        with branched(live.recorder.branch):
            value = function(p, arg)
    except GiveWay as less:
        return less
    except RunCancelled:
        raise
    except Exception as e:
        e.add_note(f"in branch {index} of p.fork")
        if errors == "raise":
            raise
        error = e
    finally:
        finish(p)
    recorder = live.recorder
    usage = replace(recorder.usage, seconds=time.perf_counter() - began)
    return Branch(index, value, recorder.text_since(0), Captures(recorder.captures), usage, error, start, live)


def _together(calls: Sequence[Callable[[], T]], canceller: Canceller, concurrency: int) -> list[T]:
    """Run them in threads. The first exception, or one in this thread, cancels the others, and is raised when all have
    ended."""
    if not calls:
        return []
    pool = ThreadPoolExecutor(min(concurrency, len(calls)), thread_name_prefix="lmprog-fork")
    futures: list[Future[T]] = []
    try:
        futures += [pool.submit(contextvars.copy_context().run, call) for call in calls]
        done = wait(futures, return_when=FIRST_EXCEPTION).done
        if any(future.exception() for future in done):
            canceller.cancel()
    except BaseException:
        canceller.cancel()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    raised = [error for future in futures if not future.cancelled() and (error := future.exception()) is not None]
    for error in sorted(raised, key=lambda e: isinstance(e, RunCancelled)):  # those that it cancelled come last
        raise error
    return [future.result() for future in futures]


# -- what becomes of them --------------------------------------------------------------------------------------------


def adopt(live: Live, branch: Branch[T]) -> T:
    """`Prompt.adopt`."""
    _check(live, branch)
    start, other = branch.start, branch.live
    here = mark(live)
    if live.recorder.length != start.length or here.place != start.place or here.roles != start.roles:
        raise ProgramError(
            "the run has gone on since the fork: adopt a branch right after it, go back by p.reset(mark), "
            "or take its text by p.append(branch)"
        )
    live.page.go_to(other.page)
    live.roles.kind, live.roles.begun = other.roles.kind, other.roles.begun
    live.asides = other.asides
    _take(live, branch, start.holes)
    return branch.value


def append(live: Live, branches: Sequence[Branch[T]], separator: str) -> tuple[T, ...]:
    """`Prompt.append`."""
    for branch in branches:
        _check(live, branch)
    for i, branch in enumerate(branches):
        if separator and i:
            live.text(separator)
        _append(live, branch)
    return tuple([branch.value for branch in branches])


def _append(live: Live, branch: Branch[Any]) -> None:
    turns = branch.live.chat.turns[len(branch.start.chat.turns) :]
    first = live.page.holes
    if turns and live.roles.open:
        raise RoleError(f"the branch's messages cannot be appended inside of the {live.roles.open} role")
    if turns:
        live.roles.kind = "chat"
        for turn in turns:
            live.chat.play(turn)
    elif branch.text:
        live.roles.text()
        live.page.take_over(branch.start.place, branch.live.transcript.place(), branch.text)
    live.page.holes = first + len(branch.live.recorder.captures)
    _take(live, branch, first)


def _check(live: Live, branch: object) -> None:
    if not isinstance(branch, Branch):
        raise ProgramError(f"p.adopt and p.append take branches that p.fork returned, not {branch!r}")
    if branch.start.owner is not live:
        raise ProgramError("the branch is of another prompt")
    if branch.error is not None:
        raise ProgramError(f"branch {branch.index} failed, there is nothing to go on from") from branch.error


def _take(live: Live, branch: Branch[Any], first: int) -> None:
    """Its events and captures become the run's own, the holes counted from `first`."""
    recorder, other = live.recorder, branch.live.recorder
    shift = recorder.length - branch.start.length
    for event in other.line:
        if isinstance(event, Close):
            recorder.piece(event.text, event.name)
        if not isinstance(event, Fork):
            recorder.take(replace(event, span=_moved(event.span, shift), branch=recorder.branch))
    for i, capture in enumerate(other.captures):
        unnamed = capture.name == str(branch.start.holes + i)
        name = str(first + i) if unnamed else capture.name
        asked = capture.asked.moved(branch.start.length, shift)
        recorder.captures.append(replace(capture, name=name, span=_moved(capture.span, shift), asked=asked))
    live.tracer.take(branch.live.tracer, shift)
    live.loose = [other for other in live.loose if other is not branch.live]


def _moved(span: Span, shift: int) -> Span:
    return span[0] + shift, span[1] + shift
