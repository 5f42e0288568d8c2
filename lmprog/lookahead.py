"""Where a live run meets its plans: made when it comes to a hole, carried out as one routine, checked step by step."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from .explore import explore
from .holes import Hole
from .plan import Branch, Decoding, End, Fill, Item, Node, Role, key_of, nodes
from .preview import Effect, Failed, Filled, Past, Wrote, preview
from .replay import Body
from .run import Usage
from .task import Task
from .walk import Ahead, Answered, Step

MISSES = 2  # plans that turned out wrong, before there are no more
SECONDS = 0.25  # of previews that a run may always take,
SHARE = 0.2  # and more when it waits much longer for the model


@dataclass(frozen=True)
class Head:
    """What was known before a body ran: the plan from its beginning, the steps that were done of it, and when the run
    began (time.perf_counter)."""

    plan: Node | None
    steps: Sequence[Step]
    began: float


class Lookahead:
    """The plans of one run. `body` None: there are none."""

    def __init__(self, body: Body | None) -> None:
        self._body = body
        self._first: Node | None = None
        self._past: list[Past] = []
        self._ahead = Ahead()
        self._previewed = 0.0
        self._pause = self._paused = 0  # holes that go by before the next preview

    def did(self, step: Wrote | Role | Decoding) -> None:
        """The body took a step."""
        self._past.append(step)
        self._ahead.take(step)

    def filled(self, hole: Hole, text: str) -> None:
        self._past.append(Filled(key_of(hole), text))

    def effect(self, value: object) -> None:
        self._past.append(Effect(value))

    def failed(self) -> None:
        """Something that cannot be repeated."""
        self._past.append(Failed())
        self._body = None

    def answer(self, task: Task) -> Answered | None:
        """The plan's answer to a hole that the body has come to."""
        return self._ahead.answer(task)

    def begin(self, head: Head) -> Usage:
        """The plan that there is already, and what was done of it; what that cost."""
        if not head.steps:
            self._first = head.plan
        return self.extend(head.steps)

    def extend(self, steps: Sequence[Step]) -> Usage:
        """Steps that were done ahead; what they cost."""
        self._ahead.extend(steps)
        return sum([step.answer.usage for step in steps if isinstance(step, Answered)], Usage())

    def plan(self, task: Task, waited: float) -> Node | None:
        """A plan for this hole and what comes after it; None when nothing would be gained.

        waited   seconds that the run has waited for the model
        """
        if not self._worth(waited):
            return None
        began = time.thread_time()
        root = _from_first_hole(self._first) or explore(self._path)
        self._first = None
        self._previewed += time.thread_time() - began
        if isinstance(root.item, Fill) and root.item.key == key_of(task.hole) and holes_of(root) > 1:
            self._pause = 0
            return root
        if isinstance(root.item, End) and root.item.why == "unknown":
            self._body = None
        self._paused = self._pause = 2 * self._pause + 1
        return None

    def _worth(self, waited: float) -> bool:
        self._paused -= 1
        return (
            self._body is not None
            and self._paused < 0
            and self._ahead.misses < MISSES
            and self._previewed <= SECONDS + SHARE * waited
        )

    def _path(self, answers: Sequence[int]) -> list[Item]:
        assert self._body is not None
        seen = preview(self._body, self._past, answers)
        return seen.items if seen.reached else [End("unknown")]


def _from_first_hole(node: Node | None) -> Node | None:
    while node is not None and not isinstance(node.item, Fill | End | Branch):
        node = node.next[0]
    return node


def holes_of(root: Node) -> int:
    """How many holes there are."""
    return sum([isinstance(node.item, Fill) for node in nodes(root)])
