"""A live run: the text, the tokens and the captures, while a program's body goes on."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from .chat import Chat
from .checkpoints import Mark, go_back, mark
from .decoders import Argmax, Decoder, derive_seed
from .errors import LmprogError
from .events import Close, Open, RoleBegin, RoleEnd, Text
from .fill import Answer, Task, filling
from .holes import Boundary, Hole
from .models import Canceller, LanguageModel
from .prompt import Roles
from .run import Capture, Captures, Recorder, Run
from .runtime.sampling import Sampling
from .trace import Tracer
from .transcript import Transcript


@dataclass(frozen=True)
class Options:
    """How a program runs: from its decorator, laid over by the call."""

    decoder: Decoder | None = None
    seed: int | None = None
    boundary: Boundary = "heal"
    logprobs: bool = False
    trace: bool = False
    arithmetic: tuple[int, int] | None = None

    def base_seed(self) -> int | None:
        if self.seed is not None or self.decoder is None:
            return self.seed
        return self.decoder.sampling().seed

    def for_row(self, index: int) -> Options:
        return replace(self, seed=derive_seed(self.base_seed(), "row", index))

    def for_sample(self, index: int, n: int) -> Options:
        """Of n samples that spread evenly; they share the seed, which must be there."""
        return replace(self, arithmetic=(index, n))


class Live:
    """A session on a model. Used by one thread; `canceller` may be used by any."""

    def __init__(self, model: LanguageModel, options: Options, canceller: Canceller) -> None:
        self.model, self.options, self.canceller = model, options, canceller
        self.transcript = Transcript(model.vocab, [] if model.bos is None else [model.bos])
        self.recorder = Recorder()
        self.roles = Roles()
        self.chat = Chat(model, self.transcript)
        self._resets = 0
        self._decoders: list[tuple[Decoder, int | None]] = [(options.decoder or Argmax(), options.base_seed())]
        self._began = time.perf_counter()
        self.tracer = Tracer(model.vocab.token_bytes, self._began)

    def text(self, text: str) -> None:
        self.roles.text()
        self.recorder.add(Text, text)
        if self.roles.open in ("", "assistant"):
            self.transcript.append(text)
        self.chat.add(text)

    def fill(self, hole: Hole, follow: str) -> Any:
        self.roles.hole()
        index = len(self.recorder.captures)
        name = hole.name or str(index)
        before = mark(self)
        self.recorder.add(Open, name=name, kind=hole.kind)
        try:
            return self._fill(hole, name, self._task(hole, index, follow))
        except Exception as error:  # a validator of the value's type may raise anything
            error.add_note(f"in the hole {name!r}: {hole.kind}")
            go_back(self, before, str(error))
            raise

    def _fill(self, hole: Hole, name: str, task: Task) -> Any:
        answer = self.canceller.run(self.model, filling(task, self.transcript, self.model))
        self.transcript.skip(answer.followed)
        self.recorder.usage += answer.usage
        at = len(self.recorder.text)
        for attempt in answer.attempts:
            self.tracer.add(attempt, name, hole.kind, at, plain=self.roles.kind == "plain")
        return self._capture(hole, name, answer).value

    def _capture(self, hole: Hole, name: str, answer: Answer) -> Capture:
        text = answer.value.decode()
        value = hole.parse(text)
        closed = self.recorder.add(Close, text, name=name, value=value, finish=answer.finish)
        self.chat.add(text)
        capture = Capture(name, value, text, closed.span, answer.tokens, answer.finish, answer.logprob)
        self.recorder.captures.append(capture)
        return capture

    def _task(self, hole: Hole, index: int, follow: str) -> Task:
        heal = (hole.boundary or self.options.boundary) == "heal"
        sampling, options = self._sampling(hole, index), self.options
        return Task(hole, end_mark(follow), heal, sampling, options.logprobs, options.trace)

    def _sampling(self, hole: Hole, index: int) -> Sampling:
        decoder, seed = self._decoders[-1]
        merged = hole.settings.over(decoder)
        if not hole.settings.fixes_seed():
            merged = replace(merged, seed=derive_seed(seed, index))
        if self._resets:  # what was taken back is not to be drawn again
            merged = replace(merged, seed=derive_seed(merged.seed, "reset", self._resets))
        return merged if merged.greedy else replace(merged, arithmetic=self.options.arithmetic)

    def open(self, role: str, name: str | None) -> None:
        self.roles.begin(role)
        try:
            self.chat.begin(role, name)
        except LmprogError:
            self.roles.end()
            raise
        self.recorder.add(RoleBegin, f"[{role}]\n", role=role, name=name or "")

    def close(self) -> None:
        self.recorder.add(RoleEnd, "\n\n", role=self.roles.open)
        self.chat.end()
        self.roles.end()

    def mark(self) -> Mark:
        return mark(self)

    def reset(self, to: Mark) -> None:
        go_back(self, to)
        self._resets += 1

    @contextlib.contextmanager
    def decoding(self, decoder: Decoder) -> Iterator[None]:
        seed = decoder.sampling().seed
        self._decoders.append((decoder, self._decoders[-1][1] if seed is None else seed))
        try:
            yield
        finally:
            self._decoders.pop()

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


def end_mark(follow: str) -> bytes:
    """The part of the following text that ends a value: its first line with the line break, or the line breaks that
    it begins with. A model writes that much when it ends a value; the rest of a long text it would seldom repeat.
    """
    body = follow.lstrip("\n")
    breaks = follow[: len(follow) - len(body)]
    if breaks:
        return breaks.encode()
    line, newline, _ = follow.partition("\n")
    return (line + newline).encode()
