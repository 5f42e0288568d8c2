"""A hole with a condition that only Python can check: values that fail are taken back, and others are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import AttemptsExhausted, BudgetError, EmptyLanguage
from .holes import Hole
from .run import Capture

if TYPE_CHECKING:
    from .session import Live


def fill_checked(live: Live, hole: Hole, name: str, follow: str) -> Capture:
    """Fill the hole with a value that `hole.check` accepts.

    Raises AttemptsExhausted when there was none in `hole.tries` tries, or when no other value is left.
    """
    assert hole.check is not None
    failed: list[str] = []
    before, requests = live.transcript.place(), len(live.tracer.requests)
    for _ in range(hole.tries):
        try:
            task = live.task(hole, follow, failed)
            answer = live.answer(name, task)
        except (EmptyLanguage, BudgetError):
            if not failed:
                raise
            break
        text = answer.value.decode()
        value = hole.parse(text)
        if hole.check(value):
            return live.capture(task, name, answer, value)
        failed.append(text)
        live.transcript.go_to(before)
        live.recorder.refuse(text, f"the condition of the hole {name!r}")
        live.tracer.retract(requests, live.recorder.length)
    raise AttemptsExhausted([f"{text!r} does not meet the condition of the hole {name!r}" for text in failed])
