"""A finished run, put into a living one: its text, captures and records come back, for what is to follow."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .events import Close, Event, Open, Retract, RoleBegin, RoleEnd, Text
from .run import Capture, Run
from .session import Live


def revive(run: Run[Any], live: Live) -> None:
    """Write what is left of `run` into `live`, which is new. What was generated is text to the model now."""
    captures = list(run.captures.all())
    kinds = {(event.name, event.span[0]): event.kind for event in run.trace if isinstance(event, Open)}
    for event in kept(run):
        if isinstance(event, RoleBegin):
            live.open(event.role, event.name or None)
        elif isinstance(event, RoleEnd):
            live.close()
        elif isinstance(event, Close) and captures and (captures[0].name, captures[0].span) == (event.name, event.span):
            _filled(live, event, kinds.get((event.name, event.span[0]), ""), captures.pop(0))
        elif event.text:
            live.text(event.text)
    live.recorder.usage = replace(run.usage, seconds=0.0)
    live.causes = dict(run.causes)
    live.tracer.requests, live.tracer.tokens = list(run.requests), list(run.tokens)


def kept(run: Run[Any]) -> list[Event]:
    """The events with text, of the run itself, that were not taken back."""
    line: list[Event] = []
    for event in run.trace:
        if isinstance(event, Retract) and not event.branch:
            line = [e for e in line if e.span[1] <= event.span[1]]
        elif isinstance(event, Text | Close | RoleBegin | RoleEnd) and not event.branch:
            line.append(event)
    return line


def _filled(live: Live, event: Close, kind: str, capture: Capture) -> None:
    live.roles.text()
    live.recorder.add(Open, name=event.name, kind=kind)
    live.recorder.add(Close, event.text, name=event.name, value=event.value, finish=event.finish)
    live.page.text(event.text)
    live.page.holes += 1
    live.recorder.captures.append(capture)
