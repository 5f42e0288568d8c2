"""A live run: the text, the tokens and the captures, while a program's body goes on."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from .checkpoints import Mark, go_back, mark
from .decoders import Decoder
from .errors import LmprogError
from .events import Close, Open, RoleBegin, RoleEnd, Text
from .fill import Answer, Task, filling
from .holes import Hole
from .models import Canceller, LanguageModel
from .options import Options
from .page import Page
from .prompt import Roles
from .run import Capture, Captures, Recorder, Run
from .trace import Tracer


class Live:
    """A session on a model. Used by one thread; `canceller` may be used by any."""

    def __init__(self, model: LanguageModel, options: Options, canceller: Canceller) -> None:
        self.model, self.options, self.canceller = model, options, canceller
        self.page = Page(model, options)
        self.transcript, self.chat = self.page.transcript, self.page.chat
        self.recorder = Recorder()
        self.roles = Roles()
        self._began = time.perf_counter()
        self.tracer = Tracer(model.vocab.token_bytes, self._began)

    def text(self, text: str) -> None:
        self.roles.text()
        self.recorder.add(Text, text)
        self.page.text(text)

    def fill(self, hole: Hole, follow: str) -> Any:
        self.roles.hole()
        name = hole.name or str(self.page.holes)
        before = mark(self)
        self.recorder.add(Open, name=name, kind=hole.kind)
        try:
            return self._fill(hole, name, self.page.task(hole, follow))
        except Exception as error:  # a validator of the value's type may raise anything
            error.add_note(f"in the hole {name!r}: {hole.kind}")
            go_back(self, before, str(error))
            raise

    def _fill(self, hole: Hole, name: str, task: Task) -> Any:
        answer = self.canceller.run(self.model, filling(task, self.transcript, self.model))
        self.recorder.usage += answer.usage
        at = len(self.recorder.text)
        for attempt in answer.attempts:
            self.tracer.add(attempt, name, hole.kind, at, plain=self.roles.kind == "plain")
        return self._capture(hole, name, answer).value

    def _capture(self, hole: Hole, name: str, answer: Answer) -> Capture:
        text = answer.value.decode()
        value = hole.parse(text)
        closed = self.recorder.add(Close, text, name=name, value=value, finish=answer.finish)
        self.page.filled(answer)
        capture = Capture(name, value, text, closed.span, answer.tokens, answer.finish, answer.logprob)
        self.recorder.captures.append(capture)
        return capture

    def open(self, role: str, name: str | None) -> None:
        self.roles.begin(role)
        try:
            self.page.begin(role, name)
        except LmprogError:
            self.roles.end()
            raise
        self.recorder.add(RoleBegin, f"[{role}]\n", role=role, name=name or "")

    def close(self) -> None:
        self.recorder.add(RoleEnd, "\n\n", role=self.roles.open)
        self.page.end()
        self.roles.end()

    def mark(self) -> Mark:
        return mark(self)

    def reset(self, to: Mark) -> None:
        go_back(self, to)
        self.page.resets += 1

    @contextlib.contextmanager
    def decoding(self, decoder: Decoder) -> Iterator[None]:
        self.page.decode(decoder)
        try:
            yield
        finally:
            self.page.decode(None)

    def finished(self, value: Any) -> Run[Any]:
        recorder = self.recorder
        usage = replace(recorder.usage, seconds=time.perf_counter() - self._began)
        return Run(
            value,
            recorder.text,
            Captures(recorder.captures),
            usage,
            tuple(recorder.events),
            self.chat.messages,
            tuple(self.tracer.tokens),
            tuple(self.tracer.requests),
        )
