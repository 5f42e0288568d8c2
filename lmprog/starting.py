"""A run that is started, not waited for.

What the program will do is looked at first. If that is known to the end, its holes are filled by one routine, and the
body runs when all the answers are there, in one of a few threads. Other bodies get a thread each.
"""

from __future__ import annotations

import contextvars
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from .errors import QueueFull
from .explore import explore
from .lookahead import Head, holes_of
from .models import Canceller, LanguageModel
from .options import Options
from .page import Page
from .plan import Node, is_whole
from .preview import preview
from .replay import Body
from .run import Run
from .walk import Step, walking
from .workers import WORKERS

Finish = Callable[[Head], Run[Any]]  # runs the body, for good


def start(body: Body, model: LanguageModel, options: Options, canceller: Canceller, finish: Finish) -> Future[Run[Any]]:
    """Start a run; the future cannot be cancelled, the canceller can."""
    return _Start(body, model, options, canceller, finish).done


class _Start:
    def __init__(
        self, body: Body, model: LanguageModel, options: Options, canceller: Canceller, finish: Finish
    ) -> None:
        self.body, self.model, self.options, self.canceller, self.finish = body, model, options, canceller, finish
        self.done: Future[Run[Any]] = Future()
        self.done.set_running_or_notify_cancel()
        self._began = time.perf_counter()
        self._context = contextvars.copy_context()
        if options.preview:
            self._submit(self._look_ahead, waits=False)
        else:
            self._run(None, (), waits=True)

    def _submit(self, work: Callable[[], None], *, waits: bool) -> None:
        WORKERS.submit(lambda: self._context.copy().run(self._guarded, work), waits=waits)

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            self.canceller.check()
            work()
        except BaseException as error:
            self.done.set_exception(error)

    def _look_ahead(self) -> None:
        root = explore(lambda answers: preview(self.body, (), answers).items)
        if not is_whole(root):
            self._run(root, (), waits=True)
        elif not holes_of(root):
            self._run(None, (), waits=False)
        else:
            self._fill(root)

    def _fill(self, root: Node) -> None:
        try:
            routine = walking(root, Page(self.model, self.options), self.model)
            pending = self.canceller.start(self.model, routine, block=False)
        except QueueFull:
            self._run(root, (), waits=True)
            return
        pending.future.add_done_callback(lambda filled: self._filled(root, filled))

    def _filled(self, root: Node, filled: Future[list[Step]]) -> None:
        """An error that ended the routine will meet the body too."""
        steps = [] if filled.exception() is not None else filled.result()
        self._run(root, steps, waits=False)

    def _run(self, root: Node | None, steps: Sequence[Step], *, waits: bool) -> None:
        head = Head(root, steps, self._began)
        self._submit(lambda: self.done.set_result(self.finish(head)), waits=waits)
