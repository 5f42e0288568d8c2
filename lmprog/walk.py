"""A plan carried out: all its holes in one routine on the engine's thread, with no code of the program's own.

What was done comes back step by step, and the live body is checked against it (`Ahead`).
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .decoders.dropping import names_slot
from .errors import ProgramError
from .fill import filling
from .models import LanguageModel
from .page import Page
from .plan import Branch, Decoding, End, Fill, Item, Node, Piece, Role, Text, key_of
from .preview import Wrote
from .runtime.remote.model import RemoteModel
from .runtime.routine import Routine
from .task import Answer, Task
from .transcript import Place

log = logging.getLogger("lmprog")


@dataclass(frozen=True)
class Answered:
    """A hole was filled; `place`: where the transcript stood after it."""

    task: Task
    answer: Answer
    place: Place


Step = Wrote | Role | Decoding | Answered


def walking(root: Node, page: Page, model: LanguageModel) -> Routine[list[Step]]:
    """Follow a plan from `page` on, which is its own from now on, as far as the plan knows the way.

    An error ends the walk before the step that raised it: the live body meets it there again, on its own line.
    """
    if isinstance(model, RemoteModel):
        from .segments import ServerWalk

        return ServerWalk(page, model).follow(root)
    return Walk(page, model).follow(root)


class Walk:
    """Fills hole after hole. All of it is one request to who waits for it."""

    def __init__(self, page: Page, model: LanguageModel) -> None:
        self.page, self.model = page, model
        self.steps: list[Step] = []
        self.values: list[str] = []

    def follow(self, node: Node) -> Routine[list[Step]]:
        try:
            while not isinstance(node.item, End):
                if isinstance(node.item, Fill):
                    yield from self._fill(node, node.item)
                node = node.next[self._pass(node.item)]
        except Exception as error:
            log.debug("a plan was left: %r", error)
        return self.steps

    def _fill(self, node: Node, item: Fill) -> Routine[None]:
        task = self.page.task(item.hole, self._text(item.follow))
        if names_slot(task.method):
            raise ProgramError("plans do not know where slots stand")
        answer = yield from filling(task, self.page.transcript, self.model)
        requests = min(answer.usage.requests, 0 if self.values else 1)
        self._filled(task, replace(answer, usage=replace(answer.usage, requests=requests)))

    def _filled(self, task: Task, answer: Answer) -> None:
        self.page.filled(answer)
        self.values.append(answer.value.decode())
        self.steps.append(Answered(task, answer, self.page.transcript.place()))

    def _pass(self, item: Item) -> int:
        """Do what an item says; which of the nodes after it comes next."""
        match item:
            case Text(pieces):
                self._write(self._text(pieces))
            case Role(role, name):
                self.page.begin(role, name) if role else self.page.end()
                self.steps.append(item)
            case Decoding(decoder):
                self.page.decode(decoder)
                self.steps.append(item)
            case Branch(back, _, cells):
                return next(i for i, cell in enumerate(cells) if self.values[-back] in cell)
        return 0

    def _write(self, text: str) -> None:
        if text:
            self.page.text(text)
            self.steps.append(Wrote(text))

    def _text(self, pieces: Sequence[Piece]) -> str:
        return "".join([p if isinstance(p, str) else p.render(self.values[-p.back]) for p in pieces])


class Ahead:
    """What a walk has done that the live body has not come to yet. A step that differs makes all the rest void."""

    def __init__(self, steps: Iterable[Step] = ()) -> None:
        self._steps = deque(steps)
        self.misses = 0

    def extend(self, steps: Iterable[Step]) -> None:
        self._steps.extend(steps)

    def take(self, done: Wrote | Role | Decoding) -> None:
        """The body did something other than to fill a hole."""
        if self._steps and self._steps.popleft() != done:
            self._miss()

    def answer(self, task: Task) -> Answered | None:
        """The answer to a hole, if it is there."""
        if not self._steps:
            return None
        step = self._steps.popleft()
        if isinstance(step, Answered) and _asks(step.task) == _asks(task):
            return step
        self._miss()
        return None

    def _miss(self) -> None:
        self._steps.clear()
        self.misses += 1


def _asks(task: Task) -> tuple[Any, ...]:
    return (
        key_of(task.hole),
        task.follow,
        task.heal,
        task.exact,
        task.sampling,
        task.method,
        task.logprobs,
        task.trace,
        task.excluded,
    )
